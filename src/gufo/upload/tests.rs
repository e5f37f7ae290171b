use std::borrow::Cow;

use prost::Message;

use super::*;
use crate::base::text::Text;
use crate::gufo::arguments::{Argument, ArgumentValue};
use crate::proto::reverse::{FileChunk, Request, StringMap};
use crate::proto::reverse_c;

fn name(text: &str) -> FileName {
    Text::new(text.as_bytes())
}

fn uploader(end_marker: EndMarker) -> Uploader {
    uploader_of(Dialect::B, end_marker)
}

fn uploader_of(dialect: Dialect, end_marker: EndMarker) -> Uploader {
    let args =
        [Argument { name: Cow::Borrowed("album"), value: ArgumentValue::Text(Cow::Borrowed("x")) }];
    let call = Call {
        module: "storage",
        param: "upload",
        param_id: Some("7"),
        method: "PUT",
        sign: "s3cret",
        uid: Some("u1"),
        args: &args,
        ..Call::default()
    };
    Uploader::new(&call, dialect, end_marker)
}

/// The messages in `bytes`, each behind its gRPC prefix.
fn messages<M: Message + Default>(bytes: &[u8]) -> Vec<M> {
    let mut rest = bytes;
    let mut out = Vec::new();
    while let Some((prefix, after)) = rest.split_first_chunk::<5>() {
        let [flag, a, b, c, d] = *prefix;
        assert_eq!(flag, 0);
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap();
        out.push(M::decode(&after[..len]).unwrap());
        rest = &after[len..];
    }
    assert!(rest.is_empty());
    out
}

/// What a message of an upload says: phase or chunk.
fn summary(request: &Request) -> (String, String) {
    assert_eq!(request.module.as_deref(), Some("storage"));
    assert_eq!(request.sign.as_deref(), Some("s3cret"));
    assert_eq!(request.ir.as_ref().unwrap().param.as_deref(), Some("stream"));
    if let Some(any) = request.args.get("meta") {
        assert_eq!(any.type_url, "type.googleapis.com/StringMap");
        let map = StringMap::decode(any.value.as_slice()).unwrap().entries;
        assert_eq!(map.len(), 2);
        return (map["filename"].clone(), map["phase"].clone());
    }
    let any = &request.args["chunk"];
    assert_eq!(any.type_url, "type.googleapis.com/FileChunk");
    let chunk = FileChunk::decode(any.value.as_slice()).unwrap();
    (chunk.name, format!("{} bytes", chunk.data.len()))
}

#[test]
fn files_are_framed_by_markers() {
    check(EndMarker::Meta, &["start", "3 bytes", "end", "start", "end"]);
    check(EndMarker::EmptyChunk, &["start", "3 bytes", "0 bytes", "start", "0 bytes"]);
    check(EndMarker::Both, &["start", "3 bytes", "end", "0 bytes", "start", "end", "0 bytes"]);
}

#[track_caller]
fn check(end_marker: EndMarker, want: &[&str]) {
    let mut uploader = uploader(end_marker);
    let mut out = Vec::new();
    uploader.begin_file(name("a.jpg"), &mut out).unwrap();
    uploader.chunk_prelude(3, &mut out).unwrap();
    out.extend_from_slice(b"abc");
    uploader.end_file(&mut out).unwrap();
    uploader.begin_file(name("b.jpg"), &mut out).unwrap();
    assert!(uploader.is_within_file());
    uploader.end_file(&mut out).unwrap();
    assert!(!uploader.is_within_file());
    let got: Vec<_> = messages(&out).iter().map(|m| summary(m).1).collect();
    assert_eq!(got, want);
}

#[test]
fn the_first_message_tells_all_about_the_request() {
    let mut uploader = uploader(EndMarker::Both);
    let mut out = Vec::new();
    uploader.begin_file(name("a"), &mut out).unwrap();
    uploader.end_file(&mut out).unwrap();
    uploader.begin_file(name("b"), &mut out).unwrap();
    let all: Vec<Request> = messages(&out);
    let first = &all[0];
    assert_eq!(first.param.as_deref(), Some("upload"));
    assert_eq!(first.param_id.as_deref(), Some("7"));
    assert_eq!(first.method.as_deref(), Some("PUT"));
    assert_eq!(first.uid.as_deref(), Some("u1"));
    assert_eq!(first.args.keys().collect::<Vec<_>>(), ["album", "meta"]);
    for later in &all[1..] {
        assert_eq!((later.param.as_ref(), later.uid.as_ref()), (None, None));
        assert_eq!(later.args.len(), 1);
    }
}

#[test]
fn a_service_of_dialect_c_finds_markers_and_chunks_in_the_body() {
    let mut uploader = uploader_of(Dialect::C, EndMarker::Both);
    let mut out = Vec::new();
    uploader.begin_file(name("a.jpg"), &mut out).unwrap();
    uploader.chunk_prelude(3, &mut out).unwrap();
    assert!(out.len() <= 3 * uploader.prelude_bytes_max());
    out.extend_from_slice(b"abc");
    uploader.end_file(&mut out).unwrap();
    let all: Vec<reverse_c::Request> = messages(&out);
    let mut said = Vec::new();
    for request in &all {
        assert_eq!((&*request.module, request.method()), ("storage", reverse_c::Method::Put));
        assert_eq!(request.auth.as_ref().unwrap().sign, "s3cret");
        let any = request.body.as_ref().unwrap();
        said.push(match any.type_url.strip_prefix("type.googleapis.com/gufo.").unwrap() {
            "RequestContext" => {
                let map = reverse_c::RequestContext::decode(&any.value[..]).unwrap().meta;
                format!("{} {}", map["filename"], map["phase"])
            }
            "FileChunk" => {
                let chunk = reverse_c::FileChunk::decode(&any.value[..]).unwrap();
                format!("{} {}", chunk.name, String::from_utf8(chunk.data).unwrap())
            }
            other => panic!("{other}"),
        });
    }
    assert_eq!(said, ["a.jpg start", "a.jpg abc", "a.jpg end", "a.jpg "]);
    assert_eq!((&*all[0].param, &*all[0].param_id), ("upload", "7"));
    assert_eq!(all[0].query["album"], "x");
    assert_eq!(all[0].auth.as_ref().unwrap().uid, "u1");
    assert!(all[1].param.is_empty() && all[1].query.is_empty());
}

#[test]
fn a_payload_is_the_end_of_its_message() {
    let mut uploader = uploader(EndMarker::Both);
    let mut out = Vec::new();
    uploader.begin_file(name(&"n".repeat(255)), &mut out).unwrap();
    for len in [0, 1, 100, 127, 128, 16_000, 16_383, 16_384, 65_535, 65_536u32] {
        out.clear();
        uploader.chunk_prelude(len, &mut out).unwrap();
        assert!(out.len() <= uploader.prelude_bytes_max());
        out.resize(out.len() + usize::try_from(len).unwrap(), b'x');
        let all = messages(&out);
        assert_eq!(all.len(), 1);
        assert_eq!(summary(&all[0]).1, format!("{len} bytes"));
    }
}
