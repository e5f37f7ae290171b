//! Requests as bytes.

use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use crate::dice::{Dice, size};
use crate::ledger::{BOUNDARY, Exchange, File, Kind, Ledger};
use crate::relay::{PREFIX, Relay};
use crate::tunnel::Tunnel;
use crate::visit::Visit;
use crate::web::Door;

/// Windows of clients stay shut for so many milliseconds at most: no timeout is as short.
const SHUT_MAX: u64 = 500;

/// A request that is ready to be written.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of a request")]
pub struct Wire {
    pub exchange: Rc<Exchange>,
    pub bytes: Vec<u8>,
    pub head_len: usize,
    /// The client waits for `100 Continue` before the body.
    pub expects: bool,
    /// The answer has no body.
    pub is_head: bool,
    /// The client asks to close afterwards.
    pub closes: bool,
    /// The client speaks HTTP/1.0.
    pub is_old: bool,
    /// So long the client lets nothing come once it has begun to send.
    pub shut: Duration,
}

impl Wire {
    /// Whether nobody counts on it: its client may leave.
    pub fn may_leave(&self) -> bool {
        match &self.exchange.kind {
            Kind::Forward(visit) => visit.door == Door::Plain,
            _ => true,
        }
    }

    /// Whether others wait for as long as it is under way.
    pub fn is_counted(&self) -> bool {
        matches!(&self.exchange.kind, Kind::Forward(visit) if visit.door == Door::Narrow)
    }

    /// The id of a request whose answer has no body.
    pub fn head(&self) -> Option<&str> {
        self.is_head.then_some(self.exchange.id.as_str())
    }
}

/// How large things are.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub file_max: usize,
    pub bulk_max: usize,
    pub mix: Mix,
    /// Requests take all doors, not only the plain one.
    pub doors: bool,
    /// What only HTTP/2 can carry is among them.
    pub streams: bool,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    /// Modules only.
    Gufo,
    /// HTTP endpoints only.
    Forwards,
    Both,
}

/// Draws a request.
pub fn draw(dice: &mut Dice, ledger: &Ledger, id: String, sizes: Sizes, closes: bool) -> Wire {
    let forwards = match sizes.mix {
        Mix::Gufo => false,
        Mix::Forwards => !dice.one_in(12),
        Mix::Both => dice.one_in(2),
    };
    if sizes.streams && dice.one_in(3) {
        return if dice.one_in(2) {
            relay(dice, ledger, id, sizes)
        } else {
            let kind = Kind::Tunnel(Tunnel::new(&id, dice.log(sizes.bulk_max)));
            finish(ledger.open(id, kind), String::new(), None, false, false)
        };
    }
    if forwards {
        return forward(dice, ledger, id, sizes, closes);
    }
    match dice.between(0, 9) {
        0 => local(dice, ledger, id, closes),
        1..=4 => call(dice, ledger, id, sizes, closes),
        _ => upload(dice, ledger, id, sizes, closes),
    }
}

fn local(dice: &mut Dice, ledger: &Ledger, id: String, closes: bool) -> Wire {
    let method = dice.pick(&["GET", "HEAD"]);
    let path = dice.pick(&["/healthz", "/readyz", "/api/v3/health", "/api/v1/info"]);
    let head = head(dice, method, path, &id, closes);
    finish(ledger.open(id, Kind::Local), head, None, closes, method == "HEAD")
}

fn call(dice: &mut Dice, ledger: &Ledger, id: String, sizes: Sizes, closes: bool) -> Wire {
    let method = dice.pick(&["POST", "POST", "GET", "HEAD", "DELETE", "PATCH"]);
    let by_query = matches!(method, "GET" | "HEAD");
    let bulk_max = if by_query { 4000 } else { sizes.bulk_max };
    let kind = Kind::call(&id, dice.log(bulk_max), matches!(method, "GET" | "HEAD" | "DELETE"));
    let Kind::Call { mark, bulk, .. } = &kind else { unreachable!() };
    let base = dice.pick(&["v1", "v3"]);
    let mut path = format!("/api/{base}/echo/r/{id}");
    let mut body = None;
    if by_query {
        path = format!("{path}?mark={mark}&bulk={bulk}");
    } else {
        body = Some(format!("{{\"mark\":\"{mark}\", \"bulk\":\"{bulk}\"}}").into_bytes());
    }
    let mut head = head(dice, method, &path, &id, closes);
    let body = body.map(|body| frame(dice, &mut head, &body));
    finish(ledger.open(id, kind), head, body, closes, method == "HEAD")
}

fn upload(dice: &mut Dice, ledger: &Ledger, id: String, sizes: Sizes, closes: bool) -> Wire {
    let is_form = dice.one_in(2);
    let count = if is_form { dice.count(1, 5) } else { 1 };
    let mut lens: Vec<usize> = (0..count).map(|_| dice.log(sizes.file_max / count)).collect();
    if !is_form && dice.one_in(2) {
        lens = vec![sizes.file_max - dice.log(sizes.file_max / 2)]; // Worth a pipe.
    }
    let kind = Kind::upload(&id, &lens);
    let Kind::Upload { files } = &kind else { unreachable!() };
    let (method, path) = if dice.one_in(4) {
        (dice.pick(&["POST", "PUT"]), "/drop".to_owned())
    } else {
        ("PUT", format!("/api/v3/store/f/{id}"))
    };
    let mut head = head(dice, method, &path, &id, closes);
    let body = if is_form {
        head = head + "Content-Type: multipart/form-data; boundary=\"" + BOUNDARY + "\"\r\n";
        form(dice, files)
    } else {
        head = head + "X-Filename: " + &files[0].name + "\r\n";
        files[0].content.to_vec()
    };
    let expects = dice.one_in(6);
    if expects {
        head.push_str("Expect: 100-continue\r\n");
    }
    let body = frame(dice, &mut head, &body);
    let wire = finish(ledger.open(id, kind), head, Some(body), closes, false);
    Wire { expects, shut: shut(dice, expects), ..wire }
}

fn forward(dice: &mut Dice, ledger: &Ledger, id: String, sizes: Sizes, closes: bool) -> Wire {
    let methods =
        ["GET", "GET", "HEAD", "POST", "POST", "PUT", "PUT", "DELETE", "OPTIONS", "PATCH"];
    let method = dice.pick(&methods);
    let has_body = matches!(method, "POST" | "PUT" | "PATCH" | "DELETE") && !dice.one_in(4);
    let len = match dice.between(0, 5) {
        _ if !has_body => 0,
        0 => sizes.file_max - dice.log(sizes.file_max / 2), // Worth a pipe.
        _ => dice.log(sizes.bulk_max),
    };
    let door = if sizes.doors { dice.pick(&Door::ALL) } else { Door::Plain };
    let door = if dice.one_in(2) { door } else { Door::Plain };
    let visit = Visit::new(&id, door, method, len);
    let is_old = closes && dice.one_in(2);
    let mut head = head(dice, method, &format!("{}/{id}?of={id}", door.prefix()), &id, closes);
    if dice.one_in(3) {
        head.push_str("TE: trailers\r\nConnection: TE\r\n");
    }
    let expects = has_body && !is_old && dice.one_in(4);
    if expects {
        head.push_str("Expect: 100-continue\r\n");
    }
    let content = Rc::clone(&visit.body);
    let body = if !has_body {
        None
    } else if is_old {
        head = head + "Content-Length: " + &content.len().to_string() + "\r\n";
        Some(content.to_vec())
    } else {
        Some(frame(dice, &mut head, &content))
    };
    if is_old {
        head = head.replacen("HTTP/1.1", "HTTP/1.0", 1);
    }
    let wire = finish(ledger.open(id, Kind::Forward(visit)), head, body, closes, method == "HEAD");
    Wire { expects, is_old, shut: shut(dice, expects), ..wire }
}

/// How long nothing may come: then `100 Continue` is still to be written when others would write.
fn shut(dice: &mut Dice, expects: bool) -> Duration {
    let is_shut = dice.one_in(if expects { 2 } else { 12 });
    if is_shut { dice.millis(1, SHUT_MAX) } else { Duration::ZERO }
}

fn relay(dice: &mut Dice, ledger: &Ledger, id: String, sizes: Sizes) -> Wire {
    let relay = Relay::new(&id, dice.log(sizes.bulk_max));
    let body = Rc::clone(&relay.up);
    let mut head = head(dice, "POST", &format!("{PREFIX}/{id}"), &id, false);
    head.push_str("content-type: application/grpc\r\nTE: trailers\r\n");
    write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
    finish(ledger.open(id, Kind::Relay(relay)), head, Some(body.to_vec()), false, false)
}

fn head(dice: &mut Dice, method: &str, path: &str, id: &str, closes: bool) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: gateway.test\r\n");
    if dice.one_in(3) {
        head.push_str("accept-language: de-AT,de;q=0.9\r\nAuthorization: Bearer t0ken\r\n");
    }
    head = head + "X-Request-Id: " + id + "\r\n";
    if closes {
        head.push_str("Connection: close\r\n");
    }
    head
}

fn finish(
    exchange: Rc<Exchange>,
    mut head: String,
    body: Option<Vec<u8>>,
    closes: bool,
    is_head: bool,
) -> Wire {
    head.push_str("\r\n");
    let head_len = head.len();
    let mut bytes = head.into_bytes();
    bytes.extend(body.unwrap_or_default());
    let shut = Duration::ZERO;
    Wire { exchange, bytes, head_len, expects: false, is_head, closes, is_old: false, shut }
}

/// Says in the head how the body ends, and makes it end that way.
fn frame(dice: &mut Dice, head: &mut String, body: &[u8]) -> Vec<u8> {
    if dice.one_in(2) {
        write!(head, "Content-Length: {}\r\n", body.len()).unwrap();
        return body.to_vec();
    }
    head.push_str("Transfer-Encoding: chunked\r\n");
    let chunk_max = dice.pick(&[1, 100, 5000, 200_000]).max(body.len() / 200);
    let mut out = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let len = dice.count(1, chunk_max).min(rest.len());
        let extension = if len > 50 && dice.one_in(8) { ";a=\"b c\"" } else { "" };
        out.extend(format!("{len:x}{extension}\r\n").into_bytes());
        out.extend(&rest[..len]);
        out.extend(b"\r\n");
        rest = &rest[len..];
    }
    out.extend(if dice.one_in(4) { &b"0\r\nx-sum: 1\r\n\r\n"[..] } else { b"0\r\n\r\n" });
    out
}

fn form(dice: &mut Dice, files: &[File]) -> Vec<u8> {
    let mut out = Vec::new();
    if dice.one_in(3) {
        out.extend(b"preamble\r\n");
    }
    for file in files {
        if dice.one_in(3) {
            let field = "Content-Disposition: form-data; name=\"note\"\r\n\r\nnot a file";
            out.extend(format!("--{BOUNDARY}\r\n{field}\r\n").into_bytes());
        }
        let name = &file.name;
        let head = format!("content-disposition: form-data; name=\"f\"; filename=\"{name}\"");
        let kind = "Content-Type: application/octet-stream";
        out.extend(format!("--{BOUNDARY}\r\n{head}\r\n{kind}\r\n\r\n").into_bytes());
        out.extend(&*file.content);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
    if dice.one_in(3) {
        out.extend(vec![b'e'; size(dice.between(1, 300))]);
    }
    out
}
