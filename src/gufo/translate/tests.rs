use prost::Message;
use prost_types::Any;

use super::*;
use crate::proto::{reverse, reverse_a, reverse_c};
use crate::protocol::grpc::frame::PREFIX_BYTES;

fn any(json: &str) -> Any {
    let type_url = super::super::request::BYTES_VALUE_URL.to_owned();
    Any { type_url, value: json.as_bytes().to_vec().encode_to_vec() }
}

fn text(any: &Any) -> String {
    String::from_utf8(Vec::<u8>::decode(&any.value[..]).unwrap()).unwrap()
}

fn full_b() -> reverse::Request {
    reverse::Request {
        module: Some("m".into()),
        param: Some("p".into()),
        sign: Some("s".into()),
        method: Some("POST".into()),
        args: [("id".to_owned(), any("9007199254740993")), ("t".to_owned(), any("\"x\""))].into(),
        uid: Some("u".into()),
        ..Default::default()
    }
}

fn anew_bytes(packaged: bool, message: &[u8], to: Dialect) -> Result<Vec<u8>, PartsError> {
    let asked = Asked::read(packaged, message).unwrap();
    assert_eq!(passage(&asked, to), Ok(Passage::Anew));
    anew(&asked, to, |call| {
        let mut out = Vec::new();
        call.encode(to, &mut out).unwrap();
        out.split_off(PREFIX_BYTES)
    })
}

#[test]
fn a_message_of_the_same_dialect_passes_as_it_is() {
    let internal = reverse_a::InternalRequest { param: Some("x".into()), ..Default::default() };
    let mut a = reverse_a::Request { ir: Some(internal), ..Default::default() };
    for place in [&mut a.module, &mut a.param, &mut a.sign, &mut a.method] {
        *place = Some(String::new());
    }
    let c = reverse_c::Request::default().encode_to_vec();
    let b = full_b().encode_to_vec();
    let bare = reverse::Request::default().encode_to_vec();
    for (packaged, message, to) in [
        (false, &a.encode_to_vec(), Dialect::A),
        (false, &b, Dialect::A),
        (false, &b, Dialect::B),
        (false, &bare, Dialect::B),
        (true, &c, Dialect::C),
    ] {
        let asked = Asked::read(packaged, message).unwrap();
        assert_eq!(passage(&asked, to), Ok(Passage::Same), "{to:?}");
    }
}

#[test]
fn between_a_and_b_the_internal_request_moves_and_all_else_stays() {
    let args: std::collections::BTreeMap<_, _> = [("n".to_owned(), any("1"))].into();
    let internal = reverse_a::InternalRequest {
        param: Some("x".into()),
        args: args.clone(),
        ..Default::default()
    };
    let a = reverse_a::Request { uid: Some("u".into()), ir: Some(internal), ..Default::default() };
    let message = a.encode_to_vec();
    let asked = Asked::read(false, &message).unwrap();
    let Ok(Passage::Moved(moved)) = passage(&asked, Dialect::B) else { panic!("it moves") };
    let read = reverse::Request::decode(&moved[..]).unwrap();
    assert_eq!((read.uid.as_deref(), read.files.len()), (Some("u"), 0));
    assert_eq!(read.ir.unwrap().args, args);

    let internal = reverse::InternalRequest { param: Some("y".into()), ..Default::default() };
    let files = vec!["f".to_owned()];
    let b = reverse::Request { ir: Some(internal), files, ..Default::default() };
    let message = b.encode_to_vec();
    let asked = Asked::read(false, &message).unwrap();
    let Ok(Passage::Moved(moved)) = passage(&asked, Dialect::A) else { panic!("it moves") };
    let read = reverse_a::Request::decode(&moved[..]).unwrap();
    assert_eq!(read.ir.unwrap().param.as_deref(), Some("y"));
    // Such services use these four without asking whether they are there.
    for place in [read.module, read.param, read.sign, read.method] {
        assert_eq!(place.as_deref(), Some(""));
    }
}

#[test]
fn arguments_of_a_write_become_the_body_of_dialect_c() {
    let out = anew_bytes(false, &full_b().encode_to_vec(), Dialect::C).unwrap();
    let read = reverse_c::Request::decode(&out[..]).unwrap();
    assert_eq!((&*read.module, &*read.param), ("m", "p"));
    assert_eq!(text(&read.body.unwrap()), r#"{"id":9007199254740993,"t":"x"}"#);
    assert_eq!(read.auth.unwrap().uid, "u");
    assert!(read.query.is_empty());
}

#[test]
fn arguments_of_a_read_become_its_query() {
    let request = reverse::Request { method: Some("GET".into()), ..full_b() };
    let out = anew_bytes(false, &request.encode_to_vec(), Dialect::C).unwrap();
    let read = reverse_c::Request::decode(&out[..]).unwrap();
    assert_eq!((&*read.query["id"], &*read.query["t"]), ("9007199254740993", "x"));
    assert_eq!(read.body, None);
}

#[test]
fn what_is_asked_inside_is_asked_itself_where_nothing_has_an_inside() {
    let internal = reverse::InternalRequest {
        param: Some("inner".into()),
        method: Some("GET".into()),
        args: [("k".to_owned(), any("true"))].into(),
        ..Default::default()
    };
    let request = reverse::Request { ir: Some(internal), ..full_b() };
    let out = anew_bytes(false, &request.encode_to_vec(), Dialect::C).unwrap();
    let read = reverse_c::Request::decode(&out[..]).unwrap();
    assert_eq!((&*read.param, read.method()), ("inner", reverse_c::Method::Get));
    assert_eq!(&*read.query["k"], "true");
}

#[test]
fn query_and_body_become_arguments() {
    let request = reverse_c::Request {
        query: [("q".to_owned(), "a\"b".to_owned()), ("id".to_owned(), "1".to_owned())].into(),
        body: Some(any(r#"{"id":9007199254740993,"x":[1.10]}"#)),
        method: reverse_c::Method::Post.into(),
        ..Default::default()
    };
    for to in [Dialect::A, Dialect::B] {
        let out = anew_bytes(true, &request.encode_to_vec(), to).unwrap();
        let read = reverse::Request::decode(&out[..]).unwrap();
        let args: Vec<_> = read.args.iter().map(|(name, any)| (name.as_str(), text(any))).collect();
        let want = [("id", "9007199254740993"), ("q", r#""a\"b""#), ("x", "[1.10]")];
        assert_eq!(args, want.map(|(name, text)| (name, text.to_owned())));
        assert_eq!(read.method.as_deref(), Some("POST"));
    }
    let request = reverse_c::Request { body: Some(any("[1]")), ..request };
    let refused = anew_bytes(true, &request.encode_to_vec(), Dialect::B);
    assert_eq!(refused, Err(PartsError::NotAnObject));
}

#[test]
fn an_answer_keeps_its_values_and_gets_the_request() {
    let data: std::collections::BTreeMap<_, _> =
        [("id".to_owned(), any("9007199254740993"))].into();
    let error = reverse::Error { code: 7, message: "no".into(), ..Default::default() };
    let b = reverse::Response {
        data: data.clone(),
        request_back: Some(reverse::Request { uid: Some("other".into()), ..Default::default() }),
        code: Some(1),
        error: Some(error.clone()),
    };
    let request = full_b();
    let same =
        response(Dialect::B, Dialect::B, &b.encode_to_vec(), &request.encode_to_vec()).unwrap();
    let read = reverse::Response::decode(&same[..]).unwrap();
    assert_eq!(read, reverse::Response { request_back: Some(request), ..b.clone() });

    let asked = reverse_c::Request { module: "m".into(), ..Default::default() };
    let packed =
        response(Dialect::B, Dialect::C, &b.encode_to_vec(), &asked.encode_to_vec()).unwrap();
    let read = reverse_c::Response::decode(&packed[..]).unwrap();
    assert_eq!((&read.data, read.code), (&data, 1));
    let fault = read.error.unwrap();
    assert_eq!((fault.code, &*fault.message), (7, "no"));
    assert_eq!(read.request_back, Some(asked));
}

#[test]
fn the_status_of_a_packaged_answer_is_not_lost() {
    let meta = reverse_c::ResponseMeta { status: 202, ..Default::default() };
    let error =
        reverse_c::Error { code: 7, key: "k".into(), message: "no".into(), ..Default::default() };
    let c =
        reverse_c::Response { meta: Some(meta), error: Some(error), code: 2, ..Default::default() };
    let read = |message: &[u8]| {
        let out = response(Dialect::C, Dialect::A, message, b"").unwrap();
        reverse::Response::decode(&out[..]).unwrap()
    };
    let got = read(&c.encode_to_vec());
    assert_eq!(text(&got.data["httpcode"]), "202");
    let fault = got.error.unwrap();
    assert_eq!((fault.code, &*fault.message, got.code), (7, "no", Some(2)));
    let data = [("httpcode".to_owned(), any("404"))].into();
    let got = read(&reverse_c::Response { data, ..c }.encode_to_vec());
    assert_eq!(text(&got.data["httpcode"]), "404");
}

#[test]
fn a_request_that_does_not_fit_beside_the_answer_is_left_out() {
    let long = vec![b'x'; limits::GRPC_MESSAGE_BYTES_MAX / 2];
    let request = reverse::Request { file: Some(long.clone()), ..Default::default() };
    let long = String::from_utf8(long).unwrap();
    let data = [("t".to_owned(), any(&format!("\"{long}\"")))].into();
    let answer = reverse::Response { data, ..Default::default() };
    let out = response(Dialect::B, Dialect::B, &answer.encode_to_vec(), &request.encode_to_vec());
    let read = reverse::Response::decode(&out.unwrap()[..]).unwrap();
    assert_eq!(read, answer);
}
