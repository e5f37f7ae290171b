//! Which endpoints are checked, which of them is due, and what a result changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::snapshot::Snapshot;
use crate::snapshot::upstream::{Endpoint, HealthKind, HostField, Protocol, Upstream};
use crate::tls::client::ClientTls;
use crate::tls::handshake::Protocol as Spoken;
use crate::upstream::health::{Checks, Health, HealthRule};

/// The name of an upstream and an address of it: what stays the same over a reload.
pub(super) type Key = (String, SocketAddr);

/// An endpoint, and how it is checked.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Target {
    pub(super) key: Key,
    /// The `host` that it gets.
    pub(super) authority: String,
    pub(super) kind: HealthKind,
    pub(super) rule: HealthRule,
    /// Whether it expects a PROXY header before anything else.
    pub(super) proxied: bool,
    /// How TLS is spoken with it.
    pub(super) tls: Option<Secure>,
}

/// How TLS is spoken with an endpoint that is checked.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Secure {
    pub(super) tls: ClientTls,
    pub(super) host: String,
    /// What is offered in the handshake.
    pub(super) spoken: Spoken,
}

impl Target {
    fn new(upstream: &Upstream, endpoint: &Endpoint) -> Option<Self> {
        let check = upstream.health.as_ref()?;
        Some(Target {
            key: (upstream.name.clone(), endpoint.address),
            authority: match &upstream.host {
                HostField::Fixed(host) => host.clone(),
                HostField::Client | HostField::Endpoint => endpoint.authority(),
            },
            kind: check.kind.clone(),
            rule: check.rule,
            proxied: upstream.send_proxy_protocol,
            tls: upstream.tls.clone().map(|tls| Secure {
                tls,
                host: endpoint.host.clone(),
                spoken: match (&check.kind, upstream.protocol) {
                    (HealthKind::Http(_), _) | (HealthKind::Tcp, Protocol::Http1) => Spoken::Http1,
                    (HealthKind::Grpc(_), _) | (HealthKind::Tcp, Protocol::Grpc) => Spoken::Http2,
                },
            }),
        })
    }
}

struct Watched {
    target: Arc<Target>,
    checks: Checks,
}

/// All endpoints that are checked.
pub(super) struct Schedule {
    watched: BTreeMap<Key, Watched>,
    prng: Prng,
}

impl Schedule {
    pub(super) fn new(prng: Prng) -> Self {
        Schedule { watched: BTreeMap::new(), prng }
    }

    /// Checks the endpoints of this generation from now on. What is known of those that were
    /// checked in the same way before is kept; the shards keep it by the same rule.
    pub(super) fn follow(&mut self, snapshot: &Snapshot, now: Instant) {
        let mut old = std::mem::take(&mut self.watched);
        for upstream in &snapshot.upstreams {
            for target in upstream.endpoints.iter().filter_map(|e| Target::new(upstream, e)) {
                let kept = old.remove(&target.key).filter(|own| own.target.kind == target.kind);
                let checks = kept.map_or_else(
                    || Checks::new(&target.rule, now, &mut self.prng),
                    |own| own.checks,
                );
                let key = target.key.clone();
                self.watched.entry(key).or_insert(Watched { target: Arc::new(target), checks });
            }
        }
    }

    /// Begins checks that are due, those that are so for the longest time first, at most `room`.
    pub(super) fn begin(&mut self, room: usize, now: Instant) -> Vec<(Arc<Target>, Instant)> {
        let mut due: Vec<_> =
            self.watched.values_mut().filter(|own| own.checks.due() <= now).collect();
        due.sort_by_key(|own| own.checks.due());
        let begin = |own: &mut Watched| {
            let deadline = own.checks.begin(&own.target.rule, now)?;
            Some((Arc::clone(&own.target), deadline))
        };
        due.into_iter().take(room).filter_map(begin).collect()
    }

    /// A check ended; nothing is known of what was not asked. Gives the state before and after it,
    /// if they differ.
    pub(super) fn ended(
        &mut self,
        target: &Target,
        is_well: Option<bool>,
        now: Instant,
    ) -> Option<(Health, Health)> {
        // It may be checked in another way by now, or not at all.
        let own = self.watched.get_mut(&target.key).filter(|own| own.target.kind == target.kind)?;
        let Some(is_well) = is_well else {
            own.checks.unasked(&own.target.rule, now, &mut self.prng);
            return None;
        };
        let before = own.checks.health();
        let after = own.checks.ended(&own.target.rule, is_well, now, &mut self.prng)?;
        Some((before, after))
    }

    /// When the next check is due; [`Instant::NEVER`] if all are running, or there is none.
    pub(super) fn next_due(&self) -> Instant {
        self.watched.values().map(|own| own.checks.due()).min().unwrap_or(Instant::NEVER)
    }

    /// What is known of all of them.
    pub(super) fn states(&self) -> BTreeMap<Key, Health> {
        self.watched.iter().map(|(key, own)| (key.clone(), own.checks.health())).collect()
    }
}
