//! Cost of asking a rate limit: `cargo bench --bench limit`. The best of many rounds, in
//! nanoseconds for each question.
//!
//! *shared word*: a compare-and-swap for each request, by one thread and by two that meet in it.
//! *lease*: the same limit spent from leases. *table*: a key of its own for each client.
//! With an argument, one of these runs alone a fixed number of times, for a counter of instructions
//! (`valgrind --tool=callgrind`).

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use otus::policy::limit::fields::{Fixed, Shown};
use otus::policy::limit::key::{Grouping, Secret, Sort};
use otus::policy::limit::limiter::{Limiter, Rule};
use otus::policy::limit::purse::Purse;

const ROUNDS: u32 = 40;
const RUNS: u32 = 100_000;

fn limiter(rate: &str, burst: u32, keys: usize) -> Option<Arc<Limiter>> {
    let (id, name) = ("bench".to_owned(), "bench".to_owned());
    let rate = rate.parse().ok()?;
    Limiter::new(Rule { id, name, rate, burst, keys, sharing: None }, 2, None).map(Arc::new)
}

/// Asks again and again; the time goes on by a hundred nanoseconds each time, so that tokens last.
struct Asker {
    purse: Purse,
    now: u64,
}

impl Asker {
    fn new(limiter: &Arc<Limiter>) -> Self {
        Asker { purse: Purse::new(Arc::clone(limiter)), now: 1_000_000_000 }
    }

    fn ask(&mut self, key: u64) -> bool {
        self.now += 100;
        black_box(self.purse.ask(black_box(key), self.now)).is_allowed
    }
}

fn main() {
    let only = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    // Leases of up to 64 tokens; and none at all.
    let (Some(fast), Some(slow)) =
        (limiter("10000000/s", 1_000_000_000, 1), limiter("100/s", 1_000_000_000, 1))
    else {
        return;
    };
    let Some(table) = limiter("10/s", 1_000_000_000, 65_536) else { return };
    let secret = Secret::new([7; 16]);
    let address = "2001:db8:1:2::3".parse().ok().map(|a| Grouping::default().network(a));
    let Some(address) = address else { return };
    let (mut leased, mut shared, mut keyed) =
        (Asker::new(&fast), Asker::new(&slow), Asker::new(&table));
    let mut out = Vec::with_capacity(1024);
    let fixed = Fixed::new(table.rule(), Shown { standard: true, legacy: true }, "bench");
    let mut whole = |_| {
        let key = secret.network_key(black_box(address));
        keyed.now += 100;
        let verdict = keyed.purse.ask(key, keyed.now);
        out.clear();
        fixed.write(&mut out, &verdict, Sort::Address, 1_800_000_000);
        black_box(&out);
    };
    let mut other = Asker::new(&table);
    let mut cases: [(&str, &mut dyn FnMut(u32)); 5] = [
        ("lease", &mut |_| _ = leased.ask(1)),
        ("shared word", &mut |_| _ = shared.ask(1)),
        ("key hashed", &mut |_| _ = black_box(secret.network_key(black_box(address)))),
        ("table, spread over 50,000 keys", &mut |n| {
            let key = u64::from(n % 50_000).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let _ = other.ask(key.max(1));
        }),
        ("all of it: key, table, fields", &mut whole),
    ];
    for (name, run) in &mut cases {
        match &only {
            Some(only) if name.starts_with(only.as_str()) => (0..1_000_000).for_each(run),
            Some(_) => {}
            None => println!("{name:<34} {:>7.1} ns", measure(run)),
        }
    }
    if only.is_none() {
        println!("{:<34} {:>7.1} ns", "shared word, two threads", contended(&slow));
        println!("{:<34} {:>7.1} ns", "lease, two threads", contended(&fast));
    }
}

/// The lowest mean of many rounds, which the rest of the machine disturbs least.
fn measure(run: &mut dyn FnMut(u32)) -> f64 {
    (0..ROUNDS).map(|_| round(run)).fold(f64::MAX, f64::min)
}

fn round(run: &mut dyn FnMut(u32)) -> f64 {
    let start = Instant::now();
    (0..RUNS).for_each(run);
    start.elapsed().as_secs_f64() * 1e9 / f64::from(RUNS)
}

/// The middle of the means of all rounds while another thread asks the same limiter all the time:
/// the best one is of a moment in which that thread did not run.
fn contended(limiter: &Arc<Limiter>) -> f64 {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut asker = Asker::new(limiter);
            while !over.load(Ordering::Relaxed) {
                asker.ask(1);
            }
        });
        let mut asker = Asker::new(limiter);
        let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round(&mut |_| _ = asker.ask(1))).collect();
        over.store(true, Ordering::Relaxed);
        rounds.sort_by(f64::total_cmp);
        rounds.get(rounds.len() / 2).copied().unwrap_or_default()
    })
}
