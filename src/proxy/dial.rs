//! Connections to endpoints: the socket, and TLS on it where the upstream asks for it.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::base::time::Instant;
use crate::io::{Io, IoError};
use crate::observe::counters::Counter;
use crate::snapshot::transport::Transport;
use crate::snapshot::upstream::{Endpoint, Protocol, Upstream};
use crate::tls::client::ClientTls;
use crate::tls::handshake::{self, HandshakeError, Protocol as Spoken};
use crate::tls::stream::Stream;

use super::context::{Context, SocketOf};
use super::reason::Reason;
use super::tables::socket_options;

/// How TLS is spoken with an endpoint.
pub struct Secure {
    /// The shard's own.
    config: Arc<ClientConfig>,
    /// What its certificate must be for; `None`: there is no such name.
    name: Option<ServerName<'static>>,
    /// The host as it was written.
    host: String,
    /// Whether nothing but HTTP/2 will do.
    needs_http2: bool,
}

/// How TLS is spoken with the endpoints of an upstream: what all of them share.
pub(super) struct Security<'a> {
    tls: &'a ClientTls,
    config: Arc<ClientConfig>,
    needs_http2: bool,
}

impl<'a> Security<'a> {
    /// `None`: it is not spoken.
    pub(super) fn of(spec: &'a Upstream) -> Option<Self> {
        let tls = spec.tls.as_ref()?;
        let needs_http2 = spec.protocol == Protocol::Grpc;
        let spoken = if needs_http2 { Spoken::Http2 } else { Spoken::Http1 };
        Some(Security { tls, config: tls.config(spoken), needs_http2 })
    }

    /// With one of them.
    pub(super) fn with(&self, endpoint: &Endpoint) -> Secure {
        Secure {
            config: Arc::clone(&self.config),
            name: self.tls.name_of(&endpoint.host),
            host: endpoint.host.clone(),
            needs_http2: self.needs_http2,
        }
    }
}

impl Secure {
    /// Whether a connection that was made so is one to this host.
    pub(super) fn is_of(secure: Option<&Secure>, host: &str) -> bool {
        secure.is_none_or(|secure| secure.host == host)
    }
}

/// Connects, without TLS.
pub(super) async fn connect<I: Io>(
    cx: &Context<I>,
    address: SocketAddr,
    transport: &Transport,
    deadline: Instant,
) -> Result<SocketOf<I>, Reason> {
    let socket = cx.io.connect(address, socket_options(transport, address), deadline).await;
    socket.map(Stream::Plain).map_err(|error| cx.connect_failed(error))
}

/// Speaks TLS from here on.
pub(super) async fn seal<I: Io>(
    cx: &Context<I>,
    socket: &SocketOf<I>,
    secure: &Secure,
    deadline: Instant,
) -> Result<SocketOf<I>, Reason> {
    let (Stream::Plain(plain), Some(name)) = (socket, &secure.name) else {
        return Err(failed(cx, Reason::TlsUntrusted));
    };
    let config = Arc::clone(&secure.config);
    let made = handshake::connect(plain.clone(), config, name.clone(), &cx.buffers, deadline);
    let sealed = made.await.map_err(|error| match error {
        HandshakeError::Io(IoError::TimedOut) => cx.connect_failed(IoError::TimedOut),
        // Who ends the connection within a handshake does not want it.
        HandshakeError::Io(_) | HandshakeError::Refused => failed(cx, Reason::TlsFailed),
        HandshakeError::Untrusted => failed(cx, Reason::TlsUntrusted),
    })?;
    if secure.needs_http2 && sealed.protocol() != Some(Spoken::Http2) {
        return Err(failed(cx, Reason::TlsWithoutHttp2));
    }
    Ok(sealed)
}

fn failed<I: Io>(cx: &Context<I>, reason: Reason) -> Reason {
    cx.counters.count(Counter::UpstreamConnectFailures);
    reason
}
