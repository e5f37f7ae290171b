//! Heartbeats: services say that they run, and hear whether they lead (SPEC 8.4).

use std::borrow::Cow;

use super::answer;
use super::arguments::{Argument, ArgumentValue};
use super::asked::{Asked, Given};
use super::dialect::Dialect;
use super::json;
use super::registry::MASTER;
use super::request::Call;
use super::translate::Parts;
use super::wire::WireError;
use crate::base::time::UnixTime;

/// The module whose calls are heartbeats.
pub const MODULE: &str = "heartbeat";

/// The argument that a heartbeat of the dialects A and B is in.
const PAYLOAD: &str = "payload";

/// What a heartbeat says, as a JSON object: `name`, `host`, `port` and whatever else.
///
/// # Errors
/// See [`WireError`]. `Ok(None)`: it is no object.
pub fn payload(asked: &Asked<'_>) -> Result<Option<String>, WireError> {
    let mut only = asked.clone();
    if let Some(Given::Any(any)) = asked.args.get(PAYLOAD) {
        only.body = Some(any);
        only.args.clear();
        only.internal = None;
    }
    Ok(Parts::of(&only)?.object())
}

/// What a gateway without a master answers: whoever asks leads, and runs what is scheduled.
#[must_use]
pub fn alone(now: UnixTime) -> [(&'static str, String); 5] {
    [
        ("leader", "true".to_owned()),
        ("cron", "true".to_owned()),
        ("ttl", "0".to_owned()),
        ("epoch", "0".to_owned()),
        ("ts", now.seconds().to_string()),
    ]
}

/// The same as a message `Response`.
#[must_use]
pub fn alone_message(now: UnixTime) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    for (name, json) in alone(now) {
        answer::put_value(&mut out, name, json.as_bytes());
    }
    out
}

/// Hands `then` the call that tells the master: the members of `payload` and the time. `None`: it
/// is no JSON object.
pub fn with_call<T>(
    payload: &str,
    dialect: Dialect,
    now: UnixTime,
    base: &Call<'_>,
    then: impl FnOnce(&Call<'_>) -> T,
) -> Option<T> {
    let members = json::members(payload.as_bytes()).ok()?;
    let time = now.seconds().to_string();
    let is_there = |name: &str| members.iter().any(|member| member.key == name);
    let mut args: Vec<_> = members
        .iter()
        .filter(|member| member.key != "ts")
        .map(|member| Argument {
            name: Cow::Borrowed(&*member.key),
            value: ArgumentValue::Json(member.value),
        })
        .collect();
    // Over HTTP the name is called so.
    if let Some(service) = members.iter().find(|member| member.key == "service")
        && !is_there("name")
    {
        let value = ArgumentValue::Json(service.value);
        args.push(Argument { name: Cow::Borrowed("name"), value });
    }
    args.push(Argument { name: Cow::Borrowed("ts"), value: ArgumentValue::Json(&time) });
    let call = Call {
        module: MASTER,
        param: MODULE,
        method: "POST",
        internal_param: Some(MODULE),
        internal_method: Some("POST"),
        ..*base
    };
    if dialect != Dialect::C {
        return Some(then(&Call { args: &args, ..call }));
    }
    let mut body = b"{".to_vec();
    for (at, argument) in args.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        json::put_string(&mut body, &argument.name);
        body.push(b':');
        if let ArgumentValue::Json(text) = &argument.value {
            body.extend_from_slice(text.as_bytes());
        }
    }
    body.push(b'}');
    Some(then(&Call { args: &[], body: Some(str::from_utf8(&body).ok()?), ..call }))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::value::Kind;
    use prost_types::{Any, Struct, Value};

    use super::*;
    use crate::proto::{reverse, reverse_c};
    use crate::protocol::grpc::frame::PREFIX_BYTES;

    fn state() -> Struct {
        let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
        let port = Value { kind: Some(Kind::NumberValue(5300.0)) };
        let fields = [("name", text("storage")), ("host", text("h1")), ("port", port)];
        Struct { fields: fields.map(|(name, value)| (name.to_owned(), value)).into() }
    }

    fn any(of: &Struct) -> Any {
        let type_url = "type.googleapis.com/google.protobuf.Struct".to_owned();
        Any { type_url, value: of.encode_to_vec() }
    }

    fn json_any(text: &str) -> Any {
        let type_url = super::super::request::BYTES_VALUE_URL.to_owned();
        Any { type_url, value: text.as_bytes().to_vec().encode_to_vec() }
    }

    #[track_caller]
    fn check(packaged: bool, message: &[u8], want: Option<&str>) {
        let asked = Asked::read(packaged, message).unwrap();
        assert_eq!(payload(&asked).unwrap().as_deref(), want);
    }

    #[test]
    fn a_payload_is_a_struct_or_json_in_every_dialect() {
        let want = r#"{"host":"h1","name":"storage","port":5300}"#;
        let b = |name: &str, any| reverse::Request {
            args: [(name.to_owned(), any)].into(),
            ..reverse::Request::default()
        };
        check(false, &b("payload", any(&state())).encode_to_vec(), Some(want));
        check(false, &b("payload", json_any(want)).encode_to_vec(), Some(want));
        check(false, &b("name", json_any("\"x\"")).encode_to_vec(), Some(r#"{"name":"x"}"#));
        check(false, &b("payload", json_any("[1]")).encode_to_vec(), None);
        let c = |any| reverse_c::Request { body: Some(any), ..reverse_c::Request::default() };
        check(true, &c(any(&state())).encode_to_vec(), Some(want));
        check(true, &c(json_any(want)).encode_to_vec(), Some(want));
        check(true, &[], Some("{}"));
    }

    #[test]
    fn the_master_is_told_of_every_member_and_the_time() {
        let payload = r#"{"service":"storage","port":"5300","id":9007199254740993,"ts":1}"#;
        let now = UnixTime(std::time::Duration::from_secs(77));
        let encode = |dialect| {
            with_call(payload, dialect, now, &Call::default(), |call| {
                let mut out = Vec::new();
                call.encode(dialect, &mut out).unwrap();
                out.split_off(PREFIX_BYTES)
            })
        };
        let read = reverse::Request::decode(&encode(Dialect::B).unwrap()[..]).unwrap();
        let said = [&read.module, &read.param, &read.method].map(|text| text.clone().unwrap());
        assert_eq!(said, ["masterservice", "heartbeat", "POST"]);
        let internal = read.ir.unwrap();
        assert_eq!(internal.param.as_deref(), Some("heartbeat"));
        assert_eq!(internal.method.as_deref(), Some("POST"));
        let text = |name: &str| Vec::<u8>::decode(&read.args[name].value[..]).unwrap();
        assert_eq!(text("name"), b"\"storage\"");
        assert_eq!(text("id"), b"9007199254740993");
        assert_eq!(text("ts"), b"77");
        let read = reverse_c::Request::decode(&encode(Dialect::C).unwrap()[..]).unwrap();
        let body = Vec::<u8>::decode(&read.body.unwrap().value[..]).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["name"], &body["ts"]), (&"storage".into(), &77.into()));
        assert_eq!(encode_of("[]"), None);
    }

    fn encode_of(payload: &str) -> Option<()> {
        let now = UnixTime(std::time::Duration::ZERO);
        with_call(payload, Dialect::B, now, &Call::default(), |_| ())
    }
}
