//! A blocking connection that keeps a deadline, with TLS or without: for threads that ask peers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::ClientConnection;

use crate::tls::client::ClientTls;
use crate::tls::handshake::Protocol;

/// Of an answer that is read at once.
const CHUNK_BYTES: usize = 4096;

/// A connection on which every wait ends by one deadline.
pub(in crate::control) struct Wire {
    timed: Timed,
    tls: Option<ClientConnection>,
}

impl Wire {
    pub(in crate::control) fn connect(address: SocketAddr, end: Instant) -> Result<Self, String> {
        Wire::open(address, end).map_err(|error| unconnected(&error))
    }

    /// The same, with the error as it is.
    pub(in crate::control) fn open(address: SocketAddr, end: Instant) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, left(end)?)?;
        let _ = stream.set_nodelay(true);
        Ok(Wire { timed: Timed { stream, end }, tls: None })
    }

    /// From now on every wait ends by another deadline.
    pub(in crate::control) fn set_end(&mut self, end: Instant) {
        self.timed.end = end;
    }

    /// Speaks TLS from now on, and in it a version of HTTP, or something without a name.
    pub(in crate::control) fn seal(
        &mut self,
        tls: &ClientTls,
        host: &str,
        spoken: Option<Protocol>,
    ) -> Result<(), String> {
        let name = tls.name_of(host).ok_or_else(|| format!("\"{host}\" is no name"))?;
        let connection = ClientConnection::new(tls.config_for(spoken), name);
        let mut connection = connection.map_err(|error| error.to_string())?;
        while connection.is_handshaking() {
            connection.complete_io(&mut self.timed).map_err(|error| text(&error))?;
        }
        if spoken == Some(Protocol::Http2)
            && connection.alpn_protocol() != Some(Protocol::Http2.name())
        {
            return Err("it does not offer HTTP/2 over TLS".to_owned());
        }
        self.tls = Some(connection);
        Ok(())
    }

    /// Whether TLS is spoken.
    pub(in crate::control) fn is_sealed(&self) -> bool {
        self.tls.is_some()
    }

    pub(in crate::control) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
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
    pub(in crate::control) fn read(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        if self.read_or_end(out)? { Ok(()) } else { Err("it closed the connection".to_owned()) }
    }

    /// Appends what comes next; false if nothing does, and that was said well.
    pub(in crate::control) fn read_or_end(&mut self, out: &mut Vec<u8>) -> Result<bool, String> {
        let mut chunk = [0; CHUNK_BYTES];
        let read = match &mut self.tls {
            None => self.timed.read(&mut chunk),
            Some(tls) => rustls::Stream::new(tls, &mut self.timed).read(&mut chunk),
        };
        let len = read.map_err(|error| text(&error))?;
        out.extend_from_slice(chunk.get(..len).unwrap_or_default());
        Ok(len > 0)
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

/// Why there is no connection.
pub(in crate::control) fn unconnected(error: &io::Error) -> String {
    format!("cannot connect: {}", text(error))
}

/// Whether an error says something of this process or machine, and nothing of the peer.
pub(in crate::control) fn is_ours(error: &io::Error) -> bool {
    crate::io::uring::is_exhausted(error)
}

fn text(error: &io::Error) -> String {
    let sealed = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::Other(ours)) = sealed {
        return ours.to_string();
    }
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    }
}
