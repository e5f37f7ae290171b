//! Answers as clients read them: strictly, with nothing between and nothing left over.

use std::time::Duration;

use otus::base::time::Instant;
use otus::io::buffer::BufferPool;
use otus::io::sim::SimSocket;
use otus::io::{IoError, Socket};

/// One answer.
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why no answer came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Silence {
    /// The gateway closed in good order, between answers.
    Closed,
    /// The connection ended within an answer.
    Cut,
    /// It was reset or cancelled.
    Failed(IoError),
}

/// Reads answers from a connection.
pub struct Reader {
    pool: BufferPool,
    socket: SimSocket,
    bytes: Vec<u8>,
}

impl Reader {
    pub fn new(socket: SimSocket) -> Self {
        Reader { pool: BufferPool::new(4096), socket, bytes: Vec::new() }
    }

    /// The next answer, interim ones included. To the request `head` it has no body, whatever it
    /// says.
    pub async fn next(
        &mut self,
        head: Option<&str>,
        deadline: Instant,
    ) -> Result<Response, Silence> {
        loop {
            if let Some(response) = self.parse(head) {
                return Ok(response);
            }
            self.receive(deadline).await?;
        }
    }

    /// Waits for the end of the connection, and is sure that nothing comes before it.
    pub async fn end(&mut self, deadline: Instant) -> Silence {
        loop {
            assert!(self.bytes.is_empty(), "bytes follow the last answer: {:?}", self.text());
            if let Err(silence) = self.receive(deadline).await {
                return silence;
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..self.bytes.len().min(500)]).into_owned()
    }

    async fn receive(&mut self, deadline: Instant) -> Result<(), Silence> {
        let (result, buffer) = self.socket.read(self.pool.large(), deadline).await;
        match result {
            Ok(0) if self.bytes.is_empty() => Err(Silence::Closed),
            Ok(0) => Err(Silence::Cut),
            Ok(_) => {
                self.bytes.extend(buffer.filled());
                Ok(())
            }
            Err(error) => Err(Silence::Failed(error)),
        }
    }

    fn parse(&mut self, head_of: Option<&str>) -> Option<Response> {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = str::from_utf8(&self.bytes[..end]).expect("heads are text").to_owned();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap();
        assert!(first.starts_with("HTTP/1.1 ") && first.len() >= 13, "{first:?}");
        let status: u16 = first[9..12].parse().expect("a status of three digits");
        let field = |line: &str| {
            let (name, value) = line.split_once(':').expect("a colon in each field");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let fields: Vec<(String, String)> = lines.map(field).collect();
        let mut response = Response { status, fields, body: Vec::new() };
        // A head that never became whole is answered with a body, whatever its method.
        let is_head = head_of.is_some() && response.field("x-request-id") == head_of;
        let has_body = status >= 200 && status != 204 && !is_head;
        let len = response.field("content-length").map(|text| text.parse::<usize>().unwrap());
        assert_eq!(len.is_some(), status >= 200 && status != 204, "a length unless it is none");
        let whole = end + 4 + if has_body { len.unwrap_or(0) } else { 0 };
        if self.bytes.len() < whole {
            return None;
        }
        let rest = self.bytes.split_off(whole);
        response.body = self.bytes.split_off(end + 4);
        self.bytes = rest;
        Some(response)
    }
}

impl Response {
    /// The value of a field, which may be there once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.fields.iter().filter(|(field, _)| field == name);
        let first = values.next();
        assert!(values.next().is_none(), "{name} stands there twice");
        first.map(|(_, value)| value.as_str())
    }

    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// How long clients wait for an end that must come: longer than all timeouts together.
pub const PATIENCE: Duration = Duration::from_mins(10);
