//! What the gateway is told about HTTP endpoints: routes, and what they ask.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use otus::policy::breaker;
use otus::policy::concurrency;
use otus::policy::limit::LimitRule;
use otus::policy::limit::fields::Shown;
use otus::policy::limit::key::Grouping;
use otus::policy::limit::limiter;
use otus::policy::limit::rule::{By, RateRule};
use otus::policy::set::Policies;
use otus::route::pattern::PathPattern;
use otus::route::rewrite::Rewrite;
use otus::route::rule::Rule;
use otus::snapshot::Snapshot;
use otus::snapshot::route::{Route, RouteTimeouts, Routes};
use otus::snapshot::upgrades::Upgrades;
use otus::snapshot::upstream::{HostField, Upstream, UpstreamId, UpstreamTimeouts};
use otus::upstream::balance::Balance;

use crate::dice::Dice;
use crate::relay;
use crate::town::Weather;

/// By which route a request is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// Nothing is asked.
    Plain,
    /// So many requests in a day, from all together.
    Rated,
    /// So many requests at a time.
    Narrow,
    /// A circuit breaker stands before it.
    Broken,
}

impl Door {
    pub const ALL: [Door; 4] = [Door::Plain, Door::Rated, Door::Narrow, Door::Broken];

    /// How the paths of its requests begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Door::Plain => "/w",
            Door::Rated => "/rated",
            Door::Narrow => "/narrow",
            Door::Broken => "/broken",
        }
    }
}

/// What the doors ask.
#[derive(Clone, Copy, Debug)]
pub struct Doors {
    /// Requests that the rated one lets through.
    pub rated: u32,
    /// Requests that are behind the narrow one at once.
    pub narrow: u32,
    /// Requests that wait before it.
    queue: u32,
    failures: u16,
}

impl Doors {
    pub fn draw(dice: &mut Dice) -> Doors {
        Doors {
            rated: dice.pick(&[1, 2, 5, 20]),
            narrow: dice.pick(&[1, 2, 4]),
            queue: dice.pick(&[0, 2, 100]),
            failures: dice.pick(&[1, 3]),
        }
    }

    fn rule(&self, door: Door) -> Option<LimitRule> {
        let name = door.prefix()[1..].to_owned();
        let mut rule = LimitRule::default();
        match door {
            Door::Plain => return None,
            Door::Rated => rule.rates.push(RateRule {
                rule: limiter::Rule {
                    id: name.clone(),
                    name,
                    rate: "1/d".parse().unwrap(),
                    burst: self.rated,
                    keys: 1,
                    sharing: None,
                },
                by: By::All,
                grouping: Grouping::default(),
                shown: Shown { standard: true, legacy: false },
                legacy_503: false,
            }),
            Door::Narrow => {
                rule.concurrency = Some(concurrency::Rule {
                    name,
                    max_in_flight: self.narrow,
                    max_per_client: 0,
                    queue: self.queue,
                    queue_timeout: Duration::from_secs(3),
                    keys: 16,
                    grouping: Grouping::default(),
                });
            }
            Door::Broken => {
                rule.breaker = Some(breaker::Rule {
                    name,
                    failures: self.failures,
                    interval: Duration::ZERO,
                    open: Duration::from_secs(2),
                    probes: 1,
                });
            }
        }
        Some(rule)
    }
}

/// The HTTP endpoints.
pub fn upstream(dice: &mut Dice, weather: Weather, addresses: &[SocketAddr]) -> Upstream {
    let mut upstream = Upstream::http("web", addresses);
    upstream.connect_timeout = dice.millis(1000, 5000);
    upstream.pool.connections_max = dice.pick(&[1, 2, 64]);
    upstream.pool.idle = dice.millis(1000, 60_000);
    upstream.retry.attempts_max = dice.pick(&[1, 2, 4]);
    upstream.timeouts = UpstreamTimeouts {
        first_byte: dice.millis(2000, 10_000),
        idle: dice.millis(3000, 20_000),
        total: (!weather.is_quiet() && dice.one_in(3)).then(|| dice.millis(1000, 20_000)),
    };
    upstream
}

/// Writes the generation into all that is forwarded, so that endpoints can see it.
pub fn mark(snapshot: &mut Snapshot, doors: Doors, dice: &mut Dice) {
    let generation = snapshot.generation;
    let spec = &mut snapshot.upstreams[1];
    spec.host = HostField::Fixed(format!("g{generation}.test"));
    spec.balance = dice.pick(&[Balance::RoundRobin, Balance::LeastRequest, Balance::Hash]);
    let timeouts = RouteTimeouts::of(spec);
    let route = |door: Door| {
        let pattern = PathPattern::prefix(door.prefix()).unwrap();
        let rewrite = Rewrite::replace(&format!("/g{generation}"), &pattern).unwrap();
        let id = &door.prefix()[1..];
        let limit = doors.rule(door);
        let policies = limit
            .is_some()
            .then(|| Arc::new(Policies { route: id.to_owned(), limit, ..Policies::default() }));
        let route = Route::to_upstream(id, UpstreamId::at(1));
        let upgrades = Upgrades::new(vec!["websocket".to_owned(), "x-sim".to_owned()]).unwrap();
        (Rule::of_path(pattern), Route { rewrite, timeouts, policies, upgrades, ..route })
    };
    let mut routes: Vec<_> = Door::ALL.map(route).into();
    // Calls are passed through to the services; what a gateway adds is no part of a call.
    let route = Route::to_upstream("passed", UpstreamId::at(0));
    let timeouts = RouteTimeouts::of(&snapshot.upstreams[0]);
    let pattern = PathPattern::prefix(relay::PREFIX).unwrap();
    routes.push((Rule::of_path(pattern), Route { timeouts, ..route }));
    snapshot.routes = Routes::new(routes);
}
