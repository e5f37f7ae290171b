//! Permissions as bits of one number (SPEC 10.4).

use serde_json::{Map, Value};

/// The names and their bits.
const BITS: &[(&str, u8)] = &[
    ("live", LIVE),
    ("test", 3),
    ("admin", ADMIN),
    ("published", 5),
    ("secret", 6),
    ("authorize", 7),
    ("capture", 8),
    ("bundle", 9),
    ("campaign", 10),
    ("collection", 11),
    ("coupon", 12),
    ("form", 13),
    ("order", 14),
    ("organization", 15),
    ("payment", 16),
    ("plan", 17),
    ("product", 18),
    ("referral", 19),
    ("referrer", 20),
    ("store", 21),
    ("subscriber", 22),
    ("user", 23),
    ("variant", 24),
    ("return", 57),
    ("readreturn", 58),
    ("writereturn", 59),
];

const LIVE: u8 = 2;
const ADMIN: u8 = 4;

/// What may be read and written, in the order of the bits.
const THINGS: &[&str] = &[
    "bundle",
    "campaign",
    "collection",
    "coupon",
    "form",
    "order",
    "organization",
    "payment",
    "plan",
    "product",
    "referral",
    "referrer",
    "store",
    "subscriber",
    "user",
    "variant",
];

/// `readX` begins here, `writeX` behind it.
const READ: u8 = 25;
const WRITE: u8 = 41;

/// Who gets the bit of administrators.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AdminRule {
    /// Administrators of the organisation `admin` alone; those of others get `live`.
    #[default]
    OwnerOnly,
    /// Everybody whose token says `isAdmin`: also who owns some other organisation.
    AnyAdmin,
}

/// The permissions that claims give. Names that are not known give none.
#[must_use]
pub fn of(claims: &Map<String, Value>, rule: AdminRule) -> u64 {
    let mut bits = match claims.get("permissions") {
        Some(Value::Number(number)) => number.as_i64().map_or(0, |n| u64::try_from(n).unwrap_or(0)),
        Some(Value::Array(list)) => list.iter().filter_map(name_of).map(bit_of).fold(0, or),
        _ => 0,
    };
    let is_admin = claims.get("isAdmin") == Some(&Value::Bool(true));
    let owns_all = claims.get("owner").and_then(Value::as_str) == Some("admin");
    match rule {
        AdminRule::AnyAdmin if is_admin => bits |= bit(ADMIN) | bit(LIVE),
        AdminRule::AnyAdmin => {}
        AdminRule::OwnerOnly => {
            if is_admin {
                bits |= bit(LIVE);
            }
            if !owns_all {
                bits &= !bit(ADMIN);
            } else if is_admin {
                bits |= bit(ADMIN);
            }
        }
    }
    bits
}

/// Whether the bit of administrators is among these.
#[must_use]
pub const fn has_admin(bits: u64) -> bool {
    bits & bit(ADMIN) != 0
}

/// The text of an element of a list: itself, or its `name`.
pub(super) fn name_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(name) => Some(name),
        Value::Object(object) => object.get("name")?.as_str(),
        _ => None,
    }
}

const fn bit(number: u8) -> u64 {
    1 << number
}

const fn or(left: u64, right: u64) -> u64 {
    left | right
}

fn bit_of(name: &str) -> u64 {
    if let Some((_, number)) = BITS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
        return bit(*number);
    }
    let of = |word: &str, first: u8| {
        let (verb, thing) = name.split_at_checked(word.len())?;
        let at = THINGS.iter().position(|known| thing.eq_ignore_ascii_case(known))?;
        let is_it = verb.eq_ignore_ascii_case(word);
        is_it.then(|| bit(first + u8::try_from(at).unwrap_or(0)))
    };
    of("read", READ).or_else(|| of("write", WRITE)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bits(claims: &Value, rule: AdminRule) -> u64 {
        of(claims.as_object().unwrap(), rule)
    }

    #[test]
    fn names_give_their_bits_in_any_case() {
        for (name, bit) in [
            ("live", 2),
            ("ADMIN", 4),
            ("variant", 24),
            ("readBundle", 25),
            ("ReadVariant", 40),
            ("writebundle", 41),
            ("writeVariant", 56),
            ("return", 57),
            ("readReturn", 58),
            ("WRITERETURN", 59),
            ("readuser", 39),
            ("organization", 15),
        ] {
            let claims = json!({"permissions": [name]});
            assert_eq!(bits(&claims, AdminRule::AnyAdmin), 1 << bit, "{name}");
        }
        let claims =
            json!({"permissions": ["nothing", "read", "readlive", "", 7, {"name": "test"}]});
        assert_eq!(bits(&claims, AdminRule::AnyAdmin), 1 << 3);
    }

    #[test]
    fn numbers_are_taken_as_they_are_unless_negative() {
        assert_eq!(bits(&json!({"permissions": 8}), AdminRule::OwnerOnly), 8);
        assert_eq!(bits(&json!({"permissions": -1}), AdminRule::OwnerOnly), 0);
        assert_eq!(bits(&json!({"permissions": 1.5}), AdminRule::OwnerOnly), 0);
        assert_eq!(bits(&json!({"permissions": "8"}), AdminRule::OwnerOnly), 0);
    }

    #[test]
    fn owners_of_organisations_are_administrators_by_the_old_rule_only() {
        let owner = json!({"isAdmin": true, "owner": "acme", "permissions": ["admin", "test"]});
        assert_eq!(bits(&owner, AdminRule::AnyAdmin), 0x1c);
        assert_eq!(bits(&owner, AdminRule::OwnerOnly), 0xc);
        let admin = json!({"isAdmin": true, "owner": "admin"});
        assert_eq!(bits(&admin, AdminRule::OwnerOnly), 20);
        assert_eq!(bits(&admin, AdminRule::AnyAdmin), 20);
        let member = json!({"isAdmin": false, "owner": "admin"});
        assert_eq!(bits(&member, AdminRule::OwnerOnly), 0);
        assert_eq!(bits(&json!({"isAdmin": "true"}), AdminRule::AnyAdmin), 0);
    }
}
