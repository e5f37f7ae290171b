use prost::Message;
use prost_types::Any;

use super::*;
use crate::proto::{reverse, reverse_a, reverse_c};

fn any(json: &str) -> Any {
    let type_url = super::super::request::BYTES_VALUE_URL.to_owned();
    Any { type_url, value: json.as_bytes().to_vec().encode_to_vec() }
}

#[test]
fn a_request_of_dialect_b_is_read_field_by_field() {
    let request = reverse::Request {
        module: Some("storage".into()),
        param: Some("find".into()),
        param_idd: Some(String::new()),
        action: Some("do".into()),
        args: [("id".to_owned(), any("7"))].into(),
        sign: Some("s".into()),
        method: Some("POST".into()),
        uid: Some("u".into()),
        is_admin: Some(-1),
        readonly: Some(0),
        file: Some(b"\xff".to_vec()),
        filename: Some("a".into()),
        files: vec!["x".into(), "y".into()],
        ir: Some(reverse::InternalRequest { param: Some("p".into()), ..Default::default() }),
        ..Default::default()
    };
    let message = request.encode_to_vec();
    let asked = Asked::read(false, &message).unwrap();
    let call = &asked.call;
    assert_eq!((asked.dialect, call.module, call.param), (Dialect::B, "storage", "find"));
    assert_eq!((call.param_id, call.param_idd, call.action), (None, Some(""), Some("do")));
    assert_eq!((call.sign, call.method, call.uid), ("s", "POST", Some("u")));
    assert_eq!((call.is_admin, call.readonly, call.completed), (Some(-1), Some(0), None));
    assert_eq!(call.file, Some(("a", &b"\xff"[..])));
    assert_eq!(asked.files, ["x", "y"]);
    assert_eq!(asked.internal.unwrap().param, Some("p"));
    assert_eq!(asked.args["id"], Given::Any(&any("7").encode_to_vec()));
}

#[test]
fn an_internal_request_in_the_field_of_dialect_a_is_told_from_names_of_files() {
    let internal = reverse_a::InternalRequest {
        param: Some("getsessionhost".into()),
        method: Some("GET".into()),
        ..Default::default()
    };
    let a = reverse_a::Request { ir: Some(internal.clone()), ..Default::default() };
    let message = a.encode_to_vec();
    let asked = Asked::read(false, &message).unwrap();
    assert_eq!(asked.dialect, Dialect::A);
    assert_eq!(asked.internal.unwrap().method, Some("GET"));
    for files in [vec!["report.pdf"], vec![""], vec!["\n", "b"], vec!["\"x\"", "y"]] {
        let files: Vec<String> = files.into_iter().map(String::from).collect();
        let message = reverse::Request { files: files.clone(), ..Default::default() };
        let message = message.encode_to_vec();
        let asked = Asked::read(false, &message).unwrap();
        assert_eq!((asked.dialect, asked.internal), (Dialect::B, None));
        assert_eq!(asked.files, files);
    }
    // In both fields, as some encoders have it.
    let text = String::from_utf8(internal.encode_to_vec()).unwrap();
    let ir = reverse::InternalRequest::decode(text.as_bytes()).unwrap();
    let both = reverse::Request { files: vec![text], ir: Some(ir), ..Default::default() };
    let message = both.encode_to_vec();
    let asked = Asked::read(false, &message).unwrap();
    assert_eq!((asked.dialect, asked.files.len()), (Dialect::B, 0));
    assert_eq!(asked.internal.unwrap().param, Some("getsessionhost"));
}

#[test]
fn a_request_of_dialect_c_is_read_out_of_its_parts() {
    let request = reverse_c::Request {
        module: "storage".into(),
        query: [("q".to_owned(), "1".to_owned())].into(),
        body: Some(any("{}")),
        method: reverse_c::Method::Patch.into(),
        auth: Some(reverse_c::AuthContext {
            sign: "s".into(),
            uid: "u".into(),
            is_admin: true,
            session_end: 1 << 40,
            meta: [("completed".to_owned(), "1".to_owned())].into(),
            ..Default::default()
        }),
        context: Some(reverse_c::RequestContext {
            request_id: "r".into(),
            trace_id: "t".into(),
            ..Default::default()
        }),
        file: Some(reverse_c::FileUpload { filename: "f".into(), ..Default::default() }),
        ..Default::default()
    };
    let message = request.encode_to_vec();
    let asked = Asked::read(true, &message).unwrap();
    let call = &asked.call;
    assert_eq!((asked.dialect, call.module, call.method), (Dialect::C, "storage", "PATCH"));
    assert_eq!((call.sign, call.uid, call.is_admin), ("s", Some("u"), Some(1)));
    assert_eq!((call.session_end, call.completed), (Some(i32::MAX), Some(1)));
    assert_eq!((call.request_id, call.trace_id, call.param_id), (Some("r"), Some("t"), None));
    assert_eq!(call.file, Some(("f", &b""[..])));
    assert_eq!(asked.args["q"], Given::Text("1"));
    assert_eq!(asked.body, Some(&any("{}").encode_to_vec()[..]));
}

#[test]
fn what_receivers_would_read_differently_is_refused() {
    let twice = |number: u32| {
        let mut out = Vec::new();
        for _ in 0..2 {
            super::super::wire::put_len_field(&mut out, number, b"");
        }
        out
    };
    for (packaged, number) in [(true, 7), (true, 12), (false, 26)] {
        let message = twice(number);
        assert_eq!(Asked::read(packaged, &message).unwrap_err(), AskedError::Twice, "{number}");
    }
    for bad in [&b"\x0a\x02a"[..], b"\x0a\x01\xff", b"\x0b"] {
        assert!(matches!(Asked::read(false, bad), Err(AskedError::Wire(_))));
        assert!(matches!(Asked::read(true, bad), Err(AskedError::Wire(_))));
    }
}

#[test]
fn arguments_are_bounded() {
    let mut message = Vec::new();
    for n in 0..=limits::JSON_MEMBERS_MAX {
        let name = format!("\x0a\x05{n:05}");
        super::super::wire::put_len_field(&mut message, 6, name.as_bytes());
    }
    assert_eq!(Asked::read(false, &message).unwrap_err(), AskedError::TooMany);
    assert_eq!(Asked::read(true, &message).unwrap_err(), AskedError::TooMany);
}
