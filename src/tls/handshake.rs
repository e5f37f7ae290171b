//! From a connection to one whose bytes are sealed.

use std::rc::Rc;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};

use crate::base::time::Instant;
use crate::io::buffer::{Buffer, BufferPool};
use crate::io::{IoError, Socket};

use super::engine::{Engine, Machine, Opened};
use super::session::Session;
use super::stream::Stream;

/// What is spoken inside (RFC 7301).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2
    Http2,
}

impl Protocol {
    /// Its name in the handshake.
    #[must_use]
    pub const fn name(self) -> &'static [u8] {
        match self {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        }
    }

    pub(super) fn of(name: Option<&[u8]>) -> Option<Self> {
        [Protocol::Http1, Protocol::Http2].into_iter().find(|own| Some(own.name()) == name)
    }
}

/// Why a handshake came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HandshakeError {
    /// The connection failed, or the time was over.
    Io(IoError),
    /// What the peer sent or offered is not acceptable. It was told why.
    Refused,
    /// The certificate of the peer is not acceptable. It was told so.
    Untrusted,
}

impl From<IoError> for HandshakeError {
    fn from(error: IoError) -> Self {
        HandshakeError::Io(error)
    }
}

/// Takes the server's side. `early` is what has come already.
pub async fn accept<S: Socket>(
    socket: S,
    config: Arc<ServerConfig>,
    pool: &BufferPool,
    early: Option<Buffer>,
    deadline: Instant,
) -> Result<Stream<S>, HandshakeError> {
    let connection =
        UnbufferedServerConnection::new(config).map_err(|_| HandshakeError::Refused)?;
    let mut engine = Engine::new(Machine::Server(Box::new(connection)));
    if let Some(early) = early {
        engine.feed(early);
    }
    run(Session::new(socket, engine, pool.clone()), deadline).await
}

/// Takes the client's side, towards the server of this name.
pub async fn connect<S: Socket>(
    socket: S,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    pool: &BufferPool,
    deadline: Instant,
) -> Result<Stream<S>, HandshakeError> {
    let connection =
        UnbufferedClientConnection::new(config, name).map_err(|_| HandshakeError::Refused)?;
    let engine = Engine::new(Machine::Client(Box::new(connection)));
    run(Session::new(socket, engine, pool.clone()), deadline).await
}

async fn run<S: Socket>(
    session: Rc<Session<S>>,
    deadline: Instant,
) -> Result<Stream<S>, HandshakeError> {
    loop {
        let opened = session.advance();
        // Also after a fault: then it is the alert that says why.
        let sent = session.flush(deadline).await;
        match opened {
            Err(_) if session.is_distrusted() => return Err(HandshakeError::Untrusted),
            Err(_) => return Err(HandshakeError::Refused),
            Ok(Opened::End) => return Err(HandshakeError::Io(IoError::Closed)),
            Ok(_) => sent?,
        }
        if session.is_ready() {
            return Ok(Stream::Tls(session));
        }
        session.receive_handshake(deadline).await?;
    }
}
