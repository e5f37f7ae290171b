//! Answers as clients read them: strictly, with nothing between and nothing left over.

use std::time::Duration;

use otus::base::time::Instant;
use otus::io::buffer::BufferPool;
use otus::io::sim::SimSocket;
use otus::io::{IoError, Socket};

use crate::decode::{Coding, Decoder, field, told, value};

/// One answer.
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
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
    /// An answer whose head has come.
    begun: Option<(Response, Decoder)>,
}

impl Reader {
    pub fn new(socket: SimSocket) -> Self {
        Reader { pool: BufferPool::new(4096), socket, bytes: Vec::new(), begun: None }
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
            let received = self.receive(deadline).await;
            let ends = received == Err(Silence::Cut)
                && self.begun.as_mut().is_some_and(|(_, decoder)| decoder.close());
            if !ends {
                received?;
            }
        }
    }

    /// The head and the body of an answer that was begun and is not whole.
    pub fn partial(&self) -> Option<(&Response, &[u8])> {
        self.begun.as_ref().map(|(response, decoder)| (response, decoder.body.as_slice()))
    }

    /// What came behind the last answer.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
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
            Ok(0) if self.bytes.is_empty() && self.begun.is_none() => Err(Silence::Closed),
            Ok(0) => Err(Silence::Cut),
            Ok(_) => {
                self.bytes.extend(buffer.filled());
                Ok(())
            }
            Err(error) => Err(Silence::Failed(error)),
        }
    }

    fn parse(&mut self, head_of: Option<&str>) -> Option<Response> {
        if self.begun.is_none() {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
            let head = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
            self.bytes.drain(..end + 4);
            self.begun = Some(begin(&head, head_of));
        }
        let (_, decoder) = self.begun.as_mut()?;
        decoder.feed(&mut self.bytes);
        if !decoder.is_done() {
            return None;
        }
        let (mut response, decoder) = self.begun.take()?;
        (response.body, response.trailers) = (decoder.body, decoder.trailers);
        Some(response)
    }
}

fn begin(head: &str, head_of: Option<&str>) -> (Response, Decoder) {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap();
    assert!(first.starts_with("HTTP/1.1 ") && first.len() >= 13, "{first:?}");
    let status: u16 = first[9..12].parse().expect("a status of three digits");
    let fields: Vec<(String, String)> = lines.map(field).collect();
    let response = Response { status, fields, body: Vec::new(), trailers: Vec::new() };
    // A head that never became whole is answered with a body, whatever its method.
    let is_head = head_of.is_some() && response.field("x-request-id") == head_of;
    let coding = match told(&response.fields) {
        _ if status < 200 || status == 204 || status == 304 || is_head => Coding::None,
        Some(coding) => coding,
        None => {
            assert!(response.closes(), "an answer whose end nobody can know");
            Coding::UntilClose
        }
    };
    (response, Decoder::new(coding))
}

impl Response {
    /// The value of a field, which may be there once.
    pub fn field(&self, name: &str) -> Option<&str> {
        value(&self.fields, name)
    }

    pub fn closes(&self) -> bool {
        self.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// How long clients wait for an end that must come: longer than all timeouts together.
pub const PATIENCE: Duration = Duration::from_mins(10);
