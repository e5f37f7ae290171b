//! A program's own policy and transport: the example, as it stands in `examples`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use otus::snapshot::server::{IoDriver, Workers};

use crate::support::backend::{Backend, nobody};
use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::journal::eventually;
use crate::support::proxy;

#[allow(dead_code, reason = "its `main` is not called here")]
#[path = "../../examples/embedded.rs"]
mod embedded;

use embedded::Tenants;

fn start(io: IoDriver) -> (Gateway, Arc<Tenants>) {
    let policy = Arc::new(Tenants::default());
    let shared = Arc::clone(&policy);
    let gateway = Gateway::load(Box::new(move |generation| {
        let mut snapshot = embedded::snapshot(generation, &shared);
        snapshot.server.io = io;
        snapshot.server.workers = Workers::Count(2);
        snapshot.observe.access_log = None;
        snapshot.gufo.legacy_status = false;
        snapshot.gufo.sign = otus::snapshot::secret::Secret::new(SIGN);
        Ok(snapshot)
    }));
    (gateway, policy)
}

#[test]
fn a_programs_policy_decides_and_its_functions_answer() {
    on_both_drivers(|io| {
        let (gateway, policy) = start(io);
        let mut client = gateway.client();
        for tenant in ["blue", "green"] {
            client.head("GET", "/api/v3/greeting/hello", &[&format!("X-Tenant: {tenant}")]);
            let reply = client.reply();
            assert_eq!((reply.status, &reply.json()["data"]["tenant"]), (200, &tenant.into()));
        }
        for (fields, status) in [(&[][..], 401), (&["X-Tenant: red"], 403)] {
            client.head("GET", "/api/v3/greeting/hello", fields);
            assert_eq!(client.reply().status, status, "{fields:?}");
        }
        // A function that is not there is a failure of the service, as by gRPC.
        client.head("POST", "/api/v3/other/x", &["X-Tenant: blue", "Content-Length: 0"]);
        assert_eq!(client.reply().status, 501);
        eventually("those that went on are told of", || {
            (policy.answered.load(Ordering::Relaxed) == 3).then_some(())
        });
        gateway.finish();
    });
}

#[test]
fn a_panic_costs_one_exchange() {
    on_both_drivers(|io| {
        let (gateway, _) = start(io);
        let mut other = gateway.client();
        for (path, tenant) in [("/api/v3/greeting/x", "mad"), ("/api/v3/broken/x", "blue")] {
            let mut client = gateway.client();
            client.head("GET", path, &[&format!("X-Tenant: {tenant}")]);
            assert!(client.reply().status >= 500);
            other.head("GET", "/api/v3/greeting/x", &["X-Tenant: green"]);
            assert_eq!(other.reply().status, 200);
        }
        gateway.finish();
    });
}

/// Adds a field to what goes on.
struct Adds;

impl otus::policy::embed::Policy for Adds {
    fn before(
        &self,
        request: &otus::policy::embed::Request<'_>,
    ) -> Result<otus::policy::embed::Context, otus::policy::embed::Refusal> {
        let mut context = otus::policy::embed::Context::default();
        assert!(context.set_field("X-Seen", &request.path().escape_ascii().to_string()));
        assert!(!context.set_field("Content-Length", "9"));
        Ok(context)
    }
}

#[test]
fn a_field_of_the_policy_stands_in_the_place_of_the_clients() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let text = format!("{}{}", proxy::upstream(&[backend.address], ""), proxy::ALL);
        let mut snapshot = proxy::snapshot(io, &text);
        snapshot.embedded.policy = Some(Arc::new(Adds));
        snapshot.add_module("users", nobody());
        let gateway = Gateway::start(io, |own| *own = snapshot);
        let mut client = gateway.client();
        client.head("GET", "/a", &["X-Seen: forged"]);
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("x-seen"), Some("/a"));
        visit.answer("x");
        assert_eq!(client.reply().status, 200);
        gateway.finish();
    });
}
