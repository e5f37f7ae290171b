//! CORS, hosts, addresses, sizes, and what browsers are told, for one exchange.

use crate::io::Io;
use crate::message::known::Known;
use crate::policy::front::FrontRule;
use crate::policy::front::cors::{self, Preflight};
use crate::policy::front::host;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::reply::Reply;

use super::Admission;

/// A reply: the answer to a preflight, or where the same is found over TLS.
///
/// CORS comes first: a browser asks without the proof that the others would look for, and shows
/// the page nothing of an answer that lacks its lines, be it a refusal.
pub(super) fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    rule: &FrontRule,
    admission: &mut Admission,
) -> Result<Option<Box<Reply>>, Reason> {
    let (head, text) = (exchange.head, exchange.text);
    let over_tls = is_over_tls(exchange);
    admission.replaced.clone_from(&rule.replaced);
    if let Some(security) = &rule.security {
        security.lines(over_tls, &mut admission.answer);
    }
    if let Some(cors) = &rule.cors {
        if let Some(asked) = Preflight::of(head, text) {
            if cors.preflight(&asked, &mut admission.answer) {
                return Ok(Some(Box::new(Reply::empty(204))));
            }
            return Err(Reason::OriginRefused);
        }
        cors.answer(cors::origin(head, text), &mut admission.answer);
    }
    let host_name = head.host_name.of(text);
    if rule.hosts.as_ref().is_some_and(|hosts| !hosts.admit(host_name)) {
        return Err(Reason::HostRefused);
    }
    if rule.address.as_ref().is_some_and(|rule| !rule.admits(exchange.client)) {
        return Err(Reason::AddressRefused);
    }
    if let Some(port) = rule.https
        && !over_tls
    {
        if host_name.is_empty() {
            // HTTP/1.0 may name none, and then there is nowhere to send it.
            return Err(Reason::HostRefused);
        }
        let mut target = head.path.of(text).to_vec();
        if let Some(query) = head.query {
            target.push(b'?');
            target.extend_from_slice(query.of(text));
        }
        let mut location = Vec::new();
        host::location(host_name, port, &target, &mut location);
        let status = host::redirect_status(head.method);
        return Ok(Some(Box::new(Reply::redirect(status, &location))));
    }
    if rule.head_max.is_some_and(|max| u64::try_from(text.len()).is_ok_and(|len| len > max)) {
        return Err(Reason::HeadTooLarge);
    }
    Ok(None)
}

/// Whether the client speaks TLS: with us, or with a proxy that we trust.
fn is_over_tls<I: Io>(exchange: &Exchange<'_, I>) -> bool {
    let said = || {
        let last = exchange.head.values(exchange.text, Known::XForwardedProto).last();
        last.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
    };
    exchange.down.socket().is_tls() || exchange.trusts_peer() && said()
}
