//! One request, one answer, close: with a bound on connections, time and bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::Sender;

use crate::base::limits;
use crate::control::Ask;
use crate::control::listening::serve_each;
use crate::control::state::State;
use crate::message::framing::Framing;
use crate::message::head::{Method, RequestHead};
use crate::observe::latency::Batch;
use crate::protocol::h1::encode;
use crate::protocol::h1::request::{HeadLimits, Progress, RequestParser};

use super::pages;

/// Connections served at once; one more is closed.
const CONNECTIONS_MAX: usize = 32;
/// From accepting a connection to its end.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The body of a request: a list of what is revoked.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// What the operator's pages are made from.
pub(in crate::control) struct Admin {
    pub(in crate::control) state: Arc<State>,
    /// Asks the shards for their latencies.
    pub(in crate::control) latency: Box<dyn Fn() -> Vec<Batch> + Send + Sync>,
    pub(in crate::control) asker: Sender<Ask>,
    /// Whether metrics are all that is served, and to nobody without the token.
    pub(in crate::control) metrics_alone: bool,
}

/// A request as it came.
pub(super) struct Request {
    pub(super) head: RequestHead,
    /// What the head's spans point into.
    pub(super) text: Vec<u8>,
    pub(super) body: Vec<u8>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    /// The methods that a path has; empty where they are not asked about.
    pub(super) allow: &'static str,
    pub(super) body: Vec<u8>,
}

/// Opens the listener and serves it on a thread of its own; says where it is.
pub(in crate::control) fn start(address: SocketAddr, admin: Admin) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    std::thread::Builder::new().name("otus-admin".to_owned()).spawn(move || {
        serve_each(&listener, "otus-admin-conn", CONNECTIONS_MAX, move |stream| {
            let _ = serve(stream, &admin);
        });
    })?;
    Ok(address)
}

fn serve(mut stream: TcpStream, admin: &Admin) -> std::io::Result<()> {
    let end = Instant::now() + TOTAL_TIMEOUT;
    stream.set_write_timeout(Some(TOTAL_TIMEOUT))?;
    let mut bytes = Vec::new();
    let mut head = RequestHead::default();
    let mut parser = RequestParser::new(HeadLimits {
        bytes: limits::HEAD_BYTES_MAX,
        target: limits::TARGET_BYTES_MAX,
        fields: limits::HEAD_FIELDS_MAX,
    });
    let head_len = loop {
        if !read_some(&mut stream, &mut bytes, end)? {
            return Ok(());
        }
        match parser.parse(&bytes, &mut head) {
            Ok(Progress::NeedMore) => {}
            Ok(Progress::Done { len, .. }) => break len,
            Err(_) => {
                let answer = Answer::text(400, "bad request\n");
                return send(&mut stream, Method::Get, &answer);
            }
        }
    };
    let len = match head.framing {
        Framing::Empty => 0,
        Framing::Length(len) => usize::try_from(len).unwrap_or(usize::MAX),
        // Who tells the operator's page something knows how much it is (RFC 9110 §15.5.12).
        _ => return send(&mut stream, head.method, &Answer::problem(411, "length_required", "")),
    };
    if len > BODY_BYTES_MAX {
        return send(&mut stream, head.method, &Answer::problem(413, "body_too_large", ""));
    }
    if head.expect_continue {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    while bytes.len() < head_len + len {
        if !read_some(&mut stream, &mut bytes, end)? {
            return Ok(());
        }
    }
    let body = bytes.get(head_len..head_len + len).unwrap_or_default().to_vec();
    let request = Request { head, text: bytes, body };
    let answer = pages::answer(&request, admin);
    send(&mut stream, request.head.method, &answer)
}

/// Whether there was more before the peer closed or the time was over.
fn read_some(stream: &mut TcpStream, bytes: &mut Vec<u8>, end: Instant) -> std::io::Result<bool> {
    let mut chunk = [0; 4096];
    let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left))?;
    let len = stream.read(&mut chunk)?;
    bytes.extend_from_slice(chunk.get(..len).unwrap_or_default());
    Ok(len > 0 && Instant::now() < end)
}

impl Request {
    pub(super) fn path(&self) -> &[u8] {
        self.head.path.of(&self.text)
    }

    pub(super) fn field(&self, name: &str) -> &[u8] {
        self.head.by_name(&self.text, name).unwrap_or_default()
    }
}

impl Answer {
    pub(super) fn text(status: u16, body: &str) -> Self {
        Answer { status, kind: "text/plain; charset=utf-8", allow: "", body: body.into() }
    }

    pub(super) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Answer { status, kind: "application/json", allow: "", body: body.into() }
    }

    /// RFC 9457
    pub(super) fn problem(status: u16, code: &str, detail: &str) -> Self {
        let body = super::json::Json::of(|json| {
            json.key("title").text(encode::reason(status));
            json.key("status").number(u64::from(status));
            json.key("code").text(code);
            if !detail.is_empty() {
                json.key("detail").text(detail);
            }
        });
        Answer { status, kind: "application/problem+json", allow: "", body }
    }
}

fn send(stream: &mut TcpStream, method: Method, answer: &Answer) -> std::io::Result<()> {
    let mut out = Vec::with_capacity(answer.body.len() + 256);
    encode::status_line(&mut out, answer.status);
    encode::field(&mut out, b"content-type", answer.kind.as_bytes());
    encode::field(&mut out, b"cache-control", b"no-store");
    encode::field(&mut out, b"x-content-type-options", b"nosniff");
    if !answer.allow.is_empty() {
        encode::field(&mut out, b"allow", answer.allow.as_bytes());
    }
    encode::content_length(&mut out, u64::try_from(answer.body.len()).unwrap_or(0));
    encode::connection_close(&mut out);
    encode::end(&mut out);
    if method != Method::Head {
        out.extend_from_slice(&answer.body);
    }
    stream.write_all(&out)?;
    stream.shutdown(std::net::Shutdown::Write)
}
