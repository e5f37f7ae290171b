//! The PROXY protocol before the first request of a connection: who the client is.

use std::net::SocketAddr;

use crate::io::buffer::Buffer;
use crate::io::{Io, Socket};
use crate::observe::counters::Counter;
use crate::protocol::proxy_protocol::{self, Progress, Said};

use super::client;
use super::context::{Context, SocketOf};

/// What came behind the header. Boxed, as most connections have none.
pub(super) type Early = Option<Box<Buffer>>;

/// Reads the header that the configuration asks for: `peer` becomes the client. Gives what follows
/// the header if anything came with it; `None`: the connection is refused.
///
/// Nothing is answered to who is refused: a peer that should send a header and does not is none
/// that a client would reach us through.
pub(super) async fn begin<I: Io>(
    cx: &Context<I>,
    socket: &SocketOf<I>,
    peer: &mut SocketAddr,
) -> Option<Early> {
    if !cx.tables().snapshot.server.proxy_protocol {
        return Some(None);
    }
    // Boxed: its state would make every connection's task larger, for as long as it lives.
    let begun = Box::pin(read(cx, socket, *peer)).await;
    let Some((client, early)) = begun else {
        cx.counters.count(Counter::ProxyHeadersRefused);
        return None;
    };
    *peer = client;
    Some(early)
}

async fn read<I: Io>(
    cx: &Context<I>,
    socket: &SocketOf<I>,
    peer: SocketAddr,
) -> Option<(SocketAddr, Early)> {
    let tables = cx.tables();
    // Whoever may send a header may claim to be anybody.
    if !client::is_trusted(&tables.snapshot.server.trusted_peers, peer.ip()) {
        return None;
    }
    let deadline = cx.io.now() + tables.snapshot.timeouts.head;
    // A generation is not kept while nothing happens.
    drop(tables);
    {
        // No memory is taken before there is something to read, and a drain ends the wait.
        let _place = cx.parked.enter(socket);
        socket.readable(deadline).await.ok()?;
    }
    let mut buffer = cx.buffers.small();
    loop {
        let (result, back) = socket.read(buffer, deadline).await;
        buffer = back;
        let received = result.ok().filter(|len| *len > 0)?;
        let received = u64::try_from(received).unwrap_or(u64::MAX);
        cx.counters.add(Counter::DownstreamReceivedBytes, received);
        // A header is shorter than the buffer: this ends before there is no room.
        match proxy_protocol::parse(buffer.filled()).ok()? {
            Progress::NeedMore => {}
            Progress::Done { said, len } => {
                buffer.consume(len);
                let rest = (!buffer.is_empty()).then(|| Box::new(buffer));
                return Some(match said {
                    Said::Client { source, .. } => (source, rest),
                    Said::Nobody => (peer, rest),
                });
            }
        }
    }
}
