use prost::Message;
use prost_types::value::Kind as K;
use prost_types::{Any, ListValue, Struct, Value as V};

use super::*;

fn value(kind: K) -> V {
    V { kind: Some(kind) }
}

fn number(number: f64) -> V {
    value(K::NumberValue(number))
}

#[test]
fn bytes_are_json_and_kept_as_they_are() {
    for (bytes, want) in [
        ("{\"id\":12345678901234567890}", "{\"id\":12345678901234567890}"),
        (" 1.10 ", "1.10"),
        ("", "\"\""),
        ("not json", "\"not json\""),
        ("1}, \"x\":{", "\"1}, \\\"x\\\":{\""),
    ] {
        check("google.protobuf.BytesValue", &bytes.as_bytes().to_vec().encode_to_vec(), want);
    }
    check("google.protobuf.BytesValue", b"\x0a\x01\xff", "\"\u{fffd}\"");
}

#[test]
fn well_known_values_become_json() {
    check("google.protobuf.StringValue", &"a\"b".to_string().encode_to_vec(), "\"a\\\"b\"");
    check("google.protobuf.Value", &number(1.5).encode_to_vec(), "1.5");
    check("google.protobuf.Value", b"", "null");
    let list = ListValue {
        values: vec![
            number(0.0),
            number(-3.0),
            number(1e300),
            number(1e-7),
            number(9_007_199_254_740_993.0),
            number(f64::NAN),
            value(K::NullValue(0)),
            value(K::BoolValue(true)),
            value(K::BoolValue(false)),
            value(K::StringValue("x".into())),
        ],
    };
    let want = "[0,-3,1e300,1e-7,9007199254740992,null,null,true,false,\"x\"]";
    check("google.protobuf.ListValue", &list.encode_to_vec(), want);
    let fields = [("b", value(K::ListValue(list))), ("a", number(1.0))];
    let fields = fields.map(|(key, value)| (key.to_string(), value)).into();
    let all = Struct { fields }.encode_to_vec();
    check("google.protobuf.Struct", &all, &format!("{{\"a\":1,\"b\":{want}}}"));
}

#[test]
fn the_last_of_equal_keys_counts() {
    let entry = b"\x0a\x0d\x0a\x01a\x12\x08\x1a\x06";
    let twice = [entry.as_slice(), b"first_", entry, b"second"].concat();
    check("google.protobuf.Struct", &twice, "{\"a\":\"second\"}");
}

#[test]
fn other_types_are_skipped() {
    for name in ["FileChunk", "google.protobuf.Int32Value", "", "x/google.protobuf.bytesvalue"] {
        let mut out = Vec::new();
        let any = Any { type_url: format!("type.googleapis.com/{name}"), value: vec![1] };
        assert_eq!(put_any(&mut out, &any.encode_to_vec()), Ok(false), "{name}");
        assert!(out.is_empty());
    }
}

#[test]
fn nesting_is_bounded() {
    let mut nested = number(1.0);
    for _ in 0..limits::JSON_DEPTH_MAX {
        nested = value(K::ListValue(ListValue { values: vec![nested] }));
    }
    let fits = put_value(&mut Vec::new(), &nested.encode_to_vec(), 0);
    assert_eq!(fits, Ok(()));
    let too_deep = ListValue { values: vec![nested] }.encode_to_vec();
    assert_eq!(put_list(&mut Vec::new(), &too_deep, 0), Err(WireError::TooDeep));
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let any =
        Any { type_url: "x/google.protobuf.StringValue".into(), value: b"\x0a\x01\xff".to_vec() };
    let got = put_any(&mut Vec::new(), &any.encode_to_vec());
    assert_eq!(got, Err(WireError::NotUtf8));
}

#[track_caller]
fn check(name: &str, content: &[u8], want: &str) {
    let any = Any { type_url: format!("type.googleapis.com/{name}"), value: content.to_vec() };
    let mut out = Vec::new();
    assert_eq!(put_any(&mut out, &any.encode_to_vec()), Ok(true));
    assert_eq!(String::from_utf8(out.clone()).unwrap(), want);
    assert!(json::value(&out).is_ok(), "{want}");
}
