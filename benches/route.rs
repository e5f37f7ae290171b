//! Cost of finding a route among many: `cargo bench --bench route`. The best of many rounds, in
//! nanoseconds. *hot*: one request again and again; *spread*: requests for all routes in turn, in
//! an order that caches do not foresee.

use std::hint::black_box;
use std::time::Instant;

use otus::base::prng::Prng;
use otus::message::head::Method;
use otus::message::path::normalise;
use otus::route::host::HostPattern;
use otus::route::pattern::PathPattern;
use otus::route::rule::{Facts, Headers, Rule};
use otus::route::select::Scratch;
use otus::route::table::Table;

const COUNTS: [usize; 4] = [10, 100, 1000, 10_000];
const ROUNDS: u32 = 60;

/// A sort of routes: the rule with a number, and the host and path of a request that takes it.
struct Sort {
    name: &'static str,
    rule: fn(usize) -> Option<Rule>,
    request: fn(usize) -> (String, String),
}

const SORTS: [Sort; 5] = [
    Sort {
        name: "exact paths",
        rule: |n| Some(Rule::of_path(PathPattern::path(&format!("/api/v1/service-{n}")).ok()?)),
        request: |n| ("gateway.example".into(), format!("/api/v1/service-{n}")),
    },
    Sort {
        name: "prefixes",
        rule: |n| Some(Rule::of_path(PathPattern::prefix(&format!("/api/service-{n}")).ok()?)),
        request: |n| ("gateway.example".into(), format!("/api/service-{n}/orders/4711")),
    },
    Sort {
        name: "parameters",
        rule: |n| {
            let path = format!("/api/service-{n}/users/{{id}}/orders/{{order}}");
            Some(Rule::of_path(PathPattern::path(&path).ok()?))
        },
        request: |n| ("gateway.example".into(), format!("/api/service-{n}/users/42/orders/4711")),
    },
    Sort {
        name: "hosts",
        rule: |n| {
            let host = HostPattern::parse(&format!("tenant-{n}.gateway.example")).ok()?;
            Some(Rule { host, ..Rule::of_path(PathPattern::prefix("/api").ok()?) })
        },
        request: |n| (format!("tenant-{n}.gateway.example"), "/api/orders/4711".into()),
    },
    Sort {
        name: "string prefixes",
        rule: |n| Some(Rule::of_path(PathPattern::string(&format!("/api/service-{n}/")).ok()?)),
        request: |n| ("gateway.example".into(), format!("/api/service-{n}/orders/4711")),
    },
];

fn main() {
    let plain = b"/api/service-17/users/42/orders/4711";
    let escaped = b"/api//service%2D17/./users/%34%32/orders/caf%c3%a9";
    for (name, path) in [("normalise, plain", &plain[..]), ("normalise, escapes", escaped)] {
        let mut buffer = Vec::new();
        let nanos = measure(2000, |_| {
            let _ = black_box(normalise(black_box(path), &mut buffer));
        });
        println!("{name:<20} {:>4} bytes {nanos:>8.1} ns", path.len());
    }
    println!("\n{:<20} {:>7} {:>10} {:>10} {:>10}", "", "routes", "hot", "spread", "select");
    for sort in &SORTS {
        for count in COUNTS {
            bench(sort, count);
        }
    }
}

fn bench(sort: &Sort, count: usize) {
    let rules: Vec<Rule> = (0..count).filter_map(sort.rule).collect();
    let table = Table::new(rules);
    let mut order: Vec<usize> = (0..count).collect();
    let mut prng = Prng::new(7);
    for at in (1..count).rev() {
        let other = prng.below(u64::try_from(at + 1).unwrap_or(1));
        order.swap(at, usize::try_from(other).unwrap_or(0));
    }
    let requests: Vec<_> = order.into_iter().map(sort.request).collect();
    let facts: Vec<_> = requests.iter().map(|(host, path)| facts(host, path)).collect();
    let Some(one) = facts.first() else { return };
    assert!(facts.iter().all(|facts| table.find(facts).is_some()));
    let runs = u32::try_from(count.max(1000)).unwrap_or(u32::MAX);
    let hot = measure(runs, |_| {
        black_box(table.find(black_box(one)));
    });
    let mut next = facts.iter().cycle();
    let spread = measure(runs, |_| {
        black_box(next.next().and_then(|facts| table.find(black_box(facts))));
    });
    let mut scratch = Scratch::default();
    let select = measure(runs, |_| {
        let _ = black_box(table.select(black_box(one), &mut scratch));
    });
    println!("{:<20} {count:>7} {hot:>7.1} ns {spread:>7.1} ns {select:>7.1} ns", sort.name);
}

fn facts<'a>(host: &'a str, path: &'a str) -> Facts<'a> {
    Facts {
        host: host.as_bytes(),
        path: path.as_bytes(),
        method: Method::Get,
        method_text: b"GET",
        headers: Headers::default(),
    }
}

/// The lowest mean of many rounds, which the rest of the machine disturbs least.
fn measure(runs: u32, mut run: impl FnMut(u32)) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for number in 0..runs {
            run(number);
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(runs));
    }
    best
}
