//! Seeds one after the other until the end, for `scripts/simulate` and `scripts/planted`.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use otus::io::sim::FaultKind;

use crate::scenario;

/// Between two lines that say how far it is.
const TELL: Duration = Duration::from_secs(5);

/// Which seeds are run.
pub struct Marathon {
    /// The first; the others follow it by one each.
    pub from: u64,
    /// So many at most.
    pub seeds: u64,
    /// For so long at most.
    pub time: Duration,
}

/// What the runners share.
struct Track {
    next: AtomicU64,
    done: AtomicU64,
    failed: Mutex<Option<u64>>,
    met: Mutex<BTreeMap<&'static str, u64>>,
}

impl Marathon {
    /// Runs on all cores until the end or the first failure. Panics if there was one.
    pub fn run(&self) {
        let track = Track {
            next: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: Mutex::new(None),
            met: Mutex::default(),
        };
        let start = Instant::now();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let runners: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| self.work(&track, start))).collect();
            let mut told = start;
            while runners.iter().any(|runner| !runner.is_finished()) {
                thread::sleep(Duration::from_millis(50));
                if told.elapsed() >= TELL {
                    told = Instant::now();
                    eprintln!("{}", self.progress(&track, start));
                }
            }
        });
        println!("{}", self.progress(&track, start));
        tell(&track.met.lock().unwrap());
        if let Some(number) = *track.failed.lock().unwrap() {
            let seed = self.from.wrapping_add(number);
            println!("found by seed number {}", number + 1);
            println!("replay: SEED={seed:#x} cargo test --test simulation what_must_hold_does");
            panic!("seed {seed:#x} failed");
        }
    }

    fn work(&self, track: &Track, start: Instant) {
        loop {
            let number = track.next.fetch_add(1, Ordering::Relaxed);
            let is_over = number >= self.seeds || start.elapsed() >= self.time;
            if is_over || track.failed.lock().unwrap().is_some() {
                return;
            }
            let seed = self.from.wrapping_add(number);
            // The world prints the end of its trace when it is dropped by a panic.
            let Ok(report) = catch_unwind(|| scenario::run(seed)) else {
                let mut failed = track.failed.lock().unwrap();
                *failed = Some(failed.map_or(number, |other| other.min(number)));
                return;
            };
            track.done.fetch_add(1, Ordering::Relaxed);
            let mut met = track.met.lock().unwrap();
            for (what, times) in report.met {
                *met.entry(what).or_insert(0) += times;
            }
        }
    }

    fn progress(&self, track: &Track, start: Instant) -> String {
        let done = track.done.load(Ordering::Relaxed);
        let seconds = start.elapsed().as_secs().max(1);
        let (each, tenth) = (done / seconds, done * 10 / seconds % 10);
        let next = self.from.wrapping_add(track.next.load(Ordering::Relaxed).min(self.seeds));
        let met = track.met.lock().unwrap();
        let kinds = FaultKind::ALL.len();
        let seen = FaultKind::ALL.iter().filter(|kind| met.contains_key(scenario::name_of(**kind)));
        let seen = seen.filter(|kind| met[scenario::name_of(**kind)] > 0).count();
        format!(
            "{done} seeds in {seconds} s, {each}.{tenth}/s, {seen} of {kinds} kinds of faults; \
            go on with --from {next:#x}"
        )
    }
}

/// What was met, and how often; what was never met shows as zero.
fn tell(met: &BTreeMap<&'static str, u64>) {
    for (what, times) in met {
        println!("{times:>9} {what}");
    }
}
