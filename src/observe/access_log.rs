//! One line of JSON for each request, with the names of OpenTelemetry and our own under `gateway.`.
//!
//! The shard fills an [`AccessRecord`] and pushes it; [`crate::observe::log_writer`] writes it. The
//! query of a target is not logged: it is where clients put their secrets.

mod compat;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;

use super::counters::{Counter, ShardCounters};
use super::json::{Calendar, push_micros, push_string};
use super::notice::Severity;
use crate::base::decimal;
use crate::base::limits;
use crate::base::text::Text;
use crate::base::time::UnixTime;

/// Bytes of a path that are logged; the rest is cut off.
pub const PATH_BYTES: usize = 256;
/// Bytes of a route's or an upstream's name that are logged.
pub const NAME_BYTES: usize = 48;
/// Bytes of a user agent that are logged.
pub const AGENT_BYTES: usize = 120;
/// Bytes of a request id that are logged.
pub const REQUEST_ID_BYTES: usize = 64;

/// What is told about one request. It owns no heap memory, so that dropping one is free.
#[derive(Clone, Debug, Default)]
pub struct AccessRecord {
    /// When its first byte came.
    pub time: UnixTime,
    /// The method as the client wrote it.
    pub method: Text<16>,
    /// The path of the target, without the query.
    pub path: Text<PATH_BYTES>,
    /// The name of the route that was matched.
    pub route: Text<NAME_BYTES>,
    /// The name of the upstream that was called; empty if none was.
    pub upstream: Text<NAME_BYTES>,
    /// The id that client, services and log share.
    pub request_id: Text<REQUEST_ID_BYTES>,
    /// The client's `User-Agent`; empty if it sent none.
    pub user_agent: Text<AGENT_BYTES>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// Why the gateway answered by itself; empty if the answer was a service's.
    pub reason: &'static str,
    /// The status that was sent; 0 if none was, for the client had left.
    pub status: u16,
    /// The gRPC status that the service's call ended with.
    pub grpc_status: Option<u8>,
    /// Which shard served it.
    pub shard: u16,
    /// Calls made to endpoints for it.
    pub attempts: u32,
    /// Bytes of the request's content.
    pub request_bytes: u64,
    /// Bytes of the answer's content.
    pub response_bytes: u64,
    /// What the time was spent on.
    pub times: Times,
    /// The files, if it was an upload.
    pub upload: Option<Upload>,
}

/// What a request's time was spent on. What did not happen is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Times {
    /// From the first byte of the head to the last byte of the answer.
    pub total: Duration,
    /// Waiting for a connection to an endpoint.
    pub connect: Option<Duration>,
    /// From the first byte sent to the endpoint to its first byte back.
    pub upstream_ttfb: Option<Duration>,
    /// Receiving the content of the request.
    pub body_in: Option<Duration>,
    /// Sending the content of the answer.
    pub body_out: Option<Duration>,
    /// The total without all waiting for peers.
    pub own: Option<Duration>,
}

/// What was uploaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Upload {
    /// Files handed to the service to their end.
    pub files: u32,
    /// Bytes of files handed to the service.
    pub bytes: u64,
}

/// The shard's end of its ring.
#[derive(Debug)]
pub struct LogSender {
    ring: Arc<ArrayQueue<AccessRecord>>,
}

/// The log thread's end of a shard's ring.
#[derive(Debug)]
pub struct LogReceiver {
    pub(super) ring: Arc<ArrayQueue<AccessRecord>>,
}

impl LogReceiver {
    /// The oldest record.
    #[must_use]
    pub fn take(&self) -> Option<AccessRecord> {
        self.ring.pop()
    }
}

/// A ring for [`limits::LOG_RECORDS_MAX`] records.
pub fn ring() -> (LogSender, LogReceiver) {
    ring_of(limits::LOG_RECORDS_MAX)
}

/// A ring for so many records.
pub fn ring_of(records_max: usize) -> (LogSender, LogReceiver) {
    let ring = Arc::new(ArrayQueue::new(records_max.max(1)));
    (LogSender { ring: Arc::clone(&ring) }, LogReceiver { ring })
}

impl LogSender {
    /// Hands a record to the log thread. If that has fallen behind, the record is dropped and
    /// counted: a slow disk must not slow down the gateway.
    pub fn push(&self, record: AccessRecord, counters: &ShardCounters) {
        self.push_or(record, counters, Counter::LogDropped);
    }

    /// The same; a record that is dropped is counted by this counter.
    pub fn push_or(&self, record: AccessRecord, counters: &ShardCounters, dropped: Counter) {
        if self.ring.push(record).is_err() {
            counters.count(dropped);
        }
    }
}

/// What the fields of a line are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LineForm {
    /// As OpenTelemetry calls them, and our own.
    #[default]
    Otus,
    /// As Gufo does.
    Gufo,
    /// As 3xpluto's go-api-gateway does.
    Threex,
}

/// How grave it is what a record tells.
pub(super) fn severity(record: &AccessRecord) -> Severity {
    match record.status {
        0 => Severity::Warn,
        500.. => Severity::Error,
        _ => Severity::Info,
    }
}

/// Appends the line of one record, with its end.
pub(super) fn write_line(
    out: &mut Vec<u8>,
    calendar: &mut Calendar,
    form: LineForm,
    record: &AccessRecord,
) {
    match form {
        LineForm::Otus => write_otus(out, calendar, record),
        LineForm::Gufo => compat::write_gufo(out, calendar, record),
        LineForm::Threex => compat::write_threex(out, calendar, record),
    }
}

fn write_otus(out: &mut Vec<u8>, calendar: &mut Calendar, record: &AccessRecord) {
    let mut line = Line { out, calendar };
    line.begin(record);
    line.text("http.request.method", record.method.as_str());
    line.text("url.path", record.path.as_str());
    line.text_if_any("http.route", record.route.as_str());
    if record.status != 0 {
        line.number("http.response.status_code", u64::from(record.status));
    }
    line.number("http.request.body.size", record.request_bytes);
    line.number("http.response.body.size", record.response_bytes);
    line.text("network.protocol.name", "http");
    line.text_if_any("network.protocol.version", record.version);
    line.client("client.address", record.client);
    line.text_if_any("user_agent.original", record.user_agent.as_str());
    if let Some(code) = record.grpc_status {
        line.number("rpc.grpc.status_code", u64::from(code));
    }
    line.gateway(record);
    line.times(&record.times);
    line.out.extend_from_slice(b"}\n");
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
    calendar: &'a mut Calendar,
}

impl Line<'_> {
    fn begin(&mut self, record: &AccessRecord) {
        self.out.extend_from_slice(b"{\"timestamp\":");
        self.calendar.push(self.out, record.time);
        self.text("severity_text", severity(record).name());
    }

    fn gateway(&mut self, record: &AccessRecord) {
        self.text_if_any("gateway.request_id", record.request_id.as_str());
        self.number("gateway.shard", u64::from(record.shard));
        self.text_if_any("gateway.upstream", record.upstream.as_str());
        if record.attempts != 0 {
            self.number("gateway.attempts", u64::from(record.attempts));
        }
        self.text_if_any("gateway.reason", record.reason);
        if let Some(upload) = record.upload {
            self.number("gateway.upload.files", u64::from(upload.files));
            self.number("gateway.upload.bytes", upload.bytes);
        }
    }

    fn times(&mut self, times: &Times) {
        self.micros("gateway.time.total_us", Some(times.total));
        self.micros("gateway.time.connect_us", times.connect);
        self.micros("gateway.time.upstream_ttfb_us", times.upstream_ttfb);
        self.micros("gateway.time.body_in_us", times.body_in);
        self.micros("gateway.time.body_out_us", times.body_out);
        self.micros("gateway.time.self_us", times.own);
    }

    fn client(&mut self, name: &'static str, client: Option<IpAddr>) {
        match client {
            None => {}
            Some(IpAddr::V4(address)) => {
                self.name(name);
                self.out.push(b'"');
                for (place, octet) in address.octets().into_iter().enumerate() {
                    if place != 0 {
                        self.out.push(b'.');
                    }
                    decimal::push(self.out, u64::from(octet));
                }
                self.out.push(b'"');
            }
            Some(IpAddr::V6(address)) => self.text(name, &address.to_string()),
        }
    }

    /// Names are ours, and need no escapes.
    fn name(&mut self, name: &'static str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        push_string(self.out, text);
    }

    fn text_if_any(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        decimal::push(self.out, number);
    }

    fn micros(&mut self, name: &'static str, took: Option<Duration>) {
        if let Some(took) = took {
            self.name(name);
            push_micros(self.out, took);
        }
    }
}

#[cfg(test)]
mod tests;
