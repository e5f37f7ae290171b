//! What an endpoint may be sent before it knows that we know of its new window.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use otus::base::text::Text;
use otus::snapshot::server::IoDriver;
use otus::snapshot::transport::Congestion;
use socket2::{Domain, Socket, Type};

use super::frames::frame;
use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;
const ACK: u8 = 1;
const DATA: u8 = 0;
const SETTINGS: u8 = 4;
/// Of one frame: several make up what a pipe holds.
const FRAME_BYTES: u32 = 256 * 1024;
/// How much wider each window is than the one before.
const STEP_BYTES: usize = 4 << 20;
/// How long the gateway may take to fill the socket, or to read a frame.
const WHILE: Duration = Duration::from_millis(20);

/// An endpoint of HTTP/2 that takes bytes only when it wants to.
struct Endpoint {
    stream: TcpStream,
    window: usize,
    /// Bytes of DATA so far.
    taken: usize,
}

impl Endpoint {
    fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.read_exact(&mut [0; PREFACE_BYTES]).unwrap();
        let mut endpoint = Endpoint { stream, window: STEP_BYTES, taken: 0 };
        // The connection as a whole never holds anybody up.
        let all = frame(8, 0, 0, &0x7000_0000_u32.to_be_bytes());
        let frames = [&[0, 5][..], &FRAME_BYTES.to_be_bytes()].concat();
        endpoint.say(&[frame(SETTINGS, 0, 0, &frames), all].concat());
        endpoint.until_ack();
        endpoint.announce();
        endpoint.until_ack();
        endpoint
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// `SETTINGS_INITIAL_WINDOW_SIZE`, which widens the window of the open stream as well.
    fn announce(&mut self) {
        let window = u32::try_from(self.window).unwrap().to_be_bytes();
        self.say(&frame(SETTINGS, 0, 0, &[&[0, 4][..], &window].concat()));
    }

    /// Takes the next frame and says what it was.
    fn take(&mut self) -> (u8, u8) {
        let mut head = [0; HEAD_BYTES];
        self.stream.read_exact(&mut head).unwrap();
        let [a, b, c, kind, flags, ..] = head;
        let len = u32::from_be_bytes([0, a, b, c]);
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        self.stream.read_exact(&mut payload).unwrap();
        if kind == DATA {
            self.taken += payload.len();
        }
        (kind, flags)
    }

    fn until_ack(&mut self) {
        while self.take() != (SETTINGS, ACK) {}
    }

    /// Widens the window when all but `rest` bytes of it were taken, and the gateway waits in the
    /// middle of a frame since nobody takes more. Says how much came before it was told that the
    /// gateway knows, and what had been allowed until then.
    fn widen(&mut self, rest: usize) -> (usize, usize) {
        while self.taken + rest < self.window {
            self.take();
        }
        thread::sleep(WHILE);
        let allowed = self.window;
        self.window += STEP_BYTES;
        self.announce();
        thread::sleep(WHILE);
        self.until_ack();
        (self.taken, allowed)
    }
}

fn listen() -> (SocketAddr, TcpListener) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(8).unwrap();
    let listener = TcpListener::from(socket);
    (listener.local_addr().unwrap(), listener)
}

/// Sends a body that is never whole, until the connection is shut.
fn upload(mut client: Client) -> JoinHandle<()> {
    thread::spawn(move || {
        client.head("PUT", "/api/v3/storage/upload", &["Content-Length: 10000000000"]);
        let chunk = vec![b'x'; 1 << 20];
        while client.stream.write_all(&chunk).is_ok() {}
    })
}

fn piped(io: IoDriver, address: SocketAddr) -> Gateway {
    Gateway::start(io, |snapshot| {
        let id = snapshot.add_module("storage", address);
        // A body that is not paced passes through pipes.
        snapshot.upstreams[id.index()].transport.congestion = Congestion::Named(Text::new(b"reno"));
    })
}

#[test]
fn a_wider_window_is_used_only_behind_its_acknowledgement() {
    on_both_drivers(|io| {
        let (address, listener) = listen();
        let gateway = piped(io, address);
        let client = gateway.client();
        let stream = client.stream.try_clone().unwrap();
        let client = upload(client);
        let mut endpoint = Endpoint::accept(&listener);
        for step in 0..16 {
            let (taken, allowed) = endpoint.widen(step * (STEP_BYTES / 16));
            assert!(taken <= allowed, "step {step}: {taken} bytes in a window of {allowed}");
        }
        assert!(gateway.metric("otus_upload_piped_bytes_total") > 0, "nothing was piped");
        drop(endpoint);
        stream.shutdown(Shutdown::Both).unwrap();
        client.join().unwrap();
        gateway.is_clean();
    });
}
