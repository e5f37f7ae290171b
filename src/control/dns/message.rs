//! Questions and answers on the wire (RFC 1035, RFC 2782, RFC 3596).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, TYPE};

use super::names::{Kind, Records, Service};

/// Aliases that are followed within one answer.
const ALIASES_MAX: usize = 16;
/// For how long nothing is nothing, if the server does not say (RFC 2308 §5: it is not kept).
const NOTHING_TTL: Duration = Duration::from_secs(5);

/// What an answer says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It has these records, for so long.
    Found(Records, Duration),
    /// There is no such name.
    NoName(Duration),
    /// The name has no records of this kind.
    NoRecords(Duration),
    /// It did not fit; TCP has room.
    Truncated,
    /// The server cannot say.
    Failed(&'static str),
}

/// The bytes of a question; `None` if this cannot be a name.
pub(super) fn question(id: u16, name: &str, kind: Kind) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name.trim_end_matches('.')).ok()?;
    let (kind, class) = (QTYPE::TYPE(kind_type(kind)), QCLASS::CLASS(CLASS::IN));
    packet.questions.push(simple_dns::Question::new(name, kind, class, false));
    packet.build_bytes_vec().ok()
}

/// A datagram that was cut in the middle of a record says in its head that it was.
fn cut_off(bytes: &[u8], id: u16) -> Option<Answer> {
    const RESPONSE_TRUNCATED: u8 = 0b1000_0010;
    let [first, second, flags, ..] = bytes else { return None };
    let is_ours = u16::from_be_bytes([*first, *second]) == id;
    (is_ours && flags & RESPONSE_TRUNCATED == RESPONSE_TRUNCATED).then_some(Answer::Truncated)
}

const fn kind_type(kind: Kind) -> TYPE {
    match kind {
        Kind::A => TYPE::A,
        Kind::Aaaa => TYPE::AAAA,
        Kind::Srv => TYPE::SRV,
    }
}

/// Reads an answer to this question; `None` if the bytes are none.
pub(super) fn answer(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Option<Answer> {
    let Ok(packet) = Packet::parse(bytes) else { return cut_off(bytes, id) };
    let [question] = packet.questions.as_slice() else { return None };
    let is_ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && packet.opcode() == OPCODE::StandardQuery
        && text(&question.qname) == plain(name)
        && question.qtype == QTYPE::TYPE(kind_type(kind))
        && question.qclass == QCLASS::CLASS(CLASS::IN);
    if !is_ours {
        return None;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Some(Answer::Truncated);
    }
    Some(match packet.rcode() {
        RCODE::NoError => match records(&packet, plain(name), kind) {
            (Some(records), ttl) => Answer::Found(records, ttl),
            (None, _) => Answer::NoRecords(nothing_ttl(&packet)),
        },
        RCODE::NameError => Answer::NoName(nothing_ttl(&packet)),
        RCODE::ServerFailure => Answer::Failed("the server has failed (SERVFAIL)"),
        RCODE::Refused => Answer::Failed("the server refuses (REFUSED)"),
        _ => Answer::Failed("the server cannot say"),
    })
}

/// The records that the name leads to, through its aliases; of several, the shortest time counts.
fn records(packet: &Packet<'_>, mut name: String, kind: Kind) -> (Option<Records>, Duration) {
    let mut ttl = u32::MAX;
    let internet = || packet.answers.iter().filter(|record| record.class == CLASS::IN);
    for _ in 0..ALIASES_MAX {
        let alias = internet().find_map(|record| match &record.rdata {
            RData::CNAME(alias) if text(&record.name) == name => Some((record.ttl, text(&alias.0))),
            _ => None,
        });
        let Some((alias_ttl, target)) = alias else { break };
        ttl = ttl.min(alias_ttl);
        name = target;
    }
    let (mut addresses, mut services) = (Vec::new(), Vec::new());
    for record in internet().filter(|record| text(&record.name) == name) {
        match (&record.rdata, kind) {
            (RData::A(a), Kind::A) => addresses.push(IpAddr::V4(Ipv4Addr::from(a.address))),
            (RData::AAAA(a), Kind::Aaaa) => addresses.push(IpAddr::V6(Ipv6Addr::from(a.address))),
            (RData::SRV(srv), Kind::Srv) => services.push(Service {
                priority: srv.priority,
                port: srv.port,
                weight: srv.weight,
                host: text(&srv.target),
            }),
            _ => continue,
        }
        ttl = ttl.min(record.ttl);
    }
    let found = match kind {
        Kind::Srv => (!services.is_empty()).then(|| Records::services(services)),
        _ => (!addresses.is_empty()).then(|| Records::addresses(addresses)),
    };
    (found, Duration::from_secs(u64::from(ttl)))
}

/// For how long nothing is nothing (RFC 2308 §5).
fn nothing_ttl(packet: &Packet<'_>) -> Duration {
    let soa = packet.name_servers.iter().find_map(|record| match &record.rdata {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    soa.map_or(NOTHING_TTL, |seconds| Duration::from_secs(u64::from(seconds)))
}

/// A name as it is compared: in lower case, without the dot at its end.
fn text(name: &Name<'_>) -> String {
    plain(&name.to_string())
}

fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
