//! Requests that are let through without a token.

/// Hosts and paths that are open to everybody (SPEC 10.4, step 2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Public {
    /// Whole names, in any case.
    pub hosts: Vec<String>,
    /// Beginnings of paths. One that ends in `/` stands for that segment and all below it; any
    /// other is a plain prefix: `/favicon` is also `/favicon.ico`.
    pub paths: Vec<String>,
}

impl Public {
    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.paths.is_empty()
    }

    /// Whether a request needs no token. `path` is in normal form, as it is forwarded: a path that
    /// only begins like a public one must not end elsewhere.
    #[must_use]
    pub fn contains(&self, host: &[u8], path: &[u8]) -> bool {
        self.hosts.iter().any(|open| host.eq_ignore_ascii_case(open.as_bytes()))
            || is_below(&self.paths, path)
    }
}

/// Whether one of `prefixes` leads to `path`, in the sense of [`Public::paths`].
#[must_use]
pub fn is_below(prefixes: &[String], path: &[u8]) -> bool {
    prefixes.iter().any(|prefix| {
        let prefix = prefix.as_bytes();
        path.starts_with(prefix) || prefix.strip_suffix(b"/").is_some_and(|segment| path == segment)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_end_in_a_slash_are_segments() {
        let paths = ["/healthz", "/.well-known/"].map(str::to_owned).to_vec();
        let public = Public { hosts: vec!["id.example".to_owned()], paths };
        let open = |host: &str, path: &str| public.contains(host.as_bytes(), path.as_bytes());
        for path in ["/healthz", "/healthz/live", "/healthz2", "/.well-known", "/.well-known/jwks"]
        {
            assert!(open("a.example", path), "{path}");
        }
        for path in ["/", "/.well-knownx", "/api/healthz", "/.well-know", "/Healthz"] {
            assert!(!open("a.example", path), "{path}");
        }
        assert!(open("ID.example", "/api"));
        assert!(!open("xid.example", "/api") && !open("id.example.evil", "/api"));
        assert!(!Public::default().contains(b"", b"/"));
    }
}
