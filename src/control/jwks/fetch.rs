//! One look for keys: a file, or one GET that follows nothing.

use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::source::read_file;
use crate::message::head::{Method, ResponseHead};
use crate::policy::auth::keys::{KeySet, SET_BYTES_MAX, Skipped};
use crate::protocol::h1::body::{BodyDecoder, BodyEvent};
use crate::protocol::h1::encode;
use crate::protocol::h1::request::{HeadLimits, Progress};
use crate::protocol::h1::response::ResponseParser;
use crate::snapshot::auth::{KeyPlace, KeySource, KeyUrl};
use crate::tls::client::ClientTls;
use crate::tls::handshake::Protocol;

use super::super::wire::Wire;

/// Who asks, in the log of the issuer.
const USER_AGENT: &str = concat!("otus/", env!("CARGO_PKG_VERSION"), " (keys)");
/// Of the head of an answer.
const HEAD: HeadLimits = HeadLimits { bytes: 16 * 1024, target: 0, fields: 200 };
/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 4;

/// Keys, and what of the set is not used.
pub(super) type Found = (Arc<KeySet>, Vec<Skipped>);

/// Looks once.
pub(super) fn look(source: &KeySource) -> Result<Found, String> {
    let (text, secrets) = match &source.place {
        KeyPlace::Fixed(keys) => return Ok((Arc::clone(keys), Vec::new())),
        KeyPlace::File(path, _) => (file(path)?, true),
        KeyPlace::Url(url, tls) => (get(url, tls.as_ref(), source.timeout)?, false),
    };
    let (keys, skipped) = KeySet::parse(&text, secrets).map_err(str::to_owned)?;
    Ok((Arc::new(keys), skipped))
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    let content = read_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(content.bytes)
}

/// The body of the answer to a GET. Redirections are not followed: the operator has said where the
/// keys are.
fn get(url: &KeyUrl, tls: Option<&ClientTls>, patience: Duration) -> Result<Vec<u8>, String> {
    let end = Instant::now() + patience;
    let mut wire = connect(url, end)?;
    if url.secure {
        let tls = tls.ok_or("there are no authorities to believe")?;
        wire.seal(tls, &url.host, Protocol::Http1)?;
    }
    let mut out = format!("GET {} HTTP/1.1\r\n", url.target).into_bytes();
    encode::field(&mut out, b"host", url.authority.as_bytes());
    encode::field(&mut out, b"user-agent", USER_AGENT.as_bytes());
    encode::field(&mut out, b"accept", b"application/jwk-set+json, application/json");
    encode::field(&mut out, b"accept-encoding", b"identity");
    encode::connection_close(&mut out);
    encode::end(&mut out);
    wire.write(&out)?;
    let (head, rest) = read_head(&mut wire)?;
    if head.status != 200 {
        return Err(format!("it answered {}", head.status));
    }
    read_body(&mut wire, &head, rest)
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

/// The head of the final answer, and the bytes behind it.
fn read_head(wire: &mut Wire) -> Result<(ResponseHead, Vec<u8>), String> {
    let mut parser = ResponseParser::new(HEAD, Method::Get);
    let (mut bytes, mut head) = (Vec::new(), ResponseHead::default());
    loop {
        match parser.parse(&bytes, &mut head) {
            Ok(Progress::NeedMore) => wire.read(&mut bytes)?,
            Ok(Progress::Done { .. }) if head.is_interim() => {
                return Err(format!("it answered {}", head.status));
            }
            Ok(Progress::Done { len }) => {
                bytes.drain(..len);
                return Ok((head, bytes));
            }
            Err(_) => return Err("its answer is not HTTP/1.1".to_owned()),
        }
    }
}

fn read_body(wire: &mut Wire, head: &ResponseHead, rest: Vec<u8>) -> Result<Vec<u8>, String> {
    let max = u64::try_from(SET_BYTES_MAX).unwrap_or(u64::MAX);
    let mut decoder = BodyDecoder::new(head.framing, max);
    let (mut input, mut body) = (rest, Vec::new());
    let wrong = |_| "its answer is broken, or larger than 1 MiB".to_owned();
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
                if !wire.read_or_end(&mut input)? {
                    decoder.finish().map_err(wrong)?;
                    return Ok(body);
                }
            }
        }
    }
}
