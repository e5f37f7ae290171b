use std::sync::Arc;

use super::fields::{Fixed, Shown};
use super::key::{Secret, Sort};
use super::limiter::{Limiter, Rule, Verdict};
use super::purse::Purse;
use super::rate::BURST_MAX;
use super::table::Table;
use crate::base::prng::Prng;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 50 * SECOND;

fn rule(rate: &str, burst: u32, keys: usize) -> Rule {
    Rule {
        id: "r".to_owned(),
        name: "r".to_owned(),
        rate: rate.parse().unwrap(),
        burst,
        keys,
        sharing: None,
    }
}

/// Requests of one key, its burst gone, that are spread over shards by `choose`: more than the rate
/// allows, for three seconds. What was admitted in each.
fn admitted(rate: &str, shards: usize, choose: &mut dyn FnMut(u64) -> usize) -> [u64; 3] {
    let limiter = Arc::new(Limiter::new(rule(rate, 20, 1), shards, None).unwrap());
    let mut purses: Vec<Purse> = (0..shards).map(|_| Purse::new(Arc::clone(&limiter))).collect();
    for purse in &mut purses {
        while purse.ask(9, START).is_allowed {} // The burst is not what is looked at.
    }
    let offered = 3 * limiter.rule().rate.ceiling();
    let mut counts = [0; 3];
    for (second, count) in (0..).zip(&mut counts) {
        for n in 0..offered {
            let now = START + second * SECOND + n * SECOND / offered;
            let purse = &mut purses[choose(n) % shards];
            *count += u64::from(purse.ask(9, now).is_allowed);
        }
    }
    counts
}

#[test]
fn a_rate_holds_within_one_per_cent_whatever_the_spread_over_shards() {
    let mut prng = Prng::new(11);
    for (rate, limit) in [("10/s", 10), ("150/s", 150), ("2000/s", 2000), ("50000/s", 50_000)] {
        for shards in [1, 2, 8] {
            let some = |n: usize| u64::try_from(n).unwrap();
            let mut even = |n| usize::try_from(n).unwrap();
            let mut all_on_one = |_| 0;
            let mut moving = |n: u64| usize::try_from(n / 97).unwrap();
            let mut any = |_| usize::try_from(prng.below(some(shards))).unwrap();
            let spreads: [(&str, &mut dyn FnMut(u64) -> usize); 4] = [
                ("even", &mut even),
                ("all on one", &mut all_on_one),
                ("moving", &mut moving),
                ("any", &mut any),
            ];
            for (name, spread) in spreads {
                let counts = admitted(rate, shards, spread);
                let slack = (limit / 100).max(1);
                let good = counts.iter().all(|&count| count.abs_diff(limit) <= slack);
                assert!(good, "{rate} over {shards} shards, {name}: {counts:?}");
            }
        }
    }
}

/// A burst of a thousand, offered at once, is given once.
#[test]
fn a_burst_is_given_once_over_all_shards() {
    let limiter = Arc::new(Limiter::new(rule("20000/s", 1000, 1), 2, None).unwrap());
    assert!(limiter.lease_max() > 1);
    let mut purses = [Purse::new(Arc::clone(&limiter)), Purse::new(Arc::clone(&limiter))];
    let count = (0..5000).filter(|n| purses[n % 2].ask(9, START).is_allowed).count();
    assert_eq!(count, 1000);
}

#[test]
fn a_lease_that_is_not_spent_goes_back() {
    let limiter = Arc::new(Limiter::new(rule("20000/s", 1000, 1), 2, None).unwrap());
    let mut purse = Purse::new(Arc::clone(&limiter));
    assert!(purse.ask(9, START).is_allowed);
    drop(purse);
    assert_eq!(limiter.reading(START).left, Some(999));
}

/// A million clients, one request each, within a minute; an abuser and a patient client among
/// them.
fn flood(rate: &str, burst: u32, keys: usize, patience: u64) -> (u64, u64, u64) {
    let limiter = Arc::new(Limiter::new(rule(rate, burst, keys), 2, None).unwrap());
    let secret = Secret::new([3; 16]);
    let mut purse = Purse::new(Arc::clone(&limiter));
    let (mut newcomers, mut abuser, mut patient_refused) = (0, 0, 0);
    let of = |name: &[u8]| secret.key(Sort::Address, name);
    for n in 0..1_000_000_u64 {
        let now = START + n * 60_000;
        newcomers += u64::from(purse.ask(of(&n.to_le_bytes()), now).is_allowed);
        abuser += u64::from(n % 16 == 0 && purse.ask(of(b"abuser"), now).is_allowed);
        if n % patience == 0 && n > 0 {
            patient_refused += u64::from(!purse.ask(of(b"patient"), now).is_allowed);
        }
    }
    (newcomers, abuser, patient_refused)
}

#[test]
fn a_million_clients_in_a_minute_take_no_place_from_anybody() {
    // Each debt is over after a tenth of a second: 1,700 of 16,384 places are taken at a time.
    let (newcomers, abuser, patient_refused) = flood("10/s", 5, 16_384, 4000);
    assert_eq!((newcomers, patient_refused), (1_000_000, 0));
    assert!((604..=606).contains(&abuser), "{abuser}");
}

#[test]
fn who_owes_is_not_forgotten_though_every_place_is_taken() {
    // Each debt lasts longer than the flood: 4,096 places and 512 spills are all that there is.
    let (newcomers, abuser, _) = flood("1/m", 1, 4096, 500_000);
    assert!((1..=2).contains(&abuser), "{abuser}");
    assert!((4096..=2 * (4096 + 512) + 2).contains(&newcomers), "{newcomers}");
}

#[test]
fn a_table_is_as_large_as_it_says() {
    let table = Table::new(65_536);
    assert_eq!(table.len(), 65_536);
    assert_eq!(Table::bytes(65_536), 8192 * (128 + 8));
    assert_eq!(Table::new(1).len(), 8);
}

#[test]
fn threads_that_ask_at_once_get_what_there_is_and_no_more() {
    let limiter = Arc::new(Limiter::new(rule("1/d", 1000, 64), 4, None).unwrap());
    let ask = |limiter: &Arc<Limiter>| {
        let mut purse = Purse::new(Arc::clone(limiter));
        (0..3000).filter(|n| purse.ask(1 + n % 3, START).is_allowed).count()
    };
    let count: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| ask(&limiter))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    // Each of three keys has 1000; they may meet when they get their places.
    assert_eq!(count, 3000);
}

#[test]
fn no_question_overflows() {
    for (rate, burst) in [("10000000/s", BURST_MAX), ("1/d", 20_000), ("0.001/s", 1)] {
        let limiter = Arc::new(Limiter::new(rule(rate, burst, 16), 64, None).unwrap());
        let mut purse = Purse::new(Arc::clone(&limiter));
        for now in [0, 1, START, u64::MAX / 2, u64::MAX - 1, u64::MAX, 5, 0] {
            for key in 0..40 {
                let _ = purse.ask(u64::MAX / 40 * key, now);
            }
        }
    }
}

fn written(rule: &Rule, shown: Shown, verdict: Verdict) -> String {
    let mut out = Vec::new();
    Fixed::new(rule, shown, "pub\"lic").write(&mut out, &verdict, Sort::Address, 1000);
    String::from_utf8(out).unwrap()
}

#[test]
fn clients_are_told_in_both_ways() {
    let rule = Rule { name: "a\"b\u{e9}".to_owned(), ..rule("2.5/s", 20, 1) };
    let both = Shown { standard: true, legacy: true };
    let allowed = Verdict { is_allowed: true, left: 7, wait: 0, full: SECOND * 5 / 2 };
    assert_eq!(
        written(&rule, both, allowed),
        "x-ratelimit-route: public\r\nx-ratelimit-limit-rps: 2.5\r\nx-ratelimit-burst: 20\r\n\
         ratelimit-policy: \"ab\";q=5;w=2\r\n\
         ratelimit: \"ab\";r=7;t=3\r\nx-ratelimit-scope: ip\r\nx-ratelimit-remaining: 7\r\n"
    );
    let refused = Verdict { is_allowed: false, left: 0, wait: SECOND + 1, full: 9 * SECOND };
    assert_eq!(
        written(&rule, both, refused),
        "x-ratelimit-route: public\r\nx-ratelimit-limit-rps: 2.5\r\nx-ratelimit-burst: 20\r\n\
         ratelimit-policy: \"ab\";q=5;w=2\r\n\
         ratelimit: \"ab\";r=0;t=2\r\nx-ratelimit-scope: ip\r\n\
         x-ratelimit-reset: 1002\r\nretry-after: 2\r\n"
    );
    assert_eq!(written(&rule, Shown::default(), allowed), "");
    let legacy = Shown { legacy: true, ..Shown::default() };
    assert_eq!(
        written(&rule, legacy, allowed),
        "x-ratelimit-route: public\r\nx-ratelimit-limit-rps: 2.5\r\nx-ratelimit-burst: 20\r\n\
         x-ratelimit-scope: ip\r\nx-ratelimit-remaining: 7\r\n"
    );
    let many = Verdict { left: u64::MAX, full: 0, ..allowed };
    assert!(written(&rule, both, many).contains("r=18446744073709551615;t=0"));
}

/// The lengths at which numbers are written in another way, and both sides of each.
const NUMBERS: [u64; 12] = [
    0,
    1,
    9,
    10,
    99,
    100,
    99_999_999,
    100_000_000,
    u64::MAX / 10,
    u64::MAX / 10 + 1,
    u64::MAX - 1,
    u64::MAX,
];

#[test]
fn numbers_of_every_length_are_told_in_full() {
    let rule = rule("1/s", 1, 1);
    let both = Shown { standard: true, legacy: true };
    let fixed = "x-ratelimit-route: public\r\nx-ratelimit-limit-rps: 1\r\n\
                 x-ratelimit-burst: 1\r\nratelimit-policy: \"r\";q=1;w=1\r\n";
    for left in NUMBERS {
        for full in NUMBERS {
            let verdict = Verdict { is_allowed: true, left, wait: 0, full };
            // Without any that is left, what counts is the wait: a second at least.
            let reset = if left == 0 { 1 } else { full.div_ceil(SECOND) };
            let remaining = match left {
                0 => String::new(),
                left => format!("x-ratelimit-remaining: {left}\r\n"),
            };
            let want = format!(
                "{fixed}ratelimit: \"r\";r={left};t={reset}\r\nx-ratelimit-scope: ip\r\n{remaining}"
            );
            assert_eq!(written(&rule, both, verdict), want);
        }
    }
    for wait in NUMBERS {
        let verdict = Verdict { is_allowed: false, left: 0, wait, full: 0 };
        let retry = wait.div_ceil(SECOND).max(1);
        let want = format!(
            "{fixed}ratelimit: \"r\";r=0;t={retry}\r\nx-ratelimit-scope: ip\r\n\
             x-ratelimit-reset: {}\r\nretry-after: {retry}\r\n",
            1000 + retry
        );
        assert_eq!(written(&rule, both, verdict), want);
    }
}
