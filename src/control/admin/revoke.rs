//! Revocations: told and asked for, by what tokens claim (SPEC 10.5).

use serde_json::Value;

use crate::snapshot::Snapshot;

use super::json::Json;
use super::listener::{Answer, Request};

/// Of one request.
const ELEMENTS_MAX: usize = 1024;
/// Bytes of one.
const ELEMENT_BYTES_MAX: usize = 1024;

/// `POST /-/revoke`: from the next request on, on every shard.
pub(super) fn revoke(request: &Request, snapshot: &Snapshot) -> Answer {
    let Some(revocations) = &snapshot.people.revocations else { return unknown() };
    let elements = match elements(&request.body) {
        Ok(elements) => elements,
        Err(what) => return Answer::problem(400, "body_malformed", what),
    };
    revocations.revoke(elements.iter().map(String::as_bytes));
    let count = u64::try_from(elements.len()).unwrap_or(u64::MAX);
    Answer::json(200, Json::of(|json| json.key("revoked").number(count)))
}

/// `POST /-/revoke/check`
pub(super) fn check(request: &Request, snapshot: &Snapshot) -> Answer {
    let Some(revocations) = &snapshot.people.revocations else { return unknown() };
    let elements = match elements(&request.body) {
        Ok(elements) => elements,
        Err(what) => return Answer::problem(400, "body_malformed", what),
    };
    let body = Json::list_of(|json| {
        for element in &elements {
            json.object(|json| {
                json.key("element").text(element);
                json.key("revoked").boolean(revocations.check(element.as_bytes()));
            });
        }
    });
    Answer::json(200, body)
}

fn unknown() -> Answer {
    Answer::problem(409, "revocation_off", "write [revocation] in the settings, and reload")
}

/// `{"elements": ["jti-7"]}`, or `{"claims": {"jti": ["7"]}}`, or both.
fn elements(body: &[u8]) -> Result<Vec<String>, &'static str> {
    const WHAT: &str = "write {\"elements\": [\"jti-7\"]} or {\"claims\": {\"jti\": [\"7\"]}}";
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else { return Err(WHAT) };
    let mut elements = Vec::new();
    for (name, value) in &members {
        match (name.as_str(), value) {
            ("elements", Value::Array(list)) => {
                for one in list {
                    elements.push(one.as_str().ok_or(WHAT)?.to_owned());
                }
            }
            ("claims", Value::Object(claims)) => {
                for (claim, value) in claims {
                    let values =
                        value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    for value in values {
                        elements.push(format!("{claim}-{}", value.as_str().ok_or(WHAT)?));
                    }
                }
            }
            _ => return Err(WHAT),
        }
    }
    match elements.len() {
        0 => Err(WHAT),
        count if count > ELEMENTS_MAX => Err("at most 1024 elements in one request"),
        _ if elements.iter().any(|one| one.len() > ELEMENT_BYTES_MAX) => {
            Err("an element is longer than 1 KiB")
        }
        _ => Ok(elements),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_out_or_made_of_claims() {
        let read = |text: &str| elements(text.as_bytes());
        let want = |list: &[&str]| Ok(list.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(read(r#"{"elements":["jti-7","sub-a"]}"#), want(&["jti-7", "sub-a"]));
        assert_eq!(
            read(r#"{"claims":{"jti":"7","sub":["a","b"]}}"#),
            want(&["jti-7", "sub-a", "sub-b"])
        );
        for text in [
            "",
            "[]",
            "{}",
            "null",
            r#"{"elements":[]}"#,
            r#"{"elements":[1]}"#,
            r#"{"elements":"a"}"#,
            r#"{"claims":{"jti":7}}"#,
            r#"{"other":["a"]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let many = format!("{{\"elements\":[{}\"a\"]}}", "\"a\",".repeat(1024));
        assert!(read(&many).is_err());
    }
}
