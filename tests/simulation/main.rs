//! The whole gateway in a world made up from a seed: production shards, clients of all manners, and
//! endpoints of all manners, on `otus::io::sim`.
//!
//! What must hold, whatever the seed: a request is answered at most once; an answer that says "done"
//! is true; no byte of one exchange shows in another; what a client cut never looks whole; buffers
//! come home, counters balance, tasks end, a drain ends in time, a reload loses nothing; and in a
//! quiet world every request of an honest client succeeds.
//!
//! `SEED=0x… cargo test --test simulation` replays one seed, `SEEDS=n` runs so many. The seeds of a
//! commit follow from its hash.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first fault")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first fault")]
#![allow(clippy::as_conversions, reason = "a test knows its numbers")]
#![allow(unreachable_pub, reason = "the modules of one test are nobody else's")]

mod call;
mod client;
mod client2;
mod decode;
mod deed;
mod dice;
mod endpoint;
mod gateway;
mod ledger;
mod manner;
mod marathon;
mod misdeed;
mod origin;
mod relay;
mod request;
mod response;
mod rude;
mod rude2;
mod scenario;
mod service;
mod settings;
mod stream;
mod town;
mod trouble;
mod tunnel;
mod visit;
mod web;

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use otus::base::prng::Prng;

use marathon::Marathon;

/// Seeds of a run that was not told otherwise.
const SEEDS: u64 = 400;

#[test]
fn what_must_hold_does() {
    if let Some(seed) = number_of("SEED") {
        let report = scenario::run(seed);
        println!("seed {seed:#x}: {:#?}", report.met);
        return;
    }
    // See `scripts/simulate`.
    if let Some(minutes) = number_of("SIMULATE_MINUTES") {
        let from = number_of("SIMULATE_FROM").unwrap_or_else(|| commit() << 32);
        let seeds = number_of("SEEDS").unwrap_or(u64::MAX);
        return Marathon { from, seeds, time: Duration::from_mins(minutes) }.run();
    }
    let count = number_of("SEEDS").unwrap_or(SEEDS);
    let mut prng = Prng::new(commit());
    let seeds: Vec<u64> = (0..count).map(|_| prng.next_u64()).collect();
    let met = run_all(&seeds);
    for (what, times) in &met {
        println!("{times:>9} {what}");
    }
    if count >= SEEDS {
        check_reach(&met);
    }
}

#[test]
fn a_seed_replays() {
    for seed in 0..4 {
        assert_eq!(scenario::run(seed).digest, scenario::run(seed).digest, "seed {seed}");
    }
}

#[test]
fn each_planted_bug_still_fits_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let patches = std::fs::read_dir(root.join("tests/simulation/planted")).unwrap();
    let patches: Vec<_> = patches.map(|entry| entry.unwrap().path()).collect();
    assert!(patches.len() >= 10, "only {} planted bugs", patches.len());
    for patch in patches {
        let mut git = Command::new("git");
        let applied = git.arg("-C").arg(root).args(["apply", "--check"]).arg(&patch).output();
        let text = String::from_utf8_lossy(&applied.as_ref().unwrap().stderr).into_owned();
        assert!(applied.unwrap().status.success(), "{}: {text}", patch.display());
    }
}

/// Runs seeds on all cores; returns what they met together.
fn run_all(seeds: &[u64]) -> BTreeMap<&'static str, u64> {
    let next = AtomicU64::new(0);
    let (met, failed) = (Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let work = || {
        while let Some(seed) = seeds.get(dice::size(next.fetch_add(1, Ordering::Relaxed))) {
            // The world prints the end of its trace when it is dropped by a panic.
            let Ok(report) = catch_unwind(|| scenario::run(*seed)) else {
                failed.lock().unwrap().push(format!("SEED={seed:#x}"));
                continue;
            };
            let mut met = met.lock().unwrap();
            for (what, times) in report.met {
                *met.entry(what).or_insert(0) += times;
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} seeds failed: {}", failed.len(), failed.join(" "));
    met.into_inner().unwrap()
}

/// A run that meets nothing proves nothing. Each bound lies four standard deviations or more below
/// what [`SEEDS`] seeds meet (60 draws of half as many), so that no commit fails by its name alone.
fn check_reach(met: &BTreeMap<&'static str, u64>) {
    for (what, least) in [
        ("uploads that succeeded", 1000),
        ("calls that succeeded", 1000),
        ("forwards that succeeded", 3000),
        ("forwards that failed", 500),
        ("answers that were cut", 80),
        ("connections closed as a request came", 60),
        ("answers over HTTP/2", 1500),
        ("local answers", 250),
        ("answers that say no", 500),
        ("clients that vanished", 250),
        ("reloads", 600),
        ("pipes that came home", 400),
        // Met some eleven times: none at all has a chance of 1 in 40,000.
        ("pipes that were closed", 1),
        ("fault: PipeRefused", 10),
    ] {
        let times = met.get(what).copied().unwrap_or(0);
        assert!(times >= least, "{what}: only {times}");
    }
}

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

/// A number for the commit that is checked out; the same one where there is none.
fn commit() -> u64 {
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("git").args(["-C", root, "rev-parse", "HEAD"]).output();
    let hash = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    dice::hash(hash.as_deref().unwrap_or(b"no commit").trim_ascii())
}
