//! A gateway before HTTP back ends, configured as operators do.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use otus::config::load::load;
use otus::config::source::Source;
use otus::snapshot::Snapshot;
use otus::snapshot::server::{IoDriver, Workers};

use super::backend::{Backend, Visit};
use super::client::Client;
use super::gateway::Gateway;

/// What every configuration needs, in inline tables that tests extend with dotted keys.
pub(crate) const NEEDED: &str = "server.sign = \"0123456789abcdef\"\nserver.session = false\n\
                      security.mode = \"sign\"\n";

/// Everything goes to the upstream `a`.
pub(crate) const ALL: &str = "[[route]]\nid = \"all\"\nupstream = \"a\"\n";

/// What `text` says, on one shard with `io`, at any free port.
#[track_caller]
pub(crate) fn snapshot(io: IoDriver, text: &str) -> Snapshot {
    let source = Source {
        path: "settings.toml".to_owned(),
        text: format!("{NEEDED}{text}"),
        ..Source::default()
    };
    compiled(io, source, 1)
}

/// The same of all that an operator wrote.
#[track_caller]
pub(crate) fn compiled(io: IoDriver, source: Source, generation: u64) -> Snapshot {
    let text = source.text.clone();
    try_compiled(io, source, generation).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

/// The same, if it can be used.
pub(crate) fn try_compiled(
    io: IoDriver,
    source: Source,
    generation: u64,
) -> Result<Snapshot, String> {
    let (config, _) = load(source).map_err(|faults| faults.to_string())?;
    let none = |_: &str, _: u16| Err(io::ErrorKind::NotFound.into());
    let resolve = |host: &str, port: u16| match host.parse() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) => none(host, port),
    };
    let compiled = config.compile(generation, &resolve);
    let (mut snapshot, _) = compiled.map_err(|faults| faults.to_string())?;
    snapshot.server.io = io;
    snapshot.server.workers = Workers::Count(1);
    snapshot.server.listeners[0].address = "127.0.0.1:0".parse().unwrap();
    snapshot.server.admin = Some("127.0.0.1:0".parse().unwrap());
    snapshot.observe.access_log = None;
    Ok(snapshot)
}

/// A gateway with this configuration.
#[track_caller]
pub(crate) fn start(io: IoDriver, text: &str) -> Gateway {
    let snapshot = snapshot(io, text);
    Gateway::start(io, |own| *own = snapshot)
}

/// A gateway whose next configuration is what the second says.
#[track_caller]
pub(crate) fn start_to_reload(io: IoDriver, text: &str) -> (Gateway, Arc<Mutex<Snapshot>>) {
    let next = Arc::new(Mutex::new(snapshot(io, text)));
    let shared = Arc::clone(&next);
    let gateway = Gateway::load(Box::new(move |generation| {
        let mut snapshot = shared.lock().unwrap().clone();
        snapshot.generation = generation;
        Ok(snapshot)
    }));
    (gateway, next)
}

/// A gateway that reads its configuration anew at each reload, from what the text says then.
#[track_caller]
pub(crate) fn start_from(io: IoDriver, text: &Arc<Mutex<String>>) -> Gateway {
    let shared = Arc::clone(text);
    Gateway::load(Box::new(move |generation| {
        let source = Source {
            path: "settings.toml".to_owned(),
            text: format!("{NEEDED}{}", shared.lock().unwrap()),
            ..Source::default()
        };
        try_compiled(io, source, generation)
    }))
}

/// `[upstreams.a]` with these endpoints and more keys.
pub(crate) fn upstream(endpoints: &[SocketAddr], more: &str) -> String {
    let list: Vec<String> = endpoints.iter().map(|address| format!("\"{address}\"")).collect();
    format!("[upstreams.a]\nendpoints = [{}]\n{more}\n", list.join(", "))
}

/// A gateway that sends everything to one back end.
#[track_caller]
pub(crate) fn before_one(io: IoDriver, more: &str) -> (Gateway, Backend) {
    let backend = Backend::listen();
    let gateway = start(io, &format!("{}{ALL}", upstream(&[backend.address], more)));
    (gateway, backend)
}

/// A client whose request has reached the back end, on a connection that is new there.
#[track_caller]
pub(crate) fn asking(gateway: &Gateway, backend: &Backend) -> (Client, Visit) {
    let mut client = gateway.client();
    client.head("GET", "/", &[]);
    let (visit, _) = backend.asked();
    (client, visit)
}

/// Each of these answers to a request for another protocol is 502, and ends its connection.
#[track_caller]
pub(crate) fn refuses_each(
    gateway: &Gateway,
    backend: &Backend,
    (path, fields): (&str, &[&str]),
    answers: &[String],
) {
    for answer in answers {
        let mut client = gateway.client();
        client.head("GET", path, fields);
        let (mut visit, _) = backend.asked();
        visit.send(answer);
        assert_eq!(client.reply().status, 502, "{answer}");
        visit.closed();
    }
}

/// A client that had an answer, and the connection to the back end that waits for the next request.
#[track_caller]
pub(crate) fn answered(gateway: &Gateway, backend: &Backend) -> (Client, Visit) {
    let (mut client, mut visit) = asking(gateway, backend);
    visit.answer("1");
    assert_eq!(client.reply().text(), "1");
    (client, visit)
}

/// A gateway that sends everything to two back ends in turn.
#[track_caller]
pub(crate) fn before_two(io: IoDriver, more: &str) -> (Gateway, [Backend; 2]) {
    let backends = [Backend::listen(), Backend::listen()];
    let addresses = [backends[0].address, backends[1].address];
    let more = format!("balance = \"round_robin\"\n{more}");
    let gateway = start(io, &format!("{}{ALL}", upstream(&addresses, &more)));
    (gateway, backends)
}
