//! Uploads that go well.

use otus::base::text::Text;
use otus::snapshot::server::IoDriver;
use otus::snapshot::transport::Congestion;
use prost::Message;

use crate::support::client::{Client, Reply};
use crate::support::data::{self, MULTIPART};
use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::journal::{File, Upload};
use crate::support::service::{Service, json_of};

const PATH: &str = "/api/v3/storage/upload";
const CHUNKED: &str = "Transfer-Encoding: chunked";

fn start(io: IoDriver) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("storage", service.address);
    });
    (gateway, service)
}

/// Sizes around every bound on the way: a message, a buffer, and many of both.
fn sizes() -> [usize; 7] {
    [0, 10, 65_535, 65_537, 262_145, (5 << 20) + 1, data::LARGE_BYTES]
}

fn sample(len: usize) -> Vec<u8> {
    if len == data::LARGE_BYTES { data::large().to_vec() } else { data::bytes(len) }
}

fn file(name: &str, data: &[u8]) -> File {
    File { name: name.to_owned(), bytes: data.len(), sha256: data::sha256(data) }
}

/// Service and client agree on what arrived, and each file has both of its ends.
#[track_caller]
fn check(service: &Service, mark: usize, reply: &Reply, want: &[File]) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let Upload { files, marks, chunk_max } = service.journal.stored(mark);
    assert_eq!(files, want);
    assert_eq!(marks, ["start", "end", "empty"].repeat(want.len()));
    assert!(chunk_max <= 65_536, "{chunk_max}");
    let told = reply.data()["files"].clone();
    let list = want.iter().map(
        |file| serde_json::json!({ "name": file.name, "bytes": file.bytes, "sha256": file.sha256 }),
    );
    assert_eq!(told, serde_json::Value::Array(list.collect()));
}

#[test]
fn a_raw_body_arrives_whole() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let mut client = gateway.client();
        for len in sizes() {
            let (mark, body) = (service.journal.mark(), sample(len));
            let reply = client.put(PATH, &["X-Filename: a.iso"], &body);
            check(&service, mark, &reply, &[file("a.iso", &body)]);
        }
        gateway.is_clean();
    });
}

/// Large frames and no pacing: the body passes through a pipe, where the kernel grants one.
fn start_piped(io: IoDriver) -> (Gateway, Service) {
    let service = Service::with_frames(256 * 1024);
    let gateway = Gateway::start(io, |snapshot| {
        let id = snapshot.add_module("storage", service.address);
        snapshot.upstreams[id.index()].transport.congestion = Congestion::Named(Text::new(b"reno"));
    });
    (gateway, service)
}

#[test]
fn a_body_that_passes_through_a_pipe_arrives_whole() {
    on_both_drivers(|io| {
        let (gateway, service) = start_piped(io);
        let mut client = gateway.client();
        for len in sizes() {
            let (mark, body) = (service.journal.mark(), sample(len));
            let reply = client.put(PATH, &["X-Filename: a.iso"], &body);
            check(&service, mark, &reply, &[file("a.iso", &body)]);
        }
        let (all, piped) = (
            gateway.metric("otus_upload_bytes_total"),
            gateway.metric("otus_upload_piped_bytes_total"),
        );
        assert!(piped > 0 && piped <= all, "{piped} of {all}");
        gateway.is_clean();
    });
}

#[test]
fn a_chunked_body_arrives_whole() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let mut client = gateway.client();
        for (len, chunks) in sizes().into_iter().zip([
            &[1][..],
            &[1, 3],
            &[65_535],
            &[7, 4096],
            &[262_144, 1],
            &[100_000, 5, 65_536],
            &[1 << 20, 333],
        ]) {
            let (mark, body) = (service.journal.mark(), sample(len));
            client.head("PUT", PATH, &[CHUNKED, "X-Filename: a.iso"]);
            let reply = client.send_aside(&data::chunked(&body, chunks));
            check(&service, mark, &reply, &[file("a.iso", &body)]);
        }
        gateway.is_clean();
    });
}

#[test]
fn every_part_with_a_file_name_arrives_whole() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let mut client = gateway.client();
        for len in sizes() {
            let (mark, body) = (service.journal.mark(), sample(len));
            // Bytes that look like the delimiter, up to its last.
            let decoy = b"\r\n--otus-tes\r\n--otus-tesT\r\n-".repeat(50);
            let files: [(&str, &[u8]); 3] = [("a.jpg", &body), ("decoy", &decoy), ("empty", b"")];
            let reply = client.put(PATH, &[MULTIPART], &data::multipart(&files));
            check(&service, mark, &reply, &files.map(|(name, data)| file(name, data)));
        }
        gateway.is_clean();
    });
}

#[test]
fn parts_may_be_cut_anywhere() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let mut client = gateway.client();
        let files: [(&str, &[u8]); 2] = [("a", b"\r\n--otus-test"), ("b", b"-- \r\n\r\n--")];
        let files = files.map(|(name, data)| (name, data.strip_suffix(b"t").unwrap_or(data)));
        for chunks in [&[1][..], &[2, 3], &[17]] {
            let mark = service.journal.mark();
            client.head("PUT", PATH, &[CHUNKED, MULTIPART]);
            client.send(data::chunked(&data::multipart(&files), chunks));
            let reply = client.reply();
            check(&service, mark, &reply, &files.map(|(name, data)| file(name, data)));
        }
    });
}

#[test]
fn the_first_message_says_who_calls_and_what_for() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let mark = service.journal.mark();
        let fields = [
            "Authorization: Bearer t0ken",
            "User-Agent: tester",
            "Accept-Language: de-AT,de;q=0.9",
            "X-Filename: ../a%b\"c.txt",
        ];
        let path = "/api/v1/storage/upload/7/8/9?tag=x%20y&n=1";
        let reply = gateway.client().put(path, &fields, b"abc");
        assert_eq!(reply.status, 200);
        let first = service.journal.begun(mark);
        for (want, got) in [
            ("storage", &first.module),
            ("upload", &first.param),
            ("7", &first.param_id),
            ("8", &first.param_idd),
            ("/api/v1/storage/upload/7/8/9", &first.path),
            ("PUT", &first.method),
            (SIGN, &first.sign),
            ("127.0.0.1", &first.ip),
            ("v1", &first.api_version),
            ("tester", &first.user_agent),
            ("t0ken", &first.token),
            ("Bearer", &first.token_type),
            ("de", &first.language),
        ] {
            assert_eq!(got.as_deref(), Some(want));
        }
        assert_eq!(first.ir.unwrap().param.as_deref(), Some("stream"));
        assert_eq!(json_of(&first.args["tag"]), "\"x y\"");
        let meta = &first.args["meta"].value;
        let marker = otus::proto::reverse::StringMap::decode(meta.as_slice()).unwrap();
        assert_eq!(marker.entries["phase"], "start");
        assert_eq!(marker.entries["filename"], "a%b\"c.txt", "without the directory");
    });
}

#[test]
fn uploads_beside_each_other_stay_apart() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let bodies: Vec<Vec<u8>> = (0..16).map(|at| data::bytes(700_000 + at)).collect();
        std::thread::scope(|scope| {
            for body in &bodies {
                let gateway = &gateway;
                scope.spawn(move || {
                    let reply = gateway.client().put(PATH, &["X-Filename: p"], body);
                    assert_eq!(reply.data()["files"][0]["sha256"], data::sha256(body));
                });
            }
        });
        let connections = gateway.metric("otus_upstream_connections_opened_total");
        assert!(connections <= 4, "{connections} connections to one endpoint");
        assert_eq!(service.journal.since(0).len(), 2 * bodies.len());
        gateway.is_clean();
    });
}

#[test]
fn an_upload_route_takes_any_method_and_path() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.add_module("storage", service.address);
            snapshot.gufo.upload_routes = vec![otus::snapshot::gufo::UploadRoute {
                id: "drop".to_owned(),
                path: "/drop".to_owned(),
                module: "storage".to_owned(),
                param: "upload".to_owned(),
            }];
        });
        let mut client: Client = gateway.client();
        for method in ["POST", "PUT", "PATCH"] {
            let mark = service.journal.mark();
            let reply = client.ask(method, "/drop/below", &["X-Filename: r"], b"0123456789");
            check(&service, mark, &reply, &[file("r", b"0123456789")]);
        }
        // A file may be empty, and then nothing says how long it is.
        client.head("PUT", "/drop/below", &["X-Filename: r"]);
        assert_eq!(client.reply().status, 200);
        assert_eq!(client.get("/drop/below").status, 404);
        assert_eq!(client.ask("PUT", "/dropped", &[], b"x").status, 404);
    });
}

#[test]
fn a_form_that_is_none_is_refused_and_the_stream_is_cancelled() {
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let good = data::multipart(&[("a", &data::bytes(70_000))]);
        for (field, body) in [
            ("Content-Type: multipart/form-data", &good[..]),
            ("Content-Type: multipart/form-data; boundary=\"\"", &good),
            ("Content-Type: multipart/form-data; boundary=other", &good),
            (MULTIPART, &good[..good.len() - 10]),
            (MULTIPART, &good[..60]),
            (MULTIPART, b""),
        ] {
            let reply = gateway.client().put(PATH, &[field], body);
            assert_eq!(reply.status, 400, "{field}: {}", reply.text());
        }
        let body = data::multipart(&[]);
        let reply = gateway.client().put(PATH, &[MULTIPART], &body);
        assert_eq!(reply.status, 400, "a form without a file: {}", reply.text());
        let mark = service.journal.mark();
        let reply = gateway.client().put(PATH, &["X-Filename: n"], b"next");
        check(&service, mark, &reply, &[file("n", b"next")]);
        gateway.is_clean();
    });
}
