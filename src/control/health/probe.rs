//! One check of one endpoint, over a blocking socket that keeps a deadline.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustls::ClientConnection;

use crate::message::head::{Method, ResponseHead};
use crate::protocol::h1::encode;
use crate::protocol::h1::request::{HeadLimits, Progress};
use crate::protocol::h1::response::ResponseParser;
use crate::protocol::proxy_protocol;
use crate::snapshot::upstream::HealthKind;
use crate::tls::handshake::Protocol;

use super::grpc;
use super::schedule::{Secure, Target};

/// Who asks, in the log of the endpoint.
pub(super) const USER_AGENT: &str = concat!("otus/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Of an answer that is read at once.
const CHUNK_BYTES: usize = 4096;
/// Of the head of an answer. Its body is not read.
const HEAD: HeadLimits = HeadLimits { bytes: 16 * 1024, target: 0, fields: 200 };
/// Interim answers before the final one.
const INTERIM_MAX: u32 = 16;

/// Asks an endpoint whether it is well; if not, says why not.
pub(super) fn run(target: &Target, patience: Duration) -> Result<(), String> {
    let mut wire = Wire::connect(target, Instant::now() + patience)?;
    if target.proxied {
        let mut header = Vec::new();
        proxy_protocol::encode_v2_local(&mut header);
        wire.write(&header)?;
    }
    if let Some(secure) = &target.tls {
        wire.seal(secure)?;
    }
    match &target.kind {
        HealthKind::Tcp => Ok(()),
        HealthKind::Http(path) => http(&mut wire, path, &target.authority),
        HealthKind::Grpc(service) => grpc::check(&mut wire, service, &target.authority),
    }
}

/// A connection on which every wait ends by one deadline.
pub(super) struct Wire {
    timed: Timed,
    tls: Option<ClientConnection>,
}

impl Wire {
    fn connect(target: &Target, end: Instant) -> Result<Self, String> {
        let (_, address) = &target.key;
        let left = left(end).map_err(|error| text(&error))?;
        let stream = TcpStream::connect_timeout(address, left)
            .map_err(|error| format!("cannot connect: {}", text(&error)))?;
        let _ = stream.set_nodelay(true);
        Ok(Wire { timed: Timed { stream, end }, tls: None })
    }

    /// Speaks TLS from now on.
    fn seal(&mut self, secure: &Secure) -> Result<(), String> {
        let Secure { tls, host, spoken } = secure;
        let name = tls.name_of(host).ok_or_else(|| format!("\"{host}\" is no name"))?;
        let connection = ClientConnection::new(tls.config(*spoken), name);
        let mut connection = connection.map_err(|error| error.to_string())?;
        while connection.is_handshaking() {
            connection.complete_io(&mut self.timed).map_err(|error| text(&error))?;
        }
        if *spoken == Protocol::Http2 && connection.alpn_protocol() != Some(spoken.name()) {
            return Err("it does not offer HTTP/2 over TLS".to_owned());
        }
        self.tls = Some(connection);
        Ok(())
    }

    /// Whether TLS is spoken.
    pub(super) fn is_sealed(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = match &mut self.tls {
            None => self.timed.write_all(bytes),
            Some(tls) => {
                let mut sealed = rustls::Stream::new(tls, &mut self.timed);
                sealed.write_all(bytes).and_then(|()| sealed.flush())
            }
        };
        written.map_err(|error| text(&error))
    }

    /// Appends what comes next.
    pub(super) fn read(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let mut chunk = [0; CHUNK_BYTES];
        let read = match &mut self.tls {
            None => self.timed.read(&mut chunk),
            Some(tls) => rustls::Stream::new(tls, &mut self.timed).read(&mut chunk),
        };
        match read {
            Ok(0) => Err("it closed the connection".to_owned()),
            Ok(len) => {
                out.extend_from_slice(chunk.get(..len).unwrap_or_default());
                Ok(())
            }
            Err(error) => Err(text(&error)),
        }
    }
}

/// A socket on which every wait ends by one deadline.
struct Timed {
    stream: TcpStream,
    end: Instant,
}

impl Timed {
    fn step(
        &mut self,
        mut what: impl FnMut(&mut TcpStream, Duration) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let left = left(self.end)?;
            match what(&mut self.stream, left) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.step(|stream, left| {
            stream.set_read_timeout(Some(left))?;
            stream.read(out)
        })
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.step(|stream, left| {
            stream.set_write_timeout(Some(left))?;
            stream.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}

/// GET; an answer of the two-hundreds is well.
fn http(wire: &mut Wire, path: &str, authority: &str) -> Result<(), String> {
    let mut out = format!("GET {path} HTTP/1.1\r\n").into_bytes();
    encode::field(&mut out, b"host", authority.as_bytes());
    encode::field(&mut out, b"user-agent", USER_AGENT.as_bytes());
    encode::field(&mut out, b"accept", b"*/*");
    encode::connection_close(&mut out);
    encode::end(&mut out);
    wire.write(&out)?;
    let mut parser = ResponseParser::new(HEAD, Method::Get);
    let (mut bytes, mut head) = (Vec::new(), ResponseHead::default());
    let mut interim = 0;
    loop {
        match parser.parse(&bytes, &mut head) {
            Ok(Progress::NeedMore) => wire.read(&mut bytes)?,
            Ok(Progress::Done { len }) if (100..200).contains(&head.status) => {
                interim += 1;
                if interim > INTERIM_MAX || head.status == 101 {
                    return Err(format!("it answered {}", head.status));
                }
                bytes.drain(..len);
                parser.reset(Method::Get);
                head = ResponseHead::default();
            }
            Ok(Progress::Done { .. }) if (200..300).contains(&head.status) => return Ok(()),
            Ok(Progress::Done { .. }) => return Err(format!("it answered {}", head.status)),
            Err(_) => return Err("its answer is not HTTP/1.1".to_owned()),
        }
    }
}
