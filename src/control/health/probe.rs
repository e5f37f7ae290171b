//! One check of one endpoint.

use crate::message::head::{Method, ResponseHead};
use crate::protocol::h1::encode;
use crate::protocol::h1::request::{HeadLimits, Progress};
use crate::protocol::h1::response::ResponseParser;
use crate::protocol::proxy_protocol;
use crate::snapshot::upstream::HealthKind;

use super::super::wire::{self, Wire};
use super::grpc;
use super::schedule::{Secure, Target};

/// Who asks, in the log of the endpoint.
pub(super) const USER_AGENT: &str = concat!("otus/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Of the head of an answer. Its body is not read.
const HEAD: HeadLimits = HeadLimits { bytes: 16 * 1024, target: 0, fields: 200 };
/// Interim answers before the final one.
const INTERIM_MAX: u32 = 16;

/// Asks an endpoint whether it is well, over the connection to it; if it is not, says why not.
pub(super) fn run(target: &Target, opened: std::io::Result<Wire>) -> Result<(), String> {
    let mut wire = opened.map_err(|error| wire::unconnected(&error))?;
    if target.proxied {
        let mut header = Vec::new();
        proxy_protocol::encode_v2_local(&mut header);
        wire.write(&header)?;
    }
    if let Some(secure) = &target.tls {
        let Secure { tls, host, spoken } = secure;
        wire.seal(tls, host, Some(*spoken))?;
    }
    match &target.kind {
        HealthKind::Tcp => Ok(()),
        HealthKind::Http(path) => http(&mut wire, path, &target.authority),
        HealthKind::Grpc(service) => grpc::check(&mut wire, service, &target.authority),
    }
}

/// GET; an answer of the two-hundreds is well.
fn http(wire: &mut Wire, path: &str, authority: &str) -> Result<(), String> {
    let mut out = format!("GET {path} HTTP/1.1\r\n").into_bytes();
    encode::field(&mut out, b"host", authority.as_bytes());
    encode::field(&mut out, b"user-agent", USER_AGENT.as_bytes());
    encode::field(&mut out, b"accept", b"*/*");
    encode::connection_close(&mut out);
    encode::end(&mut out);
    wire.write(&out)?;
    let mut parser = ResponseParser::new(HEAD, Method::Get);
    let (mut bytes, mut head) = (Vec::new(), ResponseHead::default());
    let mut interim = 0;
    loop {
        match parser.parse(&bytes, &mut head) {
            Ok(Progress::NeedMore) => wire.read(&mut bytes)?,
            Ok(Progress::Done { len }) if (100..200).contains(&head.status) => {
                interim += 1;
                if interim > INTERIM_MAX || head.status == 101 {
                    return Err(format!("it answered {}", head.status));
                }
                bytes.drain(..len);
                parser.reset(Method::Get);
                head = ResponseHead::default();
            }
            Ok(Progress::Done { .. }) if (200..300).contains(&head.status) => return Ok(()),
            Ok(Progress::Done { .. }) => return Err(format!("it answered {}", head.status)),
            Err(_) => return Err("its answer is not HTTP/1.1".to_owned()),
        }
    }
}
