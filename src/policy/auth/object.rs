//! JSON objects of tokens and keys. A name that comes twice is refused: two readers would not
//! agree on what was signed (RFC 7515 §4, RFC 7519 §4).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Levels of objects and lists. Real tokens have four.
const DEPTH_MAX: u8 = 24;

/// Reads one object and nothing else; `None` if `text` is anything else, or says a name twice.
#[must_use]
pub fn parse(text: &[u8]) -> Option<Map<String, Value>> {
    let mut source = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth: DEPTH_MAX }.deserialize(&mut source).ok()?;
    source.end().ok()?;
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// About how many bytes of memory a value takes, itself included.
#[must_use]
pub fn weight(value: &Value) -> usize {
    /// Of a member of an object, beside its name and its value.
    const MEMBER: usize = 48;
    let own = size_of::<Value>();
    own + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity(),
        Value::Array(list) => list.iter().map(weight).sum(),
        Value::Object(object) => {
            object.iter().map(|(name, value)| MEMBER + name.capacity() + weight(value)).sum()
        }
    }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u8,
}

impl Strict {
    fn below<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too deep"))?;
        Ok(Strict { depth })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(below)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name comes twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_as_it_is() {
        let text = br#" {"a":[1,-2,3.5,"x",null,true,{"b":{}}],"\u00e9":18446744073709551615} "#;
        let object = parse(text).unwrap();
        let whole: Value = serde_json::from_slice(text).unwrap();
        assert_eq!(Value::Object(object), whole);
    }

    #[test]
    fn what_readers_may_disagree_on_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(30), "]".repeat(30));
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":1,"a":2}]}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1} x"#,
            r#"{"a":1,}"#,
            r#"{"a":1e999}"#,
            "{'a':1}",
            "[]",
            "1",
            "null",
            "",
            "{\"a\":\"\u{0}\"}",
            &deep,
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"{\"a\":\"\xff\"}"), None);
        assert_eq!(parse(b"\xef\xbb\xbf{}"), None);
    }
}
