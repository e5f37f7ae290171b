//! What a route asks of a request, and what is known of a request.

use super::host::HostPattern;
use super::pattern::PathPattern;
use crate::base::limits::ROUTE_PARAMS_MAX;
use crate::message::head::{Field, Method, Span};
use crate::message::path::PathPolicy;

/// The place of a route in its snapshot, in the order of the configuration. Means nothing in
/// another snapshot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteId(pub u32);

impl RouteId {
    /// The id of the route at this index.
    #[must_use]
    pub fn at(index: usize) -> Self {
        RouteId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The index among the routes of the snapshot.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What a route asks of a request.
///
/// Of all routes that match, one wins: by the exactness of its host, then of its path, then by the
/// number of its other conditions, then by its priority, then by its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods.
    pub methods: Methods,
    /// Fields that must be there; all of them.
    pub headers: Vec<HeaderRule>,
    /// Higher wins where all else is equal.
    pub priority: i32,
    /// What becomes of paths that two back ends could read differently.
    pub path_policy: PathPolicy,
}

impl Rule {
    /// A rule that asks for nothing but a path.
    #[must_use]
    pub fn of_path(path: PathPattern) -> Self {
        Rule {
            host: HostPattern::Any,
            path,
            methods: Methods::default(),
            headers: Vec::new(),
            priority: 0,
            path_policy: PathPolicy::Strict,
        }
    }

    /// How many conditions there are beside host and path.
    #[must_use]
    pub fn conditions(&self) -> usize {
        self.headers.len() + usize::from(!self.methods.is_any())
    }

    /// Whether the conditions beside host and path hold.
    #[inline]
    #[must_use]
    pub fn admits(&self, facts: &Facts<'_>) -> bool {
        self.methods.contains(facts.method, facts.method_text)
            && self.headers.iter().all(|rule| rule.holds(facts.headers))
    }

    /// What it asks for, as a text: of two rules with the same one, only one can ever win.
    #[must_use]
    pub fn question(&self) -> String {
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort();
        headers.dedup();
        format!("{} {} {} {headers:?}", self.host, self.path.shape(), self.methods.text())
    }
}

/// A set of methods; the empty one stands for all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Methods {
    known: u16,
    /// Names of other methods, sorted.
    others: Vec<String>,
}

impl Methods {
    /// The set of these methods; names are case-sensitive (RFC 9110 §9.1).
    #[must_use]
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut methods = Methods::default();
        for name in names {
            methods.add(name);
        }
        methods
    }

    fn add(&mut self, name: &str) {
        match Method::of(name.as_bytes()) {
            Method::Other => {
                if let Err(at) = self.others.binary_search_by(|own| own.as_str().cmp(name)) {
                    self.others.insert(at, name.to_owned());
                }
            }
            method => self.known |= bit(method),
        }
    }

    /// Whether every method is in it.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.known == 0 && self.others.is_empty()
    }

    /// Whether a method is in it; `text` is its name.
    #[inline]
    #[must_use]
    pub fn contains(&self, method: Method, text: &[u8]) -> bool {
        self.is_any()
            || match method {
                Method::Other => self.others.iter().any(|own| own.as_bytes() == text),
                known => self.known & bit(known) != 0,
            }
    }

    /// Adds all methods of another set that is not that of all.
    pub fn extend(&mut self, other: &Methods) {
        self.known |= other.known;
        other.others.iter().for_each(|name| self.add(name));
    }

    /// The names, as in an `allow` field: `GET, PUT`. Empty if all are in it.
    #[must_use]
    pub fn text(&self) -> String {
        let known = KNOWN.iter().filter(|method| self.known & bit(**method) != 0);
        let names = known.map(|method| method.as_str());
        names.chain(self.others.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
    }
}

const KNOWN: [Method; 9] = [
    Method::Get,
    Method::Head,
    Method::Post,
    Method::Put,
    Method::Patch,
    Method::Delete,
    Method::Options,
    Method::Trace,
    Method::Connect,
];

const fn bit(method: Method) -> u16 {
    match method {
        Method::Get => 1,
        Method::Head => 1 << 1,
        Method::Post => 1 << 2,
        Method::Put => 1 << 3,
        Method::Patch => 1 << 4,
        Method::Delete => 1 << 5,
        Method::Options => 1 << 6,
        Method::Trace => 1 << 7,
        Method::Connect => 1 << 8,
        Method::Other => 0,
    }
}

/// A field that must be there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HeaderRule {
    /// Its name, in lower case.
    pub name: String,
    /// The value that one of its lines must have; `None`: any.
    pub value: Option<String>,
}

impl HeaderRule {
    /// Whether one of the lines is as it must be.
    #[must_use]
    pub fn holds(&self, headers: Headers<'_>) -> bool {
        headers.fields.iter().any(|field| {
            field.name.of(headers.bytes).eq_ignore_ascii_case(self.name.as_bytes())
                && self
                    .value
                    .as_ref()
                    .is_none_or(|value| field.value.of(headers.bytes) == value.as_bytes())
        })
    }
}

/// The fields of a request with the buffer that they lie in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// The field lines.
    pub fields: &'a [Field],
    /// What their spans point into.
    pub bytes: &'a [u8],
}

/// What routes look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The host without its port, in any case. Empty: none was given.
    pub host: &'a [u8],
    /// The path without its query. For a table, in normal form.
    pub path: &'a [u8],
    /// The method.
    pub method: Method,
    /// Its name.
    pub method_text: &'a [u8],
    /// The fields.
    pub headers: Headers<'a>,
}

impl<'a> Facts<'a> {
    /// The same of another path.
    #[must_use]
    pub fn with_path(self, path: &'a [u8]) -> Self {
        Facts { path, ..self }
    }
}

/// The route that a request takes, and which parts of the path matched what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Match {
    /// The route.
    pub route: RouteId,
    /// What matched its parameters, in order.
    pub params: Params,
    /// The part of the path that its prefix matched: all of it if the path is not a prefix.
    pub matched: Span,
}

/// Spans of a path that matched parameters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Params {
    spans: [Span; ROUTE_PARAMS_MAX],
    len: u8,
}

impl Params {
    /// The spans, in the order of the parameters.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        self.spans.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Adds one; what is too many is left out, which [`PathPattern`] has ruled out.
    #[inline]
    pub(super) fn push(&mut self, span: Span) {
        if let Some(slot) = self.spans.get_mut(usize::from(self.len)) {
            *slot = span;
            self.len += 1;
        }
    }

    /// Takes the last one away.
    #[inline]
    pub(super) fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
    }
}
