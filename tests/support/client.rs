//! A client of HTTP/1.1 on a plain socket: it sends what it is told, right or wrong.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::journal::PATIENCE;

/// A connection to a gateway. Every wait ends within [`PATIENCE`].
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    held: Vec<u8>,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The part of an envelope that a service made.
    #[track_caller]
    pub(crate) fn data(&self) -> serde_json::Value {
        self.json()["data"].clone()
    }

    /// Whether the connection may carry another request.
    pub(crate) fn keeps(&self) -> bool {
        self.field("connection") != Some("close")
    }
}

impl Client {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Client::of(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// Connects with buffers of this size in the kernel.
    pub(crate) fn connect_narrow(address: SocketAddr, bytes: usize) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_send_buffer_size(bytes).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.connect(&address.into()).unwrap();
        Client::of(socket.into())
    }

    fn of(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client { stream, held: Vec::new() }
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a request head.
    pub(crate) fn head(&mut self, method: &str, path: &str, fields: &[&str]) {
        self.send(head(method, path, fields));
    }

    /// GET, and its answer.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.head("GET", path, &[]);
        self.reply()
    }

    /// A request with a body of known length, and its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, path: &str, fields: &[&str], body: &[u8]) -> Reply {
        let length = format!("Content-Length: {}", body.len());
        let fields: Vec<&str> = fields.iter().copied().chain([length.as_str()]).collect();
        self.head(method, path, &fields);
        self.send(body);
        self.reply()
    }

    /// PUT with a body of known length, and its answer. A service that answers early is listened
    /// to: what cannot be sent any more is not.
    #[track_caller]
    pub(crate) fn put(&mut self, path: &str, fields: &[&str], body: &[u8]) -> Reply {
        let length = format!("Content-Length: {}", body.len());
        let fields: Vec<&str> = fields.iter().copied().chain([length.as_str()]).collect();
        self.head("PUT", path, &fields);
        self.send_aside(body)
    }

    /// Sends a body beside reading the answer, as clients of the wild do.
    #[track_caller]
    pub(crate) fn send_aside(&mut self, body: &[u8]) -> Reply {
        let mut sender = self.stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            let sending = scope.spawn(move || sender.write_all(body).is_ok());
            let reply = self.reply();
            if !reply.keeps() {
                let _ = self.stream.shutdown(Shutdown::Both);
            }
            sending.join().unwrap();
            reply
        })
    }

    /// The next answer; informational ones are faults.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply(false).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next answer, which has no body whatever its length says.
    #[track_caller]
    pub(crate) fn reply_to_head(&mut self) -> Reply {
        self.try_reply(true).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The next answer, if one comes.
    pub(crate) fn try_reply(&mut self, without_body: bool) -> io::Result<Reply> {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.held.drain(..end).collect();
        let mut reply = parse(&String::from_utf8(head).unwrap());
        if without_body || reply.status < 200 || matches!(reply.status, 204 | 304) {
            return Ok(reply);
        }
        if reply.field("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.try_chunk()? {
                reply.body.extend(chunk);
            }
            return Ok(reply);
        }
        if let Some(length) = reply.field("content-length") {
            reply.body = self.try_exactly(length.parse().unwrap())?;
            return Ok(reply);
        }
        while self.try_fill()? > 0 {}
        reply.body = std::mem::take(&mut self.held);
        Ok(reply)
    }

    /// The data of the next chunk; none if it is the last.
    pub(crate) fn try_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = loop {
            if let Some(at) = self.held.windows(2).position(|window| window == b"\r\n") {
                break self.try_exactly(at + 2)?;
            }
            self.fill()?;
        };
        let size = usize::from_str_radix(str::from_utf8(&line).unwrap().trim_end(), 16).unwrap();
        let data = self.try_exactly(size)?;
        assert_eq!(self.try_exactly(2)?, b"\r\n");
        Ok(if size == 0 { None } else { Some(data) })
    }

    /// So many bytes.
    pub(crate) fn try_exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.held.len() < len {
            self.fill()?;
        }
        Ok(self.held.drain(..len).collect())
    }

    /// Reads what comes next, whatever it is.
    pub(crate) fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(chunk) {
                // The kernel interrupts threads that have had an io_uring, as one that probed has.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.try_fill()? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn try_fill(&mut self) -> io::Result<usize> {
        let mut chunk = vec![0; 64 * 1024];
        let len = self.read(&mut chunk)?;
        self.held.extend_from_slice(&chunk[..len]);
        Ok(len)
    }

    /// Whether nothing comes for so long: no byte and no end.
    pub(crate) fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let quiet = matches!(
            self.fill(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
        );
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        quiet && self.held.is_empty()
    }

    /// Waits until the gateway has closed; how long that took. What it says before is thrown away.
    #[track_caller]
    pub(crate) fn closed(&mut self) -> Duration {
        let began = Instant::now();
        loop {
            match self.fill() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("the gateway does not close the connection")
                }
                Err(_) => return began.elapsed(),
            }
        }
    }

    /// Sends until nothing was taken for `rest`; how many bytes were.
    pub(crate) fn push(&mut self, body: &[u8], rest: Duration) -> usize {
        push(&mut self.stream, body, rest)
    }

    /// Says that nothing more comes.
    pub(crate) fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Leaves without an end, as a process that was killed with unread bytes does.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A request head.
pub(crate) fn head(method: &str, path: &str, fields: &[&str]) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: gateway.test\r\n");
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    head + "\r\n"
}

fn parse(head: &str) -> Reply {
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap();
    assert!(status.starts_with("HTTP/1.1 "), "{status}");
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    });
    Reply { status: status[9..12].parse().unwrap(), fields: fields.collect(), body: Vec::new() }
}

/// Sends `body` again and again until nothing was taken for `rest`; how many bytes were.
pub(crate) fn push(stream: &mut TcpStream, body: &[u8], rest: Duration) -> usize {
    stream.set_write_timeout(Some(rest)).unwrap();
    let mut sent = 0;
    loop {
        match stream.write(&body[sent % body.len()..]) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    sent
}
