//! Claims that endpoints are told, as fields of the request.

use serde_json::{Map, Value};

use super::credential::is_name;
use super::path::ClaimPath;
use crate::message::known::Known;

/// Bytes of one such value. What is longer is left out, and so is what cannot stand in a field: a
/// value that was cut or mended would be another claim.
pub const VALUE_BYTES_MAX: usize = 4096;

/// Tells a claim in a field. Whatever the client has sent under that name does not pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Propagated {
    /// The claim.
    pub claim: ClaimPath,
    /// The name of the field, in lower case.
    pub field: String,
}

impl Propagated {
    /// Reads `<field>: <claim>`. `None`: it is not that, or the field is one that the gateway
    /// writes or reads itself.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (field, claim) = text.split_once(':')?;
        let (field, claim) = (field.trim().to_ascii_lowercase(), claim.trim());
        let is_free = Known::of(field.as_bytes()) == Known::Other;
        let is_whole = is_name(&field) && is_free && !claim.is_empty();
        is_whole.then(|| Propagated { claim: ClaimPath::new(claim), field })
    }

    /// The value of the field, if the claim is there and can be written.
    #[must_use]
    pub fn value(&self, claims: &Map<String, Value>) -> Option<String> {
        let text = match self.claim.find(claims)? {
            // A comma in one of them would make two of it.
            Value::Array(list) => {
                let items = list.iter().filter_map(scalar);
                let items: Vec<_> = items.filter(|item| !item.contains(',')).collect();
                items.join(",")
            }
            value => scalar(value)?,
        };
        is_field_value(&text).then_some(text)
    }
}

/// Whether a text may stand in a field as it is.
#[must_use]
pub fn is_field_value(text: &str) -> bool {
    let edge = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = text.as_bytes();
    (1..=VALUE_BYTES_MAX).contains(&bytes.len())
        && !edge(bytes.first())
        && !edge(bytes.last())
        && bytes.iter().all(|byte| *byte >= b' ' && *byte != 0x7f)
}

/// What is one value, as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::object::parse;
    use super::*;

    #[test]
    fn claims_become_values_that_can_be_written() {
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        for (claim, value) in [
            (r#""a b""#, Some("a b")),
            ("1.5", Some("1.5")),
            ("true", Some("true")),
            (r#"["a",2,"b,c",null,["d"],"e"]"#, Some("a,2,e")),
            ("[]", None),
            (r#""""#, None),
            (r#"" a""#, None),
            (r#""a\r\nx-admin: 1""#, None),
            (r#""a\u0000b""#, None),
            (r#"["a\nb"]"#, None),
            ("{}", None),
            ("null", None),
            (&format!("\"{long}\""), None),
        ] {
            let claims = parse(format!(r#"{{"a":{{"b":{claim}}}}}"#).as_bytes()).unwrap();
            let told = Propagated { claim: ClaimPath::new("a.b"), field: "x-b".into() };
            assert_eq!(told.value(&claims).as_deref(), value, "{claim}");
        }
    }
}
