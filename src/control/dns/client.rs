//! One question, asked of the servers until one of them answers: UDP, and TCP for what is long.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use crate::snapshot::dns::Dns;

use super::message::{self, Answer};
use super::names::{Kind, Question, Records, Reply};
use super::system::{self, Setup};

/// For how long an entry of `/etc/hosts` is taken for granted.
const HOSTS_TTL: Duration = Duration::from_secs(10);
/// Of an answer over UDP without extensions (RFC 1035 §4.2.1) there are 512; others may send more.
const DATAGRAM_BYTES_MAX: usize = 4096;

/// Asks; waits for servers as long as the rules allow.
pub(super) fn ask(question: &Question, rules: &Dns) -> Reply {
    if let Some(reply) = from_hosts(question) {
        return reply;
    }
    let setup =
        if rules.servers.is_empty() { Setup::of_system() } else { Setup::of(&rules.servers) };
    let mut nothing = None;
    for name in setup.candidates(&question.name) {
        match ask_servers(&setup.servers, &name, question.kind, rules) {
            Ok(Answer::Found(records, ttl)) => return Reply::Found { records, ttl },
            // The name is there: those that follow are others'.
            Ok(Answer::NoRecords(ttl)) => return Reply::Nothing { ttl },
            Ok(Answer::NoName(ttl)) => nothing = Some(nothing.map_or(ttl, |own| ttl.min(own))),
            Ok(Answer::Truncated) => return Reply::Failed("the answer is cut off".to_owned()),
            Ok(Answer::Failed(why)) => return Reply::Failed(why.to_owned()),
            Err(why) => return Reply::Failed(why),
        }
    }
    nothing.map_or_else(|| Reply::Failed("no server".to_owned()), |ttl| Reply::Nothing { ttl })
}

fn from_hosts(question: &Question) -> Option<Reply> {
    if question.kind == Kind::Srv {
        return None;
    }
    let mut addresses = system::hosts(&question.name)?;
    addresses.retain(|ip| ip.is_ipv4() == (question.kind == Kind::A));
    let records = Records::addresses(addresses);
    Some(Reply::Found { records, ttl: HOSTS_TTL })
}

/// The first answer that says something; else the last fault.
fn ask_servers(
    servers: &[SocketAddr],
    name: &str,
    kind: Kind,
    rules: &Dns,
) -> Result<Answer, String> {
    let mut last = Err("no server".to_owned());
    for _ in 0..rules.attempts {
        for server in servers {
            last = ask_server(*server, name, kind, rules.timeout).map_err(|error| {
                let what = match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time",
                    io::ErrorKind::ConnectionRefused => "nobody answers",
                    _ => return format!("{server}: {error}"),
                };
                format!("{server}: {what}")
            });
            if !matches!(last, Err(_) | Ok(Answer::Failed(_) | Answer::Truncated)) {
                return last;
            }
        }
    }
    last
}

fn ask_server(
    server: SocketAddr,
    name: &str,
    kind: Kind,
    patience: Duration,
) -> io::Result<Answer> {
    let end = Instant::now() + patience;
    let id = random_id()?;
    let no_name = || io::Error::other("this is no name");
    let query = message::question(id, name, kind).ok_or_else(no_name)?;
    let read = |bytes: &[u8]| message::answer(bytes, id, name, kind);
    match over_udp(server, &query, end, read)? {
        Answer::Truncated => over_tcp(server, &query, end, read),
        answer => Ok(answer),
    }
}

/// Whoever wants to answer for a server has to guess this, and the port that the kernel has chosen.
fn random_id() -> io::Result<u16> {
    let mut bytes = [0; 2];
    let none = |_| io::Error::other("no random bytes");
    SystemRandom::new().fill(&mut bytes).map_err(none)?;
    Ok(u16::from_ne_bytes(bytes))
}

fn over_udp(
    server: SocketAddr,
    query: &[u8],
    end: Instant,
    read: impl Fn(&[u8]) -> Option<Answer>,
) -> io::Result<Answer> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // Connected: datagrams of others do not come in, and a closed port is told at once.
    socket.connect(server)?;
    socket.send(query)?;
    let mut datagram = [0; DATAGRAM_BYTES_MAX];
    loop {
        socket.set_read_timeout(Some(left(end)?))?;
        let len = match socket.recv(&mut datagram) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        // What is no answer to our question may be forged: the real one may still come.
        if let Some(answer) = read(datagram.get(..len).unwrap_or_default()) {
            return Ok(answer);
        }
    }
}

fn over_tcp(
    server: SocketAddr,
    query: &[u8],
    end: Instant,
    read: impl Fn(&[u8]) -> Option<Answer>,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&server, left(end)?)?;
    let len = u16::try_from(query.len()).map_err(io::Error::other)?;
    let mut out = len.to_be_bytes().to_vec();
    out.extend_from_slice(query);
    stream.set_write_timeout(Some(left(end)?))?;
    stream.write_all(&out)?;
    let mut len = [0; 2];
    fill(&mut stream, &mut len, end)?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
    fill(&mut stream, &mut bytes, end)?;
    read(&bytes).ok_or_else(|| io::Error::other("it answers something else"))
}

/// Reads all of `out` before the end.
fn fill(stream: &mut TcpStream, mut out: &mut [u8], end: Instant) -> io::Result<()> {
    while !out.is_empty() {
        stream.set_read_timeout(Some(left(end)?))?;
        match stream.read(out) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => out = out.get_mut(len..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
