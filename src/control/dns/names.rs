//! What is known of names, and when they are asked for again. Pure: time and chance are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::base::limits::ENDPOINTS_MAX;
use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::snapshot::Snapshot;
use crate::snapshot::dns::{Dns, Family, Origin};
use crate::snapshot::upstream::{Endpoint, Upstream};
use crate::upstream::balance::Share;

/// Before a question that failed is asked again; doubled with each failure, up to the second.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// While a name is said to be gone and its addresses are still used, it is asked for so often.
const GONE_AGAIN: Duration = Duration::from_secs(5);

/// Which records are asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Srv => "SRV",
        }
    }
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// A host and port that serve.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) weight: u16,
}

/// What a name has, in an order that does not depend on the server's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Records {
    Addresses(Vec<IpAddr>),
    Services(Vec<Service>),
}

impl Records {
    /// Without those that no service has: name servers that block a name answer `0.0.0.0`, which
    /// would lead to the gateway's own host.
    pub(super) fn addresses(mut list: Vec<IpAddr>) -> Self {
        list.retain(|ip| !ip.is_unspecified() && !ip.is_multicast());
        list.sort_unstable();
        list.dedup();
        list.truncate(ENDPOINTS_MAX);
        Records::Addresses(list)
    }

    /// By their priority; a lone dot says that there is no such service (RFC 2782). What is no host
    /// name is left out: it would become the `host` of requests.
    pub(super) fn services(mut list: Vec<Service>) -> Self {
        let proper = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        list.retain(|own| own.host.bytes().all(proper));
        list.retain(|own| !own.host.is_empty() && own.port != 0);
        list.sort_unstable();
        list.dedup();
        list.truncate(ENDPOINTS_MAX);
        Records::Services(list)
    }
}

/// What came of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reply {
    /// These records, for so long.
    Found { records: Records, ttl: Duration },
    /// There is no such name, or it has no such records; for so long.
    Nothing { ttl: Duration },
    /// Nobody could say.
    Failed(String),
}

/// What a reply changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// Nothing that anybody has to know.
    None,
    /// Other records.
    Records,
    /// The question has begun to fail; what was known is used on.
    Failing(String),
    /// It is answered again.
    Recovered { with_other_records: bool },
}

#[derive(Clone, Debug)]
struct Slot {
    /// The last good answer.
    good: Option<Records>,
    /// When it is asked for again; [`Instant::NEVER`] while it is.
    due: Instant,
    /// Failures in a row.
    failures: u32,
    /// Since when the servers say that there is nothing.
    gone_since: Option<Instant>,
    /// Whether there was any reply.
    is_settled: bool,
}

/// All names of a configuration, and those that they lead to.
#[derive(Debug)]
pub(super) struct Names {
    rules: Dns,
    /// What the configuration names.
    origins: BTreeSet<Origin>,
    slots: BTreeMap<Question, Slot>,
    prng: Prng,
}

impl Names {
    pub(super) fn new(prng: Prng) -> Self {
        let (origins, slots) = (BTreeSet::new(), BTreeMap::new());
        Names { rules: Dns::default(), origins, slots, prng }
    }

    /// Resolves the names of this configuration from now on; what is known of them is kept.
    pub(super) fn follow(&mut self, snapshot: &Snapshot, now: Instant) {
        let origins = snapshot.upstreams.iter().flat_map(|upstream| &upstream.origins);
        self.origins = origins.cloned().collect();
        if self.rules != snapshot.dns {
            self.rules = snapshot.dns.clone();
            // Others may say something else.
            for slot in self.slots.values_mut().filter(|slot| slot.due != Instant::NEVER) {
                slot.due = now;
            }
        }
        self.arrange(now);
    }

    pub(super) fn rules(&self) -> &Dns {
        &self.rules
    }

    /// A slot for each question that there is, and none for others.
    fn arrange(&mut self, now: Instant) {
        let mut wanted = BTreeSet::new();
        for origin in &self.origins {
            match origin {
                Origin::Address(_) => {}
                Origin::Host { name, .. } => self.want_host(name, &mut wanted),
                Origin::Service(name) => {
                    for service in self.services(name) {
                        self.want_host(&service.host, &mut wanted);
                    }
                    wanted.insert(Question { name: name.clone(), kind: Kind::Srv });
                }
            }
        }
        self.slots.retain(|question, _| wanted.contains(question));
        for question in wanted {
            self.slots.entry(question).or_insert(Slot {
                good: None,
                due: now,
                failures: 0,
                gone_since: None,
                is_settled: false,
            });
        }
    }

    fn want_host(&self, name: &str, wanted: &mut BTreeSet<Question>) {
        let kinds: &[Kind] = match self.rules.family {
            Family::Any => &[Kind::A, Kind::Aaaa],
            Family::Ipv4 => &[Kind::A],
            Family::Ipv6 => &[Kind::Aaaa],
        };
        // Of a service, the hosts may be addresses already, though they should not.
        if name.parse::<IpAddr>().is_err() {
            wanted.extend(kinds.iter().map(|kind| Question { name: name.to_owned(), kind: *kind }));
        }
    }

    fn services(&self, name: &str) -> &[Service] {
        let question = Question { name: name.to_owned(), kind: Kind::Srv };
        match self.slots.get(&question).and_then(|slot| slot.good.as_ref()) {
            Some(Records::Services(list)) => list,
            _ => &[],
        }
    }

    fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let of = |kind| {
            let slot = self.slots.get(&Question { name: name.to_owned(), kind });
            match slot.and_then(|slot| slot.good.as_ref()) {
                Some(Records::Addresses(list)) => list.as_slice(),
                _ => &[],
            }
        };
        let literal = name.parse::<IpAddr>().ok();
        literal.iter().chain(of(Kind::A)).chain(of(Kind::Aaaa)).copied().collect()
    }

    /// Begins questions that are due, those that are so for the longest time first, at most `room`:
    /// names that fail slowly must not keep others from being asked for.
    pub(super) fn begin(&mut self, room: usize, now: Instant) -> Vec<Question> {
        let mut due: Vec<_> = self.slots.iter_mut().filter(|(_, slot)| slot.due <= now).collect();
        due.sort_by_key(|(_, slot)| slot.due);
        let begin = |(question, slot): (&Question, &mut Slot)| {
            slot.due = Instant::NEVER;
            question.clone()
        };
        due.into_iter().take(room).map(begin).collect()
    }

    /// When the next question is due.
    pub(super) fn next_due(&self) -> Instant {
        self.slots.values().map(|slot| slot.due).min().unwrap_or(Instant::NEVER)
    }

    /// Whether every question has had a reply, good or not.
    pub(super) fn is_settled(&self) -> bool {
        self.slots.values().all(|slot| slot.is_settled)
    }

    /// A reply came.
    pub(super) fn replied(&mut self, question: &Question, reply: Reply, now: Instant) -> Change {
        let Names { slots, rules, prng, .. } = self;
        // The name may have left the configuration meanwhile.
        let Some(slot) = slots.get_mut(question) else { return Change::None };
        slot.is_settled = true;
        let was_failing = std::mem::take(&mut slot.failures);
        let before = slot.good.clone();
        match reply {
            Reply::Found { records, ttl } => {
                slot.gone_since = None;
                slot.good = Some(records);
                slot.due = now + early(ttl.max(rules.min_ttl).min(rules.max_ttl), prng);
            }
            Reply::Nothing { ttl } => slot.nothing(ttl, rules, now, prng),
            Reply::Failed(why) => {
                slot.failures = was_failing.saturating_add(1);
                let doubled = AGAIN_MIN * 2u32.saturating_pow(was_failing.min(10));
                slot.due = now + early(doubled.min(AGAIN_MAX), prng);
                return if was_failing == 0 { Change::Failing(why) } else { Change::None };
            }
        }
        let is_other = before != slot.good;
        if is_other && question.kind == Kind::Srv {
            self.arrange(now);
        }
        match (was_failing, is_other) {
            (0, false) => Change::None,
            (0, true) => Change::Records,
            (_, with_other_records) => Change::Recovered { with_other_records },
        }
    }

    /// Gives upstreams the endpoints that are known now; whether that changed any.
    pub(super) fn fill(&self, upstreams: &mut [Upstream]) -> bool {
        let mut changed = false;
        for upstream in upstreams {
            if upstream.origins.is_empty() {
                continue;
            }
            let mut endpoints: Vec<Endpoint> = Vec::new();
            let shares = upstream.shares.iter().map(Some).chain(std::iter::repeat(None));
            for (origin, share) in upstream.origins.iter().zip(shares) {
                for endpoint in self.shared(origin, share) {
                    let is_new = endpoints.iter().all(|own| own.address != endpoint.address);
                    if is_new && endpoints.len() < ENDPOINTS_MAX {
                        endpoints.push(endpoint);
                    }
                }
            }
            changed |= endpoints != upstream.endpoints;
            upstream.endpoints = endpoints;
        }
        changed
    }

    /// The endpoints of one origin, which share what is for it.
    fn shared(&self, origin: &Origin, share: Option<&Share>) -> Vec<Endpoint> {
        let mut endpoints = self.endpoints(origin);
        if let Some(share) = share {
            let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX).max(1);
            let share = Share { weight: (share.weight / count).max(1), ..*share };
            for endpoint in &mut endpoints {
                endpoint.share = share;
            }
        }
        endpoints
    }

    fn endpoints(&self, origin: &Origin) -> Vec<Endpoint> {
        let host = |host: &str, port: u16| {
            let addresses = self.addresses(host).into_iter();
            let name = host.trim_end_matches('.');
            let endpoint = |ip| Endpoint::new(name.to_owned(), SocketAddr::new(ip, port));
            addresses.map(endpoint).collect::<Vec<_>>()
        };
        match origin {
            Origin::Address(address) => {
                vec![Endpoint::new(address.ip().to_string(), *address)]
            }
            Origin::Host { name, port } => host(name, *port),
            Origin::Service(name) => {
                let mut all = Vec::new();
                let services = self.services(name).chunk_by(|a, b| a.priority == b.priority);
                for (rank, alike) in (0..).zip(services) {
                    for service in alike {
                        let mut own = host(&service.host, service.port);
                        let share = Share { rank, weight: weight(service, own.len()) };
                        for endpoint in &mut own {
                            endpoint.share = share;
                        }
                        all.append(&mut own);
                    }
                }
                all
            }
        }
    }
}

/// The weight of each address of a service. Zero is for hardly any requests, not for none (RFC
/// 2782).
fn weight(service: &Service, addresses: usize) -> u32 {
    let all = u32::from(service.weight.max(1)).saturating_mul(Share::ONE);
    (all / u32::try_from(addresses).unwrap_or(u32::MAX).max(1)).max(1)
}

impl Slot {
    /// There is no such name. That may be a mistake of a minute: what was known is kept for a time.
    fn nothing(&mut self, ttl: Duration, rules: &Dns, now: Instant, prng: &mut Prng) {
        let is_known = match &self.good {
            Some(Records::Addresses(list)) => !list.is_empty(),
            Some(Records::Services(list)) => !list.is_empty(),
            None => false,
        };
        let wait = ttl.max(rules.min_ttl).min(rules.max_ttl);
        let since = *self.gone_since.get_or_insert(now);
        let end = since + rules.keep_gone;
        if is_known && now < end {
            self.due = end.min(now + early(wait.min(GONE_AGAIN), prng));
        } else {
            self.good = None;
            self.due = now + early(wait.min(AGAIN_MAX), prng);
        }
    }
}

/// A little before a time is over, so that an answer is here before the last one has expired, and
/// so that not all names are asked for at once.
fn early(time: Duration, prng: &mut Prng) -> Duration {
    let nanos = u64::try_from((time / 5).as_nanos()).unwrap_or(u64::MAX);
    time * 3 / 4 + Duration::from_nanos(prng.below(nanos.max(1)))
}
