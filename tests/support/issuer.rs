//! An issuer that publishes keys, and gateways that believe it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use otus::policy::auth::algorithm::Algorithm;
use otus::snapshot::server::IoDriver;
use serde_json::{Value, json};

use super::backend::{Backend, Seen, ok_bytes};
use super::client::Client;
use super::gateway::Gateway;
use super::jwt::{Signer, jwks};
use super::proxy::{self, ALL, upstream};

/// Publishes keys over HTTP; what it answers can be changed.
pub(crate) struct Issuer {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    /// One that publishes these keys.
    pub(crate) fn start(signers: &[&Signer]) -> Self {
        let answer = Arc::new(Mutex::new(ok_bytes(jwks(signers).as_bytes())));
        let shared = Arc::clone(&answer);
        let (address, asked) = Backend::listen().serve(move |_, _| shared.lock().unwrap().clone());
        Issuer { address, answer, asked }
    }

    /// Publishes others from now on.
    pub(crate) fn publish(&self, signers: &[&Signer]) {
        self.answers(ok_bytes(jwks(signers).as_bytes()));
    }

    /// Answers so from now on.
    pub(crate) fn answers(&self, bytes: impl Into<Vec<u8>>) {
        *self.answer.lock().unwrap() = bytes.into();
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Keys of a profile that believes it.
    pub(crate) fn profile(&self, more: &str) -> String {
        format!("kind = \"jwt\"\nurl = \"http://{}/keys\"\n{ES256}{more}\n", self.address)
    }
}

/// What most tests sign with, for it is fast.
pub(crate) const ES256: &str = "algorithms = \"ES256\"\n";

/// A key of that algorithm.
pub(crate) fn signer(kid: &str) -> Signer {
    Signer::new(Algorithm::Es256, kid)
}

/// Claims that are good for so long.
pub(crate) fn claims(seconds: i64) -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    json!({"sub": "alice", "exp": i64::try_from(now).unwrap() + seconds})
}

/// A gateway whose one route asks for `route`, before a back end that tells what it was sent.
#[track_caller]
pub(crate) fn guarded(io: IoDriver, route: &str, profiles: &str) -> Gateway {
    proxy::start(io, &guarded_text(route, profiles))
}

/// Its configuration.
pub(crate) fn guarded_text(route: &str, profiles: &str) -> String {
    let (address, _) = Backend::listen().serve(|seen, _| ok_bytes(told(seen).as_bytes()));
    format!("{}{ALL}{route}\n{profiles}", upstream(&[address], ""))
}

/// Fields of a request, as JSON; several of one name are joined.
fn told(seen: &Seen) -> String {
    let mut all = serde_json::Map::new();
    for (name, value) in &seen.fields {
        let before = all.get(name).and_then(Value::as_str).map(|text| format!("{text} | "));
        all.insert(name.clone(), json!(format!("{}{value}", before.unwrap_or_default())));
    }
    Value::Object(all).to_string()
}

/// The status of a request with this token.
pub(crate) fn status(client: &mut Client, token: &str) -> u16 {
    client.ask("GET", "/", &[&format!("authorization: Bearer {token}")], b"").status
}
