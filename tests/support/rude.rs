//! Peers that speak HTTP/2, or something else, and misbehave at the first call. Later ones are served
//! well, to see that the gateway has recovered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;

use bytes::{BufMut, Bytes, BytesMut};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Response};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::journal::{Event, Journal};
use super::service::answer;

/// What a peer does at the first call, when some of its body has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rudeness {
    /// Resets the stream with this code.
    Reset(Reason),
    /// Says goodbye to all streams, this one among those it has not looked at.
    Disown,
    /// Says goodbye and closes without serving what it has begun.
    Quit,
    /// Says goodbye and serves what it has begun.
    Goodbye,
    /// Closes the connection.
    Die,
    /// Ends the stream with an answer that is no gRPC.
    NotGrpc,
    /// Answers with bytes that are no message.
    Nonsense,
    /// Answers with a message and resets the stream.
    Cut,
    /// Answers with half a message, and ends well.
    Half,
    /// Never says a word, not even SETTINGS.
    Mute,
    /// Speaks HTTP/1.1.
    Http1,
}

/// How much of a body is read before it happens.
const READ_BYTES: usize = 40_000;

/// An empty SETTINGS frame (RFC 9113 §6.5).
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
/// GOAWAY with the last stream 0 and no error (RFC 9113 §6.8): no stream was looked at.
const GOAWAY_TO_ALL: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// A peer that runs. Dropping it ends it.
pub(crate) struct Rude {
    pub(crate) address: SocketAddr,
    pub(crate) journal: Journal,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What all connections of a peer share.
#[derive(Clone)]
struct Mood {
    rudeness: Rudeness,
    /// Whether it has happened.
    over: Arc<AtomicBool>,
    journal: Journal,
}

impl Mood {
    /// Whether this is the first call.
    fn strikes(&self) -> bool {
        let first = !self.over.swap(true, Ordering::SeqCst);
        if first {
            self.journal.push(Event::Rude);
        }
        first
    }
}

impl Rude {
    /// Starts a peer.
    pub(crate) fn start(rudeness: Rudeness) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let journal = Journal::default();
        let mood =
            Mood { rudeness, over: Arc::new(AtomicBool::new(false)), journal: journal.clone() };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::spawn(accept(listener, mood));
                let _ = stopped.await;
            });
            runtime.shutdown_background();
        });
        Rude { address, journal, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, mood: Mood) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(stream, mood.clone()));
    }
}

/// A connection that ends in a fault ends; that is the gateway's affair.
async fn serve(mut stream: TcpStream, mood: Mood) {
    match mood.rudeness {
        Rudeness::Mute if mood.strikes() => return swallow(stream).await,
        Rudeness::Http1 if mood.strikes() => {
            let text = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(text).await;
            return swallow(stream).await;
        }
        Rudeness::Disown if mood.strikes() => {
            let _ = stream.write_all(SETTINGS).await;
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(GOAWAY_TO_ALL).await;
            return swallow(stream).await;
        }
        _ => {}
    }
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut calls = tokio::task::JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let body = request.into_body();
        match mood.rudeness {
            Rudeness::Quit | Rudeness::Die if mood.strikes() => {
                return leave(connection, body, mood.rudeness).await;
            }
            Rudeness::Goodbye if mood.strikes() => {
                connection.graceful_shutdown();
                calls.spawn(serve_well(body, respond));
            }
            rudeness @ (Rudeness::Reset(_)
            | Rudeness::NotGrpc
            | Rudeness::Nonsense
            | Rudeness::Cut
            | Rudeness::Half)
                if mood.strikes() =>
            {
                calls.spawn(strike(rudeness, body, respond));
            }
            _ => {
                calls.spawn(serve_well(body, respond));
            }
        }
    }
}

/// Reads whatever comes and says nothing.
async fn swallow(mut stream: TcpStream) {
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(1..) = stream.read(&mut chunk).await {}
}

/// Reads some of the call, then ends the whole connection.
async fn leave(mut connection: Connection<TcpStream, Bytes>, body: RecvStream, how: Rudeness) {
    let mut reading = Box::pin(read_some(body));
    let mut body = None;
    std::future::poll_fn(|cx| {
        let ended = connection.poll_accept(cx).is_ready();
        if let Poll::Ready(read) = reading.as_mut().poll(cx) {
            body = Some(read);
        }
        if ended || body.is_some() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    if how == Rudeness::Quit {
        connection.abrupt_shutdown(Reason::NO_ERROR);
        let _ = std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
    }
}

/// Reads the beginning of a body and keeps the stream open.
async fn read_some(mut body: RecvStream) -> RecvStream {
    let mut read = 0;
    while read < READ_BYTES {
        let Some(Ok(data)) = body.data().await else { break };
        read += data.len();
        let _ = body.flow_control().release_capacity(data.len());
    }
    body
}

async fn strike(rudeness: Rudeness, body: RecvStream, mut respond: SendResponse<Bytes>) {
    let _body = read_some(body).await;
    match rudeness {
        Rudeness::Reset(reason) => respond.send_reset(reason),
        Rudeness::NotGrpc => {
            let head = Response::builder().status(200).header("content-type", "text/html");
            let mut stream = respond.send_response(head.body(()).unwrap(), false).unwrap();
            let _ = stream.send_data(Bytes::from_static(b"<html>"), true);
        }
        Rudeness::Cut => {
            let mut stream = respond.send_response(grpc_head(), false).unwrap();
            let _ = stream.send_data(Bytes::from_static(b"\0\0\0\0\x02ab"), false);
            // A reset overtakes what has not been written yet.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Rudeness::Half => {
            let mut stream = respond.send_response(grpc_head(), false).unwrap();
            let _ = stream.send_data(Bytes::from_static(b"\0\0\0\0\x02a"), false);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            let _ = stream.send_trailers(trailers());
        }
        _ => {
            let mut stream = respond.send_response(grpc_head(), false).unwrap();
            let _ = stream.send_data(Bytes::from_static(b"\0\0\0\0\x04\xff\xff\xff\xff"), false);
            let _ = stream.send_trailers(trailers());
        }
    }
}

/// Reads all of the call and answers well.
async fn serve_well(mut body: RecvStream, mut respond: SendResponse<Bytes>) {
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
    }
    let message = answer(&[("served", "true")]).encode_to_vec();
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(&message);
    let Ok(mut stream) = respond.send_response(grpc_head(), false) else { return };
    let _ = stream.send_data(framed.freeze(), false);
    let _ = stream.send_trailers(trailers());
}

fn grpc_head() -> Response<()> {
    Response::builder().status(200).header("content-type", "application/grpc").body(()).unwrap()
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}
