//! The `otus` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    otus::cli::run()
}
