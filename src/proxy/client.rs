//! Who the client is, when proxies stand between it and us.

use std::net::{IpAddr, SocketAddr};

use crate::message::head::RequestHead;
use crate::message::known::Known;
use crate::snapshot::cidr::Cidr;

/// The peer's address; or, if the peer is trusted, what the last trusted one of the proxies before
/// it saw: `X-Forwarded-For` is read from the right, as everything left of an untrusted address is
/// its own invention.
pub(super) fn address(
    trusted: &[Cidr],
    peer: SocketAddr,
    head: &RequestHead,
    text: &[u8],
) -> IpAddr {
    let mut client = peer.ip().to_canonical();
    if !is_trusted(trusted, client) {
        return client;
    }
    let fields: Vec<&[u8]> = head.values(text, Known::XForwardedFor).collect();
    for value in fields.iter().rev() {
        for element in value.rsplit(|byte| *byte == b',') {
            let Some(address) = parse(element) else { return client };
            client = address;
            if !is_trusted(trusted, client) {
                return client;
            }
        }
    }
    client
}

/// Whether what this peer says of others is believed.
pub(super) fn is_trusted(trusted: &[Cidr], address: IpAddr) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|cidr| cidr.contains(address))
}

fn parse(element: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(element.trim_ascii()).ok()?;
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(address.to_canonical())
}
