//! `otus demo`: a gateway on loopback with services of its own, to try it out.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use super::args::{DemoArgs, ServiceArgs};
use super::start::fail;
use crate::control;
use crate::service::demo;
use crate::snapshot::Snapshot;
use crate::snapshot::server::{Listener, Serves};
use crate::snapshot::transport::Transport;

/// Starts services and gateway, and says what to try.
pub fn run(args: &DemoArgs) -> ExitCode {
    let signals = control::block_signals();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let service = match demo::spawn(args.directory.clone(), any_port) {
        Ok(service) => service,
        Err(error) => return fail(&format!("the demo's services did not start: {error}")),
    };
    let backend = service.address();
    let (listen, admin) = (free(args.listen), free(args.admin));
    let load = move |generation| Ok(snapshot(generation, listen, admin, backend));
    let gateway = match control::start(Box::new(load)) {
        Ok(gateway) => gateway,
        Err(message) => return fail(&message),
    };
    let (shards, driver) = gateway.shards();
    let Some(address) = gateway.addresses().first().copied() else {
        return fail("the gateway has no listener");
    };
    let plural = if shards == 1 { "" } else { "s" };
    println!("otus demo · {shards} shard{plural} · {driver}");
    println!("  gateway   http://{address}{}", moved(args.listen, address));
    if let Some(admin) = gateway.admin_address() {
        println!("  metrics   http://{admin}/metrics{}", moved(args.admin, admin));
    }
    println!("  services  storage (uploads) and echo, by gRPC on {backend}, this demo only");
    println!("  files     {}\n", args.directory.display());
    println!("try:");
    println!("  curl -T big.iso http://{address}/api/v3/storage/upload -H 'X-Filename: big.iso'");
    println!("  curl -X PUT http://{address}/api/v3/storage/upload -F file=@a.jpg -F file=@b.jpg");
    println!("  curl 'http://{address}/api/v3/echo/hello?name=x'\n");
    println!("Ctrl-C stops it.");
    let code = gateway.serve(signals);
    service.stop();
    code
}

/// Runs the demo's services alone.
pub fn run_service(args: &ServiceArgs) -> ExitCode {
    let signals = control::block_signals();
    match demo::spawn(args.directory.clone(), args.listen) {
        Ok(service) => {
            println!("service {} on {}", args.name, service.address());
            while signals.wait() != crate::control::Signal::Stop {}
            service.stop();
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("cannot serve on {}: {error}", args.listen)),
    }
}

fn snapshot(
    generation: u64,
    listen: SocketAddr,
    admin: SocketAddr,
    backend: SocketAddr,
) -> Snapshot {
    let mut snapshot = Snapshot::minimal();
    snapshot.generation = generation;
    let transport = Transport::listener();
    let (name, serves) = ("main".to_owned(), Serves::Http);
    snapshot.server.listeners =
        vec![Listener { name, address: listen, transport, tls: None, serves }];
    snapshot.server.admin = Some(admin);
    snapshot.add_module("storage", backend);
    snapshot.add_module("echo", backend);
    snapshot
}

/// The address, or the same with any free port if somebody listens there.
fn free(address: SocketAddr) -> SocketAddr {
    match std::net::TcpListener::bind(address) {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}

fn moved(asked: SocketAddr, got: SocketAddr) -> String {
    if asked == got || asked.port() == 0 {
        return String::new();
    }
    format!("   (port {} is taken)", asked.port())
}
