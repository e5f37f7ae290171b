//! What the gateway tells a collector of traces, and Sentry; and files of the day.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use otus::snapshot::observe::{LogForm, LogTarget};
use serde_json::Value;

use crate::support::backend::{Backend, Seen, nobody, ok};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;
use crate::support::proxy::{ALL, start, upstream};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: [u8; 16] = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
const SPAN: [u8; 8] = 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes();

/// What was posted: its head and its body.
type Posted = Vec<(Seen, Vec<u8>)>;

/// What takes what is posted, and what it answers at first.
struct Peer {
    address: SocketAddr,
    posted: Arc<Mutex<Posted>>,
}

impl Peer {
    fn start(mut statuses: Vec<u16>) -> Self {
        let posted = Arc::new(Mutex::new(Vec::new()));
        let (shared, statuses) = (Arc::clone(&posted), Mutex::new(statuses.split_off(0)));
        let (address, _) = Backend::listen().serve(move |seen, body| {
            let statuses = &mut *statuses.lock().unwrap();
            let status = if statuses.is_empty() { 200 } else { statuses.remove(0) };
            shared.lock().unwrap().push((seen.clone(), body.to_vec()));
            format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes()
        });
        Peer { address, posted }
    }

    /// What was posted, once there are so many.
    #[track_caller]
    fn posted(&self, count: usize) -> Posted {
        eventually("something is posted", || {
            let posted = self.posted.lock().unwrap();
            (posted.len() >= count).then(|| posted.clone())
        })
    }
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

/// The id of the span in a `traceparent`, after what stands around it was checked.
#[track_caller]
fn span_of(seen: &Seen) -> [u8; 8] {
    let text = seen.field("traceparent").unwrap();
    let (trace, rest) = text.split_at(36);
    assert_eq!((trace, &rest[16..]), (&PARENT[..36], "-01"), "{text}");
    u64::from_str_radix(&rest[..16], 16).unwrap().to_be_bytes()
}

fn traced(io: otus::snapshot::server::IoDriver, peer: &Peer, more: &str) -> (Gateway, Backend) {
    let backend = Backend::listen();
    let otel = format!("[otel]\nendpoint = \"{}\"\n{more}\n", peer.address);
    let text = format!("{otel}{}{ALL}", upstream(&[backend.address], ""));
    (start(io, &text), backend)
}

#[test]
fn a_trace_goes_on_through_the_gateway_and_its_spans_reach_the_collector() {
    on_both_drivers(|io| {
        let peer = Peer::start(vec![503]);
        let (gateway, backend) = traced(io, &peer, "service_name = \"edge\"");
        let mut client = gateway.client();
        client.head("GET", "/a?secret=1", &[&format!("traceparent: {PARENT}")]);
        let (mut visit, seen) = backend.asked();
        let own = span_of(&seen);
        assert_ne!(own, SPAN);
        visit.answer("x");
        assert_eq!(client.reply().status, 200);
        // The collector was busy at first; it gets the same again.
        let posted = peer.posted(2);
        assert_eq!(posted[0].1, posted[1].1);
        let (seen, body) = &posted[1];
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/v1/traces"));
        assert_eq!(seen.field("content-type"), Some("application/x-protobuf"));
        for part in [&TRACE[..], &SPAN, &own, b"edge", b"GET all", b"http.route", b"/a"] {
            assert!(holds(body, part), "{}", part.escape_ascii());
        }
        assert!(!holds(body, b"secret"));
        gateway.wait_metric("otus_telemetry_sent_total{to=\"otlp\"}", 2);
        gateway.finish();
    });
}

#[test]
fn what_its_caller_does_not_trace_is_not_traced_here_and_the_ratio_is_for_the_others() {
    on_both_drivers(|io| {
        let peer = Peer::start(Vec::new());
        let (gateway, backend) = traced(io, &peer, "ratio = 0.0");
        let mut client = gateway.client();
        let mut ask = |fields: &[&str]| {
            client.head("GET", "/a", fields);
            let (mut visit, seen) = backend.asked();
            visit.send(ok("x").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
            assert_eq!(client.reply().status, 200);
            seen.field("traceparent").unwrap().to_owned()
        };
        let unsampled = PARENT.replace("-01", "-00");
        assert_eq!(ask(&[&format!("traceparent: {unsampled}")]), unsampled);
        // One of our own says that nobody tells of it.
        assert!(ask(&[]).ends_with("-00"));
        let own = ask(&[&format!("traceparent: {PARENT}")]);
        assert!(own != PARENT && own.ends_with("-01"));
        gateway.wait_metric("otus_telemetry_sent_total{to=\"otlp\"}", 2);
        assert_eq!(gateway.metric("otus_telemetry_sent_total{to=\"otlp\"}"), 2);
        gateway.finish();
    });
}

#[test]
fn spans_that_wait_are_sent_at_the_end_and_a_peer_that_is_gone_stops_nobody() {
    on_both_drivers(|io| {
        let peer = Peer::start(Vec::new());
        let (gateway, backend) = traced(io, &peer, "");
        let mut client = gateway.client();
        client.head("GET", "/a", &[]);
        let (mut visit, _) = backend.asked();
        visit.answer("x");
        assert_eq!(client.reply().status, 200);
        gateway.finish();
        peer.posted(1);

        let gone = Peer { address: nobody(), posted: Arc::default() };
        let (gateway, backend) = traced(io, &gone, "");
        let mut client = gateway.client();
        client.head("GET", "/a", &[]);
        let (mut visit, _) = backend.asked();
        visit.answer("x");
        assert_eq!(client.reply().status, 200);
        gateway.finish();
    });
}

#[test]
fn errors_of_ours_are_reported_once_with_how_often_they_happened() {
    on_both_drivers(|io| {
        let peer = Peer::start(Vec::new());
        let sentry = format!(
            "server.sentry = true\n[sentry]\ndsn = \"http://public:hidden@{}/7\"\n",
            peer.address
        );
        let gateway = start(io, &format!("{sentry}{}{ALL}", upstream(&[nobody()], "")));
        let mut client = gateway.client();
        let fields = ["Authorization: Bearer hidden", "User-Agent: hidden"];
        client.head("GET", "/hidden?a=hidden", &fields);
        assert_eq!(client.reply().status, 502);
        let seen = eventually("it is reported", || {
            let posted = peer.posted(1);
            let ours = posted.into_iter().find(|(_, body)| holds(body, b"connect_refused"));
            ours.map(|(seen, _)| seen)
        });
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/api/7/envelope/"));
        assert_eq!(seen.field("content-type"), Some("application/x-sentry-envelope"));
        let auth = seen.field("x-sentry-auth").unwrap();
        assert!(auth.contains("sentry_key=public") && !auth.contains("hidden"), "{auth}");
        for _ in 0..3 {
            client.head("GET", "/hidden", &[]);
            assert_eq!(client.reply().status, 502);
        }
        gateway.finish();
        // Panics that other tests want are reported as well.
        let ours = eventually("the rest is reported at the end", || {
            let posted =
                peer.posted(2).into_iter().map(|(_, body)| String::from_utf8(body).unwrap());
            let ours: Vec<_> = posted.filter(|text| text.contains("connect_refused")).collect();
            (ours.len() >= 2).then_some(ours)
        });
        let mut counts = Vec::new();
        for text in &ours {
            assert!(!text.contains("hidden"), "{text}");
            let event: Value = serde_json::from_str(text.lines().nth(2).unwrap()).unwrap();
            assert_eq!(event["message"]["formatted"], "connect_refused all");
            assert_eq!(event["tags"]["status"], "502");
            counts.push(event["extra"]["count"].as_u64().unwrap());
        }
        assert_eq!(counts, [1, 3]);
    });
}

#[test]
fn panics_and_transactions_are_reported_where_that_is_asked_for() {
    on_both_drivers(|io| {
        let peer = Peer::start(Vec::new());
        let backend = Backend::listen();
        let sentry = format!(
            "server.sentry = true\n[sentry]\ndsn = \"http://k@{}/7\"\ntracing = true\n",
            peer.address
        );
        let gateway = start(io, &format!("{sentry}{}{ALL}", upstream(&[backend.address], "")));
        let panicked = std::thread::spawn(|| panic!("as the test wants")).join();
        assert!(panicked.is_err());
        let mut client = gateway.client();
        client.head("GET", "/a", &[]);
        let (mut visit, _) = backend.asked();
        visit.answer("x");
        assert_eq!(client.reply().status, 200);
        let items = eventually("both are posted", || {
            let posted = peer.posted.lock().unwrap().clone();
            let items = posted.iter().map(|(_, body)| {
                let text = str::from_utf8(body).unwrap();
                serde_json::from_str::<Value>(text.lines().nth(2).unwrap()).unwrap()
            });
            let items: Vec<Value> = items.collect();
            let has = |want: &dyn Fn(&Value) -> bool| items.iter().any(want);
            let panic = |item: &Value| {
                let value = item["exception"]["values"][0]["value"].as_str().unwrap_or_default();
                value.starts_with("as the test wants (tests")
            };
            let transaction = |item: &Value| item["transaction"] == "GET all";
            (has(&panic) && has(&transaction)).then_some(items)
        });
        let transaction = items.iter().find(|item| item["type"] == "transaction").unwrap();
        assert_eq!(transaction["spans"][0]["op"], "http.client");
        gateway.finish();
    });
}

/// A directory that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("otus-files-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        let _ = std::fs::remove_file(&path);
        Folder(path)
    }

    /// The lines of the file of today whose name begins so.
    fn lines(&self, stem: &str) -> Vec<Value> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let ours = paths.filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(stem) && path.extension().is_some_and(|end| end == "log")
        });
        let texts: Vec<String> = ours.map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let lines = texts.iter().flat_map(|text| text.lines());
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_of_the_day_have_requests_in_one_and_errors_in_the_other() {
    on_both_drivers(|io| {
        let folder = Folder::new(io.name());
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.observe.access_log = Some(LogTarget::Daily(folder.0.clone()));
            snapshot.observe.log_form = LogForm::Gufo;
            snapshot.add_module("users", nobody());
        });
        let mut client = gateway.client();
        assert_eq!(client.get("/api/v3/health").status, 200);
        assert_eq!(client.get("/api/v3/users/x").status, 502);
        gateway.finish();
        let fine = folder.lines("gufo-");
        let of = |lines: &[Value], msg: &str| {
            lines.iter().find(|line| line["msg"] == msg).cloned().unwrap_or_default()
        };
        let request = of(&fine, "request");
        assert_eq!((&request["level"], &request["status"]), (&"INFO".into(), &200.into()));
        assert_eq!(
            (&request["method"], &request["path"]),
            (&"GET".into(), &"/api/v3/health".into())
        );
        assert_eq!(of(&fine, "stopped")["caller"], "stop");
        let request = of(&folder.lines("error-"), "request");
        assert_eq!((&request["level"], &request["module"]), (&"ERROR".into(), &"users".into()));
    });
}

#[test]
fn a_directory_that_cannot_be_written_to_stops_nothing() {
    on_both_drivers(|io| {
        let folder = Folder::new(&format!("none-{}", io.name()));
        std::fs::write(&folder.0, "in the way").unwrap();
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.observe.access_log = Some(LogTarget::Daily(folder.0.join("logs")));
        });
        let mut client = gateway.client();
        for _ in 0..10 {
            assert_eq!(client.get("/api/v3/health").status, 200);
        }
        gateway.wait_metric("otus_log_write_errors_total", 1);
        std::fs::remove_file(&folder.0).unwrap();
        gateway.wait_metric("otus_log_records_total", 10);
        gateway.finish();
        let _ = std::fs::remove_dir_all(&folder.0);
    });
}
