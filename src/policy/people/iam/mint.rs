//! The fields that tell endpoints who the client is, from the claims of a verified token
//! (SPEC 10.4, step 6).

use serde_json::{Map, Value};

use super::permissions::{self, AdminRule};

/// Bytes of a value; longer ones are no name or list that a person has.
const VALUE_BYTES_MAX: usize = 1024;

/// What a verified token says of its owner, as far as it can be told in fields.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Person {
    /// Who it is; never empty.
    pub user: String,
    /// The organisation.
    pub org: Option<String>,
    /// Roles that can be told in a list with commas.
    pub roles: Vec<String>,
    /// See [`permissions`].
    pub permissions: u64,
    /// The address for mail.
    pub email: Option<String>,
    /// The telephone number.
    pub phone: Option<String>,
    /// Whether the token says so; of which organisation is for `org` to say.
    pub is_admin: bool,
    /// The project, unless it is the default one.
    pub project: Option<String>,
    /// Who pays.
    pub billing_account: Option<String>,
}

/// The token names nobody, or in a way that cannot be told to an endpoint unchanged. Changing it
/// could make somebody else of its owner, so the token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nameless;

impl Person {
    /// The claims that say who it is, where nothing else is configured: the first that there is.
    pub const NAMES: &[&str] = &["sub", "preferred_username", "name"];

    /// Reads claims that were verified; `user` is who they said it is.
    pub fn read(
        user: &str,
        claims: &Map<String, Value>,
        rule: AdminRule,
    ) -> Result<Person, Nameless> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|s| !s.is_empty());
        let told = |name: &str| text(name).filter(|text| is_tellable(text)).map(str::to_owned);
        if !is_tellable(user) {
            return Err(Nameless);
        }
        // An organisation that is there but cannot be told is not the same as none.
        if claims.get("owner").is_some_and(|owner| !owner.is_null() && !is_name(owner)) {
            return Err(Nameless);
        }
        Ok(Person {
            user: user.to_owned(),
            org: told("owner"),
            roles: roles(claims),
            permissions: permissions::of(claims, rule),
            email: told("email"),
            phone: told("phone_number").or_else(|| told("phone")),
            is_admin: claims.get("isAdmin") == Some(&Value::Bool(true)),
            project: told("project").filter(|project| project != "default"),
            billing_account: told("billing_account"),
        })
    }

    /// The fields: names in lower case, and values.
    #[must_use]
    pub fn fields(&self) -> Vec<(String, String)> {
        let org = self.org.clone();
        let list = |words: &[String]| (!words.is_empty()).then(|| words.join(","));
        let bits = (self.permissions != 0).then(|| self.permissions.to_string());
        let fields = [
            ("x-user-id", Some(self.user.clone())),
            ("x-org-id", org.clone()),
            ("x-user-owner", org),
            ("x-user-email", self.email.clone()),
            ("x-phone-number", self.phone.clone()),
            ("x-project-id", self.project.clone()),
            ("x-billing-account-id", self.billing_account.clone()),
            ("x-roles", list(&self.roles)),
            ("x-user-permissions", bits),
            ("x-user-isadmin", self.is_admin.then(|| "true".to_owned())),
        ];
        let told = fields.into_iter();
        told.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

fn is_name(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.is_empty() || is_tellable(text))
}

/// Whether an endpoint reads the value as it is: no controls, no white space at its ends, which
/// readers take away, and not too long.
fn is_tellable(text: &str) -> bool {
    let trimmed = text.trim();
    trimmed.len() == text.len()
        && !text.is_empty()
        && text.len() <= VALUE_BYTES_MAX
        && !text.chars().any(char::is_control)
}

/// A role with a comma would read as two, one of which nobody gave: it is left out. So are those
/// that the field has no room for.
fn roles(claims: &Map<String, Value>) -> Vec<String> {
    let Some(Value::Array(list)) = claims.get("roles") else { return Vec::new() };
    let mut bytes = 0;
    let names = list.iter().filter_map(permissions::name_of);
    let fit = names.filter(|name| is_tellable(name) && !name.contains(',')).filter(|name| {
        bytes += name.len() + 1;
        bytes <= VALUE_BYTES_MAX
    });
    fit.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fields::is_identity_name;
    use super::*;

    fn read(claims: &Value) -> Result<Person, Nameless> {
        let claims = claims.as_object().unwrap();
        let user = Person::NAMES.iter().find_map(|name| claims.get(*name)?.as_str());
        Person::read(user.unwrap_or_default(), claims, AdminRule::default())
    }

    fn lines(claims: &Value) -> String {
        let fields = read(claims).unwrap().fields();
        fields.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect()
    }

    fn whole() -> Value {
        json!({
            "sub": "u1", "owner": "acme", "roles": ["dev", {"name": "ops"}, "a,b", 4],
            "permissions": ["test"], "email": "u@acme.example", "phone": "+43 1",
            "isAdmin": true, "project": "rocket", "billing_account": "b7",
        })
    }

    #[test]
    fn claims_become_fields() {
        let want = "x-user-id: u1\r\nx-org-id: acme\r\nx-user-owner: acme\r\n\
            x-user-email: u@acme.example\r\nx-phone-number: +43 1\r\nx-project-id: rocket\r\n\
            x-billing-account-id: b7\r\nx-roles: dev,ops\r\nx-user-permissions: 12\r\n\
            x-user-isadmin: true\r\n";
        assert_eq!(lines(&whole()), want);
        assert_eq!(
            lines(&json!({"name": "n", "project": "default", "owner": ""})),
            "x-user-id: n\r\n"
        );
    }

    #[test]
    fn what_is_minted_is_stripped() {
        let text = lines(&whole());
        assert_eq!(text.lines().count(), 10);
        for line in text.lines() {
            let (name, _) = line.split_once(": ").unwrap();
            assert!(is_identity_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_that_cannot_be_told_unchanged_are_refused() {
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        for bad in ["a\r\nx-roles: admin", "a\nb", "a\0", " admin", "admin ", "a\u{85}", &long] {
            assert_eq!(read(&json!({"sub": bad})), Err(Nameless), "{bad:?}");
            assert_eq!(read(&json!({"sub": "u", "owner": bad})), Err(Nameless), "{bad:?}");
            let rest = json!({"sub": "u", "email": bad, "roles": [bad], "project": bad});
            assert_eq!(lines(&rest), "x-user-id: u\r\n", "{bad:?}");
        }
        for claims in [json!({}), json!({"sub": ""}), json!({"sub": 7}), json!({"sub": null})] {
            assert_eq!(read(&claims), Err(Nameless), "{claims}");
        }
        assert_eq!(read(&json!({"sub": "u", "owner": 7})), Err(Nameless));
    }

    #[test]
    fn roles_end_where_the_field_does() {
        let roles: Vec<String> = (0..1000).map(|number| format!("role-{number}")).collect();
        let text = lines(&json!({"sub": "u", "roles": roles}));
        let line = text.lines().find(|line| line.starts_with("x-roles")).unwrap();
        assert!(line.len() <= VALUE_BYTES_MAX + 16 && line.starts_with("x-roles: role-0,role-1,"));
    }
}
