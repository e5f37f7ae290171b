//! What a peer may not say, and what follows if it does: requests, frames and answers that one side
//! could read differently from the other (RFC 9112 §11, RFC 9113 §10). Tables of bytes; each row is
//! a way that some implementation was deceived, or an error that the standard names.

mod answers;
mod chunks;
mod frames;
mod requests;
mod windows;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otus::snapshot::server::IoDriver;

use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::proxy::{ALL, start, upstream};

/// A back end that answers every request that is whole with 200, and keeps all that it was sent.
struct Recorder {
    address: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Recorder {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let recorder = Recorder { address: listener.local_addr().unwrap(), bytes: Arc::default() };
        let bytes = Arc::clone(&recorder.bytes);
        // It ends with the process: nobody else knows the address.
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let bytes = Arc::clone(&bytes);
                std::thread::spawn(move || record(stream, &bytes));
            }
        });
        recorder
    }

    /// What came since the last time.
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.bytes.lock().unwrap());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn record(mut stream: TcpStream, bytes: &Mutex<Vec<u8>>) {
    let (mut held, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        held.extend_from_slice(&chunk[..len]);
        bytes.lock().unwrap().extend_from_slice(&chunk[..len]);
        while let Some(end) = end_of_request(&held) {
            held.drain(..end);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

/// The length of the first request, if it is there whole.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let find = |part: &[u8], text: &[u8]| part.windows(text.len()).position(|w| w == text);
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    if text.contains("transfer-encoding: chunked") {
        let body = &bytes[head..];
        let last = if body.starts_with(b"0\r\n") { 0 } else { find(body, b"\r\n0\r\n")? + 2 };
        return Some(head + last + find(&body[last..], b"\r\n\r\n")? + 4);
    }
    let length =
        text.split("content-length: ").nth(1).map_or("0", |rest| rest.split_once('\r').unwrap().0);
    let end = head + length.parse::<usize>().unwrap();
    (bytes.len() >= end).then_some(end)
}

/// A gateway that sends everything to a recorder.
fn before(io: IoDriver) -> (Gateway, Recorder) {
    let recorder = Recorder::start();
    let keys = "retry = { attempts = 1 }\noutlier = { failures = 0 }\n";
    let gateway = start(io, &format!("{}{ALL}", upstream(&[recorder.address], keys)));
    (gateway, recorder)
}

/// Everything that a client gets until the connection is closed, or nothing came for `rest`; and
/// whether it was closed.
fn everything(client: &mut Client, rest: Duration) -> (Vec<u8>, bool) {
    client.stream.set_read_timeout(Some(rest)).unwrap();
    let (mut all, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match client.read(&mut chunk) {
            Ok(0) => return (all, true),
            Ok(len) => all.extend_from_slice(&chunk[..len]),
            Err(error) => {
                let waits = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::TimedOut];
                return (all, !waits.contains(&error.kind()));
            }
        }
    }
}

/// The statuses of the answers of HTTP/1 in these bytes.
fn statuses(all: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(all).into_owned();
    let found = text.split("HTTP/1.1 ").skip(1).map(|rest| rest[..3].parse().unwrap());
    found.collect()
}
