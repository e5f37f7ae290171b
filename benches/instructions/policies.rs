//! The router, a rate limit, a token.

use std::hint::black_box;
use std::sync::Arc;

use otus::message::head::Method;
use otus::message::path::normalise;
use otus::policy::auth::algorithm::Algorithm;
use otus::policy::limit::fields::{Fixed, Shown};
use otus::policy::limit::key::{Grouping, Secret, Sort};
use otus::policy::limit::limiter::{Limiter, Rule as Limit};
use otus::policy::limit::purse::Purse;
use otus::route::pattern::PathPattern;
use otus::route::rule::{Facts, Headers, Rule};
use otus::route::select::Scratch;
use otus::route::table::Table;

use crate::ledger::Ledger;
use crate::token::Scene;

/// A route among 10 and among 10,000, and the path that it is found with.
pub(crate) fn router(ledger: &mut Ledger) {
    let mut buffer = Vec::with_capacity(256);
    let escaped = b"/api//service%2D17/./users/%34%32/orders/caf%c3%a9";
    ledger.case("route: a path with escapes, normalised", || {
        let _ = black_box(normalise(black_box(escaped), &mut buffer));
    });
    for count in [10, 10_000] {
        let rule = |n: u32| {
            let path = format!("/api/service-{n}/users/{{id}}/orders/{{order}}");
            Rule::of_path(PathPattern::path(&path).expect("a pattern"))
        };
        let table = Table::new((0..count).map(rule).collect());
        let path = format!("/api/service-{}/users/42/orders/4711", count / 2);
        let facts = Facts {
            host: b"gateway.example",
            path: path.as_bytes(),
            method: Method::Get,
            method_text: b"GET",
            headers: Headers::default(),
        };
        let mut scratch = Scratch::default();
        ledger.case(&format!("route: one of {count} with two parameters"), || {
            let _ = black_box(table.select(black_box(&facts), &mut scratch));
        });
    }
}

/// All that a request pays for a limit by address, and a token out of a lease.
pub(crate) fn limiter(ledger: &mut Ledger) {
    let table = limit("10/s", 65_536);
    let secret = Secret::new([7; 16]);
    let address = "2001:db8:1:2::3".parse().expect("an address");
    let address = Grouping::default().network(address);
    let fixed = Fixed::new(table.rule(), Shown { standard: true, legacy: true }, "bench");
    let mut purse = Purse::new(Arc::clone(&table));
    let mut now = 1_000_000_000;
    let mut out = Vec::with_capacity(1024);
    ledger.case("limit: key, table and fields of the answer", || {
        let key = secret.network_key(black_box(address));
        now += 100;
        let verdict = purse.ask(key, now);
        out.clear();
        fixed.write(&mut out, &verdict, Sort::Address, 1_800_000_000);
    });
    let mut purse = Purse::new(limit("10000000/s", 1));
    ledger.case("limit: 64 tokens spent from leases", || {
        for _ in 0..64 {
            now += 100;
            black_box(purse.ask(black_box(1), now));
        }
    });
}

fn limit(rate: &str, keys: usize) -> Arc<Limiter> {
    let (id, name) = ("bench".to_owned(), "bench".to_owned());
    let rate = rate.parse().expect("a rate");
    let rule = Limit { id, name, rate, burst: 1_000_000_000, keys, sharing: None };
    Arc::new(Limiter::new(rule, 2, None).expect("a limit"))
}

/// A token that is known, and one that is not. Most of the second is `aws-lc`.
pub(crate) fn tokens(ledger: &mut Ledger) {
    let mut scene = Scene::new(Algorithm::Hs256);
    // The first of them verifies it.
    scene.warm();
    ledger.case("jwt: found in its field, and known", || scene.warm());
    ledger.case("jwt: HS256, verified anew", || scene.cold());
}
