//! Clients that do not mean well.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::{before, telling};
use crate::support::client::head;
use crate::support::gateway::on_both_drivers;
use crate::support::journal::PATIENCE;
use crate::support::tls::Authority;

/// The beginning of a hello that says it is longer.
const HALF_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything until the end, however it comes.
fn until_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&chunk[..len]),
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is not closed");
                return all;
            }
        }
    }
}

#[test]
fn a_handshake_that_is_not_finished_ends_in_time_and_lets_others_in() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let more = "handshake_timeout = \"1s\"\nhandshakes = 2\n";
        let gateway = before(io, &files, more, telling());
        let silent: Vec<_> = (0..8).map(|_| connect(gateway.address)).collect();
        let half: Vec<_> = (0..8)
            .map(|_| {
                let mut stream = connect(gateway.address);
                stream.write_all(HALF_HELLO).unwrap();
                stream
            })
            .collect();
        for stream in silent.iter().chain(&half) {
            assert_eq!(until_end(stream), b"", "nothing to say to them");
        }
        gateway.wait_metric("otus_tls_handshakes_failed_total", 16);
        assert_eq!(authority.client(gateway.address).get("/"), "/ https true");
        // Those that wait for a place get it when one that has it leaves.
        let half: Vec<_> = (0..2)
            .map(|_| {
                let mut stream = connect(gateway.address);
                stream.write_all(HALF_HELLO).unwrap();
                stream
            })
            .collect();
        let address = gateway.address;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| authority.client(address).get("/waited"));
            std::thread::sleep(Duration::from_millis(50));
            drop(half);
            assert_eq!(waiting.join().unwrap(), "/waited https true");
        });
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn what_is_no_handshake_is_refused_with_an_alert() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let gateway = before(io, &files, "", telling());
        let oversized = [&b"\x16\x03\x01\xff\xff"[..], &vec![0; 20_000]].concat();
        let endless = [&b"\x16\x03\x03\x40\x00\x01\xff\xff\xff"[..], &[0; 16_380]].concat();
        let cases: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
            b"\x17\x03\x03\x00\x05hello",
            b"\x15\x03\x03\x00\x02\x02\x28",
            &oversized,
            &endless,
        ];
        for (index, bytes) in cases.into_iter().enumerate() {
            let mut stream = connect(gateway.address);
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(Shutdown::Write);
            let said = until_end(&stream);
            let is_alert = said.len() == 7 && said[0] == 0x15;
            assert!(said.is_empty() || is_alert, "{index}: {}", said.escape_ascii());
        }
        gateway.wait_metric("otus_tls_handshakes_failed_total", 6);
        assert_eq!(authority.client(gateway.address).get("/"), "/ https true");
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn a_record_that_was_changed_ends_the_connection_before_it_is_used() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let gateway = before(io, &files, "", telling());
        let mut client = authority.client(gateway.address);
        assert_eq!(client.get("/"), "/ https true");
        let mut sealed = Vec::new();
        client.stream.conn.writer().write_all(head("GET", "/evil", &[]).as_bytes()).unwrap();
        client.stream.conn.write_tls(&mut sealed).unwrap();
        let last = sealed.len() - 1;
        sealed[last] ^= 1;
        client.stream.sock.write_all(&sealed).unwrap();
        let said = until_end(&client.stream.sock);
        assert!(!said.is_empty(), "an alert says why");
        assert_eq!(gateway.metric("otus_panics_total"), 0);
        gateway.finish();
    });
}

#[test]
fn key_updates_are_followed_in_both_directions() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let gateway = before(io, &files, "", telling());
        let mut client = authority.client(gateway.address);
        for round in 0..5 {
            client.stream.conn.refresh_traffic_keys().unwrap();
            assert_eq!(client.get(&format!("/{round}")), format!("/{round} https true"));
        }
        gateway.is_clean();
        gateway.finish();
    });
}
