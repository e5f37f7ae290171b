//! How long something takes.

use std::time::{Duration, Instant};

/// Prints the nanoseconds of a call.
pub(crate) fn time(name: &str, work: impl FnMut()) {
    each(name, 1, work);
}

/// Prints the nanoseconds of each of the `parts` of a call.
pub(crate) fn each(name: &str, parts: u32, work: impl FnMut()) {
    println!("{name:<50} {:>9.1} ns", best(work) * 1e9 / f64::from(parts));
}

/// Prints how fast a call gets through so many bytes.
pub(crate) fn rate(name: &str, bytes: usize, work: impl FnMut()) {
    let bytes = u32::try_from(bytes).map_or(f64::INFINITY, f64::from);
    println!("{name:<50} {:>9.2} GiB/s", bytes / best(work) / f64::from(1 << 30));
}

/// Seconds for each call, in the best of many short rounds: a busy neighbour disturbs it least.
fn best(mut work: impl FnMut()) -> f64 {
    let mut calls = 1u32;
    let mut best = f64::INFINITY;
    for _ in 0..200 {
        let start = Instant::now();
        for _ in 0..calls {
            work();
        }
        let took = start.elapsed();
        best = best.min(took.as_secs_f64() / f64::from(calls));
        if took < Duration::from_millis(2) {
            calls = calls.saturating_mul(2);
        }
    }
    best
}
