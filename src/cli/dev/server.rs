//! As much of HTTP/1.1 as curl and a gateway need: one request, one answer, close.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use crate::cli::start::fail;
use crate::control::listening::serve_each;

const CONNECTIONS_MAX: usize = 256;
const HEAD_BYTES_MAX: usize = 32 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// A request.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    query: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    body_bytes: u64,
}

/// An answer.
pub(super) struct Answer {
    status: u16,
    kind: &'static str,
    body: String,
}

impl Answer {
    pub(super) fn json(status: u16, body: String) -> Self {
        Answer { status, kind: "application/json", body }
    }

    pub(super) fn text(status: u16, body: String) -> Self {
        Answer { status, kind: "text/plain; charset=utf-8", body }
    }
}

impl<'a> Asked<'a> {
    fn read(head: &'a str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut parts = lines.next()?.split(' ');
        let (method, target) = (parts.next()?, parts.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name, value.trim())).collect();
        Some(Asked { method, path, query, fields, body_bytes: 0 })
    }

    fn field(&self, name: &str) -> Option<&'a str> {
        let found = self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| *value)
    }

    /// A parameter of the query, as it was written.
    pub(super) fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// All of it as JSON.
    pub(super) fn told(&self, name: &str) -> String {
        let told = json!({
            "name": name,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "body_bytes": self.body_bytes,
            "headers": self.fields,
        });
        format!("{told}\n")
    }
}

/// Serves until the process ends.
pub(super) fn serve(
    address: SocketAddr,
    out: &mut dyn Write,
    what: &str,
    answer: impl Fn(&Asked<'_>) -> Answer + Send + Sync + 'static,
) -> ExitCode {
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => return fail(&format!("cannot listen on {address}: {error}")),
    };
    let address = listener.local_addr().unwrap_or(address);
    let _ = writeln!(out, "http://{address}: {what}");
    accept(&listener, answer);
    ExitCode::SUCCESS
}

/// Takes connections for as long as the listener gives them.
pub(super) fn accept(
    listener: &TcpListener,
    answer: impl Fn(&Asked<'_>) -> Answer + Send + Sync + 'static,
) {
    serve_each(listener, "otus-dev-conn", CONNECTIONS_MAX, move |stream| {
        let _ = one(stream, &answer);
    });
}

fn one(mut stream: TcpStream, answer: &impl Fn(&Asked<'_>) -> Answer) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let head_len = loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            break end;
        }
        if bytes.len() > HEAD_BYTES_MAX || read_some(&mut stream, &mut bytes)? == 0 {
            return Ok(());
        }
    };
    let behind = bytes.split_off(head_len);
    let head = String::from_utf8_lossy(&bytes);
    let Some(mut asked) = Asked::read(&head) else { return Ok(()) };
    let length: u64 = asked.field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut left = length.saturating_sub(u64::try_from(behind.len() - 4).unwrap_or(0));
    while left > 0 {
        let mut chunk = [0; 16 * 1024];
        let len = stream.read(&mut chunk)?;
        if len == 0 {
            return Ok(());
        }
        left = left.saturating_sub(u64::try_from(len).unwrap_or(0));
    }
    asked.body_bytes = length;
    let Answer { status, kind, body } = answer(&asked);
    let text = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(text.as_bytes())?;
    if asked.method != "HEAD" {
        stream.write_all(body.as_bytes())?;
    }
    stream.shutdown(std::net::Shutdown::Write)
}

fn read_some(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut chunk = [0; 4096];
    let len = stream.read(&mut chunk)?;
    bytes.extend_from_slice(chunk.get(..len).unwrap_or_default());
    Ok(len)
}
