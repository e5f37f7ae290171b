//! Which hosts a route answers for, and whether only over TLS (SPEC 2.7).

use crate::message::head::Method;

/// Hosts that may be asked for. Made from names in lower case.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hosts {
    /// Sorted.
    exact: Vec<String>,
    /// `.example.com`
    below: Vec<String>,
}

impl Hosts {
    /// `example.com`, or `*.example.com` for all below it.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut hosts = Hosts::default();
        for name in names {
            let name = name.to_ascii_lowercase();
            match name.strip_prefix('*') {
                Some(rest) if rest.starts_with('.') => hosts.below.push(rest.to_owned()),
                _ => hosts.exact.push(name),
            }
        }
        hosts.exact.sort_unstable();
        hosts.exact.dedup();
        hosts
    }

    /// Whether a host, in any case and without its port, is one of them.
    #[must_use]
    pub fn admit(&self, host: &[u8]) -> bool {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let lower = host.iter().map(u8::to_ascii_lowercase);
        self.exact.binary_search_by(|own| own.bytes().cmp(lower.clone())).is_ok()
            || self.below.iter().any(|end| {
                host.len().checked_sub(end.len()).is_some_and(|at| {
                    let (front, back) = host.split_at(at);
                    !front.is_empty() && back.eq_ignore_ascii_case(end.as_bytes())
                })
            })
    }
}

/// The status that sends a client to TLS: a method that asks for more than a page must stay what it
/// is (RFC 9110 §15.4.9).
#[must_use]
pub const fn redirect_status(method: Method) -> u16 {
    match method {
        Method::Get | Method::Head => 301,
        _ => 308,
    }
}

/// Where a client finds the same over TLS: `https://example.com:8443/path?query`. `port` is that of
/// HTTPS; `target` begins with a slash. Both are visible ASCII already.
pub fn location(host_name: &[u8], port: u16, target: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"https://");
    out.extend_from_slice(host_name);
    if port != 443 {
        out.extend_from_slice(format!(":{port}").as_bytes());
    }
    out.extend_from_slice(target);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_whole_and_without_regard_to_case() {
        let names = ["Example.com", "*.b.test", "[::1]", "a.test"];
        let hosts = Hosts::new(names.map(str::to_owned));
        for host in ["example.com", "EXAMPLE.COM.", "a.b.test", "x.y.B.test", "[::1]", "a.test"] {
            assert!(hosts.admit(host.as_bytes()), "{host}");
        }
        for host in
            ["", ".", "xexample.com", "b.test", ".b.test", "xb.test", "a.test.evil", "*.b.tes"]
        {
            assert!(!hosts.admit(host.as_bytes()), "{host}");
        }
        assert!(!Hosts::default().admit(b"a"));
    }

    #[test]
    fn a_client_is_sent_to_the_same_page_over_tls() {
        let at = |port| {
            let mut out = Vec::new();
            location(b"a.test", port, b"/x?y=1", &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(at(443), "https://a.test/x?y=1");
        assert_eq!(at(8443), "https://a.test:8443/x?y=1");
        assert_eq!((redirect_status(Method::Get), redirect_status(Method::Post)), (301, 308));
    }
}
