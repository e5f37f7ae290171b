use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::super::wire::Wire;
use super::probe;
use super::schedule::{Schedule, Target};
use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::snapshot::Snapshot;
use crate::snapshot::upstream::{HealthCheck, HealthKind};
use crate::upstream::health::{Health, HealthRule};

/// Longer than any answer of a peer in this process takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn target(address: SocketAddr, kind: HealthKind) -> Target {
    let key = ("api".to_owned(), address);
    Target {
        key,
        authority: "api.test:80".to_owned(),
        kind,
        rule: HealthRule::default(),
        proxied: false,
        tls: None,
    }
}

/// A peer that serves one connection.
fn peer(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || serve(listener.accept().unwrap().0));
    address
}

/// A peer that reads a head and says this, in pieces of so many bytes.
fn speaker(answer: &'static [u8], piece: usize) -> SocketAddr {
    peer(move |mut stream| {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("GET /up HTTP/1.1\r\nhost: api.test:80\r\n"), "{head}");
        for part in answer.chunks(piece) {
            let _ = stream.write_all(part);
        }
    })
}

fn run(target: &Target, patience: Duration) -> Result<(), String> {
    probe::run(target, Wire::open(target.key.1, std::time::Instant::now() + patience))
}

#[track_caller]
fn check_http(answer: &'static [u8], want: Result<(), &str>) {
    for piece in [1, answer.len().max(1)] {
        let target = target(speaker(answer, piece), HealthKind::Http("/up".to_owned()));
        let got = run(&target, PATIENCE);
        assert_eq!(got.as_ref().map_err(String::as_str).copied(), want, "in pieces of {piece}");
    }
}

#[test]
fn an_http_check_asks_for_a_status_of_the_two_hundreds() {
    check_http(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(()));
    check_http(b"HTTP/1.1 204 No Content\r\n\r\n", Ok(()));
    check_http(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Ok(()));
    check_http(b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", Err("it answered 302"));
    check_http(b"HTTP/1.1 503 No\r\n\r\n", Err("it answered 503"));
    check_http(b"SSH-2.0-x\r\n\r\n", Err("its answer is not HTTP/1.1"));
    check_http(b"HTTP/1.1 200 OK\r\n", Err("it closed the connection"));
}

#[test]
fn a_peer_that_is_silent_or_refuses_has_failed() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let short = Duration::from_millis(50);
    let http = target(address, HealthKind::Http("/up".to_owned()));
    assert_eq!(run(&http, short), Err("no answer in time".to_owned()));
    let grpc = target(address, HealthKind::Grpc(String::new()));
    assert_eq!(run(&grpc, short), Err("no answer in time".to_owned()));
    assert_eq!(run(&target(address, HealthKind::Tcp), PATIENCE), Ok(()));
    drop(silent);
    let refused = run(&target(address, HealthKind::Tcp), PATIENCE);
    assert_eq!(refused, Err("cannot connect: connection refused".to_owned()));
}

/// What a gRPC server answers: the bytes of its message, and its status.
#[derive(Clone, Copy)]
struct Said(&'static [u8], &'static str);

/// A real HTTP/2 server that answers one call.
fn grpc_peer(said: Said) -> SocketAddr {
    peer(move |stream| {
        stream.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let stream = tokio::net::TcpStream::from_std(stream).unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            assert_eq!(request.uri(), "http://api.test:80/grpc.health.v1.Health/Check");
            assert_eq!(request.headers()["te"], "trailers");
            let mut body = request.into_body();
            let serve = async move {
                let data = body.data().await.unwrap().unwrap();
                assert_eq!(&data[..], b"\0\0\0\0\x05\x0a\x03a.B");
                let Said(message, status) = said;
                let response = http::Response::builder().header("content-type", "application/grpc");
                let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
                if !message.is_empty() {
                    stream.send_data(message.into(), false).unwrap();
                }
                let mut trailers = http::HeaderMap::new();
                trailers.insert("grpc-status", status.parse().unwrap());
                stream.send_trailers(trailers).unwrap();
            };
            tokio::spawn(serve);
            while connection.accept().await.is_some_and(|next| next.is_ok()) {}
        });
    })
}

#[track_caller]
fn check_grpc(said: Said, want: Result<(), &str>) {
    let target = target(grpc_peer(said), HealthKind::Grpc("a.B".to_owned()));
    let got = run(&target, PATIENCE);
    assert_eq!(got.as_ref().map_err(String::as_str).copied(), want);
}

#[test]
fn a_grpc_check_asks_for_serving() {
    check_grpc(Said(b"\0\0\0\0\x02\x08\x01", "0"), Ok(()));
    check_grpc(Said(b"\0\0\0\0\x02\x08\x02", "0"), Err("it says NOT_SERVING"));
    check_grpc(Said(b"\0\0\0\0\x02\x08\x03", "0"), Err("it says SERVICE_UNKNOWN"));
    check_grpc(Said(b"\0\0\0\0\0", "0"), Err("it says UNKNOWN"));
    check_grpc(Said(b"\0\0\0\0\x02\x08\x01", "5"), Err("gRPC status NOT_FOUND"));
    check_grpc(Said(b"", "0"), Err("it answered nothing"));
    check_grpc(Said(b"\0\0\0\0\x02\x0f\x01", "0"), Err("its answer cannot be read"));
    check_grpc(Said(b"\0\0\x01\0\0", "0"), Err("its answer cannot be read"));
    check_grpc(Said(b"\0\0\0\0\0\0\0\0\0\0", "0"), Err("it answered twice"));
}

#[test]
fn a_peer_that_speaks_no_http2_has_failed() {
    let address = peer(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 1024]);
    });
    let got = run(&target(address, HealthKind::Grpc(String::new())), PATIENCE);
    assert_eq!(got, Err("its answer is not HTTP/2".to_owned()));
}

const ADDRESSES: [[u8; 4]; 3] = [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]];

fn snapshot(addresses: &[[u8; 4]], kind: HealthKind) -> Snapshot {
    let mut snapshot = Snapshot::minimal();
    let addresses: Vec<SocketAddr> = addresses.iter().map(|ip| (*ip, 80).into()).collect();
    snapshot.add_http_upstream("api", &addresses);
    snapshot.upstreams[0].health = Some(HealthCheck { kind, rule: HealthRule::default() });
    snapshot.add_http_upstream("unchecked", &addresses);
    snapshot
}

/// The moment at which all first checks are due.
fn later() -> Instant {
    Instant::START + HealthRule::default().interval
}

#[test]
fn only_so_many_checks_run_at_once_and_none_twice() {
    let mut schedule = Schedule::new(Prng::new(1));
    schedule.follow(&snapshot(&ADDRESSES, HealthKind::Tcp), Instant::START);
    assert!(schedule.next_due() < later());
    let first = schedule.begin(2, later());
    assert_eq!(first.len(), 2);
    assert_eq!(first[0].1, later() + HealthRule::default().timeout);
    assert_eq!(schedule.begin(2, later()).len(), 1);
    assert_eq!((schedule.begin(2, later()).len(), schedule.next_due()), (0, Instant::NEVER));
    let changed = schedule.ended(&first[0].0, Some(false), later());
    assert_eq!(changed, Some((Health::Unknown, Health::Down)));
    assert!(schedule.next_due() > later());
}

#[test]
fn a_check_that_could_not_be_made_says_nothing() {
    let mut schedule = Schedule::new(Prng::new(1));
    schedule.follow(&snapshot(&ADDRESSES, HealthKind::Tcp), Instant::START);
    let begun = schedule.begin(1, later());
    assert_eq!(schedule.ended(&begun[0].0, None, later()), None);
    assert!(schedule.states().into_values().all(|state| state == Health::Unknown));
    assert_eq!(schedule.begin(3, later()).len(), 2);
    // It is due again like any other.
    assert!(schedule.next_due() < later() + HealthRule::default().interval * 2);
}

#[test]
fn what_is_known_outlives_a_reload_unless_the_check_is_another_one() {
    let mut schedule = Schedule::new(Prng::new(1));
    schedule.follow(&snapshot(&ADDRESSES, HealthKind::Tcp), Instant::START);
    let begun = schedule.begin(3, later());
    for (target, _) in &begun[..2] {
        assert!(schedule.ended(target, Some(false), later()).is_some());
    }
    // One goes; the check of another runs on, and its result counts.
    schedule.follow(&snapshot(&ADDRESSES[1..], HealthKind::Tcp), later());
    let states: Vec<_> = schedule.states().into_values().collect();
    let down = states.iter().filter(|state| **state == Health::Down).count();
    assert_eq!(states.len(), 2);
    let running = &begun[2].0;
    let is_left = running.key.1 != SocketAddr::from((ADDRESSES[0], 80));
    assert_eq!(schedule.ended(running, Some(true), later()).is_some(), is_left);
    assert_eq!(down, if is_left { 1 } else { 2 });
    // Another kind of check knows nothing yet, and does not take the old one's result.
    schedule.follow(&snapshot(&ADDRESSES, HealthKind::Http("/".to_owned())), later());
    assert!(schedule.states().into_values().all(|state| state == Health::Unknown));
    assert_eq!(schedule.ended(&begun[0].0, Some(false), later()), None);
    schedule.follow(&Snapshot::minimal(), later());
    assert_eq!((schedule.states().len(), schedule.next_due()), (0, Instant::NEVER));
}
