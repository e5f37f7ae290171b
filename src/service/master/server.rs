//! The gRPC server of the master: `/Reverse/Do` and `/gufo.Reverse/Do`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use super::guard::Guard;
use super::keeper::{self, Answer, Asker};
use super::store;
use super::words::{Heard, heard_ab, heard_c, said_ab, said_c};
use crate::master::fault::Fault;
use crate::master::settings::MasterSettings;
use crate::proto::reverse_ab::reverse_server as server_ab;
use crate::proto::reverse_c::reverse_server as server_c;
use crate::proto::{reverse_ab, reverse_c};
use crate::service::serving::{self, Serving};

/// Bytes of a call: a row is below eight KiB.
const CALL_BYTES_MAX: usize = 64 * 1024;
/// Calls that one connection may have under way.
const STREAMS_MAX: u32 = 256;
/// Bytes that the calls of one connection may have under way together.
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Of header fields of one call.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// A connection on which nothing answers a ping is closed.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A running master. Dropping it stops it.
#[derive(Debug)]
pub struct MasterServer {
    serving: Serving,
    keeper: Option<JoinHandle<()>>,
}

/// Starts a master on threads of its own. With port 0 the system picks one. Fails if the store is
/// not to be used, which is said precisely, or if the address cannot be had.
pub fn spawn(
    settings: &MasterSettings,
    guard: Arc<Guard>,
    address: SocketAddr,
) -> Result<MasterServer, String> {
    let store = store::open(&settings.store)?;
    let (asker, keeper) = keeper::spawn(settings.rules.clone(), store)?;
    let ab = server_ab::ReverseServer::new(Master { asker: asker.clone(), guard: guard.clone() })
        .max_decoding_message_size(CALL_BYTES_MAX);
    let c = server_c::ReverseServer::new(Master { asker, guard })
        .max_decoding_message_size(CALL_BYTES_MAX);
    let serving = serving::spawn("otus-master-net", address, 1, |server| {
        server
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(STREAMS_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .add_service(ab)
            .add_service(c)
    });
    let serving = serving.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    Ok(MasterServer { serving, keeper: Some(keeper) })
}

impl MasterServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    /// Ends it: calls in flight have a second, and the store is closed.
    pub fn stop(self) {}
}

impl Drop for MasterServer {
    fn drop(&mut self) {
        self.serving.end();
        if let Some(keeper) = self.keeper.take() {
            // It fails if the thread panicked, which was told on standard error.
            let _ = keeper.join();
        }
    }
}

struct Master {
    asker: Asker,
    guard: Arc<Guard>,
}

impl Master {
    async fn answer(&self, heard: Heard) -> Answer {
        if !self.guard.lets_pass(heard.shown()).await {
            return Err(Fault::unsigned());
        }
        self.asker.ask(heard.call).await
    }
}

#[tonic::async_trait]
impl server_ab::Reverse for Master {
    async fn r#do(
        &self,
        request: Request<reverse_ab::Request>,
    ) -> Result<Response<reverse_ab::Response>, Status> {
        let answer = self.answer(heard_ab(request.into_inner())).await;
        Ok(Response::new(said_ab(answer)))
    }
}

#[tonic::async_trait]
impl server_c::Reverse for Master {
    type StreamStream = Empty<Result<reverse_c::Response, Status>>;

    async fn r#do(
        &self,
        request: Request<reverse_c::Request>,
    ) -> Result<Response<reverse_c::Response>, Status> {
        let answer = self.answer(heard_c(request.into_inner())).await;
        Ok(Response::new(said_c(answer)))
    }

    async fn stream(
        &self,
        _: Request<Streaming<reverse_c::Request>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        Err(Status::unimplemented("the master has calls alone"))
    }
}

#[cfg(test)]
mod tests;
