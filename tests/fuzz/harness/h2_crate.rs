//! What the `h2` crate makes of the bytes of a client.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::List;

/// A request that it accepts.
pub struct Request {
    pub method: String,
    pub path: String,
    /// Sorted.
    pub fields: List,
}

/// What it has found.
#[derive(Default)]
pub struct Served {
    pub requests: BTreeMap<u32, Request>,
    /// Why it ended the connection.
    pub reason: Option<h2::Reason>,
}

/// Bytes that are all there; what is written is thrown away.
struct Wire(Vec<u8>, usize);

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.0[self.1..];
        let len = rest.len().min(to.remaining());
        to.put_slice(&rest[..len]);
        self.1 += len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Serves a connection without answering, to its end.
pub fn serve(bytes: &[u8]) -> Served {
    let mut served = Served::default();
    let mut context = Context::from_waker(Waker::noop());
    let mut builder = server::Builder::new();
    builder.max_header_list_size(1 << 20).max_concurrent_streams(1000);
    let handshake = builder.handshake::<_, Bytes>(Wire(bytes.to_vec(), 0));
    let mut handshake = std::pin::pin!(handshake);
    let mut tries = 0..1000;
    let connection = tries.find_map(|_| match handshake.as_mut().poll(&mut context) {
        Poll::Ready(connection) => Some(connection),
        Poll::Pending => None,
    });
    let mut connection = match connection {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => return Served { reason: error.reason(), ..served },
        None => return served,
    };
    let mut kept = Vec::new();
    for _ in 0..1000 {
        match connection.poll_accept(&mut context) {
            Poll::Ready(Some(Ok((request, respond)))) => {
                let (head, body) = request.into_parts();
                let own = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                    (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())
                };
                let mut fields: List = head.headers.iter().map(own).collect();
                fields.sort();
                let path = head.uri.path_and_query().map_or("", |path| path.as_str()).to_owned();
                let method = head.method.as_str().to_owned();
                let id = respond.stream_id().as_u32();
                served.requests.insert(id, Request { method, path, fields });
                kept.push((respond, body));
            }
            Poll::Ready(Some(Err(error))) => {
                served.reason = error.reason();
                return served;
            }
            Poll::Ready(None) => return served,
            Poll::Pending => {}
        }
    }
    served
}
