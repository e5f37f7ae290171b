//! One request to an HTTP server and its answer, for threads that may wait: a connection of its
//! own, no redirection is followed, and every wait ends by one deadline.

use std::net::ToSocketAddrs;
use std::time::Instant;

use crate::message::head::{Method, ResponseHead};
use crate::protocol::h1::body::{BodyDecoder, BodyEvent};
use crate::protocol::h1::encode;
use crate::protocol::h1::request::{HeadLimits, Progress};
use crate::protocol::h1::response::ResponseParser;
use crate::snapshot::auth::KeyUrl;
use crate::tls::client::ClientTls;
use crate::tls::handshake::Protocol;

use super::wire::Wire;

/// Of the head of an answer.
const HEAD: HeadLimits = HeadLimits { bytes: 16 * 1024, target: 0, fields: 200 };
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// What is asked.
pub(in crate::control) struct Question<'a> {
    pub(in crate::control) url: &'a KeyUrl,
    /// Needed for a URL of https.
    pub(in crate::control) tls: Option<&'a ClientTls>,
    /// Names and values; those about the host and the body are not among them.
    pub(in crate::control) fields: &'a [(&'a str, &'a str)],
    /// A body makes it a POST.
    pub(in crate::control) body: Option<&'a [u8]>,
}

/// The head of the final answer, and the connection that the rest comes on.
pub(in crate::control) struct Answer {
    pub(in crate::control) head: ResponseHead,
    rest: Vec<u8>,
    wire: Wire,
}

/// Asks, and waits for the head of the answer.
pub(in crate::control) fn ask(question: &Question<'_>, end: Instant) -> Result<Answer, String> {
    let Question { url, tls, fields, body } = question;
    let mut wire = connect(url, end)?;
    if url.secure {
        let tls = tls.ok_or("there are no authorities to believe")?;
        wire.seal(tls, &url.host, Some(Protocol::Http1))?;
    }
    let (name, method) = match body {
        Some(_) => ("POST", Method::Post),
        None => ("GET", Method::Get),
    };
    let mut out = format!("{name} {} HTTP/1.1\r\n", url.target).into_bytes();
    encode::field(&mut out, b"host", url.authority.as_bytes());
    for (name, value) in *fields {
        encode::field(&mut out, name.as_bytes(), value.as_bytes());
    }
    if let Some(body) = body {
        encode::content_length(&mut out, u64::try_from(body.len()).unwrap_or(u64::MAX));
    }
    encode::connection_close(&mut out);
    encode::end(&mut out);
    out.extend_from_slice(body.unwrap_or_default());
    wire.write(&out)?;
    read_head(wire, method)
}

fn connect(url: &KeyUrl, end: Instant) -> Result<Wire, String> {
    let found = (url.host.as_str(), url.port).to_socket_addrs();
    let found = found.map_err(|error| format!("{}: {error}", url.host))?;
    let mut fault = format!("{} has no address", url.host);
    for address in found.take(ADDRESSES_MAX) {
        match Wire::connect(address, end) {
            Ok(wire) => return Ok(wire),
            Err(error) => fault = format!("{address}: {error}"),
        }
    }
    Err(fault)
}

fn read_head(mut wire: Wire, method: Method) -> Result<Answer, String> {
    let mut parser = ResponseParser::new(HEAD, method);
    let (mut text, mut head) = (Vec::new(), ResponseHead::default());
    loop {
        match parser.parse(&text, &mut head) {
            Ok(Progress::NeedMore) => wire.read(&mut text)?,
            Ok(Progress::Done { .. }) if head.is_interim() => {
                return Err(format!("it answered {}", head.status));
            }
            Ok(Progress::Done { len }) => {
                let rest = text.split_off(len.min(text.len()));
                return Ok(Answer { head, rest, wire });
            }
            Err(_) => return Err("its answer is not HTTP/1.1".to_owned()),
        }
    }
}

impl Answer {
    /// The content, if it is no larger than `max` bytes.
    pub(in crate::control) fn body(mut self, max: usize) -> Result<Vec<u8>, String> {
        let bound = u64::try_from(max).unwrap_or(u64::MAX);
        let mut decoder = BodyDecoder::new(self.head.framing, bound);
        let (mut input, mut body) = (self.rest, Vec::new());
        let wrong = |_| format!("its answer is broken, or larger than {max} bytes");
        loop {
            let step = decoder.decode(&input).map_err(wrong)?;
            if let BodyEvent::Data { start, len } = step.event {
                body.extend_from_slice(input.get(start..start + len).unwrap_or_default());
            }
            input.drain(..step.consumed.min(input.len()));
            match step.event {
                BodyEvent::End => return Ok(body),
                BodyEvent::Data { .. } => {}
                BodyEvent::NeedMore => {
                    if !self.wire.read_or_end(&mut input)? {
                        decoder.finish().map_err(wrong)?;
                        return Ok(body);
                    }
                }
            }
        }
    }
}
