//! The operator's listener: metrics, liveness, readiness. Off the shards, one short-lived thread a
//! connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::base::limits;
use crate::message::framing::Framing;
use crate::message::head::{Method, RequestHead};
use crate::observe::exposition::CONTENT_TYPE;
use crate::observe::latency::Batch;
use crate::protocol::h1::encode;
use crate::protocol::h1::request::{HeadLimits, Progress, RequestParser};

use super::state::State;

/// Connections served at once; one more is closed.
const CONNECTIONS_MAX: usize = 32;
/// From accepting a connection to its end.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Asks the shards for their latencies.
type Latency = Arc<dyn Fn() -> Vec<Batch> + Send + Sync>;

/// Opens the listener and serves it on a thread of its own.
pub(super) fn start(
    address: SocketAddr,
    state: Arc<State>,
    latency: impl Fn() -> Vec<Batch> + Send + Sync + 'static,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address)?;
    state.set_admin_address(listener.local_addr()?);
    let latency: Latency = Arc::new(latency);
    std::thread::Builder::new()
        .name("otus-admin".to_owned())
        .spawn(move || accept(&listener, &state, &latency))?;
    Ok(())
}

fn accept(listener: &TcpListener, state: &Arc<State>, latency: &Latency) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (state, latency, counted) = (Arc::clone(state), Arc::clone(latency), Arc::clone(&open));
        let spawned =
            std::thread::Builder::new().name("otus-admin-conn".to_owned()).spawn(move || {
                let _ = serve(stream, &state, &latency);
                counted.fetch_sub(1, Ordering::Relaxed);
            });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// One request, one answer, close.
fn serve(mut stream: TcpStream, state: &State, latency: &Latency) -> std::io::Result<()> {
    let end = Instant::now() + TOTAL_TIMEOUT;
    stream.set_write_timeout(Some(TOTAL_TIMEOUT))?;
    let mut bytes = Vec::new();
    let mut head = RequestHead::default();
    let mut parser = RequestParser::new(HeadLimits {
        bytes: limits::HEAD_BYTES_MAX,
        target: limits::TARGET_BYTES_MAX,
        fields: limits::HEAD_FIELDS_MAX,
    });
    loop {
        let mut chunk = [0; 4096];
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        let len = stream.read(&mut chunk)?;
        if len == 0 || Instant::now() >= end {
            return Ok(());
        }
        bytes.extend_from_slice(chunk.get(..len).unwrap_or_default());
        match parser.parse(&bytes, &mut head) {
            Ok(Progress::NeedMore) => {}
            Ok(Progress::Done { .. }) => break,
            Err(_) => return answer(&mut stream, Method::Get, 400, "text/plain", "bad request\n"),
        }
    }
    if head.framing != Framing::Empty || !matches!(head.method, Method::Get | Method::Head) {
        return answer(&mut stream, head.method, 405, "text/plain", "only GET\n");
    }
    let (status, kind, body) = page(&head, &bytes, state, latency);
    answer(&mut stream, head.method, status, kind, &body)
}

fn page(
    head: &RequestHead,
    bytes: &[u8],
    state: &State,
    latency: &Latency,
) -> (u16, &'static str, String) {
    let text = |status, text: &str| (status, "text/plain; charset=utf-8", text.to_owned());
    let path = head.path.of(bytes);
    match path {
        b"/healthz" => text(200, "ok\n"),
        b"/readyz" if state.is_ready() => text(200, "ready\n"),
        b"/readyz" => text(503, "draining\n"),
        _ if is_metrics(path, state) => match refusal(head, bytes, state) {
            Some(why) => text(403, why),
            None => (200, CONTENT_TYPE, state.metrics(&latency())),
        },
        _ => text(404, "there are /metrics, /healthz and /readyz\n"),
    }
}

/// `/metrics`, and `/metrics` below each base (SPEC 20, item 4).
fn is_metrics(path: &[u8], state: &State) -> bool {
    path.strip_suffix(b"/metrics").is_some_and(|base| {
        let snapshot = state.snapshot();
        base.is_empty() || snapshot.gufo.bases.iter().any(|known| known.prefix.as_bytes() == base)
    })
}

/// With a token set, a reader must show it. Without one, only a listener on loopback is open: it is
/// the address that protects the page then (ARCHITECTURE.md has the decision).
fn refusal(head: &RequestHead, bytes: &[u8], state: &State) -> Option<&'static str> {
    let snapshot = state.snapshot();
    match &snapshot.server.metrics_token {
        Some(token) => {
            let shown = head.by_name(bytes, "x-metrics-token").unwrap_or_default();
            (!token.matches(shown)).then_some("Forbidden\n")
        }
        None if state.admin_address().is_some_and(|address| address.ip().is_loopback()) => None,
        None => Some("Metrics endpoint disabled\n"),
    }
}

fn answer(
    stream: &mut TcpStream,
    method: Method,
    status: u16,
    kind: &str,
    body: &str,
) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(body.len() + 256);
    encode::status_line(&mut out, status);
    encode::field(&mut out, b"content-type", kind.as_bytes());
    encode::field(&mut out, b"cache-control", b"no-store");
    encode::content_length(&mut out, u64::try_from(body.len()).unwrap_or(0));
    encode::connection_close(&mut out);
    encode::end(&mut out);
    if method != Method::Head {
        out.extend_from_slice(body.as_bytes());
    }
    stream.write_all(&out)?;
    stream.shutdown(std::net::Shutdown::Write)
}
