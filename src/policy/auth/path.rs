//! Where a claim stands, and what of a claim becomes text.

use serde_json::{Map, Value};

/// The name of a claim. `realm.roles` is the claim of that name if there is one (names such as
/// `https://id.example/roles` have full stops), else `roles` within `realm`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClaimPath(String);

impl ClaimPath {
    /// The claim of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        ClaimPath(name.into())
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The claim itself.
    #[must_use]
    pub fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(value) = claims.get(&self.0) {
            return Some(value);
        }
        let mut parts = self.0.split('.');
        let mut value = claims.get(parts.next()?)?;
        for part in parts {
            value = value.as_object()?.get(part)?;
        }
        Some(value)
    }
}

/// The words of a claim: a list of texts, a list of objects with a `name`, or a text with spaces
/// between them. Anything else in a list is passed over.
#[must_use]
pub fn words(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => text.split_ascii_whitespace().collect(),
        Value::Array(list) => list.iter().filter_map(word).collect(),
        _ => Vec::new(),
    }
}

fn word(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Object(object) => object.get("name")?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::parse;
    use super::*;

    #[test]
    fn a_claim_is_found_by_its_name_before_its_way() {
        let claims = parse(br#"{"a.b":1,"a":{"b":2,"c":{"d":3}},"x":"y"}"#).unwrap();
        for (name, number) in [("a.b", Some(1)), ("a.c.d", Some(3)), ("a.d", None), ("x.y", None)] {
            let found = ClaimPath::new(name).find(&claims).and_then(Value::as_u64);
            assert_eq!(found, number, "{name}");
        }
        assert!(ClaimPath::new("").find(&claims).is_none());
    }

    #[test]
    fn words_come_in_lists_objects_and_texts() {
        let claims = parse(br#"{"a":["x","y z",1,{"name":"n"},{"no":1}],"b":" x  y ","c":1}"#);
        let claims = claims.unwrap();
        assert_eq!(words(&claims["a"]), ["x", "y z", "n"]);
        assert_eq!(words(&claims["b"]), ["x", "y"]);
        assert!(words(&claims["c"]).is_empty());
    }
}
