use super::*;

fn bytes_value(json: &str) -> Any {
    let value = json.as_bytes().to_vec().encode_to_vec();
    Any { type_url: BYTES_VALUE.to_owned(), value }
}

fn inner(param: &str) -> reverse_ab::InternalRequest {
    reverse_ab::InternalRequest {
        param: param.to_owned(),
        method: "get".to_owned(),
        args: BTreeMap::from([("offset".to_owned(), bytes_value("3"))]),
        ..Default::default()
    }
}

#[test]
fn the_inner_request_is_read_where_either_dialect_has_it() {
    let in_a = reverse_ab::Request {
        module: "users".to_owned(),
        either: vec![inner("list").encode_to_vec()],
        ..Default::default()
    };
    let in_b = reverse_ab::Request {
        module: "users".to_owned(),
        ir: Some(inner("list")),
        either: vec![b"a.jpg".to_vec(), vec![0xff]],
        ..Default::default()
    };
    for request in [in_a, in_b] {
        let call = heard_ab(request).call;
        let found = call.inner.unwrap();
        assert_eq!((found.param.as_str(), found.method.as_str()), ("list", "GET"));
        assert_eq!(found.args["offset"], 3);
    }
}

#[test]
fn names_of_files_are_no_inner_request_that_asks_for_anything() {
    let files = ["a.jpg", "\n\u{4}list", ""].map(|name| name.as_bytes().to_vec()).to_vec();
    let request = reverse_ab::Request {
        module: "masterservice".to_owned(),
        param: "health".to_owned(),
        either: files,
        ..Default::default()
    };
    let call = heard_ab(request).call;
    assert_eq!(call.question().unwrap().action, crate::master::call::Action::Health);
}

#[test]
fn values_of_all_types_are_read_and_others_are_skipped() {
    let number = |number| prost_types::Value { kind: Some(Kind::NumberValue(number)) };
    let fields = Struct { fields: BTreeMap::from([("port".to_owned(), number(4000.0))]) };
    let any = |name: &str, value: Vec<u8>| Any {
        type_url: format!("type.googleapis.com/google.protobuf.{name}"),
        value,
    };
    for (any, want) in [
        (bytes_value("{\"a\":1}"), Some(json!({ "a": 1 }))),
        (bytes_value("not json"), Some(json!("not json"))),
        (any("StringValue", "x".to_owned().encode_to_vec()), Some(json!("x"))),
        (any("Struct", fields.encode_to_vec()), Some(json!({ "port": 4000.0 }))),
        (any("Value", number(f64::NAN).encode_to_vec()), Some(Value::Null)),
        (
            any("ListValue", ListValue { values: vec![number(1.0)] }.encode_to_vec()),
            Some(json!([1.0])),
        ),
        (any("Timestamp", Vec::new()), None),
        (any("Struct", vec![0xff]), None),
    ] {
        assert_eq!(value(&any), want, "{any:?}");
    }
}

#[test]
fn a_call_of_dialect_c_has_query_and_body_as_arguments() {
    let request = reverse_c::Request {
        module: "users".to_owned(),
        param: "checkin".to_owned(),
        query: BTreeMap::from([("offset".to_owned(), "3".to_owned())]),
        body: Some(bytes_value("{\"name\":\"a\",\"port\":1}")),
        method: reverse_c::Method::Patch.into(),
        ..Default::default()
    };
    let heard = heard_c(request);
    assert_eq!(heard.call.method, "PATCH");
    let want = json!({ "offset": "3", "name": "a", "port": 1 });
    assert_eq!(Value::Object(heard.call.args), want);
}

#[test]
fn faults_are_data_and_in_dialect_c_an_error_as_well() {
    let text =
        |any: &Any| String::from_utf8(Vec::<u8>::decode(any.value.as_slice()).unwrap()).unwrap();
    let said = said_ab(Err(Fault::unsigned()));
    assert_eq!(text(&said.data["httpcode"]), "401");
    assert_eq!(text(&said.data["code"]), "\"00001\"");
    let said = said_c(Err(Fault::unsigned()));
    assert_eq!(said.error.unwrap().key, "00001");
    assert_eq!(said.meta.unwrap().status, 401);
    assert_eq!(text(&said.data["httpcode"]), "401");
}
