use prost::Message;
use prost_types::Any;

use super::*;
use crate::base::prng::Prng;
use crate::gufo::request::BYTES_VALUE_URL;
use crate::proto::reverse::{Error, Request, Response};
use crate::proto::reverse_c;

fn json_any(json: &str) -> Any {
    let value = json.as_bytes().to_vec().encode_to_vec();
    Any { type_url: BYTES_VALUE_URL.to_string(), value }
}

fn response(values: &[(&str, &str)]) -> Response {
    let data = values.iter().map(|(key, json)| ((*key).to_string(), json_any(json))).collect();
    Response { data, ..Response::default() }
}

fn merged(responses: &[Response]) -> Reply {
    let mut reply = Reply::new();
    for response in responses {
        reply.merge(Dialect::B, &response.encode_to_vec()).unwrap();
    }
    reply
}

#[test]
fn an_answer_of_dialect_c_has_its_fields_elsewhere() {
    let auth = reverse_c::AuthContext {
        token: "secret".into(),
        uid: "u1".into(),
        is_admin: true,
        session_end: 9,
        ..reverse_c::AuthContext::default()
    };
    let response = reverse_c::Response {
        data: [("a".to_owned(), json_any("1"))].into(),
        error: Some(reverse_c::Error {
            code: 404,
            key: "no_file".into(),
            message: "no such file".into(),
            retryable: true,
            ..reverse_c::Error::default()
        }),
        meta: Some(reverse_c::ResponseMeta {
            status: 410,
            trace_id: "t".into(),
            node: "n\"1".into(),
            ..reverse_c::ResponseMeta::default()
        }),
        code: 2,
        request_back: Some(reverse_c::Request {
            auth: Some(auth),
            ..reverse_c::Request::default()
        }),
    };
    let mut reply = Reply::new();
    reply.merge(Dialect::C, &response.encode_to_vec()).unwrap();
    assert_eq!((reply.status(), reply.value("a")), (410, Some("1")));
    assert_eq!(reply.upload_code(), Some(UploadCode::Failed));
    let back = reply.request_back().unwrap();
    assert_eq!(
        (back.uid.as_deref(), back.is_admin, back.session_end),
        (Some("u1"), Some(1), Some(9))
    );
    let mut out = Vec::new();
    let time = crate::base::time::UnixTime(std::time::Duration::from_secs(17));
    let envelope = crate::gufo::envelope::Envelope { time, lang: "eng", session: None };
    envelope.reply(&mut out, &reply);
    let want = "{\"data\":{\"a\":1},\"session\":null,\"timestamp\":17,\"lang\":\"eng\",\
                \"error\":{\"code\":404,\"key\":\"no_file\",\"message\":\"no such file\",\
                \"retryable\":true},\"meta\":{\"status\":410,\"trace_id\":\"t\",\
                \"request_id\":\"\",\"node\":\"n\\\"1\"}}";
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn a_generated_encoder_is_understood() {
    let reply = merged(&[Response {
        request_back: Some(Request {
            token: Some("secret".into()),
            uid: Some("u1".into()),
            language: Some("deu".into()),
            is_admin: Some(1),
            session_end: Some(-1),
            completed: Some(0),
            readonly: Some(1),
            ..Request::default()
        }),
        code: Some(1),
        error: Some(Error { code: 404, message: "no such file".into(), ..Error::default() }),
        ..response(&[("a", "1"), ("b", " {\"c\": 12345678901234567890} ")])
    }]);
    let values: Vec<_> = reply.values().collect();
    assert_eq!(values, [("a", "1"), ("b", "{\"c\": 12345678901234567890}")]);
    assert_eq!(reply.upload_code(), Some(UploadCode::Ok));
    let error = ServiceError { code: 404, message: "no such file".into(), key: None };
    assert_eq!(reply.error(), Some(&error));
    let back = RequestBack {
        uid: Some("u1".into()),
        language: Some("deu".into()),
        is_admin: Some(1),
        session_end: Some(-1),
        completed: Some(0),
        readonly: Some(1),
    };
    assert_eq!(reply.request_back(), Some(&back));
}

#[test]
fn values_of_other_types_are_skipped() {
    let mut message = response(&[("a", "1")]);
    let other = Any { type_url: "type.googleapis.com/FileChunk".into(), value: vec![9] };
    message.data.insert("x".into(), other);
    message.data.insert("y".into(), Any::default());
    let keys: Vec<_> = merged(&[message]).values().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["a"]);
}

#[test]
fn unknown_fields_are_skipped() {
    let mut bytes = b"\x98\x06\x01\xa2\x06\x02hi".to_vec();
    bytes.extend_from_slice(&response(&[("a", "1")]).encode_to_vec());
    let mut reply = Reply::new();
    reply.merge(Dialect::B, &bytes).unwrap();
    assert_eq!(reply.value("a"), Some("1"));
}

#[test]
fn of_several_answers_the_last_counts_for_each_key() {
    let reply = merged(&[
        response(&[("status", "\"ok\""), ("bytes", "1")]),
        response(&[("status", "\"ok\"")]),
        response(&[("bytes", "2"), ("files", "[]")]),
    ]);
    let values: Vec<_> = reply.values().collect();
    assert_eq!(values, [("status", "\"ok\""), ("bytes", "2"), ("files", "[]")]);
}

#[test]
fn an_upload_says_what_clients_wait_for_unless_it_failed() {
    let mut reply = merged(&[response(&[("message", "\"stored\""), ("bytes", "3")])]);
    reply.finish_upload();
    assert_eq!(reply.value("message"), Some("\"PUT streamed successfully\""));
    let mut reply = merged(&[response(&[("message", "\"disk full\""), ("httpcode", "507")])]);
    reply.finish_upload();
    assert_eq!(reply.value("message"), Some("\"disk full\""));
}

#[test]
fn keys_with_escapes_are_the_same_key() {
    let reply = merged(&[response(&[("a\"\n", "1")]), response(&[("a\"\n", "2"), ("b", "3")])]);
    let values: Vec<_> = reply.values().collect();
    assert_eq!(values, [("a\\\"\\n", "2"), ("b", "3")]);
}

#[test]
fn a_reply_that_was_cleared_is_as_new() {
    let error = Some(Error { code: 404, message: "x".into(), ..Error::default() });
    let full = Response { error, code: Some(2), ..response(&[("lang", "\"deu\""), ("a", "1")]) };
    let mut reply = merged(&[full]);
    reply.clear();
    assert_eq!((reply.values().count(), reply.status(), reply.lang()), (0, 200, None));
    assert!(reply.error().is_none() && reply.upload_code().is_none());
    reply.set("a", "2");
    assert_eq!(reply.value("a"), Some("2"));
}

#[test]
fn many_answers_do_not_pile_up() {
    let mut reply = Reply::new();
    let large = format!("\"{}\"", "x".repeat(10_000));
    let message = response(&[("a", &large), ("b", "1")]).encode_to_vec();
    for _ in 0..10_000 {
        reply.merge(Dialect::B, &message).unwrap();
        assert!(reply.arena.len() < 4 * message.len());
    }
    assert_eq!(reply.value("a"), Some(large.as_str()));
}

#[test]
fn what_is_held_is_bounded() {
    let large = format!("\"{}\"", "x".repeat(limits::GRPC_MESSAGE_BYTES_MAX - 100));
    let mut reply = Reply::new();
    let mut merge = |key| reply.merge(Dialect::B, &response(&[(key, &large)]).encode_to_vec());
    assert_eq!((merge("a"), merge("b")), (Ok(()), Ok(())));
    assert_eq!(merge("c"), Err(ReplyError::TooLarge));
    let keys: Vec<String> = (0..=limits::REPLY_ENTRIES_MAX).map(|n| n.to_string()).collect();
    let values: Vec<_> = keys.iter().map(|key| (key.as_str(), "1")).collect();
    let too_many = response(&values).encode_to_vec();
    assert_eq!(Reply::new().merge(Dialect::B, &too_many), Err(ReplyError::TooManyEntries));
}

#[test]
fn the_status_is_read_in_all_its_forms() {
    for (json, want) in [
        ("201", 201),
        ("\"404\"", 404),
        ("\" 404 \"", 404),
        ("404.0", 404),
        ("4.04e2", 404),
        ("\"404.9\"", 404),
        ("599", 599),
        ("null", 200),
        ("\"\"", 500),
        ("\"not found\"", 500),
        ("0", 500),
        ("100", 500),
        ("101", 500),
        ("199", 500),
        ("600", 500),
        ("-200", 500),
        ("1e99", 500),
        ("99999999999", 500),
        ("true", 500),
        ("[200]", 500),
    ] {
        let reply = merged(&[response(&[("httpcode", json)])]);
        assert_eq!(reply.status(), want, "{json}");
    }
}

#[test]
fn a_failure_is_never_a_200() {
    let with = |code: i32, upload: Option<i32>, values: &[(&str, &str)]| {
        let error = Error { code, message: "x".into(), ..Error::default() };
        let error = (code != 0).then_some(error);
        merged(&[Response { error, code: upload, ..response(values) }]).status()
    };
    assert_eq!(with(0, None, &[]), 200);
    assert_eq!(with(404, None, &[]), 404);
    assert_eq!(with(5, None, &[]), 404);
    assert_eq!(with(200, None, &[]), 500);
    assert_eq!(with(-1, None, &[]), 500);
    assert_eq!(with(100_000, None, &[]), 500);
    assert_eq!(with(0, Some(1), &[]), 200);
    assert_eq!(with(0, Some(2), &[]), 500);
    assert_eq!(with(404, Some(2), &[("httpcode", "409")]), 409);
    let empty = Response { error: Some(Error::default()), ..response(&[]) };
    assert_eq!(merged(&[empty]).error(), None);
}

#[test]
fn only_media_types_become_a_content_type() {
    for (json, want) in [
        ("\"text/csv; charset=utf-8\"", Some("text/csv; charset=utf-8")),
        ("\"text/html\\r\\nX: y\"", None),
        ("\"te\\u00e4/x\"", None),
        ("\"text\"", None),
        ("\" text/csv\"", None),
        ("\"/csv\"", None),
        ("\"text/\"", None),
        ("7", None),
    ] {
        let reply = merged(&[response(&[("Content-Type", json)])]);
        assert_eq!(reply.content_type().as_deref(), want, "{json}");
    }
}

#[test]
fn a_message_cut_anywhere_never_becomes_another() {
    let error = Some(Error { code: 1, message: "m".into(), ..Error::default() });
    let whole = Response { error, ..response(&[("a", "1"), ("b", "\"x\"")]) }.encode_to_vec();
    let mut whole_parts = 0;
    for cut in 0..whole.len() {
        let mut reply = Reply::new();
        match reply.merge(Dialect::B, &whole[..cut]) {
            // Cut between two fields: a shorter message, but each value is whole.
            Ok(()) => whole_parts += 1,
            Err(error) => assert_eq!(error, ReplyError::Wire(WireError::Truncated), "{cut}"),
        }
        assert!(reply.values().all(|pair| pair == ("a", "1") || pair == ("b", "\"x\"")));
    }
    assert_eq!(whole_parts, 3);
}

#[test]
fn damaged_messages_are_refused_or_read_but_never_break_the_envelope() {
    let error = Some(Error { code: 1, message: "m".into(), ..Error::default() });
    let back = Some(Request { uid: Some("u".into()), ..Request::default() });
    let whole = Response { error, request_back: back, ..response(&[("a", "{\"b\":[1]}")]) };
    let whole = whole.encode_to_vec();
    let mut prng = Prng::new(11);
    for _ in 0..50_000 {
        let mut bytes = whole.clone();
        for _ in 0..=prng.below(3) {
            let at = usize::try_from(prng.below(u64::try_from(bytes.len()).unwrap())).unwrap();
            bytes[at] = prng.next_u64().to_le_bytes()[0];
        }
        let mut reply = Reply::new();
        // Good or bad: what is held then is JSON, and the status is one of HTTP.
        let _ = reply.merge(Dialect::B, &bytes);
        for (_, value) in reply.values() {
            assert_eq!(json::value(value.as_bytes()), Ok(value));
        }
        assert!((200..=599).contains(&reply.status()));
    }
}

#[test]
fn any_answer_of_a_generated_encoder_is_understood() {
    let mut prng = Prng::new(12);
    for _ in 0..2000 {
        let mut want = std::collections::BTreeMap::new();
        let mut reply = Reply::new();
        for _ in 0..=prng.below(3) {
            let mut values = Vec::new();
            for _ in 0..prng.below(6) {
                let key = format!("k{}", prng.below(8));
                let text = "x".repeat(usize::try_from(prng.below(300)).unwrap());
                let json = if prng.one_in(2) { prng.next_u64().to_string() } else { quoted(&text) };
                want.insert(key.clone(), json.clone());
                values.push((key, json));
            }
            let values: Vec<_> = values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            reply.merge(Dialect::B, &response(&values).encode_to_vec()).unwrap();
        }
        let got = reply.values().map(|(key, value)| (key.to_string(), value.to_string()));
        assert_eq!(got.collect::<std::collections::BTreeMap<_, _>>(), want);
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}
