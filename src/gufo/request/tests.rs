use std::borrow::Cow;
use std::collections::BTreeMap;

use prost::Message;

use super::*;
use crate::base::prng::Prng;
use crate::proto::reverse::{InternalRequest, Request};
use crate::proto::{reverse_a, reverse_c};

#[test]
fn a_call_is_what_a_generated_decoder_reads() {
    let mut prng = Prng::new(7);
    for _ in 0..2000 {
        let texts: Vec<String> = (0..26).map(|_| text(&mut prng)).collect();
        let args = arguments(&mut prng);
        let call = random_call(&mut prng, &texts, &args);
        let mut out = vec![0xee; 3];
        call.encode(Dialect::B, &mut out).unwrap();
        let message = &out[3 + frame::PREFIX_BYTES..];
        assert_eq!(message.len(), call.encoded_len(Dialect::B));
        assert_eq!(out[..3], [0xee; 3]);
        let len = u32::try_from(message.len()).unwrap();
        assert_eq!(out[3..3 + frame::PREFIX_BYTES], frame::prefix(len));
        assert_eq!(Request::decode(message).unwrap(), expected(&call));
    }
}

#[test]
fn a_service_of_dialect_a_reads_the_internal_request_and_the_file_where_it_expects_them() {
    let mut prng = Prng::new(11);
    for _ in 0..500 {
        let texts: Vec<String> = (0..26).map(|_| text(&mut prng)).collect();
        let args = arguments(&mut prng);
        let file = prng.one_in(2).then_some(("a.bin", &b"\x00\xff"[..]));
        let call = Call { file, ..random_call(&mut prng, &texts, &args) };
        let mut out = Vec::new();
        call.encode(Dialect::A, &mut out).unwrap();
        let message = &out[frame::PREFIX_BYTES..];
        assert_eq!(message.len(), call.encoded_len(Dialect::A));
        let got = reverse_a::Request::decode(message).unwrap();
        let want = expected(&call);
        let same = (&want.module, &want.param, &want.method, &want.sign, &want.args, &want.uid);
        assert_eq!((&got.module, &got.param, &got.method, &got.sign, &got.args, &got.uid), same);
        assert_eq!(got.ir.and_then(|ir| ir.param), want.ir.and_then(|ir| ir.param));
        assert_eq!(got.file.as_deref(), file.map(|(_, content)| content));
        assert_eq!(got.filename.as_deref(), file.map(|(name, _)| name));
    }
}

#[test]
fn a_service_of_dialect_c_reads_query_body_auth_and_context() {
    let mut prng = Prng::new(12);
    for _ in 0..500 {
        let texts: Vec<String> = (0..26).map(|_| text(&mut prng)).collect();
        let args = arguments(&mut prng);
        let body = prng.one_in(2).then_some("{\"a\":12345678901234567890}");
        let file = prng.one_in(2).then_some(("a.bin", &b"\x00\xff"[..]));
        let trace_id = prng.one_in(2).then_some("0af7");
        let call = random_call(&mut prng, &texts, &args);
        let call = Call { body, file, request_id: Some("r1"), trace_id, ..call };
        let mut out = Vec::new();
        call.encode(Dialect::C, &mut out).unwrap();
        let message = &out[frame::PREFIX_BYTES..];
        assert_eq!(message.len(), call.encoded_len(Dialect::C));
        let got = reverse_c::Request::decode(message).unwrap();
        assert_eq!((&*got.module, &*got.param), (call.module, call.param));
        assert_eq!(got.path, call.path.unwrap_or_default());
        assert_eq!(got.action, call.action.unwrap_or_default());
        let sent = got.file.map(|file| (file.filename, file.data, file.size));
        assert_eq!(sent, file.map(|(name, data)| (name.to_owned(), data.to_vec(), 2)));
        let (auth, context) = (got.auth.unwrap_or_default(), got.context.unwrap_or_default());
        assert_eq!(auth.sign, call.sign);
        assert_eq!(auth.token, call.token.unwrap_or_default());
        assert_eq!(auth.uid, call.uid.unwrap_or_default());
        assert_eq!(auth.is_admin, call.is_admin.is_some_and(|flag| flag != 0));
        assert_eq!(auth.meta.contains_key("completed"), call.completed.is_some());
        assert_eq!(context.ip, call.ip.unwrap_or_default());
        assert_eq!(context.request_id, "r1");
        assert_eq!(context.trace_id, trace_id.unwrap_or_default());
        assert_eq!(context.timestamp, i64::from(call.time_stamp.unwrap_or(0).max(0)));
        let query = got.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let want = args.iter().map(|argument| match &argument.value {
            ArgumentValue::Json(text) => (&*argument.name, *text),
            ArgumentValue::Text(text) => (&*argument.name, &**text),
        });
        assert_eq!(query.collect::<BTreeMap<_, _>>(), want.collect());
        let any = got.body.map(|any| (any.type_url, Vec::<u8>::decode(&any.value[..]).unwrap()));
        let want = body.map(|body| (BYTES_VALUE_URL.to_owned(), body.as_bytes().to_vec()));
        assert_eq!(any, want);
    }
}

#[test]
fn methods_of_dialect_c_are_numbers() {
    for (name, want) in [
        ("GET", reverse_c::Method::Get),
        ("POST", reverse_c::Method::Post),
        ("PUT", reverse_c::Method::Put),
        ("PATCH", reverse_c::Method::Patch),
        ("DELETE", reverse_c::Method::Delete),
        ("HEAD", reverse_c::Method::Unspecified),
    ] {
        let mut out = Vec::new();
        Call { method: name, ..Call::default() }.encode(Dialect::C, &mut out).unwrap();
        let got = reverse_c::Request::decode(&out[frame::PREFIX_BYTES..]).unwrap();
        assert_eq!(got.method(), want, "{name}");
    }
}

#[test]
fn four_fields_are_sent_even_if_empty() {
    let mut out = Vec::new();
    Call::default().encode(Dialect::B, &mut out).unwrap();
    let request = Request::decode(&out[frame::PREFIX_BYTES..]).unwrap();
    let empty = Some(String::new());
    let sent = [&request.module, &request.param, &request.sign, &request.method];
    assert_eq!(sent, [&empty, &empty, &empty, &empty]);
    assert_eq!((request.param_id, request.time_stamp, request.ir), (None, None, None));
}

#[test]
fn encoding_does_not_grow_a_buffer_that_is_large_enough() {
    let args = [Argument {
        name: Cow::Borrowed("a"),
        value: ArgumentValue::Text(Cow::Borrowed("\u{1}\"")),
    }];
    let call = Call { module: "m", args: &args, ..Call::default() };
    let len = frame::PREFIX_BYTES + call.encoded_len(Dialect::B);
    let mut out = Vec::with_capacity(len);
    let before = out.capacity();
    call.encode(Dialect::B, &mut out).unwrap();
    assert_eq!((out.len(), out.capacity()), (len, before));
}

fn random_call<'a>(prng: &mut Prng, texts: &'a [String], args: &'a [Argument<'a>]) -> Call<'a> {
    let mut at = 0;
    let mut next = || {
        at += 1;
        texts[at - 1].as_str()
    };
    let mut some = |prng: &mut Prng| {
        let text = next();
        (!prng.one_in(3)).then_some(text)
    };
    let number = |prng: &mut Prng| {
        let bits = prng.next_u64() >> prng.below(64);
        (!prng.one_in(3)).then_some(crate::gufo::wire::to_int32(bits))
    };
    Call {
        module: some(prng).unwrap_or("m"),
        param: some(prng).unwrap_or_default(),
        param_id: some(prng),
        param_idd: some(prng),
        path: some(prng),
        method: some(prng).unwrap_or_default(),
        sign: some(prng).unwrap_or_default(),
        ip: some(prng),
        user_agent: some(prng),
        api_version: some(prng),
        language: some(prng),
        time_stamp: number(prng),
        sid: some(prng),
        token: some(prng),
        token_type: some(prng),
        uid: some(prng),
        is_admin: number(prng),
        session_end: number(prng),
        completed: number(prng),
        readonly: number(prng),
        internal_param: some(prng),
        internal_method: some(prng),
        action: some(prng),
        args,
        ..Call::default()
    }
}

/// Mostly short; sometimes around the lengths where a varint grows.
fn text(prng: &mut Prng) -> String {
    let len = match prng.below(10) {
        0 => 0,
        1 => 120 + prng.below(16),
        2 => 16_370 + prng.below(20),
        _ => prng.below(40),
    };
    let alphabet = ['a', '/', '"', '\\', '\n', '\u{1}', '\u{7f}', 'ä', '€', '😀', ' '];
    let pick = |prng: &mut Prng| alphabet[usize::try_from(prng.below(11)).unwrap()];
    (0..len).map(|_| pick(prng)).collect()
}

fn arguments(prng: &mut Prng) -> Vec<Argument<'static>> {
    let count = prng.below(5);
    (0..count)
        .map(|n| {
            let name = format!("{n}{}", text(prng));
            let value = if prng.one_in(2) {
                ArgumentValue::Json("{\"a\": 12345678901234567890}")
            } else {
                ArgumentValue::Text(Cow::Owned(text(prng)))
            };
            Argument { name: Cow::Owned(name), value }
        })
        .collect()
}

fn expected(call: &Call<'_>) -> Request {
    let owned = |text: Option<&str>| text.map(String::from);
    let args: BTreeMap<_, _> =
        call.args.iter().map(|a| (a.name.to_string(), any(&a.value))).collect();
    let internal = |param: &str| InternalRequest {
        param: Some(param.into()),
        method: owned(call.internal_method),
        ..InternalRequest::default()
    };
    Request {
        module: owned(Some(call.module)),
        param: owned(Some(call.param)),
        param_id: owned(call.param_id),
        param_idd: owned(call.param_idd),
        action: owned(call.action),
        args,
        path: owned(call.path),
        token: owned(call.token),
        sign: owned(Some(call.sign)),
        sid: owned(call.sid),
        ip: owned(call.ip),
        user_agent: owned(call.user_agent),
        token_type: owned(call.token_type),
        time_stamp: call.time_stamp,
        language: owned(call.language),
        api_version: owned(call.api_version),
        method: owned(Some(call.method)),
        uid: owned(call.uid),
        is_admin: call.is_admin,
        session_end: call.session_end,
        completed: call.completed,
        readonly: call.readonly,
        ir: call.internal_param.map(internal),
        ..Request::default()
    }
}

/// The text within a string is compared by what it means, through our own decoder of strings.
fn any(value: &ArgumentValue<'_>) -> prost_types::Any {
    let json = match value {
        ArgumentValue::Json(text) => (*text).to_string(),
        ArgumentValue::Text(text) => {
            let mut out = Vec::new();
            json::put_string(&mut out, text);
            assert_eq!(out.len(), json::string_len(text));
            let out = String::from_utf8(out).unwrap();
            assert_eq!(json::value(out.as_bytes()), Ok(out.as_str()));
            assert_eq!(json::string(&out), Some(text.clone()));
            out
        }
    };
    prost_types::Any {
        type_url: BYTES_VALUE_URL.to_string(),
        value: json.into_bytes().encode_to_vec(),
    }
}
