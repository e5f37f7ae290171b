//! Which hosts a route is for.

use std::fmt;

use crate::base::limits::ROUTE_LITERAL_BYTES_MAX;
use crate::message::authority;

/// Which hosts a route is for. An exact one wins over a suffix, a longer suffix over a shorter one,
/// and any of them over [`HostPattern::Any`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum HostPattern {
    /// All, and requests without one.
    #[default]
    Any,
    /// This one, in lower case, without a final dot.
    Exact(String),
    /// All that end with a dot and this: `*.example.com`. Not `example.com` itself.
    Suffix(String),
}

/// Why a text is no [`HostPattern`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostError {
    /// Not a host name, an address in brackets, `*`, or `*.` and a name.
    Malformed,
    /// It has a port; routes are for hosts on all ports.
    Port,
}

impl HostPattern {
    /// Reads `example.com`, `*.example.com`, `[::1]` or `*`.
    pub fn parse(text: &str) -> Result<HostPattern, HostError> {
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        let (name, is_suffix) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let parsed = authority::parse(name.as_bytes()).map_err(|_| HostError::Malformed)?;
        if parsed.host_len != name.len() {
            return Err(HostError::Port);
        }
        if is_suffix && name.starts_with('[') {
            return Err(HostError::Malformed);
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        Ok(if is_suffix { HostPattern::Suffix(name) } else { HostPattern::Exact(name) })
    }

    /// Whether a host, in any case and without its port, is one of these.
    #[must_use]
    pub fn matches(&self, host: &[u8]) -> bool {
        let host = host.strip_suffix(b".").unwrap_or(host);
        match self {
            HostPattern::Any => true,
            HostPattern::Exact(name) => host.eq_ignore_ascii_case(name.as_bytes()),
            HostPattern::Suffix(name) => {
                let Some(rest) = host.len().checked_sub(name.len() + 1) else { return false };
                let (front, end) = host.split_at(rest);
                !front.is_empty()
                    && end.split_first().is_some_and(|(dot, end)| {
                        *dot == b'.' && end.eq_ignore_ascii_case(name.as_bytes())
                    })
            }
        }
    }

    /// How much it says: the longer the more, and an exact one more than any suffix.
    pub(super) fn exactness(&self) -> usize {
        match self {
            HostPattern::Any => 0,
            HostPattern::Suffix(name) => name.len(),
            HostPattern::Exact(_) => usize::MAX,
        }
    }
}

/// As it is written in a configuration.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Any => f.write_str("*"),
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Suffix(name) => write!(f, "*.{name}"),
        }
    }
}

/// A host in lower case without its final dot, in a buffer of the caller; `None` if it is longer
/// than any host of a route.
#[inline]
pub(super) fn lower<'b>(
    host: &[u8],
    buffer: &'b mut [u8; ROUTE_LITERAL_BYTES_MAX],
) -> Option<&'b [u8]> {
    let host = host.strip_suffix(b".").unwrap_or(host);
    let out = buffer.get_mut(..host.len())?;
    for (to, from) in out.iter_mut().zip(host) {
        *to = from.to_ascii_lowercase();
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_match_in_any_case_with_or_without_a_final_dot() {
        check("example.com", &["example.com", "EXAMPLE.com", "example.com."], true);
        check("Example.COM.", &["example.com"], true);
        check("example.com", &["", "com", "xexample.com", "a.example.com"], false);
        check("[::1]", &["[::1]"], true);
        check("*", &["", "anything"], true);
    }

    #[test]
    fn a_suffix_matches_what_has_more_labels() {
        check("*.example.com", &["a.example.com", "a.b.Example.com", "x-y.example.com."], true);
        check("*.example.com", &["example.com", ".example.com", "aexample.com", ""], false);
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "a b", "a..b", "*a.com", "a.*.com", "*.", "*.*", "*.[::1]", "a/b", "**"] {
            assert_eq!(HostPattern::parse(text), Err(HostError::Malformed), "{text}");
        }
        assert_eq!(HostPattern::parse("a:80"), Err(HostError::Port));
        for text in ["*", "a.com", "*.a.com", "[::1]"] {
            assert_eq!(HostPattern::parse(text).unwrap().to_string(), text);
        }
    }

    #[track_caller]
    fn check(pattern: &str, hosts: &[&str], want: bool) {
        let pattern = HostPattern::parse(pattern).unwrap();
        for host in hosts {
            assert_eq!(pattern.matches(host.as_bytes()), want, "{host}");
        }
    }
}
