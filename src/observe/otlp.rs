//! Spans as OTLP has them: the part of `opentelemetry.proto.collector.trace.v1` that is needed, and
//! the attributes of the semantic conventions for HTTP.

use std::time::Duration;

use prost::Message;

use super::access_log::AccessRecord;
use super::labels::Method;
use super::span::SpanRecord;

/// A request; it is what is posted.
#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// Of a span of a request that came, and of one that was made.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
/// The status of a span that failed.
const ERROR: i32 = 2;

/// The body of a request that exports these spans.
#[must_use]
pub fn encode(records: &[SpanRecord], service: &str, version: &str) -> Vec<u8> {
    let mut spans = Vec::with_capacity(records.len() * 2);
    for record in records {
        spans.push(server(record));
        spans.extend(client(record));
    }
    let mut attributes = Attributes::default();
    attributes.text("service.name", service);
    attributes.text("service.version", version);
    let scope = Some(Scope { name: "otus".to_owned(), version: version.to_owned() });
    let resource_spans = ResourceSpans {
        resource: Some(Resource { attributes: attributes.0 }),
        scope_spans: vec![ScopeSpans { scope, spans }],
    };
    Export { resource_spans: vec![resource_spans] }.encode_to_vec()
}

/// The span of the request.
fn server(record: &SpanRecord) -> Span {
    let SpanRecord { ids, access, .. } = record;
    let mut own = Attributes::default();
    let method = own.method(access);
    own.text("url.path", access.path.as_str());
    own.text("url.scheme", if record.secure { "https" } else { "http" });
    own.text("http.route", access.route.as_str());
    own.text("network.protocol.version", access.version);
    if let Some(client) = access.client {
        own.text("client.address", &client.to_string());
    }
    own.text("user_agent.original", access.user_agent.as_str());
    own.status(access.status);
    own.number("http.request.body.size", access.request_bytes);
    own.number("http.response.body.size", access.response_bytes);
    own.text("gateway.request_id", access.request_id.as_str());
    let failed = access.status == 0 || access.status >= 500;
    own.fault(access, failed);
    let route = access.route.as_str();
    let name = if route.is_empty() { method.to_owned() } else { format!("{method} {route}") };
    let (start, end) = times(record);
    let parent = (ids.parent != 0).then(|| ids.parent.to_be_bytes().to_vec());
    Span {
        trace_id: ids.trace.to_be_bytes().to_vec(),
        id: ids.own.to_be_bytes().to_vec(),
        parent: parent.unwrap_or_default(),
        name,
        kind: SERVER,
        start: nanos(start),
        end: nanos(end),
        attributes: own.0,
        status: failed.then_some(Status { code: ERROR }),
    }
}

/// The span of the call to an endpoint, if there was one: from the first attempt's beginning to the
/// first byte of the answer.
fn client(record: &SpanRecord) -> Option<Span> {
    let SpanRecord { ids, access, .. } = record;
    let called = record.called?;
    let mut own = Attributes::default();
    if record.grpc {
        own.text("rpc.system", "grpc");
        if let Some(code) = access.grpc_status {
            own.number("rpc.grpc.status_code", u64::from(code));
        }
    } else {
        own.method(access);
        own.status(access.status);
    }
    if let Some(server) = record.server {
        own.text("server.address", &server.ip().to_string());
        own.number("server.port", u64::from(server.port()));
    }
    own.text("gateway.upstream", access.upstream.as_str());
    if access.attempts > 1 {
        own.number("http.request.resend_count", u64::from(access.attempts - 1));
    }
    let answered = access.times.upstream_ttfb;
    let failed = answered.is_none() || access.grpc_status.is_some_and(|code| code != 0);
    own.fault(access, failed);
    let (start, end) = times(record);
    let start = start + called;
    let end = answered.map_or(end, |took| start + took);
    Some(Span {
        trace_id: ids.trace.to_be_bytes().to_vec(),
        id: ids.client.to_be_bytes().to_vec(),
        parent: ids.own.to_be_bytes().to_vec(),
        name: access.upstream.as_str().to_owned(),
        kind: CLIENT,
        start: nanos(start),
        end: nanos(end),
        attributes: own.0,
        status: failed.then_some(Status { code: ERROR }),
    })
}

/// Beginning and end, since 1970.
pub(super) fn times(record: &SpanRecord) -> (Duration, Duration) {
    let start = record.access.time.0;
    (start, start.saturating_add(record.access.times.total))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// What is empty is left out.
    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.put(key, Value::Text(value.to_owned()));
        }
    }

    fn number(&mut self, key: &str, value: u64) {
        self.put(key, Value::Number(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn put(&mut self, key: &str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value });
    }

    /// The method, which is `_OTHER` if it is an unusual one; says what begins the span's name.
    fn method(&mut self, access: &AccessRecord) -> &'static str {
        let method = Method::of(access.method.as_str().as_bytes());
        self.text("http.request.method", method.name());
        if method == Method::Other {
            self.text("http.request.method_original", access.method.as_str());
            return "HTTP";
        }
        method.name()
    }

    fn status(&mut self, status: u16) {
        if status != 0 {
            self.number("http.response.status_code", u64::from(status));
        }
    }

    fn fault(&mut self, access: &AccessRecord, failed: bool) {
        if failed {
            let status = access.status.to_string();
            self.text("error.type", if access.reason.is_empty() { &status } else { access.reason });
        }
    }
}

#[cfg(test)]
mod tests;
