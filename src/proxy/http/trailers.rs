//! Trailer fields on their way through (RFC 9110 §6.5, RFC 9112 §7.1.2).

use crate::message::head::{Field, RequestHead, Version};
use crate::message::known::Known;
use crate::message::token::{self, is_token};
use crate::policy::people::iam::fields::is_identity_name;
use crate::protocol::h1::encode;

/// So much of a name is looked at; the names and beginnings below are shorter.
const NAME_BYTES: usize = 48;

/// Names that must not come behind the content: who acts on them has acted by then, or would take
/// from a stranger what only a hop before may say.
const DENIED: &[&str] = &[
    "allow",
    "authentication-info",
    "cdn-loop",
    "cf-connecting-ip",
    "clear-site-data",
    "cookie2",
    "early-data",
    "expires",
    "fastly-client-ip",
    "front-end-https",
    "pragma",
    "priority",
    "refresh",
    "set-cookie2",
    "strict-transport-security",
    "true-client-ip",
    "x-cluster-client-ip",
    "x-http-method",
    "x-method-override",
    "x-rewrite-url",
];

/// What the names of whole families begin with.
const DENIED_FAMILIES: &[&str] = &[
    "access-control-",
    "cdn-cache-",
    "client-cert",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "x-auth-",
    "x-client-",
    "x-forwarded",
    "x-original-",
    "x-real-",
    "x-remote-",
    "x-user",
];

/// Whether the client said that it takes trailers.
pub(super) fn are_wanted(head: &RequestHead, text: &[u8]) -> bool {
    let mut said = head.values(text, Known::Te).flat_map(token::list);
    head.version != Version::Http10 && said.any(|what| what.eq_ignore_ascii_case(b"trailers"))
}

/// Says which trailers may follow: of those that the head announces, the ones that are passed on.
pub(super) fn announce<'a>(
    names: impl Iterator<Item = &'a [u8]>,
    fields: &[Field],
    text: &[u8],
    out: &mut Vec<u8>,
) {
    let mut lead = &b"trailer: "[..];
    for name in names.flat_map(token::list) {
        if is_token(name) && is_passed_on(name, fields, text) {
            out.extend_from_slice(std::mem::replace(&mut lead, b", "));
            out.extend_from_slice(name);
        }
    }
    if lead == b", " {
        out.extend_from_slice(encode::CRLF);
    }
}

/// Ends a chunked body with those of the trailer `lines` that are passed on. `fields` and `text`
/// are of the message's head: what `connection` names there ends here.
pub(super) fn end(lines: &[u8], fields: &[Field], text: &[u8], out: &mut Vec<u8>) {
    if lines.is_empty() {
        out.extend_from_slice(encode::LAST_CHUNK);
        return;
    }
    out.extend_from_slice(b"0\r\n");
    passed_on(lines, fields, text, out);
    out.extend_from_slice(encode::CRLF);
}

/// Writes those of the trailer `lines` that are passed on.
pub(super) fn passed_on(lines: &[u8], fields: &[Field], text: &[u8], out: &mut Vec<u8>) {
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        if is_passed_on(name, fields, text) {
            out.extend_from_slice(line);
        }
    }
}

fn is_passed_on(name: &[u8], fields: &[Field], text: &[u8]) -> bool {
    !is_denied(name) && !is_identity_name(name) && !is_nominated(name, fields, text)
}

fn is_nominated(name: &[u8], fields: &[Field], text: &[u8]) -> bool {
    let said = fields.iter().filter(|field| field.known == Known::Connection);
    let mut said = said.flat_map(|field| token::list(field.value.of(text)));
    said.any(|option| option.eq_ignore_ascii_case(name))
}

/// Of the names that mean something to us, only a validator may come late (RFC 9110 §8.8.3).
/// Underscores count as hyphens, which some back ends take them for.
fn is_denied(name: &[u8]) -> bool {
    let mut plain = [0; NAME_BYTES];
    for (to, byte) in plain.iter_mut().zip(name) {
        *to = if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    }
    let plain = plain.get(..name.len()).unwrap_or(&plain);
    !matches!(Known::of(plain), Known::Other | Known::Etag)
        || DENIED.iter().any(|denied| denied.as_bytes() == plain)
        || DENIED_FAMILIES.iter().any(|family| plain.starts_with(family.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_passed_on_is_announced() {
        for (said, want) in [
            (&[][..], ""),
            (&["Set-Cookie, content-type"], ""),
            (&["X-A,Host , X-B", "a b", "ETag"], "trailer: X-A, X-B, ETag\r\n"),
        ] {
            let mut out = Vec::new();
            announce(said.iter().map(|names| names.as_bytes()), &[], b"", &mut out);
            assert_eq!(out.escape_ascii().to_string(), want.as_bytes().escape_ascii().to_string());
        }
    }

    #[test]
    fn only_fields_that_may_come_late_are_passed_on() {
        for name in [
            "Authorization",
            "SET-COOKIE",
            "cookie",
            "Content-Type",
            "content_digest",
            "X_Forwarded_For",
            "X-Forwarded-Client-Cert",
            "Connection",
            "TE",
            "Trailer",
            "X-Request-Id",
            "Sec-Fetch-Site",
            "Proxy-Status",
            "True-Client-IP",
        ] {
            let line = format!("{name}: a\r\n");
            let mut out = Vec::new();
            end(line.as_bytes(), &[], b"", &mut out);
            assert_eq!(out, b"0\r\n\r\n", "{name}");
        }
        for name in ["Server-Timing", "Repr-Digest", "ETag", "grpc-status", &"x".repeat(100)] {
            let line = format!("{name}: a\r\n");
            let mut out = Vec::new();
            end(line.as_bytes(), &[], b"", &mut out);
            assert_eq!(out, format!("0\r\n{line}\r\n").as_bytes(), "{name}");
        }
    }
}
