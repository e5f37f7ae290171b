//! Commands: what `otus` does when it is called.
//!
//! Knows how to read the command line and where to print; what is done is in `config` and
//! `control`. Start with [`run`].

pub mod args;
pub mod cert;
pub mod check;
pub mod demo;
pub mod dev;
pub mod explain;
pub mod key;
pub mod master;
pub mod migrate;
pub mod start;
pub mod stop;

use std::process::ExitCode;

use args::{Args, CertCommand, Command, KeyCommand, MigrateCommand, StartArgs};
use clap::Parser;

/// Reads the command line and does what it says; gives the status to end with.
pub fn run() -> ExitCode {
    crate::control::prepare_memory();
    match Args::parse().command.unwrap_or(Command::Start(StartArgs::default())) {
        Command::Start(args) => start::run(&args),
        Command::Stop(args) => stop::run(&args, &mut std::io::stdout()),
        Command::Demo(args) => demo::run(&args),
        Command::Master(args) => master::run(&args),
        Command::Check(args) => check::run(&args, &mut std::io::stdout()),
        Command::Explain(args) => explain::run(&args, &mut std::io::stdout()),
        Command::Cert { command: CertCommand::Init(args) } => {
            cert::run(&args, &mut std::io::stdout())
        }
        Command::Key { command: KeyCommand::Rotate(args) } => {
            key::run(&args, &mut std::io::stdout())
        }
        Command::Migrate { command: MigrateCommand::Config(args) } => {
            migrate::run(&args, &mut std::io::stdout(), &mut std::io::stderr())
        }
        Command::Dev { command } => dev::run(&command, &mut std::io::stdout()),
        Command::Service(args) => demo::run_service(&args),
    }
}
