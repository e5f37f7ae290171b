//! A client of HTTP/2 that is not ours: the `h2` crate on a thread of its own, for tests that do not
//! know of futures.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::journal::{PATIENCE, eventually};

/// A connection. Dropping it closes it at once.
pub(crate) struct Client {
    send: SendRequest<Bytes>,
    runtime: Runtime,
    scheme: &'static str,
    /// How the connection ended; dropping the other end ends it.
    ended: Option<oneshot::Receiver<Result<(), h2::Error>>>,
    stop: Option<oneshot::Sender<()>>,
}

/// A request that was begun.
pub(crate) struct Call<'a> {
    client: &'a Client,
    answer: ResponseFuture,
    pub(crate) body: SendStream<Bytes>,
}

/// An answer up to its body.
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: RecvStream,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a field that may be there once.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} came twice");
        value
    }
}

/// A message as gRPC frames it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0][..], &len, message].concat()
}

/// The status of a call of gRPC, wherever it stands.
pub(crate) fn status(reply: &Reply) -> &str {
    let trailers = reply.trailers.as_ref().unwrap_or(&reply.fields);
    trailers["grpc-status"].to_str().unwrap()
}

/// A connection, sealed or not.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// The connection to `localhost`, once HTTP/2 is agreed on.
async fn sealed(
    stream: TcpStream,
    config: Arc<ClientConfig>,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Client::with(address, &Builder::new())
    }

    /// Connects to `localhost` over TLS, and insists on HTTP/2.
    pub(crate) fn secure(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        Client::over(address, &Builder::new(), Some(Arc::clone(config)))
    }

    /// Connects with windows or limits of its own.
    pub(crate) fn with(address: SocketAddr, builder: &Builder) -> Self {
        Client::over(address, builder, None)
    }

    fn over(address: SocketAddr, builder: &Builder, tls: Option<Arc<ClientConfig>>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, ended) = oneshot::channel();
        let (ready, begun) = std::sync::mpsc::channel();
        let builder = builder.clone();
        std::thread::spawn(move || {
            runtime().block_on(async {
                let stream = TcpStream::connect(address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let stream: Box<dyn Wire> = match tls {
                    Some(config) => Box::new(sealed(stream, config).await),
                    None => Box::new(stream),
                };
                let (send, connection) = builder.handshake::<_, Bytes>(stream).await.unwrap();
                ready.send(send).unwrap();
                tokio::select! {
                    result = connection => drop(tell.send(result)),
                    _ = stopped => {}
                }
            });
        });
        let send = begun.recv_timeout(PATIENCE).unwrap();
        Client { send, runtime: runtime(), scheme, ended: Some(ended), stop: Some(stop) }
    }

    /// More of the first of these bodies that has some; none when all are at their end.
    #[track_caller]
    pub(crate) fn any(&self, bodies: &mut [RecvStream]) -> Option<(usize, Bytes)> {
        let next = self.wait(poll_fn(|cx| {
            let mut open = false;
            for (index, body) in bodies.iter_mut().enumerate() {
                match body.poll_data(cx) {
                    Poll::Ready(Some(data)) => return Poll::Ready(Some((index, data.unwrap()))),
                    Poll::Ready(None) => {}
                    Poll::Pending => open = true,
                }
            }
            if open { Poll::Pending } else { Poll::Ready(None) }
        }));
        if let Some((index, data)) = &next {
            bodies[*index].flow_control().release_capacity(data.len()).unwrap();
        }
        next
    }

    /// Waits for something of the connection, for a bounded time.
    #[track_caller]
    pub(crate) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { timeout(PATIENCE, what).await.expect("it comes in time") })
    }

    /// Begins a request; with `end` it has no body.
    #[track_caller]
    pub(crate) fn begin(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        end: bool,
    ) -> Call<'_> {
        self.try_begin(method, path, fields, end).unwrap()
    }

    pub(crate) fn try_begin(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        end: bool,
    ) -> Result<Call<'_>, h2::Error> {
        let uri = format!("{}://h2.test{path}", self.scheme);
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut send = self.wait(self.send.clone().ready())?;
        let (answer, body) = send.send_request(request.body(()).unwrap(), end)?;
        Ok(Call { client: self, answer, body })
    }

    /// Asks for a tunnel (RFC 8441), when the server has said that it makes some.
    #[track_caller]
    pub(crate) fn tunnel(&self, protocol: &str, path: &str, fields: &[(&str, &str)]) -> Call<'_> {
        let mut send = self.send.clone();
        eventually("the server makes tunnels", || {
            // Its SETTINGS are read by another thread.
            send.is_extended_connect_protocol_enabled().then_some(())
        });
        send = self.wait(send.ready()).unwrap();
        let mut request = Request::builder().method("CONNECT").uri(format!("http://h2.test{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from(protocol));
        let (answer, body) = send.send_request(request, false).unwrap();
        Call { client: self, answer, body }
    }

    /// A whole exchange without a request body.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.begin("GET", path, &[], true).reply()
    }

    /// A whole exchange with one.
    #[track_caller]
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let mut call = self.begin(method, path, fields, false);
        // A server that has answered may not want the rest.
        let _ = call.send(body, true);
        call.reply()
    }

    /// Waits until the server has ended the connection, and says how.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> Result<(), h2::Error> {
        let ended = self.ended.take().unwrap();
        self.wait(ended).unwrap()
    }

    /// Closes the connection without a word.
    pub(crate) fn leave(mut self) {
        drop(self.stop.take());
    }
}

impl Call<'_> {
    /// Sends some of the body as the windows allow.
    #[track_caller]
    pub(crate) fn send(&mut self, mut bytes: &[u8], end: bool) -> Result<(), h2::Error> {
        let client = self.client;
        while !bytes.is_empty() {
            self.body.reserve_capacity(bytes.len());
            if self.body.capacity() == 0 {
                let room = client.wait(poll_fn(|cx| self.body.poll_capacity(cx)));
                room.ok_or(h2::Error::from(Reason::STREAM_CLOSED))??;
            }
            let room = self.body.capacity();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            let last = end && later.is_empty();
            self.body.send_data(Bytes::copy_from_slice(now), last)?;
            bytes = later;
            if last {
                return Ok(());
            }
        }
        if end { self.body.send_data(Bytes::new(), true) } else { Ok(()) }
    }

    /// Ends the body with trailers.
    #[track_caller]
    pub(crate) fn end(&mut self, trailers: &[(&'static str, &str)]) {
        let trailers = trailers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).unwrap())
        });
        self.body.send_trailers(trailers.collect()).unwrap();
    }

    /// How much may be sent now; none if there is no room for a while.
    pub(crate) fn room_soon(&mut self) -> Option<usize> {
        if self.body.capacity() == 0 {
            let runtime = &self.client.runtime;
            let room = poll_fn(|cx| self.body.poll_capacity(cx));
            let soon = runtime.block_on(async { timeout(Duration::from_millis(500), room).await });
            soon.ok()?.unwrap().unwrap();
        }
        Some(self.body.capacity())
    }

    /// Why the server takes no more of the body.
    #[track_caller]
    pub(crate) fn reset(&mut self) -> Reason {
        self.client.wait(poll_fn(|cx| self.body.poll_reset(cx))).unwrap()
    }

    /// The head of the answer.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Result<Head, h2::Error> {
        let answer = self.client.wait(&mut self.answer)?;
        let (head, body) = answer.into_parts();
        Ok(Head { status: head.status.as_u16(), fields: head.headers, body })
    }

    /// The next interim answer; none before the final one.
    #[track_caller]
    pub(crate) fn interim(&mut self) -> Option<http::Response<()>> {
        let answer = &mut self.answer;
        let interim = self.client.wait(poll_fn(|cx| answer.poll_informational(cx)));
        interim.map(Result::unwrap)
    }

    /// More of an answer's body; none at its end.
    #[track_caller]
    pub(crate) fn data(&self, body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
        let data = self.client.wait(body.data());
        if let Some(Ok(data)) = &data {
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        data
    }

    /// The rest of an answer.
    #[track_caller]
    pub(crate) fn rest(&self, head: Head) -> Result<Reply, h2::Error> {
        let Head { status, fields, mut body } = head;
        let mut whole = Vec::new();
        while let Some(data) = self.data(&mut body) {
            whole.extend_from_slice(&data?);
        }
        let trailers = self.client.wait(poll_fn(|cx| body.poll_trailers(cx)))?;
        Ok(Reply { status, fields, body: whole, trailers })
    }

    /// The whole answer.
    #[track_caller]
    pub(crate) fn try_reply(&mut self) -> Result<Reply, h2::Error> {
        let head = self.head()?;
        self.rest(head)
    }

    /// The whole answer.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().unwrap()
    }
}
