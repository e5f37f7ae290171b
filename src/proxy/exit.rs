//! `GET /exit`: the end of the gateway, for those who may ask for it (SPEC 5.1).

use std::net::IpAddr;

use crate::io::Io;
use crate::message::head::Method;

use super::exchange::Exchange;
use super::reply::Reply;

/// Somebody asked for the end of the gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exit;

const TEXT: &str = "Gufo is shutting down...";

/// The answer, if this is asked by somebody who may: then control is told, and drains. For
/// everybody else there is no such path.
pub(super) fn asked<I: Io>(exchange: &Exchange<'_, I>) -> Option<Reply> {
    let peers = &exchange.tables.snapshot.gufo.exit_peers;
    let path = exchange.head.path.of(exchange.text);
    if peers.is_empty() || path != b"/exit" || exchange.head.method != Method::Get {
        return None;
    }
    let may = |address: IpAddr| {
        let address = address.to_canonical();
        peers.iter().any(|peer| peer.contains(address))
    };
    // A proxy on this host is a peer that may: whom it asks for is not known for sure.
    if is_forwarded(exchange) || !may(exchange.peer.ip()) || !may(exchange.client) {
        return None;
    }
    // One that is waiting already says the same.
    let _ = exchange.cx.exits.get()?.try_send(Exit);
    Some(Reply::text(200, TEXT))
}

/// Whether a field says that the request came through a proxy.
fn is_forwarded<I: Io>(exchange: &Exchange<'_, I>) -> bool {
    let fields = exchange.head.fields.iter();
    let mut names = fields.map(|field| field.name.of(exchange.text));
    names.any(|name| {
        let known = [&b"forwarded"[..], b"via", b"x-real-ip"];
        known.iter().any(|known| name.eq_ignore_ascii_case(known))
            || name.get(..12).is_some_and(|name| name.eq_ignore_ascii_case(b"x-forwarded-"))
    })
}
