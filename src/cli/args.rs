//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::snapshot::gufo::VERSION_TEXT;

/// Otus, an API gateway and upload ingress.
#[derive(Parser, Clone, PartialEq, Eq, Debug)]
#[command(name = "otus", version = VERSION_TEXT, about, arg_required_else_help = false)]
pub struct Args {
    /// What to do; `start` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Start the gateway; write a settings file first if there is none.
    Start(StartArgs),
    /// Stop the gateway of this configuration by its `/exit`; needs `server.debug`.
    Stop(StopArgs),
    /// Start the gateway on loopback, with services of its own that store uploads in ./.otus/demo.
    Demo(DemoArgs),
    /// Run a master alone, for gateways and services of other processes.
    Master(MasterArgs),
    /// Tell every fault of a configuration, and change nothing.
    Check(CheckArgs),
    /// Tell which route a request takes, why it takes no other, and what is forwarded.
    Explain(ExplainArgs),
    /// Make certificates.
    Cert {
        /// Which.
        #[command(subcommand)]
        command: CertCommand,
    },
    /// Change the key of encrypted values.
    Key {
        /// How.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Write what another gateway was told as settings of this one.
    Migrate {
        /// What.
        #[command(subcommand)]
        command: MigrateCommand,
    },
    /// Helpers to try out a configuration; not for production.
    Dev {
        /// Which.
        #[command(subcommand)]
        command: DevCommand,
    },
    /// Run one of the demo's services alone, for tests.
    #[command(hide = true)]
    Service(ServiceArgs),
}

/// `otus start`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
pub struct StartArgs {
    /// The settings file [default: config/settings.toml, then settings.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `otus master`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
pub struct MasterArgs {
    /// The settings file [default: config/settings.toml, then settings.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where it listens [default: `listen` in `[master]`, 127.0.0.1:5300]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

/// `otus stop`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
pub struct StopArgs {
    /// The settings file [default: config/settings.toml, then settings.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `otus demo`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug)]
pub struct DemoArgs {
    /// Where clients connect to.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8090")]
    pub listen: SocketAddr,
    /// Where metrics and readiness are served.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9100")]
    pub admin: SocketAddr,
    /// Where uploads are stored.
    #[arg(long, value_name = "DIRECTORY", default_value = ".otus/demo")]
    pub directory: PathBuf,
}

/// `otus check`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckArgs {
    /// The settings file [default: config/settings.toml, then settings.toml]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// `otus explain`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
pub struct ExplainArgs {
    /// The method, such as GET.
    pub method: String,
    /// The URL, or a path alone, with the host in `-H 'Host: ...'`.
    pub url: String,
    /// A field of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// The settings file [default: config/settings.toml, then settings.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `otus cert`
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum CertCommand {
    /// Make an authority, a certificate for the gateway and one for a client of it.
    Init(CertInitArgs),
}

/// `otus cert init`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug)]
pub struct CertInitArgs {
    /// Where they are written; what exists is not replaced.
    #[arg(value_name = "DIRECTORY", default_value = "certs")]
    pub directory: PathBuf,
    /// A host name or address of the gateway, besides localhost; may be given several times.
    #[arg(long = "name", value_name = "HOST")]
    pub names: Vec<String>,
}

/// `otus key`
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum KeyCommand {
    /// Make a new key, and encrypt all encrypted values of the settings file with it.
    Rotate(KeyRotateArgs),
}

/// `otus key rotate`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyRotateArgs {
    /// The settings file [default: config/settings.toml, then settings.toml]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `otus migrate`
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum MigrateCommand {
    /// Encrypt the values of Gufo's settings as is done today; or write the configuration of
    /// another gateway as a settings file. Tells what became of each key.
    Config(MigrateArgs),
}

/// `otus migrate config`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
pub struct MigrateArgs {
    /// Which gateway it is of: `3x` is 3xpluto/go-api-gateway.
    #[arg(long, value_parser = ["gufo", "3x"], default_value = "gufo")]
    pub from: String,
    /// Its configuration [default, for gufo: config/settings.toml, then settings.toml]
    #[arg(value_name = "FILE", required_if_eq("from", "3x"))]
    pub file: Option<PathBuf>,
    /// A file with the key of older encrypted values, if it is another than the one in use.
    #[arg(long, value_name = "KEY FILE")]
    pub legacy_key: Option<PathBuf>,
    /// Where the settings are written [default: gufo: in their place; 3x: to the standard output]
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace the file that is there.
    #[arg(long)]
    pub force: bool,
}

/// `otus dev`
#[derive(Subcommand, Clone, PartialEq, Eq, Debug)]
pub enum DevCommand {
    /// Make a token: HS256 with --secret, RS256 with --key.
    Token(TokenArgs),
    /// Be an issuer: /.well-known/jwks.json, and /token?sub=... for the asking.
    Jwksmock(IssuerArgs),
    /// Be a back end that tells what reached it.
    Upstream(UpstreamArgs),
}

/// `otus dev token`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
pub struct TokenArgs {
    /// The shared secret.
    #[arg(long, conflicts_with = "key")]
    pub secret: Option<String>,
    /// An RSA key in PEM (PKCS#8).
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The name of the key.
    #[arg(long)]
    pub kid: Option<String>,
    /// Whom it is for.
    #[arg(long)]
    pub sub: String,
    /// Who says so.
    #[arg(long)]
    pub iss: Option<String>,
    /// Who is to believe it.
    #[arg(long)]
    pub aud: Option<String>,
    /// For how many seconds it is good.
    #[arg(long, default_value_t = 3600)]
    pub seconds: u64,
}

/// `otus dev jwksmock`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug)]
pub struct IssuerArgs {
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9009")]
    pub listen: SocketAddr,
    /// `iss` of its tokens.
    #[arg(long)]
    pub iss: Option<String>,
    /// `aud` of its tokens.
    #[arg(long)]
    pub aud: Option<String>,
}

/// `otus dev upstream`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug)]
pub struct UpstreamArgs {
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9001")]
    pub listen: SocketAddr,
    /// What it calls itself.
    #[arg(long, default_value = "upstream")]
    pub name: String,
}

/// `otus service`
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug)]
pub struct ServiceArgs {
    /// Which service; only `demo` exists.
    #[arg(value_parser = ["demo"])]
    pub name: String,
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4802")]
    pub listen: SocketAddr,
    /// Where uploads are stored.
    #[arg(long, value_name = "DIRECTORY", default_value = ".otus/demo")]
    pub directory: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Option<Args> {
        Args::try_parse_from(std::iter::once(&"otus").chain(line)).ok()
    }

    #[test]
    fn commands_are_read_and_start_is_the_default() {
        use clap::CommandFactory;
        Args::command().debug_assert();
        assert_eq!(parse(&[]), Some(Args { command: None }));
        let file = Some(PathBuf::from("a.toml"));
        let start = Command::Start(StartArgs { config: file.clone() });
        assert_eq!(parse(&["start", "--config", "a.toml"]), Some(Args { command: Some(start) }));
        let check = Command::Check(CheckArgs { file });
        assert_eq!(parse(&["check", "a.toml"]), Some(Args { command: Some(check) }));
        let explain = parse(&["explain", "GET", "/a", "-H", "Host: b", "-H", "c: d"]);
        let Some(Args { command: Some(Command::Explain(explain)) }) = explain else {
            panic!("not read")
        };
        assert_eq!((explain.url.as_str(), explain.headers.len()), ("/a", 2));
        let migrate = ["migrate", "config", "--from", "3x", "a.yaml", "-o", "b.toml"];
        assert!(matches!(parse(&migrate), Some(Args { command: Some(Command::Migrate { .. }) })));
        assert_eq!(parse(&["migrate", "config", "--from", "4x", "a.yaml"]), None);
        let master = parse(&["master", "-c", "a.toml", "--listen", "127.0.0.1:0"]);
        assert!(matches!(master, Some(Args { command: Some(Command::Master(_)) })));
        assert!(parse(&["migrate", "config"]).is_some() && parse(&["stop"]).is_some());
        assert_eq!(parse(&["migrate", "config", "--from", "3x"]), None);
        assert!(parse(&["key", "rotate", "-c", "a.toml"]).is_some());
        assert!(matches!(parse(&["demo"]), Some(Args { command: Some(Command::Demo(_)) })));
        assert!(matches!(
            parse(&["service", "demo", "--listen", "127.0.0.1:0"]),
            Some(Args { command: Some(Command::Service(_)) })
        ));
        for line in [&["strat"][..], &["start", "a.toml"], &["demo", "--listen", "x"]] {
            assert_eq!(parse(line), None, "{line:?}");
        }
    }
}
