//! A plain HTTP endpoint that says who it is, and gateways that are configured by text.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use otus::config::load::load;
use otus::config::source::{Source, leave};
use otus::control::Load;
use otus::snapshot::server::IoDriver;

use super::gateway::Gateway;

/// What it does; clones share it.
#[derive(Clone)]
pub(crate) struct Plain {
    pub(crate) address: SocketAddr,
    /// The status of `/up`.
    up: Arc<AtomicU16>,
    connections: Arc<AtomicUsize>,
}

impl Plain {
    /// Starts one that answers with `name`.
    pub(crate) fn start(name: &str) -> Self {
        Plain::at("127.0.0.1:0".parse().unwrap(), name)
    }

    /// The same at an address.
    pub(crate) fn at(address: SocketAddr, name: &str) -> Self {
        Plain::try_at(address, name).unwrap()
    }

    /// The same, if the address is free.
    pub(crate) fn try_at(address: SocketAddr, name: &str) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let address = listener.local_addr().unwrap();
        let (up, connections) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicUsize::new(0)));
        let plain = Plain { address, up, connections };
        let (own, name) = (plain.clone(), name.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (own, name) = (own.clone(), name.clone());
                std::thread::spawn(move || own.serve(stream.unwrap(), &name));
            }
        });
        Some(plain)
    }

    /// What it answers to health checks from now on.
    pub(crate) fn set_up(&self, status: u16) {
        self.up.store(status, Ordering::SeqCst);
    }

    /// Connections that asked for something else than its health.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: TcpStream, name: &str) {
        let mut out = stream.try_clone().unwrap();
        let mut input = BufReader::new(stream);
        let mut said = String::new();
        if input.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&b'\r')) {
            let mut header = [0; 16];
            input.read_exact(&mut header).unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([header[14], header[15]]))];
            input.read_exact(&mut rest).unwrap();
            said = match header[12] {
                0x20 => " local".to_owned(),
                _ => format!(" for {}.{}.{}.{}", rest[0], rest[1], rest[2], rest[3]),
            };
        }
        let mut is_counted = false;
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if input.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let is_check = head.starts_with("GET /up ");
            if !is_check && !std::mem::replace(&mut is_counted, true) {
                self.connections.fetch_add(1, Ordering::SeqCst);
            }
            let status = if is_check { self.up.load(Ordering::SeqCst) } else { 200 };
            let body = format!("{name}{said}");
            let len = body.len();
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {len}\r\n\r\n{body}");
            if out.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Loads a configuration as `otus start` does: one shard, on ports that the kernel picks. `server`
/// is more of `[server]`, `rest` all that follows.
pub(crate) fn loader(io: IoDriver, server: &str, rest: &str) -> Load {
    let text = format!(
        "[server]\nip = \"127.0.0.1\"\nport = 0\nadmin = \"127.0.0.1:0\"\nworkers = 2\n\
         io = \"{}\"\naccess_log = \"off\"\n{server}\n{rest}\n\
         [[route]]\nid = \"all\"\nupstream = \"u\"\n",
        io.name()
    );
    Box::new(move |generation| {
        let path = "settings.toml".to_owned();
        let source = Source { path, text: text.clone(), ..Source::default() };
        let (config, _) = load(source).map_err(|faults| faults.to_string())?;
        let compiled = config.compile(generation, &leave);
        compiled.map(|(snapshot, _)| snapshot).map_err(|faults| faults.to_string())
    })
}

/// A gateway that forwards all to the upstream `u` of this text.
pub(crate) fn gateway(rest: &str) -> Gateway {
    Gateway::load(loader(IoDriver::Auto, "", rest))
}

/// Which endpoint answers, on a connection of its own; the status if none does.
pub(crate) fn who(gateway: &Gateway) -> String {
    let reply = gateway.client().get("/x");
    if reply.status == 200 { reply.text() } else { reply.status.to_string() }
}
