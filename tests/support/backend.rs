//! A back end of HTTP/1.1 on a plain socket: the test itself takes its connections, reads what came
//! and says what is to be sent, right or wrong.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::client::push;
use super::journal::{PATIENCE, eventually};

/// An address that takes connections when the test says so.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

/// A connection from the gateway.
pub(crate) struct Visit {
    pub(crate) stream: TcpStream,
    held: Vec<u8>,
}

/// The head of a request as the back end saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
}

impl Seen {
    /// The value of a field that may be there once.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert_eq!(found.next(), None, "{name} came twice");
        value
    }
}

impl Backend {
    /// Listens at any free port.
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Backend { address: listener.local_addr().unwrap(), listener }
    }

    /// The next connection, if there is one.
    pub(crate) fn visitor(&self) -> Option<Visit> {
        let (stream, _) = self.listener.accept().ok()?;
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Some(Visit { stream, held: Vec::new() })
    }

    /// Waits for the next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> Visit {
        eventually("a connection to the back end", || self.visitor())
    }

    /// Waits for the next connection and the head of its first request.
    #[track_caller]
    pub(crate) fn asked(&self) -> (Visit, Seen) {
        let mut visit = self.accept();
        let seen = visit.request();
        (visit, seen)
    }

    /// Whether no connection waits.
    pub(crate) fn is_unvisited(&self) -> bool {
        self.visitor().is_none()
    }

    /// Serves every connection on threads of its own: `answer` makes the bytes for each request.
    /// Returns the address and what counts the requests.
    pub(crate) fn serve(
        self,
        answer: impl Fn(&Seen, &[u8]) -> Vec<u8> + Send + Sync + 'static,
    ) -> (SocketAddr, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let shared = (Arc::new(answer), Arc::clone(&count));
        let address = self.address;
        self.listener.set_nonblocking(false).unwrap();
        // It ends with the process: nobody else knows the address.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = self.listener.accept() {
                let (answer, count) = shared.clone();
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || {
                    let mut visit = Visit { stream, held: Vec::new() };
                    while let Some(seen) = visit.try_request() {
                        let length = seen.field("content-length").unwrap_or("0").parse().unwrap();
                        let body = match seen.field("transfer-encoding") {
                            Some(_) => visit.chunks(),
                            None => visit.exactly(length),
                        };
                        count.fetch_add(1, Ordering::SeqCst);
                        if visit.stream.write_all(&answer(&seen, &body)).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (address, count)
    }
}

impl Visit {
    /// The head of the next request.
    #[track_caller]
    pub(crate) fn request(&mut self) -> Seen {
        self.try_request().unwrap_or_else(|| panic!("no request came"))
    }

    /// The head of the next request, if one comes.
    pub(crate) fn try_request(&mut self) -> Option<Seen> {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().ok().filter(|len| *len > 0)?;
        };
        let head: Vec<u8> = self.held.drain(..end).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut first = lines.next().unwrap().split(' ');
        let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
        assert_eq!(first.next(), Some("HTTP/1.1"));
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        Some(Seen { method, target, fields: fields.collect() })
    }

    /// So many bytes.
    #[track_caller]
    pub(crate) fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.held.len() < len {
            assert!(self.fill().unwrap() > 0, "{} of {len} bytes came", self.held.len());
        }
        self.held.drain(..len).collect()
    }

    /// A body in chunks, decoded.
    #[track_caller]
    pub(crate) fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = usize::from_str_radix(&line, 16).unwrap();
            body.extend(self.exactly(size));
            assert_eq!(self.exactly(2), b"\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// A body in chunks, decoded, and the lines behind it.
    #[track_caller]
    pub(crate) fn chunks_and_trailers(&mut self) -> (Vec<u8>, Vec<String>) {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).unwrap();
            if size == 0 {
                let lines =
                    std::iter::from_fn(|| Some(self.line()).filter(|line| !line.is_empty()));
                return (body, lines.collect());
            }
            body.extend(self.exactly(size));
            assert_eq!(self.exactly(2), b"\r\n");
        }
    }

    /// One line without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.held.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            assert!(self.fill().unwrap() > 0, "the line has no end");
        };
        let line = self.exactly(end);
        self.exactly(2);
        String::from_utf8(line).unwrap()
    }

    /// Sends bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes, and with `ends` that nothing more comes. The gateway may have had enough before
    /// that, and be gone.
    #[track_caller]
    pub(crate) fn send_if_wanted(&mut self, bytes: &[u8], ends: bool) {
        use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
        let sent = self
            .stream
            .write_all(bytes)
            .and_then(|()| if ends { self.stream.shutdown(Shutdown::Write) } else { Ok(()) });
        if let Err(error) = sent {
            assert!(matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected), "{error}");
        }
    }

    /// Sends 200 with this body, and the connection stays open.
    #[track_caller]
    pub(crate) fn answer(&mut self, body: &str) {
        self.send(ok(body));
    }

    /// Sends until nothing was taken for `rest`; how many bytes were.
    pub(crate) fn push(&mut self, body: &[u8], rest: Duration) -> usize {
        push(&mut self.stream, body, rest)
    }

    /// Waits until the gateway has closed or reset; how long that took.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> Duration {
        let began = Instant::now();
        loop {
            match self.fill() {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the gateway does not close the connection")
                }
                Ok(0) | Err(_) => return began.elapsed(),
            }
        }
    }

    /// Whether the gateway neither sends nor ends for so long.
    pub(crate) fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let waits = |kind| matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let quiet = self.fill().is_err_and(|error| waits(error.kind()));
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        quiet && self.held.is_empty()
    }

    /// Says that nothing more comes.
    pub(crate) fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Leaves without an end.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => {
                    let len = other?;
                    self.held.extend_from_slice(&chunk[..len]);
                    return Ok(len);
                }
            }
        }
    }
}

/// 200 with these bytes.
pub(crate) fn ok_bytes(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// 200 with this body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An address at which nobody listens, nor ever will: a port that was free a moment ago may be that
/// of another test.
pub(crate) fn nobody() -> SocketAddr {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

/// Waits for the next connection to any of them: which one, and the head of its first request.
#[track_caller]
pub(crate) fn asked_of(backends: &[Backend]) -> (usize, Visit, Seen) {
    let (index, mut visit) = eventually("a connection to one of the back ends", || {
        let mut all = backends.iter().enumerate();
        all.find_map(|(index, backend)| Some((index, backend.visitor()?)))
    });
    let seen = visit.request();
    (index, visit, seen)
}
