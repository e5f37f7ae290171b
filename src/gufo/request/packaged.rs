//! The same call in dialect C: messages within messages, and no field that is empty (SPEC 4.3).

use super::super::arguments::{Argument, ArgumentValue};
use super::super::wire::{
    len_field_len, put_len_field, put_len_head, put_varint_field, varint_field_len, wide,
};
use super::{BYTES_VALUE_URL, Call};

/// Field numbers of `gufo.Request`.
mod field {
    pub(super) const QUERY: u32 = 6;
    pub(super) const BODY: u32 = 7;
    pub(super) const METHOD: u32 = 9;
    pub(super) const AUTH: u32 = 10;
    pub(super) const CONTEXT: u32 = 11;
    pub(super) const FILE: u32 = 12;
}

/// Bytes of the message.
pub(super) fn len(call: &Call<'_>) -> usize {
    let texts = texts(call).into_iter().map(|(number, text)| text_len(number, text));
    let method = number_len(field::METHOD, method(call.method));
    let nested = [(field::AUTH, auth_len(call)), (field::CONTEXT, context_len(call))];
    let nested = nested.into_iter().filter(|(_, len)| *len > 0);
    let nested = nested.map(|(number, len)| len_field_len(number, len));
    let query = call.args.iter().map(query_len);
    let body = call.body.map_or(0, |body| any_len(BYTES_VALUE_URL, len_field_len(1, body.len())));
    let file = call.file.map_or(0, |file| len_field_len(field::FILE, file_len(file)));
    texts.sum::<usize>() + method + nested.sum::<usize>() + query.sum::<usize>() + file + body
}

/// Appends the message. The body comes last.
pub(super) fn put(call: &Call<'_>, out: &mut Vec<u8>) {
    for (number, text) in texts(call) {
        put_text(out, number, text);
    }
    put_number(out, field::METHOD, method(call.method));
    put_auth(call, out);
    let context = context_len(call);
    if context > 0 {
        put_len_head(out, field::CONTEXT, context);
        for (number, text) in context_texts(call) {
            put_text(out, number, text);
        }
        put_number(out, 5, timestamp(call));
        for (key, value) in call.meta {
            put_len_head(out, 9, pair_len(key, value));
            put_len_field(out, 1, key.as_bytes());
            put_len_field(out, 2, value.as_bytes());
        }
    }
    for argument in call.args {
        put_query(out, argument);
    }
    if let Some(file) = call.file {
        put_len_head(out, field::FILE, file_len(file));
        put_len_field(out, 1, file.1);
        put_len_field(out, 2, file.0.as_bytes());
        put_varint_field(out, 4, wide(file.1.len()));
    }
    if let Some(body) = call.body {
        put_any_head(out, BYTES_VALUE_URL, len_field_len(1, body.len()));
        put_len_field(out, 1, body.as_bytes());
    }
}

/// Appends `auth`, which also says that the gateway is who sends this.
pub(in crate::gufo) fn put_auth(call: &Call<'_>, out: &mut Vec<u8>) {
    let len = auth_len(call);
    if len == 0 {
        return;
    }
    put_len_head(out, field::AUTH, len);
    for (number, text) in auth_texts(call) {
        put_text(out, number, text);
    }
    for (number, value) in auth_numbers(call) {
        put_number(out, number, value);
    }
    if let Some(completed) = completed(call) {
        put_len_head(out, 9, completed_len(completed));
        put_len_field(out, 1, COMPLETED);
        put_len_field(out, 2, completed);
    }
}

/// Appends the method as its number.
pub(in crate::gufo) fn put_method(name: &str, out: &mut Vec<u8>) {
    put_number(out, field::METHOD, method(name));
}

/// Bytes of `body`: an `Any` of the type `url` with `value_len` bytes.
pub(in crate::gufo) fn any_len(url: &str, value_len: usize) -> usize {
    let any = len_field_len(1, url.len()) + len_field_len(2, value_len);
    len_field_len(field::BODY, any)
}

/// Appends `body` but for the `value_len` bytes of its value, which the caller writes next. They
/// are the last bytes of the field.
pub(in crate::gufo) fn put_any_head(out: &mut Vec<u8>, url: &str, value_len: usize) {
    let any = len_field_len(1, url.len()) + len_field_len(2, value_len);
    put_len_head(out, field::BODY, any);
    put_len_field(out, 1, url.as_bytes());
    put_len_head(out, 2, value_len);
}

const COMPLETED: &[u8] = b"completed";

/// Bytes of a `FileUpload`.
fn file_len((name, data): (&str, &[u8])) -> usize {
    len_field_len(1, data.len())
        + len_field_len(2, name.len())
        + varint_field_len(4, wide(data.len()))
}

fn texts<'a>(call: &Call<'a>) -> [(u32, &'a str); 6] {
    [
        (1, call.module),
        (2, call.param),
        (3, call.param_id.unwrap_or_default()),
        (4, call.param_idd.unwrap_or_default()),
        (5, call.action.unwrap_or_default()),
        (8, call.path.unwrap_or_default()),
    ]
}

fn auth_texts<'a>(call: &Call<'a>) -> [(u32, &'a str); 5] {
    [
        (1, call.token.unwrap_or_default()),
        (2, call.token_type.unwrap_or_default()),
        (3, call.sid.unwrap_or_default()),
        (4, call.uid.unwrap_or_default()),
        (5, call.sign),
    ]
}

fn auth_numbers(call: &Call<'_>) -> [(u32, u64); 3] {
    let flag = |value: Option<i32>| u64::from(value.is_some_and(|value| value != 0));
    let end = u64::try_from(call.session_end.unwrap_or(0)).unwrap_or(0);
    [(6, flag(call.is_admin)), (7, flag(call.readonly)), (8, end)]
}

fn completed<'a>(call: &Call<'_>) -> Option<&'a [u8]> {
    call.completed.map(|value| if value == 0 { &b"0"[..] } else { &b"1"[..] })
}

fn completed_len(value: &[u8]) -> usize {
    len_field_len(1, COMPLETED.len()) + len_field_len(2, value.len())
}

fn auth_len(call: &Call<'_>) -> usize {
    let texts = auth_texts(call).into_iter().map(|(number, text)| text_len(number, text));
    let numbers = auth_numbers(call).into_iter().map(|(number, value)| number_len(number, value));
    let completed = completed(call).map_or(0, |value| len_field_len(9, completed_len(value)));
    texts.sum::<usize>() + numbers.sum::<usize>() + completed
}

fn context_texts<'a>(call: &Call<'a>) -> [(u32, &'a str); 6] {
    [
        (1, call.ip.unwrap_or_default()),
        (2, call.user_agent.unwrap_or_default()),
        (3, call.language.unwrap_or_default()),
        (4, call.api_version.unwrap_or_default()),
        (6, call.trace_id.unwrap_or_default()),
        (7, call.request_id.unwrap_or_default()),
    ]
}

fn timestamp(call: &Call<'_>) -> u64 {
    u64::try_from(call.time_stamp.unwrap_or(0)).unwrap_or(0)
}

fn context_len(call: &Call<'_>) -> usize {
    let texts = context_texts(call).into_iter().map(|(number, text)| text_len(number, text));
    let meta = call.meta.iter().map(|(key, value)| len_field_len(9, pair_len(key, value)));
    texts.sum::<usize>() + number_len(5, timestamp(call)) + meta.sum::<usize>()
}

/// Bytes of an entry of a map from text to text.
fn pair_len(key: &str, value: &str) -> usize {
    len_field_len(1, key.len()) + len_field_len(2, value.len())
}

fn entry_len(argument: &Argument<'_>) -> usize {
    pair_len(&argument.name, value(argument))
}

/// Bytes of a parameter of the query.
pub(in crate::gufo) fn query_len(argument: &Argument<'_>) -> usize {
    len_field_len(field::QUERY, entry_len(argument))
}

/// Appends a parameter of the query.
pub(in crate::gufo) fn put_query(out: &mut Vec<u8>, argument: &Argument<'_>) {
    put_len_head(out, field::QUERY, entry_len(argument));
    put_len_field(out, 1, argument.name.as_bytes());
    put_len_field(out, 2, value(argument).as_bytes());
}

/// A parameter as it was written: the query has no types.
fn value<'a>(argument: &'a Argument<'_>) -> &'a str {
    match &argument.value {
        ArgumentValue::Json(text) => text,
        ArgumentValue::Text(text) => text,
    }
}

/// HEAD, TRACE and OPTIONS travel as 0.
fn method(name: &str) -> u64 {
    match name {
        "GET" => 1,
        "POST" => 2,
        "PUT" => 3,
        "PATCH" => 4,
        "DELETE" => 5,
        _ => 0,
    }
}

fn text_len(number: u32, text: &str) -> usize {
    if text.is_empty() { 0 } else { len_field_len(number, text.len()) }
}

fn put_text(out: &mut Vec<u8>, number: u32, text: &str) {
    if !text.is_empty() {
        put_len_field(out, number, text.as_bytes());
    }
}

fn number_len(number: u32, value: u64) -> usize {
    if value == 0 { 0 } else { varint_field_len(number, value) }
}

fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_varint_field(out, number, value);
    }
}
