//! `otus stop`: asks the gateway of a configuration to end itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::args::StopArgs;
use crate::config::load::load;
use crate::config::source::{self, PATHS, Source};
use crate::snapshot::Snapshot;
use crate::snapshot::server::Serves;

/// From the question to its answer (SPEC 16.2).
const PATIENCE: Duration = Duration::from_secs(3);
/// Of an answer that is read at most: its first line says all.
const ANSWER_BYTES: usize = 512;
const SIGNAL: &str = "SIGTERM to its process does the same";

/// Asks, and tells what came of it.
pub fn run(args: &StopArgs, out: &mut dyn Write) -> ExitCode {
    match stop(args.config.as_deref()) {
        Ok(address) => {
            let _ = writeln!(out, "http://{address} finishes what it has begun, and ends");
            ExitCode::SUCCESS
        }
        Err(message) => super::start::fail(&message),
    }
}

fn stop(asked: Option<&Path>) -> Result<SocketAddr, String> {
    let [first, second] = PATHS;
    let path = asked.map(Path::to_owned).or_else(source::find);
    let path = path.ok_or_else(|| format!("there is no {first} and no {second}"))?;
    let loaded = Source::read(&path).and_then(load).and_then(|(config, _)| {
        let (snapshot, _) = config.compile(1, &source::leave)?;
        Ok(snapshot)
    });
    let address = address(&loaded.map_err(|faults| faults.to_string())?)?;
    match ask(address) {
        Ok(200) => Ok(address),
        Ok(404) => Err(format!(
            "http://{address} has no /exit: it runs without server.debug, or this host is not in \
             server.exit_peers; {SIGNAL}"
        )),
        Ok(status) => Err(format!("http://{address}/exit answered with {status}; {SIGNAL}")),
        Err(why) => Err(format!("http://{address}/exit: {why}")),
    }
}

/// Where it is asked, if it can be.
fn address(snapshot: &Snapshot) -> Result<SocketAddr, String> {
    if snapshot.gufo.exit_peers.is_empty() {
        return Err(format!("/exit needs debug = true in [server]; {SIGNAL}"));
    }
    if snapshot.server.proxy_protocol {
        return Err(format!("server.proxy_protocol lets proxies connect alone; {SIGNAL}"));
    }
    let mut listeners = snapshot.server.listeners.iter();
    let plain = listeners.find(|own| own.tls.is_none() && own.serves == Serves::Http);
    let plain = plain.ok_or_else(|| format!("the gateway speaks TLS alone; {SIGNAL}"))?;
    let ip = match plain.address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    match plain.address.port() {
        0 => Err(format!("server.port is 0: nobody knows where it listens; {SIGNAL}")),
        port => Ok(SocketAddr::new(ip, port)),
    }
}

/// The status of the answer.
fn ask(address: SocketAddr) -> Result<u16, String> {
    let end = Instant::now() + PATIENCE;
    let why = |error: std::io::Error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer within 3 s".to_owned(),
        ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        _ => error.to_string(),
    };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(why)?;
    let question = format!("GET /exit HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.set_write_timeout(Some(PATIENCE)).map_err(why)?;
    stream.write_all(question.as_bytes()).map_err(why)?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < ANSWER_BYTES {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left)).map_err(why)?;
        let mut chunk = [0; 256];
        match stream.read(&mut chunk).map_err(why)? {
            0 => break,
            len => answer.extend_from_slice(chunk.get(..len).unwrap_or_default()),
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    status.ok_or_else(|| "what answers speaks no HTTP".to_owned())
}
