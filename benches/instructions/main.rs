//! What the hot paths cost in instructions and allocations, compared with `benches/baseline.txt`:
//! `cargo bench --bench instructions`, or `scripts/bench`.
//!
//! Time says little on a machine that others use. Instructions in user space are the same each
//! time: this program runs itself under callgrind, which begins to count where one function
//! is entered and writes down what it has where that is left. Allocations are counted by the
//! allocator. A case may cost 2 % more instructions than its baseline and not one allocation more.
//!
//! `--write` makes what was counted the new baseline; a word counts only the cases whose names hold
//! it. Where there is no valgrind, or another compiler than that of the baseline, allocations alone
//! are compared.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to tell")]

mod baseline;
mod calls;
mod codecs;
mod ledger;
mod policies;
mod world;

#[path = "../shared/gufo.rs"]
mod gufo;
#[path = "../shared/h1.rs"]
mod h1;
#[path = "../shared/h2.rs"]
mod h2;
#[path = "../shared/token.rs"]
mod token;

#[allow(dead_code, clippy::indexing_slicing, clippy::unwrap_used, reason = "as in tests")]
#[path = "../../tests/support/jwt.rs"]
mod jwt;

use std::process::ExitCode;

use ledger::Ledger;

#[global_allocator]
static ALLOCATOR: ledger::Counting = ledger::Counting;

/// Tells this program that it is the one that is counted. The words of cases follow.
const COUNTED: &str = "--counted";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    // Cargo says this to every bench.
    words.retain(|word| word != "--bench");
    if words.first().is_some_and(|word| word == COUNTED) {
        // Where the stack of a thread of its own begins depends neither on the environment nor on
        // the name of the program, and copies cost what their alignment makes them cost.
        let all = std::thread::spawn(move || run(Ledger::new(words.get(1).cloned())));
        return all.join().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let writes = words.iter().any(|word| word == "--write");
    let only = words.into_iter().find(|word| !word.starts_with('-'));
    baseline::compare(only.as_deref(), writes)
}

fn run(mut ledger: Ledger) {
    codecs::http1(&mut ledger);
    codecs::http2(&mut ledger);
    codecs::grpc(&mut ledger);
    codecs::multipart(&mut ledger);
    calls::run(&mut ledger);
    policies::router(&mut ledger);
    policies::limiter(&mut ledger);
    policies::tokens(&mut ledger);
    world::run(&mut ledger);
}
