//! The `otus` command.

use std::process::ExitCode;

/// Measured against the C library's: ARCHITECTURE.md, decision 12.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    otus::cli::run()
}
