//! The fields that tell endpoints who the client is (SPEC 10.4, step 1). A client's own are never
//! passed on.

use crate::message::head::Field;
use crate::message::known::Known;

/// Names that are taken away, in lower case. The longest list that was ever in use: back ends of
/// every age believe some of them.
pub const STRIPPED: &[&str] = &[
    "x-user-id",
    "x-org-id",
    "x-user-owner",
    "x-roles",
    "x-user-permissions",
    "x-user-email",
    "x-phone-number",
    "x-user-isadmin",
    "x-user-isglobaladmin",
    "x-project-id",
    "x-billing-account-id",
    "x-user-role",
    "x-user-roles",
    "x-user-name",
    "x-tenant-id",
    "x-org",
    PRINCIPAL,
];

/// Whatever begins so is taken away.
pub const STRIPPED_PREFIXES: &[&str] = &["x-iam-", "x-hanzo-"];

/// Whom an API key belongs to (SPEC 14.6).
pub const PRINCIPAL: &str = "ff-principal";

/// Whether a field of a request says who the client is.
#[inline]
#[must_use]
pub fn is_identity(field: &Field, text: &[u8]) -> bool {
    field.known == Known::Other && is_identity_name(field.name.of(text))
}

/// Whether that is the name of such a field, however it is written: in any case, and with any other
/// separator for a hyphen. `X_User_Id` and `X-User-Id` are the same variable in CGI and in what
/// came of it, and some servers make an underscore of a dot as well.
#[inline]
#[must_use]
pub fn is_identity_name(name: &[u8]) -> bool {
    // Most names end here: they begin with another letter, or with `x-f` and the like.
    match name {
        [b'x' | b'X', separator, letter, ..] => {
            !separator.is_ascii_alphanumeric() && may_follow(*letter) && is_listed(name)
        }
        [b'f' | b'F', b'f' | b'F', ..] => is_listed(name),
        _ => false,
    }
}

/// Whether a listed name has this letter behind `x-`; a test holds both together.
#[inline]
const fn may_follow(letter: u8) -> bool {
    matches!(letter.to_ascii_lowercase(), b'b' | b'h' | b'i' | b'o' | b'p' | b'r' | b't' | b'u')
}

fn is_listed(name: &[u8]) -> bool {
    STRIPPED.iter().any(|listed| listed.len() == name.len() && begins(name, listed))
        || STRIPPED_PREFIXES.iter().any(|prefix| begins(name, prefix))
}

fn begins(name: &[u8], prefix: &str) -> bool {
    let Some(head) = name.get(..prefix.len()) else { return false };
    head.iter().zip(prefix.bytes()).all(|(byte, want)| fold(*byte) == want)
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_found_however_it_is_written() {
        let samples = ["x-iam-", "x-iam-user", "x-hanzo-", "x-hanzo-org-id"];
        for name in STRIPPED.iter().chain(&samples) {
            let title = name.replacen("x-", "X-", 1).replace("-user", "-User");
            for written in [
                (*name).to_owned(),
                name.to_ascii_uppercase(),
                name.replace('-', "_"),
                name.replacen('-', "_", 1),
                name.replace('-', "."),
                title,
            ] {
                assert!(is_identity_name(written.as_bytes()), "{written}");
            }
        }
    }

    #[test]
    fn other_names_are_passed_on() {
        for name in [
            "",
            "x",
            "x-",
            "f",
            "ff",
            "host",
            "x-user",
            "x-user-ids",
            "x-user-idx",
            "xx-user-id",
            "x-orga",
            "x-role",
            "x-iam",
            "x-hanzo",
            "x-forwarded-for",
            "x-request-id",
            "x-requested-with",
            "ff-principals",
            "x-organisation",
            "user-id",
            "xuserid",
        ] {
            assert!(!is_identity_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn the_first_letters_let_every_listed_name_through() {
        for name in STRIPPED.iter().chain(STRIPPED_PREFIXES) {
            assert!(*name == PRINCIPAL || may_follow(name.as_bytes()[2]), "{name}");
        }
    }

    #[test]
    fn no_field_that_the_gateway_knows_otherwise_is_listed() {
        for name in STRIPPED {
            assert_eq!(Known::of(name.as_bytes()), Known::Other, "{name}");
        }
    }
}
