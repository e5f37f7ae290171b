//! A configuration of 3xpluto/go-api-gateway, migrated and started: one test for each thing that its
//! documentation promises to clients and operators (SPEC 2.1, 2.5, 2.9, 3.2, 10.2, 11.2, 11.4, 11.5,
//! 15.6, 16.3).

mod admin;
mod auth;
mod breaker;
mod command;
mod front;
mod limits;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use otus::cli::args::MigrateArgs;
use otus::cli::migrate;
use otus::config::source::Source;
use otus::snapshot::server::IoDriver;
use serde_json::{Value, json};

use crate::support::backend::{Backend, ok};
use crate::support::client::Reply;
use crate::support::gateway::Gateway;
use crate::support::proxy::try_compiled;

/// The secret of mode `hmac`.
const SECRET: &str = "a-secret-of-thirty-two-bytes-now";
/// What `X-Admin-Key` carries.
const ADMIN_KEY: &str = "operator-0123456789";

/// A file of the other gateway: its routes and how clients are known.
fn document(auth: &str, routes: &str) -> String {
    let auth = if auth.is_empty() { String::new() } else { format!("auth:\n{auth}") };
    format!(
        "server:\n  addr: \"127.0.0.1:8080\"\n  trusted_proxies: [\"127.0.0.0/8\"]\n  \
         read_header_timeout_seconds: 5\n  idle_timeout_seconds: 60\n  max_body_bytes: 1024\n\
         {auth}rate_limit:\n  backend: memory\n  memory:\n    cleanup_seconds: 60\n    \
         ttl_seconds: 300\nroutes:\n{routes}"
    )
}

/// Nobody is asked who he is.
const OPEN: &str = "";
const HMAC: &str = "  mode: hmac\n  hmac_secret: \"a-secret-of-thirty-two-bytes-now\"\n";

/// A route with these further keys, each on a line of its own.
fn route(name: &str, prefix: &str, upstream: SocketAddr, more: &[&str]) -> String {
    let more: String = more.iter().map(|line| ["    ", line, "\n"].concat()).collect();
    format!(
        "  - name: {name}\n    match:\n      path_prefix: {prefix}\n    \
         upstream: http://{upstream}\n{more}"
    )
}

/// A file that is removed at the end.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The document, migrated by the command and started.
#[track_caller]
fn start(io: IoDriver, document: &str) -> Gateway {
    let number =
        std::sync::atomic::AtomicUsize::fetch_add(&COUNT, 1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("otus-threex-{}-{number}", std::process::id());
    let from = File(std::env::temp_dir().join(format!("{name}.yaml")));
    let to = File(std::env::temp_dir().join(format!("{name}.toml")));
    std::fs::write(&from.0, document).unwrap();
    let args = MigrateArgs {
        from: "3x".to_owned(),
        file: Some(from.0.clone()),
        legacy_key: None,
        out: Some(to.0.clone()),
        force: false,
    };
    let (mut out, mut told) = (Vec::new(), Vec::new());
    let status = migrate::run(&args, &mut out, &mut told);
    let told = String::from_utf8(told).unwrap();
    assert_eq!(status, ExitCode::SUCCESS, "{told}");
    assert!(!told.contains(SECRET), "the report tells no secret: {told}");
    let text = std::fs::read_to_string(&to.0).unwrap();
    let env = vec![("APIGW_ADMIN_KEY".to_owned(), ADMIN_KEY.to_owned())];
    let source = Source { path: "settings.toml".to_owned(), text, env, ..Source::default() };
    let snapshot = try_compiled(io, source, 1).unwrap_or_else(|faults| panic!("{faults}"));
    Gateway::start(io, |own| *own = snapshot)
}

static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// A back end that answers 200 with the target it was asked for; and how often it was.
fn echo() -> (SocketAddr, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    Backend::listen().serve(|seen, _| ok(&seen.target).into_bytes())
}

/// Status and body of an answer.
fn told(reply: &Reply) -> (u16, Value) {
    let body = if reply.body.is_empty() { Value::Null } else { reply.json() };
    (reply.status, body)
}

#[track_caller]
fn is_refused(reply: &Reply, status: u16, body: Value) {
    assert_eq!(told(reply), (status, body));
    assert_eq!(reply.field("content-type"), Some("application/json"));
}

/// What every refusal of a token says.
fn unauthorized() -> Value {
    json!({"error": "unauthorized"})
}
