//! A gRPC service that is only as good as the test says, with `grpc.health.v1`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use tokio::net::{TcpListener, TcpStream};

/// SERVING and `NOT_SERVING` of `grpc.health.v1`.
const HEALTHY: u8 = 1;
const ILL: u8 = 2;

/// What it does; clones share it.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    calls: Arc<AtomicUsize>,
    status: Arc<AtomicU8>,
    health: Arc<AtomicU8>,
}

impl Peer {
    /// Starts one that answers every call with an empty message.
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let peer = Peer {
            address: listener.local_addr().unwrap(),
            calls: Arc::default(),
            status: Arc::default(),
            health: Arc::new(AtomicU8::new(HEALTHY)),
        };
        let own = peer.clone();
        // It ends with the process: nobody else knows the address.
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(own.clone().serve(stream));
                }
            });
        });
        peer
    }

    /// Calls so far, other than for its health.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The status of calls from now on.
    pub(crate) fn set_status(&self, status: u8) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// What it says of its health from now on.
    pub(crate) fn set_healthy(&self, is_healthy: bool) {
        self.health.store(if is_healthy { HEALTHY } else { ILL }, Ordering::SeqCst);
    }

    async fn serve(self, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            if request.uri().path() == "/grpc.health.v1.Health/Check" {
                let health = self.health.load(Ordering::SeqCst);
                answer(&mut respond, vec![0, 0, 0, 0, 2, 8, health], 0);
            } else {
                self.calls.fetch_add(1, Ordering::SeqCst);
                let status = self.status.load(Ordering::SeqCst);
                let message = if status == 0 { vec![0; 5] } else { Vec::new() };
                answer(&mut respond, message, status);
            }
        }
    }
}

fn answer(respond: &mut SendResponse<Bytes>, message: Vec<u8>, status: u8) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let Ok(mut body) = respond.send_response(head, false) else { return };
    let _ = body.send_data(Bytes::from(message), false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.to_string().parse().unwrap());
    let _ = body.send_trailers(trailers);
}
