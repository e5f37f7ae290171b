//! What a program that embeds the gateway may put in: a policy of its own, and another way to
//! services than gRPC. `docs/embedding.md` says how, and `examples/embedded.rs` does it.

use std::any::Any;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::message::head::RequestHead;
use crate::message::known::Known;

/// Calls that a [`Transport`] makes at once, unless it says otherwise.
const CALLS_AT_ONCE: usize = 16;

/// A policy that is asked of every request that is not refused anyway, before all others.
///
/// It runs on the shards, and so on all of them at once: whatever it waits for, all requests of
/// that shard wait for. A panic costs the exchange that it is asked about, which is answered with
/// 500.
pub trait Policy: Send + Sync {
    /// Whether the request may go on, and what is known of it from here on.
    fn before(&self, request: &Request<'_>) -> Result<Context, Refusal>;

    /// A request that went on was answered with this status (0: its client left), and took so long.
    fn after(&self, context: &Context, status: u16, took: Duration) {
        let _ = (context, status, took);
    }
}

/// What calls services of the Gufo surface in the place of gRPC. Uploads stay streams of gRPC.
///
/// It runs on threads of its own, where it may wait. A panic costs the exchange that it was called
/// for.
pub trait Transport: Send + Sync {
    /// Makes one call; gives the message of the answer, in the dialect of the module.
    fn call(&self, call: &Call) -> Result<Vec<u8>, Fault>;

    /// How many calls are made at once, each on a thread. Asked when the gateway starts.
    fn at_once(&self) -> usize {
        CALLS_AT_ONCE
    }
}

/// What was put in. Part of a snapshot, so that each generation may have another policy.
#[derive(Clone, Default)]
pub struct Embedded {
    /// What is asked of each request.
    pub policy: Option<Arc<dyn Policy>>,
    /// What calls services. There is one from the start of the gateway on, or never.
    pub transport: Option<Arc<dyn Transport>>,
}

/// A request, before anything of it went on.
#[derive(Debug)]
pub struct Request<'a> {
    head: &'a RequestHead,
    text: &'a [u8],
    client: IpAddr,
    id: &'a str,
}

impl<'a> Request<'a> {
    /// The request whose head points into `text`.
    #[must_use]
    pub fn new(head: &'a RequestHead, text: &'a [u8], client: IpAddr, id: &'a str) -> Self {
        Request { head, text, client, id }
    }

    /// As the client wrote it.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.head.method_text.of(self.text)
    }

    /// As the client wrote it, without the query.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.head.path.of(self.text)
    }

    /// What stands behind the path, if anything does.
    #[must_use]
    pub fn query(&self) -> Option<&[u8]> {
        self.head.query.map(|query| query.of(self.text))
    }

    /// The name of the host that was asked for, without a port.
    #[must_use]
    pub fn host(&self) -> &[u8] {
        self.head.host_name.of(self.text)
    }

    /// The value of the first field of this name, which is in lower case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.by_name(self.text, name)
    }

    /// Who the client is, as far as trusted peers say.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// The id that client, services and log share.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id
    }
}

/// What is known of a request that goes on: fields that its endpoint gets, and a value of any kind
/// for later.
#[derive(Default)]
pub struct Context {
    fields: Vec<(String, String)>,
    value: Option<Box<dyn Any + Send + Sync>>,
}

impl Context {
    /// Adds a field that an HTTP endpoint gets, in the place of what the client sent under that
    /// name. Names that say where a message ends or where it goes, and what is no field, are
    /// refused.
    pub fn set_field(&mut self, name: &str, value: &str) -> bool {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_text = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        let lower = name.to_ascii_lowercase();
        let known = Known::of(lower.as_bytes());
        let is_ours = known.is_hop_by_hop()
            || matches!(known, Known::Host | Known::ContentLength | Known::Expect);
        let is_field = !name.is_empty() && name.bytes().all(is_token) && value.bytes().all(is_text);
        // A star would stand for other names as well.
        let may = is_field && !is_ours && !name.contains('*');
        if may {
            self.fields.push((lower, value.trim().to_owned()));
        }
        may
    }

    /// Keeps a value for [`Policy::after`] and [`Transport::call`].
    pub fn keep(&mut self, value: impl Any + Send + Sync) {
        self.value = Some(Box::new(value));
    }

    /// The value that was kept, if it is of this type.
    #[must_use]
    pub fn kept<T: Any>(&self) -> Option<&T> {
        self.value.as_ref()?.downcast_ref()
    }

    /// The fields that were added.
    #[must_use]
    pub fn fields(&self) -> &[(String, String)] {
        &self.fields
    }
}

/// Why a request does not go on. What its client is told is for the gateway to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// 429: there are too many of them.
    TooMany,
    /// 401: it is not known who asks.
    Unauthenticated,
    /// 402
    PaymentRequired,
    /// 403: who asks may not.
    Forbidden,
    /// 503: it cannot be said now.
    Unavailable,
}

/// A call of a service.
#[derive(Debug)]
pub struct Call {
    /// What the policy said of the request, if there is one.
    pub context: Option<Arc<Context>>,
    /// The module that is called.
    pub module: String,
    /// The path of the method: `/Reverse/Do`, or that of another dialect.
    pub method: &'static str,
    /// The message, in the dialect of the module.
    pub message: Vec<u8>,
    /// The id that client, services and log share.
    pub request_id: String,
    /// How long its caller waits.
    pub timeout: Duration,
}

/// A call failed with this status of gRPC: 14 says that the service cannot be reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault(pub u32);

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What a policy adds may be a secret.
        f.debug_struct("Context").field("fields", &self.fields.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (policy, transport) = (self.policy.is_some(), self.transport.is_some());
        f.debug_struct("Embedded").field("policy", &policy).field("transport", &transport).finish()
    }
}

/// The same ones, not ones that would do the same.
impl PartialEq for Embedded {
    fn eq(&self, other: &Self) -> bool {
        fn same<T: ?Sized>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
            match (one, other) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (one, other) => one.is_none() && other.is_none(),
            }
        }
        same(self.policy.as_ref(), other.policy.as_ref())
            && same(self.transport.as_ref(), other.transport.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_adds_no_field_that_moves_the_end_of_a_message() {
        let mut context = Context::default();
        for (name, value) in [
            ("Content-Length", "1"),
            ("transfer-encoding", "chunked"),
            ("Connection", "x-a"),
            ("host", "a"),
            ("x-a", "1\r\nx-b: 2"),
            ("x-a\0", "1"),
            ("x a", "1"),
            ("x-*", "1"),
            ("", "1"),
        ] {
            assert!(!context.set_field(name, value), "{name}");
        }
        assert!(context.set_field("X-Tenant", " blue "));
        assert_eq!(context.fields(), [("x-tenant".to_owned(), "blue".to_owned())]);
    }

    #[test]
    fn a_value_is_kept_by_its_type() {
        let mut context = Context::default();
        context.keep(7_u32);
        assert_eq!(context.kept::<u32>(), Some(&7));
        assert_eq!(context.kept::<u64>(), None);
    }
}
