//! What the gateway itself answers over gRPC: the message `Response`, written by hand. Values lie
//! in the same field in every dialect.

use super::json;
use super::request::BYTES_VALUE_FIELD;
use super::wire::{len_field_len, put_len_field, put_len_head};
use crate::base::decimal;

/// The value that is the status of HTTP.
pub(super) const HTTPCODE: &str = "httpcode";

/// The type of the value that a stream without a module is answered with (SPEC 4.4).
const STRING_VALUE_URL: &str = "type.googleapis.com/google.protobuf.StringValue";

/// Appends a value. `json` is JSON text.
pub fn put_value(out: &mut Vec<u8>, name: &str, json: &[u8]) {
    let wrapped = len_field_len(1, json.len());
    let any = BYTES_VALUE_FIELD.len() + len_field_len(2, wrapped);
    put_entry_head(out, name, any);
    out.extend_from_slice(BYTES_VALUE_FIELD);
    put_len_head(out, 2, wrapped);
    put_len_field(out, 1, json);
}

/// Appends a number.
pub fn put_number(out: &mut Vec<u8>, name: &str, number: u64) {
    let mut digits = Vec::with_capacity(20);
    decimal::push(&mut digits, number);
    put_value(out, name, &digits);
}

fn put_entry_head(out: &mut Vec<u8>, name: &str, any: usize) {
    put_len_head(out, 1, len_field_len(1, name.len()) + len_field_len(2, any));
    put_len_field(out, 1, name.as_bytes());
    put_len_head(out, 2, any);
}

/// A failure (SPEC 4.8): `httpcode`, `code` and `message`, the last two as texts.
#[must_use]
pub fn fault(status: u16, code: &str, message: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    put_number(&mut out, HTTPCODE, u64::from(status));
    let mut text = Vec::with_capacity(64);
    for (name, value) in [("code", code), ("message", message)] {
        text.clear();
        json::put_string(&mut text, value);
        put_value(&mut out, name, &text);
    }
    out
}

/// The answer to each message of a stream that names no module: `echo`, a `StringValue` with
/// `pong`.
#[must_use]
pub fn pong() -> Vec<u8> {
    let (mut out, pong) = (Vec::with_capacity(96), b"pong");
    let value = len_field_len(1, pong.len());
    let any = len_field_len(1, STRING_VALUE_URL.len()) + len_field_len(2, value);
    put_entry_head(&mut out, "echo", any);
    put_len_field(&mut out, 1, STRING_VALUE_URL.as_bytes());
    put_len_head(&mut out, 2, value);
    put_len_field(&mut out, 1, pong);
    out
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::super::request::BYTES_VALUE_URL;
    use super::*;
    use crate::proto::{reverse, reverse_c};

    #[test]
    fn a_failure_is_what_a_generated_decoder_reads_in_every_dialect() {
        let message = fault(401, "00001", "a \"text\"");
        let read = reverse::Response::decode(&message[..]).unwrap();
        let data: Vec<_> = read
            .data
            .iter()
            .map(|(name, any)| {
                assert_eq!(any.type_url, BYTES_VALUE_URL);
                let text = Vec::<u8>::decode(&any.value[..]).unwrap();
                (name.as_str(), String::from_utf8(text).unwrap())
            })
            .collect();
        let want = [("code", "\"00001\""), ("httpcode", "401"), ("message", r#""a \"text\"""#)];
        assert_eq!(data, want.map(|(name, text)| (name, text.to_owned())));
        let packaged = reverse_c::Response::decode(&message[..]).unwrap();
        assert_eq!(packaged.data, read.data);
    }

    #[test]
    fn a_pong_is_a_string() {
        let read = reverse::Response::decode(&pong()[..]).unwrap();
        let any = &read.data["echo"];
        assert_eq!(any.type_url, STRING_VALUE_URL);
        assert_eq!(String::decode(&any.value[..]).unwrap(), "pong");
    }
}
