use prost::Message;
use prost_types::Any;

use super::*;
use crate::proto::{reverse, reverse_c};

fn message<M: Message + Default>(bytes: &[u8]) -> M {
    let (prefix, rest) = bytes.split_first_chunk::<5>().unwrap();
    let len = usize::try_from(u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]));
    assert_eq!((prefix[0], rest.len()), (0, len.unwrap()));
    M::decode(rest).unwrap()
}

fn call() -> Call<'static> {
    Call { module: "chat", param: "room", method: "GET", sign: "s3cret", ..Call::default() }
}

#[test]
fn the_first_message_is_the_whole_call_and_says_what_the_stream_is_for() {
    for (purpose, want) in [(Purpose::Download, "stream"), (Purpose::Socket, "ws")] {
        let mut out = Vec::new();
        first(&call(), Dialect::B, purpose, &mut out).unwrap();
        let request: reverse::Request = message(&out);
        assert_eq!(request.param.as_deref(), Some("room"));
        assert_eq!(request.ir.unwrap().param.as_deref(), Some(want));
        let mut out = Vec::new();
        first(&call(), Dialect::C, purpose, &mut out).unwrap();
        let request: reverse_c::Request = message(&out);
        assert_eq!((request.param.as_str(), request.method), ("room", 1));
        assert_eq!(request.context.unwrap().meta["ir"], want);
    }
}

#[test]
fn a_message_of_a_websocket_keeps_its_bytes_and_its_kind() {
    for (is_text, data, kind) in [(true, "hä".as_bytes(), "text"), (false, b"\xff\0", "binary")] {
        let mut out = Vec::new();
        SocketMessages::new(&call(), Dialect::B).put(is_text, data, &mut out).unwrap();
        let request: reverse::Request = message(&out);
        assert_eq!(request.module.as_deref(), Some("chat"));
        assert_eq!(request.sign.as_deref(), Some("s3cret"));
        assert_eq!(request.ir.unwrap().param.as_deref(), Some("ws"));
        let chunk = reverse::FileChunk::decode(&request.args["chunk"].value[..]).unwrap();
        assert_eq!((chunk.name.as_str(), &chunk.data[..]), ("ws", data));
        let value = Vec::<u8>::decode(&request.args["type"].value[..]).unwrap();
        assert_eq!(value, format!("\"{kind}\"").into_bytes());
        let mut out = Vec::new();
        SocketMessages::new(&call(), Dialect::C).put(is_text, data, &mut out).unwrap();
        let request: reverse_c::Request = message(&out);
        assert_eq!((request.query["type"].as_str(), request.module.as_str()), (kind, "chat"));
        let body = request.body.unwrap();
        assert_eq!(body.type_url, CHUNK_URL_C);
        let chunk = reverse_c::FileChunk::decode(&body.value[..]).unwrap();
        assert_eq!((chunk.name.as_str(), &chunk.data[..]), ("ws", data));
        assert_eq!(request.auth.unwrap().sign, "s3cret");
    }
}

fn any(url: &str, value: Vec<u8>) -> Any {
    Any { type_url: format!("type.googleapis.com/{url}"), value }
}

fn chunk(data: &[u8]) -> Any {
    let chunk = reverse::FileChunk { name: "f".into(), data: data.to_vec() };
    any("FileChunk", chunk.encode_to_vec())
}

fn response(data: &[(&str, Any)]) -> Vec<u8> {
    let data = data.iter().map(|(key, any)| ((*key).to_owned(), any.clone())).collect();
    reverse::Response { data, ..Default::default() }.encode_to_vec()
}

#[test]
fn a_chunk_is_read_with_what_is_said_of_it() {
    let entries = [("filename".to_owned(), "a".to_owned()), ("phase".into(), "start".into())];
    let map = reverse::StringMap { entries: entries.clone().into() };
    let text = any("google.protobuf.BytesValue", b"\"text\"".to_vec().encode_to_vec());
    let bytes = response(&[
        ("chunk", chunk(b"abc")),
        ("meta", any("StringMap", map.encode_to_vec())),
        ("type", text),
    ]);
    let said = Said::read(&bytes).unwrap();
    assert_eq!(
        (said.chunk, said.meta("FileName"), said.more),
        (Some(&b"abc"[..]), Some("a"), true)
    );
    assert!(!said.is_end());
    let mut answer = Reply::new();
    said.merge(&bytes, Dialect::B, &mut answer).unwrap();
    assert_eq!(says_text(&answer), Some(true));
    let context = reverse_c::RequestContext { meta: entries.into(), ..Default::default() };
    let bytes = response(&[("meta", any("gufo.RequestContext", context.encode_to_vec()))]);
    let said = Said::read(&bytes).unwrap();
    assert_eq!((said.chunk, said.meta("phase"), said.more), (None, Some("start"), false));
}

#[test]
fn content_ends_in_either_way() {
    let end = |bytes: Vec<u8>| Said::read(&bytes).unwrap().is_end();
    assert!(end(response(&[("chunk", chunk(b""))])));
    assert!(!end(response(&[("chunk", chunk(b"x"))])));
    let map = reverse::StringMap { entries: [("phase".to_owned(), "end".to_owned())].into() };
    assert!(end(response(&[("meta", any("StringMap", map.encode_to_vec()))])));
    assert!(!end(response(&[])));
}

#[test]
fn what_is_no_chunk_is_a_value_and_what_is_no_message_a_fault() {
    let bytes = response(&[("chunk", any("google.protobuf.BytesValue", vec![0x0a, 1, b'1']))]);
    let said = Said::read(&bytes).unwrap();
    assert_eq!((said.chunk, said.more), (None, true));
    let error = reverse::Error { code: 5, ..Default::default() };
    let bytes = reverse::Response { error: Some(error), ..Default::default() }.encode_to_vec();
    assert!(Said::read(&bytes).unwrap().more);
    assert_eq!(Said::read(b"\x0a\x05").unwrap_err(), WireError::Truncated);
    let bytes = response(&[("chunk", any("FileChunk", b"\x12\x09x".to_vec()))]);
    assert_eq!(Said::read(&bytes).unwrap_err(), WireError::Truncated);
}
