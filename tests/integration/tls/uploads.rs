//! Request bodies over TLS: opened where they were received, and sent on from there.

use std::net::Shutdown;

use rustls::version::{TLS12, TLS13};

use super::before;
use crate::support::backend::{Backend, ok_bytes};
use crate::support::client::head;
use crate::support::data;
use crate::support::gateway::on_both_drivers;
use crate::support::proxy;
use crate::support::service::Service;
use crate::support::tls::{Authority, Offer, Secure};

/// Lengths of records: tiny, usual and odd ones.
const RECORDS: [usize; 8] = [1, 16_384, 3, 5_000, 4_096, 4_095, 16_384, 700];

/// Sends bytes in records of all lengths.
fn send_in_records(client: &mut Secure, mut bytes: &[u8]) {
    for len in RECORDS.iter().cycle() {
        let (record, rest) = bytes.split_at(bytes.len().min(*len));
        client.send(record);
        bytes = rest;
        if bytes.is_empty() {
            return;
        }
    }
}

#[test]
fn bodies_arrive_whole_and_the_next_request_behind_them() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let (backend, _) = Backend::listen().serve(|_, body| ok_bytes(body));
        let gateway = before(io, &files, "", backend);
        let body = data::bytes((3 << 20) + 77);
        let length = format!("Content-Length: {}", body.len());
        let chunked = data::chunked(&body, &[100_000, 1, 16_384, 7, 65_536]);
        for version in [&TLS12, &TLS13] {
            let offer = Offer { versions: &[version], ..Offer::default() };
            let mut client = authority.client_of(gateway.address, "localhost", &offer).unwrap();
            for (field, sent) in [(&*length, &body), ("Transfer-Encoding: chunked", &chunked)] {
                let (first, next) = (head("POST", "/", &[field]), "Content-Length: 4");
                let next = head("POST", "/next", &[next]) + "next";
                let all = [first.as_bytes(), sent, next.as_bytes()].concat();
                client.send(&all);
                assert!(client.reply().1 == body, "{field}, in the largest records");
                assert_eq!(client.reply().1, b"next");
                send_in_records(&mut client, &all);
                assert!(client.reply().1 == body, "{field}, in records of all lengths");
                assert_eq!(client.reply().1, b"next");
            }
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn services_get_the_bytes_of_uploads() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let service = Service::start();
        let (host, port) = (service.address.ip(), service.address.port());
        let module = format!("[microservices.storage]\nhost = \"{host}\"\nport = {port}\n");
        let gateway = proxy::start(io, &format!("{module}[tls]\n{}\n", files.text()));
        let body = data::bytes((2 << 20) + 5);
        let multipart = data::multipart(&[("a", &body), ("b", &body[..9])]);
        let mut client = authority.client(gateway.address);
        for (more, sent, count) in [("X-Filename: a", &body, 1), (data::MULTIPART, &multipart, 2)] {
            let length = format!("Content-Length: {}", sent.len());
            let start = head("PUT", "/api/v3/storage/upload", &[&length, more]);
            for in_records in [false, true] {
                let mark = service.journal.mark();
                let all = [start.as_bytes(), sent].concat();
                if in_records {
                    send_in_records(&mut client, &all);
                } else {
                    client.send(&all);
                }
                let (answer, text) = client.reply();
                assert!(answer.starts_with("http/1.1 200"), "{answer} {}", text.escape_ascii());
                let stored = service.journal.stored(mark);
                assert_eq!(stored.files.len(), count);
                assert_eq!(stored.files[0].sha256, data::sha256(&body));
            }
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn an_upload_that_is_cut_off_at_either_side_leaves_nothing_behind() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let gateway = before(io, &files, "", backend.address);
        let start = head("PUT", "/", &["Content-Length: 8000000"]);
        let body = data::bytes(100_000);
        // The client goes away within a record, which nobody may take for the end of the body.
        let mut client = authority.client(gateway.address);
        client.send([start.as_bytes(), &body].concat());
        let (mut visit, _) = backend.asked();
        assert!(visit.exactly(body.len()) == body);
        client.stream.sock.shutdown(Shutdown::Both).unwrap();
        visit.closed();
        // The endpoint goes away while more is on its way.
        let mut client = authority.client(gateway.address);
        client.send([start.as_bytes(), &body].concat());
        let (mut visit, _) = backend.asked();
        assert!(visit.exactly(body.len()) == body);
        visit.reset();
        assert!(client.reply().0.starts_with("http/1.1 502"));
        drop(client);
        gateway.is_clean();
        gateway.finish();
    });
}
