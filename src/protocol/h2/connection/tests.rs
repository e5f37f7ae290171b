//! Conversations of frames. A test says what the peer sends and what comes of it, as one text:
//! events first, then what we write, then the error if there is one.

mod client;
mod floods;
mod server;
mod server_states;
mod simulation;
mod windows;

use std::fmt::Write;

use super::config::{Config, Role};
use super::engine::Connection;
use super::event::{ConnectionError, Event, HeadersKind};
use crate::base::time::Instant;
use crate::protocol::h2::frame::{
    self, ACK, END_HEADERS, END_STREAM, ErrorCode, FrameHead, Kind, PREFACE, StreamId, to_usize,
};
use crate::protocol::h2::hpack::encode::Block;

const END: u8 = END_STREAM;
const ALL: u8 = END_STREAM | END_HEADERS;

/// What a server is sent, as bytes behind preface and SETTINGS, and what comes of it.
#[track_caller]
fn server(input: &[Vec<u8>], want: &str) {
    check(Role::Server, Config::server(), &input.concat(), want, |_| {});
}

/// What a client with streams 1 and 3 open is sent behind SETTINGS, and what comes of it.
#[track_caller]
fn client(input: &[Vec<u8>], want: &str) {
    check(Role::Client, Config::client(), &input.concat(), want, |connection| {
        connection.open(&request(), true).unwrap();
        connection.open(&request(), false).unwrap();
    });
}

/// Holds the conversation in one piece, and then again cut in two at every byte. All must agree.
#[track_caller]
fn check(role: Role, config: Config, input: &[u8], want: &str, prepare: impl Fn(&mut Connection)) {
    for cut in 0..=input.len() {
        let mut talk = Talk::new(role, config);
        talk.feed(&opening(role));
        prepare(&mut talk.connection);
        talk.connection.outgoing().clear();
        talk.seen.clear();
        let (front, back) = input.split_at(cut);
        talk.feed(front);
        talk.feed(back);
        assert_eq!(talk.end(), want, "cut at {cut}");
    }
}

/// What a peer of this role's begins with.
fn opening(role: Role) -> Vec<u8> {
    let mut out = Vec::new();
    if role == Role::Server {
        out.extend_from_slice(PREFACE);
    }
    out.extend(raw(Kind::Settings, 0, 0, &[]));
    out.extend(raw(Kind::Settings, ACK, 0, &[]));
    out
}

/// One side of a conversation, and what it has seen.
struct Talk {
    connection: Connection,
    seen: String,
    now: Instant,
    failed: Option<ConnectionError>,
    /// The stream and bytes of DATA that came last, to join pieces.
    data: Option<(StreamId, String)>,
}

impl Talk {
    fn new(role: Role, config: Config) -> Self {
        let now = Instant::from_nanos(1_000_000_000_000);
        let connection = Connection::new(role, config, now);
        connection.check();
        Talk { connection, seen: String::new(), now, failed: None, data: None }
    }

    fn feed(&mut self, mut input: &[u8]) {
        while self.failed.is_none() {
            match self.connection.receive(input, self.now) {
                Ok(received) => {
                    if let Some(event) = received.event {
                        self.note(event, input);
                    }
                    self.connection.check();
                    input = &input[received.consumed..];
                    if received.event.is_none() {
                        assert!(input.is_empty());
                        return;
                    }
                }
                Err(error) => {
                    self.connection.check();
                    self.failed = Some(error);
                    assert_eq!(self.connection.receive(input, self.now), Err(error));
                }
            }
        }
    }

    fn note(&mut self, event: Event, input: &[u8]) {
        if let Event::Data { id, start, len, end_stream } = event {
            self.connection.release(id, len);
            let bytes = String::from_utf8_lossy(&input[start..start + to_usize(len)]).into_owned();
            let before = match self.data.take() {
                Some((last, before)) if last == id => before,
                other => {
                    self.data = other;
                    self.flush();
                    String::new()
                }
            };
            self.data = Some((id, before + &bytes));
            if end_stream {
                self.flush();
                self.seen.push_str("end; ");
            }
            return;
        }
        self.flush();
        let text = match event {
            Event::Headers { id, end_stream, kind } => {
                let kind = match kind {
                    HeadersKind::Informational => "interim",
                    HeadersKind::Head => "head",
                    HeadersKind::Trailers => "trailers",
                };
                format!("{kind} {id} {}{}", self.fields(), if end_stream { " end" } else { "" })
            }
            Event::HeadTooLarge { id } => format!("too large {id}"),
            Event::Reset { id, code, by_peer } => {
                format!("reset {id} {code:?} by {}", if by_peer { "peer" } else { "us" })
            }
            Event::Writable { id: Some(id) } => format!("writable {id}"),
            Event::Writable { id: None } => "writable".to_owned(),
            Event::GoAway { last, code } => format!("go away {last} {code:?}"),
            Event::SettingsApplied => "settings".to_owned(),
            Event::SettingsAcknowledged => "acknowledged".to_owned(),
            Event::Pong { payload } => format!("pong {}", payload[7]),
            Event::Data { .. } => unreachable!(),
        };
        self.seen.push_str(&text);
        self.seen.push_str("; ");
    }

    /// Values of all fields.
    fn fields(&self) -> String {
        let values: Vec<_> =
            self.connection.fields().iter().map(|field| String::from_utf8_lossy(field.1)).collect();
        values.join(",")
    }

    fn flush(&mut self) {
        if let Some((id, bytes)) = self.data.take() {
            write!(self.seen, "data {id} {bytes}; ").unwrap();
        }
    }

    /// Everything seen, and everything written.
    fn end(&mut self) -> String {
        self.flush();
        let written = written(self.connection.outgoing());
        self.connection.outgoing().clear();
        let mut text = std::mem::take(&mut self.seen) + &written;
        if let Some(error) = self.failed {
            write!(text, "! {:?}", error.fault).unwrap();
        }
        text.trim_end_matches([' ', ';']).to_owned()
    }
}

/// Frames as text.
fn written(mut bytes: &[u8]) -> String {
    let mut text = String::new();
    while let Some((head, rest)) = bytes.split_first_chunk() {
        let head = FrameHead::parse(head);
        let (payload, rest) = rest.split_at(to_usize(head.len));
        bytes = rest;
        let first = frame::be_u32(payload).unwrap_or(0);
        let second = payload.get(4..).and_then(frame::be_u32).unwrap_or(0);
        let ack = if head.has(ACK) { " ack" } else { "" };
        let line = match head.kind {
            Kind::Reset => format!("> RST_STREAM {} {:?}", head.stream, ErrorCode(first)),
            Kind::GoAway => format!("> GOAWAY {first} {:?}", ErrorCode(second)),
            Kind::WindowUpdate => format!("> WINDOW_UPDATE {} {first}", head.stream),
            Kind::Ping => format!("> PING{ack}"),
            Kind::Settings => format!("> SETTINGS{ack}"),
            kind => format!("> {kind:?} {} {:#x} {}", head.stream, head.flags, head.len),
        };
        text.push_str(&line);
        text.push_str("; ");
    }
    assert!(bytes.is_empty());
    text
}

fn raw(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, kind, flags, stream, payload);
    out
}

fn headers(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    raw(Kind::Headers, flags, stream, block)
}

fn continuation(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    raw(Kind::Continuation, flags, stream, block)
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    raw(Kind::Data, flags, stream, payload)
}

fn reset(stream: u32, code: ErrorCode) -> Vec<u8> {
    raw(Kind::Reset, 0, stream, &code.0.to_be_bytes())
}

fn window(stream: u32, increment: u32) -> Vec<u8> {
    raw(Kind::WindowUpdate, 0, stream, &increment.to_be_bytes())
}

fn setting(setting: u16, value: u32) -> Vec<u8> {
    let mut payload = setting.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    raw(Kind::Settings, 0, 0, &payload)
}

fn go_away(last: u32, code: ErrorCode) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write_go_away(&mut out, last, code);
    out
}

/// `:method POST, :scheme http, :path /, :authority a`.
fn request() -> Vec<u8> {
    request_with(&[])
}

fn request_with(fields: &[(&str, &str)]) -> Vec<u8> {
    let head = Block::new()
        .field(b":method", b"POST")
        .field(b":scheme", b"http")
        .field(b":path", b"/")
        .field(b":authority", b"a");
    let block = fields
        .iter()
        .fold(head, |block, (name, value)| block.field(name.as_bytes(), value.as_bytes()));
    block.into_vec()
}

fn response(status: u16, fields: &[(&str, &str)]) -> Vec<u8> {
    let block = fields.iter().fold(Block::new().status(status), |block, (name, value)| {
        block.field(name.as_bytes(), value.as_bytes())
    });
    block.into_vec()
}

fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let block = fields
        .iter()
        .fold(Block::new(), |block, (name, value)| block.field(name.as_bytes(), value.as_bytes()));
    block.into_vec()
}
