//! A gateway within a program of one's own: a policy that knows its tenants by a field, and
//! services that are functions of this program. `docs/embedding.md` explains it.
//!
//! ```text
//! cargo run --example embedded
//! curl -H 'X-Tenant: blue' 'http://127.0.0.1:8090/api/v3/greeting/hello?name=Ada'
//! ```

#![allow(clippy::panic, reason = "to show what it costs")]

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use otus::control;
use otus::policy::embed::{Call, Context, Fault, Policy, Refusal, Request, Transport};
use otus::proto::reverse::Response;
use otus::snapshot::Snapshot;
use prost::Message;

/// Knows tenants by a field, and counts what they were answered.
#[derive(Default)]
pub(crate) struct Tenants {
    /// Requests that were answered.
    pub(crate) answered: AtomicU64,
}

impl Policy for Tenants {
    fn before(&self, request: &Request<'_>) -> Result<Context, Refusal> {
        let tenant = request.field("x-tenant").ok_or(Refusal::Unauthenticated)?;
        match tenant {
            b"blue" | b"green" => {}
            // What a policy must never do; here it costs this request, and nothing else.
            b"mad" => panic!("a policy that panics"),
            _ => return Err(Refusal::Forbidden),
        }
        let mut context = Context::default();
        context.keep(String::from_utf8_lossy(tenant).into_owned());
        Ok(context)
    }

    fn after(&self, _: &Context, _: u16, _: Duration) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers calls of the module `greeting` itself.
pub(crate) struct Functions;

impl Transport for Functions {
    fn call(&self, call: &Call) -> Result<Vec<u8>, Fault> {
        let tenant = call.context.as_ref().and_then(|context| context.kept::<String>());
        match call.module.as_str() {
            "greeting" => Ok(greeting(tenant.map_or("nobody", String::as_str))),
            "broken" => panic!("a service that panics"),
            // UNIMPLEMENTED
            _ => Err(Fault(12)),
        }
    }
}

fn greeting(tenant: &str) -> Vec<u8> {
    let mut response = Response::default();
    response.data.insert("tenant".to_owned(), json(&format!("\"{tenant}\"")));
    response.encode_to_vec()
}

/// JSON text as dialect B carries it.
fn json(text: &str) -> prost_types::Any {
    prost_types::Any {
        type_url: "type.googleapis.com/google.protobuf.BytesValue".to_owned(),
        value: text.as_bytes().to_vec().encode_to_vec(),
    }
}

/// The configuration; the same can be compiled from a file.
pub(crate) fn snapshot(generation: u64, policy: &Arc<Tenants>) -> Snapshot {
    let mut snapshot = Snapshot::minimal();
    snapshot.generation = generation;
    for name in ["greeting", "broken", "other"] {
        // Nobody is called there: the transport is asked.
        snapshot.add_module(name, ([127, 0, 0, 1], 1).into());
    }
    snapshot.embedded.policy = Some(policy.clone());
    snapshot.embedded.transport = Some(Arc::new(Functions));
    snapshot
}

fn main() -> ExitCode {
    let signals = control::block_signals();
    let policy = Arc::new(Tenants::default());
    let load = move |generation| {
        let mut snapshot = snapshot(generation, &policy);
        for listener in &mut snapshot.server.listeners {
            listener.address = ([127, 0, 0, 1], 8090).into();
        }
        Ok(snapshot)
    };
    match control::start(Box::new(load)) {
        Ok(gateway) => gateway.serve(signals),
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}
