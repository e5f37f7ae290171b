//! Which pages of other origins may read answers (the CORS protocol of the Fetch standard).
//!
//! What depends on nothing but the rule is written once, when it is made. An origin is repeated to
//! a client only if it is listed; with credentials nothing is a wildcard.

use std::time::Duration;

use super::origin::{OriginError, OriginPattern};
use crate::message::head::{Method, RequestHead};
use crate::message::known::Known;
use crate::message::token::is_token;

/// What a rule is made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorsSpec {
    /// `https://example.com`, `https://*.example.com`, `null`, or `*` for all.
    pub origins: Vec<String>,
    /// What may be asked for; `*` for anything.
    pub methods: Vec<String>,
    /// Request fields that pages may set; `*` for any but `Authorization`.
    pub headers: Vec<String>,
    /// Answer fields that pages may read besides the safelisted ones.
    pub expose: Vec<String>,
    /// Whether cookies and client certificates may be sent.
    pub credentials: bool,
    /// How long an answer to a preflight may be kept; `None`: as long as the browser likes.
    pub max_age: Option<Duration>,
    /// Whether public pages may ask a gateway in a private network.
    pub private_network: bool,
}

/// Why a [`CorsSpec`] is no rule: the key that is wrong, the item, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorsError {
    /// `origins`, `methods`, `headers` or `expose`.
    pub key: &'static str,
    /// What was written.
    pub item: String,
    /// What about it is wrong.
    pub what: CorsFault,
}

/// What is wrong about an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CorsFault {
    /// It is no origin, no method or no field name.
    Malformed,
    /// `*` and `null` stand for anybody, who would get answers with the cookies of others.
    WithCredentials,
    /// Nothing is listed.
    Nothing,
}

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cors {
    any_origin: bool,
    /// Sorted.
    exact: Vec<String>,
    patterns: Vec<OriginPattern>,
    private_network: bool,
    /// Lines of an answer to a preflight, behind the origin.
    preflight: Vec<u8>,
    /// The same of other answers.
    answer: Vec<u8>,
}

/// A CORS-preflight request (Fetch §3.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preflight<'a> {
    /// Who asks.
    pub origin: &'a [u8],
    /// What it will ask for.
    pub method: &'a [u8],
    /// Whether the page is of a public network and the gateway is not.
    pub private_network: bool,
}

/// What answers to a preflight depend on.
const VARY_PREFLIGHT: &[u8] = b"vary: Origin, Access-Control-Request-Method, \
    Access-Control-Request-Headers, Access-Control-Request-Private-Network\r\n";
const VARY_ORIGIN: &[u8] = b"vary: Origin\r\n";

impl<'a> Preflight<'a> {
    /// The request as a preflight; `None`: it is an ordinary one. An OPTIONS without both fields
    /// is for the endpoint.
    #[must_use]
    pub fn of(head: &RequestHead, text: &'a [u8]) -> Option<Self> {
        if head.method != Method::Options {
            return None;
        }
        let origin = origin(head, text)?;
        let method = head.value(text, Known::AccessControlRequestMethod)?;
        let asked = head.by_name(text, "access-control-request-private-network");
        let private_network = asked == Some(b"true");
        is_token(method).then_some(Preflight { origin, method, private_network })
    }
}

/// Who asks, if exactly one origin is named.
#[must_use]
pub fn origin<'a>(head: &RequestHead, text: &'a [u8]) -> Option<&'a [u8]> {
    let mut origins = head.values(text, Known::Origin);
    let first = origins.next()?;
    origins.next().is_none().then_some(first)
}

impl Cors {
    /// Makes a rule; the first fault ends it.
    pub fn new(spec: &CorsSpec) -> Result<Cors, CorsError> {
        let mut cors = Cors {
            any_origin: false,
            exact: Vec::new(),
            patterns: Vec::new(),
            private_network: spec.private_network,
            preflight: Vec::new(),
            answer: Vec::new(),
        };
        for origin in &spec.origins {
            cors.add_origin(origin, spec.credentials)?;
        }
        if spec.origins.is_empty() {
            return Err(fault("origins", "", CorsFault::Nothing));
        }
        cors.exact.sort_unstable();
        cors.exact.dedup();
        let credentials: &[u8] =
            if spec.credentials { b"access-control-allow-credentials: true\r\n" } else { b"" };
        cors.preflight.extend_from_slice(credentials);
        list(&mut cors.preflight, "methods", "access-control-allow-methods", &spec.methods, spec)?;
        list(&mut cors.preflight, "headers", "access-control-allow-headers", &spec.headers, spec)?;
        if let Some(age) = spec.max_age {
            let line = format!("access-control-max-age: {}\r\n", age.as_secs());
            cors.preflight.extend_from_slice(line.as_bytes());
        }
        cors.answer.extend_from_slice(credentials);
        list(&mut cors.answer, "expose", "access-control-expose-headers", &spec.expose, spec)?;
        Ok(cors)
    }

    fn add_origin(&mut self, text: &str, credentials: bool) -> Result<(), CorsError> {
        if matches!(text, "*" | "null") && credentials {
            return Err(fault("origins", text, CorsFault::WithCredentials));
        }
        match text {
            "*" => self.any_origin = true,
            "null" => self.exact.push("null".to_owned()),
            _ => match OriginPattern::parse(text) {
                Ok(OriginPattern::Exact(origin)) => self.exact.push(origin),
                Ok(pattern) => self.patterns.push(pattern),
                Err(OriginError) => return Err(fault("origins", text, CorsFault::Malformed)),
            },
        }
        Ok(())
    }

    /// Whether pages of this origin may read answers.
    #[must_use]
    pub fn admits(&self, origin: &[u8]) -> bool {
        self.any_origin
            || self.exact.binary_search_by(|own| own.as_bytes().cmp(origin)).is_ok()
            || self.patterns.iter().any(|pattern| pattern.matches(origin))
    }

    /// Writes the lines of the answer to a preflight; whether its origin is admitted. Without that
    /// nothing is allowed by them.
    pub fn preflight(&self, asked: &Preflight<'_>, out: &mut Vec<u8>) -> bool {
        let admitted = self.admits(asked.origin);
        if admitted {
            self.allow(asked.origin, out);
            out.extend_from_slice(&self.preflight);
            if asked.private_network && self.private_network {
                out.extend_from_slice(b"access-control-allow-private-network: true\r\n");
            }
        }
        out.extend_from_slice(VARY_PREFLIGHT);
        admitted
    }

    /// Writes the lines of any other answer.
    pub fn answer(&self, origin: Option<&[u8]>, out: &mut Vec<u8>) {
        if let Some(origin) = origin.filter(|origin| self.admits(origin)) {
            self.allow(origin, out);
            out.extend_from_slice(&self.answer);
        } else if self.any_origin {
            // Answers are the same for all, whether they say who asks or not: caches may keep one.
            self.allow(b"*", out);
            out.extend_from_slice(&self.answer);
        }
        if !self.any_origin {
            out.extend_from_slice(VARY_ORIGIN);
        }
    }

    fn allow(&self, origin: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"access-control-allow-origin: ");
        out.extend_from_slice(if self.any_origin { b"*" } else { origin });
        out.extend_from_slice(b"\r\n");
    }
}

fn fault(key: &'static str, item: &str, what: CorsFault) -> CorsError {
    CorsError { key, item: item.to_owned(), what }
}

/// Writes one field of a list of tokens; nothing if there are none.
fn list(
    out: &mut Vec<u8>,
    key: &'static str,
    name: &str,
    items: &[String],
    spec: &CorsSpec,
) -> Result<(), CorsError> {
    for item in items {
        if !is_token(item.as_bytes()) {
            return Err(fault(key, item, CorsFault::Malformed));
        }
        if item == "*" && spec.credentials {
            return Err(fault(key, item, CorsFault::WithCredentials));
        }
    }
    if !items.is_empty() {
        out.extend_from_slice(format!("{name}: {}\r\n", items.join(", ")).as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
