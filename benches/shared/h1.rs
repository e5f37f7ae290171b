//! Messages of HTTP/1.1, and what is done with them.

use std::hint::black_box;

use otus::message::framing::Framing;
use otus::message::head::RequestHead;
use otus::message::known::Known;
use otus::protocol::h1::body::{BodyDecoder, BodyEvent};
use otus::protocol::h1::encode;
use otus::protocol::h1::request::RequestParser;

/// The head of a request as a browser sends it, with 10 fields.
pub(crate) const REQUEST: &[u8] = b"GET /api/v1/orders/4711?expand=items&page=2 HTTP/1.1\r\n\
Host: gateway.example:8080\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: application/json,text/plain;q=0.9,*/*;q=0.8\r\n\
Accept-Language: en-GB,en;q=0.7\r\n\
Accept-Encoding: gzip, deflate, br\r\n\
Connection: keep-alive\r\n\
Referer: https://gateway.example/orders\r\n\
X-Request-Id: 0123456789abcdef01\r\n\
Cookie: session=0123456789abcdef0123\r\n\
Cache-Control: no-cache\r\n\r\n";

/// The head of an answer, with 5 fields.
pub(crate) const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
Content-Type: application/json\r\n\
Content-Length: 128\r\n\
Cache-Control: no-store\r\n\
Vary: accept\r\n\r\n";

/// Parses [`REQUEST`] as it comes in pieces of 64 bytes.
pub(crate) fn parse_in_pieces(parser: &mut RequestParser, head: &mut RequestHead) {
    parser.reset();
    for end in (64..REQUEST.len()).step_by(64).chain([REQUEST.len()]) {
        let _ = black_box(parser.parse(REQUEST.get(..end).unwrap_or_default(), head));
    }
}

/// Writes the head of an answer, with 3 fields.
pub(crate) fn write_head(out: &mut Vec<u8>) {
    out.clear();
    encode::status_line(out, black_box(200));
    encode::known_field(out, Known::ContentType, black_box(b"application/json"));
    encode::known_field(out, Known::Server, black_box(b"otus"));
    encode::content_length(out, black_box(128));
    encode::end(out);
    black_box(&out);
}

/// A body of so many chunks of so many bytes.
pub(crate) fn chunked(count: usize, size: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..count {
        encode::chunk_head(&mut text, size);
        text.resize(text.len() + usize::try_from(size).unwrap_or(0), b'x');
        text.extend_from_slice(encode::CRLF);
    }
    text.extend_from_slice(encode::LAST_CHUNK);
    text
}

/// Decodes a chunked body to its end.
pub(crate) fn decode(text: &[u8]) {
    let mut decoder = BodyDecoder::new(Framing::Chunked, u64::MAX);
    let mut rest = black_box(text);
    while let Ok(step) = decoder.decode(rest) {
        rest = rest.get(step.consumed..).unwrap_or_default();
        if black_box(step.event) == BodyEvent::End {
            break;
        }
    }
}
