//! Heads on their way through: what is passed on, what ends here, and what we add.

use std::net::IpAddr;

use crate::io::Io;
use crate::message::framing::Framing;
use crate::message::head::{Field, Method, RequestHead, ResponseHead, Version};
use crate::message::hop::hop_by_hop;
use crate::message::known::Known;
use crate::policy::names::Names;
use crate::policy::people::iam::fields::is_identity;
use crate::protocol::h1::encode;
use crate::protocol::upgrade::Upgrade;
use crate::proxy::call;
use crate::proxy::exchange::Exchange;
use crate::proxy::trace;
use crate::tls::x509::base64;

use super::trailers;

/// What `via` says of a message that came in this version, and of us (RFC 9110 §7.6.3).
const fn via_element(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"1.0 otus",
        Version::Http11 => b"1.1 otus",
        Version::Http2 => b"2 otus",
    }
}

/// A request head cannot be written: its method or path is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unwritable;

/// Writes the request as the endpoint sees it. `path` is in normal form, `upgrade` keeps a
/// handshake whole, `host` replaces the client's.
pub(super) fn request<I: Io>(
    exchange: &Exchange<'_, I>,
    path: &[u8],
    host: Option<&[u8]>,
    upgrade: Option<Upgrade<'_>>,
    out: &mut Vec<u8>,
) -> Result<(), Unwritable> {
    let (head, text) = (exchange.head, exchange.text);
    out.reserve(text.len() + 512);
    let query = head.query.map(|query| query.of(text));
    encode::request_line(out, head.method_text.of(text), path, query).map_err(|_| Unwritable)?;
    line(out, b"host: ", &[host.unwrap_or(head.host.of(text))]);
    let ends_here = hop_by_hop(&head.fields, text);
    let trusts = exchange.trusts_peer();
    let admission = exchange.admission.get();
    let stripped = admission.map_or(&[][..], |admission| &admission.stripped);
    let own = exchange.own.get();
    let strip = exchange.tables.snapshot.people.strip;
    // Only we say who the client is.
    let is_forged = |field: &Field| strip && is_identity(field, text);
    let mut run = Run::default();
    for (index, field) in head.fields.iter().enumerate() {
        if is_passed_on(field.known, trusts)
            && !ends_here.contains(index)
            && !is_forged(field)
            && !stripped.iter().any(|names| names.contains(field.name.of(text)))
            && !own.is_some_and(|own| own.names.contains(field.name.of(text)))
        {
            run.put(field, text, out);
        }
    }
    run.end(text, out);
    if let Some(upgrade) = upgrade {
        line(out, b"connection: upgrade\r\nupgrade: ", &[upgrade.name()]);
    } else if trailers::are_wanted(head, text) {
        out.extend_from_slice(b"connection: te\r\nte: trailers\r\n");
    }
    if let Some(admission) = admission {
        out.extend_from_slice(&admission.request);
    }
    if let Some(own) = own {
        out.extend_from_slice(&own.lines);
    }
    forwarding(exchange, trusts, out);
    framing(head, text, out);
    encode::end(out);
    Ok(())
}

/// Fields that we write ourselves are not passed on; forwarding fields only from peers that we
/// trust.
const fn is_passed_on(known: Known, trusts: bool) -> bool {
    match known {
        Known::Host
        | Known::ContentLength
        | Known::TransferEncoding
        | Known::Expect
        | Known::XRequestId
        | Known::Traceparent
        | Known::Via
        | Known::XForwardedFor
        | Known::Forwarded
        // Only we know whom the client is: whatever it says itself is false.
        | Known::ClientCert
        | Known::ClientCertChain => false,
        Known::XForwardedHost | Known::XForwardedPort | Known::XForwardedProto | Known::XRealIp => {
            trusts
        }
        _ => true,
    }
}

/// Fields as they came; their names and values were checked when they were read. Lines that stand
/// behind each other as we would write them are copied at once.
#[derive(Default)]
struct Run {
    start: usize,
    end: usize,
}

impl Run {
    fn put(&mut self, field: &Field, text: &[u8], out: &mut Vec<u8>) {
        let (name, value) = (field.name, field.value);
        let is = |start: usize, end: usize, mark| text.get(start..end) == Some(mark);
        let end = value.end() + 2;
        if is(name.end(), value.start(), b": ") && is(value.end(), end, b"\r\n") {
            if name.start() != self.end {
                self.end(text, out);
                self.start = name.start();
            }
            self.end = end;
            return;
        }
        self.end(text, out);
        line(out, name.of(text), &[b": ", value.of(text)]);
    }

    /// Writes what was put so far.
    fn end(&mut self, text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(text.get(self.start..self.end).unwrap_or_default());
        (self.start, self.end) = (0, 0);
    }
}

/// A field line of bytes that were checked, or that are ours; `name` has the colon unless the first
/// of `parts` has it. Inlined, names of known length are no calls of memcpy.
#[inline]
fn line(out: &mut Vec<u8>, name: &[u8], parts: &[&[u8]]) {
    out.extend_from_slice(name);
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

/// Begins a list with what earlier hops wrote.
fn list<'a>(out: &mut Vec<u8>, name: &[u8], earlier: impl Iterator<Item = &'a [u8]>) {
    out.extend_from_slice(name);
    for value in earlier.filter(|value| !value.is_empty()) {
        out.extend_from_slice(value);
        out.extend_from_slice(b", ");
    }
}

fn forwarding<I: Io>(exchange: &Exchange<'_, I>, trusts: bool, out: &mut Vec<u8>) {
    let (head, text) = (exchange.head, exchange.text);
    let peer = exchange.peer.ip().to_canonical();
    let peer_text = call::ip_text(peer);
    let peer_text = peer_text.as_bytes();
    let host = head.host.of(text);
    let scheme: &[u8] = if exchange.down.socket().is_tls() { b"https" } else { b"http" };
    let earlier = |known| head.values(text, known).filter(move |_| trusts);

    list(out, b"x-forwarded-for: ", earlier(Known::XForwardedFor));
    line(out, peer_text, &[]);
    if earlier(Known::XForwardedProto).next().is_none() {
        line(out, b"x-forwarded-proto: ", &[scheme]);
    }
    if earlier(Known::XForwardedHost).next().is_none() {
        line(out, b"x-forwarded-host: ", &[host]);
    }
    list(out, b"forwarded: ", earlier(Known::Forwarded));
    match peer {
        IpAddr::V4(_) => line(out, b"for=", &[peer_text, b";host=\"", host, b"\";proto=", scheme]),
        // An IPv6 address is quoted and bracketed (RFC 7239 §6).
        IpAddr::V6(_) => {
            let parts = [peer_text, b"]\";host=\"", host, b"\";proto=", scheme];
            line(out, b"for=\"[", &parts);
        }
    }
    if let Some(certificate) = exchange.down.socket().client_certificate() {
        // A byte sequence of RFC 8941 (RFC 9440 §2.1).
        line(out, b"client-cert: ", &[b":", base64(&certificate).as_bytes(), b":"]);
    }
    via(head.values(text, Known::Via), head.version, out);
    line(out, b"x-request-id: ", &[exchange.request_id.as_bytes()]);
    trace::write(exchange, out);
}

fn via<'a>(earlier: impl Iterator<Item = &'a [u8]>, version: Version, out: &mut Vec<u8>) {
    list(out, b"via: ", earlier);
    line(out, via_element(version), &[]);
}

fn framing(head: &RequestHead, text: &[u8], out: &mut Vec<u8>) {
    match head.framing {
        Framing::Length(length) => encode::content_length(out, length),
        Framing::Chunked => {
            trailers::announce(head.values(text, Known::Trailer), &head.fields, text, out);
            encode::chunked(out);
        }
        // Without a body these methods say so (RFC 9110 §8.6).
        Framing::Empty | Framing::UntilClose => {
            if matches!(head.method, Method::Post | Method::Put | Method::Patch) {
                encode::content_length(out, 0);
            }
        }
    }
}

/// How the body of a response goes to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// None follows.
    Empty,
    /// So many bytes.
    Length,
    /// In chunks of our own.
    Chunked,
    /// Until we close: the client knows no chunks.
    UntilClose,
}

/// The shape that a response's body takes towards a client of `version`.
pub(super) fn shape(framing: Framing, version: Version) -> Shape {
    match (framing, version) {
        (Framing::Empty, _) => Shape::Empty,
        (Framing::Length(_), _) => Shape::Length,
        // What tells the end of a stream of HTTP/2 stands in no head.
        (_, Version::Http10 | Version::Http2) => Shape::UntilClose,
        (Framing::Chunked | Framing::UntilClose, _) => Shape::Chunked,
    }
}

/// What a response's head says to the client besides what the endpoint said.
pub(super) struct Downstream<'a, I: Io> {
    pub(super) exchange: &'a Exchange<'a, I>,
    pub(super) shape: Shape,
    pub(super) keep: bool,
    /// What a 101 switches to.
    pub(super) upgrade: Option<Upgrade<'a>>,
}

/// Writes an interim response as the client sees it.
pub(super) fn interim(head: &ResponseHead, text: &[u8], out: &mut Vec<u8>) {
    encode::status_line(out, head.status);
    passed_on(head, text, false, None, out);
    encode::end(out);
}

/// Writes a final response, or a 101, as the client sees it.
pub(super) fn response<I: Io>(
    head: &ResponseHead,
    text: &[u8],
    down: &Downstream<'_, I>,
    out: &mut Vec<u8>,
) {
    let exchange = down.exchange;
    out.reserve(text.len() + 256);
    // On a stream a success says that there is a tunnel (RFC 8441 §5).
    let is_told = head.status != 101 || exchange.down.stream().is_none();
    encode::status_line(out, if is_told { head.status } else { 200 });
    let replaced = exchange.admission.get().and_then(|own| own.replaced.as_deref());
    passed_on(head, text, !is_told, replaced, out);
    out.extend_from_slice(exchange.answer_lines());
    via(head.values(text, Known::Via), head.version, out);
    line(out, b"x-request-id: ", &[exchange.request_id.as_bytes()]);
    if head.status == 101 {
        let name = down.upgrade.map_or(&b""[..], Upgrade::name);
        line(out, b"connection: upgrade\r\nupgrade: ", &[name]);
        encode::end(out);
        return;
    }
    if head.value(text, Known::Date).is_none() {
        line(out, b"date: ", &[&exchange.cx.date()]); // RFC 9110 §6.6.1
    }
    let told = exchange.head.method == Method::Head || head.status == 304;
    match (down.shape, head.length) {
        (Shape::Length, Some(length)) => encode::content_length(out, length),
        (Shape::Empty, Some(length)) if told => encode::content_length(out, length),
        (Shape::Empty, _) if head.status != 204 && !told => encode::content_length(out, 0),
        (Shape::Chunked, _) => {
            if trailers::are_wanted(exchange.head, exchange.text) {
                trailers::announce(head.values(text, Known::Trailer), &head.fields, text, out);
            }
            encode::chunked(out);
        }
        _ => {}
    }
    match (down.keep, exchange.head.version) {
        (false, _) => encode::connection_close(out),
        (true, Version::Http10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
        (true, _) => {}
    }
    encode::end(out);
}

/// The fields that concern the client. `is_ours`: the handshake that is answered was ours;
/// `replaced` are those that a policy writes itself.
fn passed_on(
    head: &ResponseHead,
    text: &[u8],
    is_ours: bool,
    replaced: Option<&Names>,
    out: &mut Vec<u8>,
) {
    let ends_here = hop_by_hop(&head.fields, text);
    let mut run = Run::default();
    for (index, field) in head.fields.iter().enumerate() {
        let ours = match field.known {
            Known::ContentLength | Known::TransferEncoding | Known::XRequestId | Known::Via => true,
            // The key that it answers was ours (RFC 8441 §5).
            Known::SecWebSocketAccept => is_ours,
            _ => replaced.is_some_and(|names| names.contains(field.name.of(text))),
        };
        if !ours && !ends_here.contains(index) {
            run.put(field, text, out);
        }
    }
    run.end(text, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::h1::request::HeadLimits;
    use crate::protocol::h1::response::ResponseParser;

    #[test]
    fn lines_go_on_whole_however_they_were_spaced() {
        let text = b"HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nVia: x\r\nC:3\r\nD:  4 \r\nE: \r\nF: 5\r\n\
            Connection: g\r\nG: 6\r\nH: 7\r\n\r\n";
        let mut head = ResponseHead::default();
        ResponseParser::new(HeadLimits::default(), Method::Get).parse(text, &mut head).unwrap();
        let mut out = Vec::new();
        passed_on(&head, text, false, None, &mut out);
        let want = b"A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: 5\r\nH: 7\r\n";
        assert_eq!(out.escape_ascii().to_string(), want.escape_ascii().to_string());
    }
}
