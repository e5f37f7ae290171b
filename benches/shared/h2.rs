//! Header blocks, and connections of HTTP/2 without a network.

use std::hint::black_box;

use otus::base::time::Instant;
use otus::protocol::h2::connection::config::{Config, Role};
use otus::protocol::h2::connection::engine::Connection;
use otus::protocol::h2::connection::event::Event;
use otus::protocol::h2::frame::{self, END_HEADERS, Kind};
use otus::protocol::h2::hpack::encode::Block;

/// Writes a block of 12 fields, each as `field` codes it.
pub(crate) fn block(out: &mut Vec<u8>, field: fn(&mut Vec<u8>, &[u8], &[u8])) {
    out.clear();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", "/api/v3/storage/upload?module=files"),
        (":authority", "gateway.example"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json, text/plain, */*"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate"),
        ("content-type", "application/octet-stream"),
        ("content-length", "1048576"),
        ("x-filename", "holiday-2026-08-14.jpg"),
        ("x-request-id", "0192f1c0-7d1e-7a3a-9b7e-0d5c2d0f7a11"),
    ] {
        field(out, black_box(name).as_bytes(), black_box(value).as_bytes());
    }
}

/// The client's side of a connection that the settings of its peer have come on.
pub(crate) fn client() -> Connection {
    let mut connection = Connection::new(Role::Client, Config::client(), Instant::START);
    let mut input = Vec::new();
    frame::write(&mut input, Kind::Settings, 0, 0, &[0, 3, 0, 0, 1, 0]);
    receive(&mut connection, &input);
    connection.outgoing().clear();
    connection
}

/// Reads all of the input; what DATA took of the windows is given back.
pub(crate) fn receive(connection: &mut Connection, mut input: &[u8]) {
    loop {
        let received = connection.receive(input, Instant::START).expect("valid");
        input = input.get(received.consumed..).unwrap_or_default();
        match received.event {
            Some(Event::Data { id, len, .. }) => connection.release(id, len),
            Some(event) => {
                black_box(event);
            }
            None => return,
        }
    }
}

/// A unary call as its client makes it, again and again on one connection.
pub(crate) struct Unary {
    connection: Connection,
    head: Vec<u8>,
    answer: Vec<u8>,
    trailers: Vec<u8>,
    input: Vec<u8>,
    id: u32,
}

impl Unary {
    pub(crate) fn new() -> Self {
        Unary {
            connection: client(),
            head: Block::new().field(b":method", b"POST").field(b":scheme", b"http").into_vec(),
            answer: Block::new().status(200).field(b"content-type", b"application/grpc").into_vec(),
            trailers: Block::new().field(b"grpc-status", b"0").into_vec(),
            input: Vec::with_capacity(256),
            id: 1,
        }
    }

    /// Opens a stream, sends little DATA, and reads the answer.
    pub(crate) fn call(&mut self) {
        let stream = self.connection.open(&self.head, false).expect("open");
        self.connection.send_data(stream, b"0123456789", true).expect("room");
        let input = &mut self.input;
        input.clear();
        frame::write_headers(input, self.id, &self.answer, false, 16_384);
        frame::write(input, Kind::Data, 0, self.id, b"0123456789");
        frame::write_headers(input, self.id, &self.trailers, true, 16_384);
        frame::write_window_update(input, 0, 10);
        receive(&mut self.connection, input);
        self.id += 2;
        self.connection.outgoing().clear();
    }
}

/// A client with one open stream, and so many DATA frames of so many bytes for it.
pub(crate) fn download(frames: usize, len: usize) -> (Connection, Vec<u8>) {
    let mut connection = client();
    let id = connection.open(&[0x83], false).expect("open");
    let mut input = Vec::new();
    frame::write(&mut input, Kind::Headers, END_HEADERS, id.0, &[0x88]);
    receive(&mut connection, &input);
    input.clear();
    for _ in 0..frames {
        frame::write(&mut input, Kind::Data, 0, id.0, &vec![0; len]);
    }
    (connection, input)
}
