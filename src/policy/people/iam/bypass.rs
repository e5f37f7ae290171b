//! Requests that are let through without a token, and tokens that are for the endpoint to judge.

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

/// Beginnings of tokens that are keys of the endpoint's and no tokens of ours (step 4). They carry
/// no identity: whoever lets them pass leaves all checks to the endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyPrefixes(pub Vec<String>);

impl KeyPrefixes {
    /// Those of the original. None is let through unless the configuration says so.
    pub const KNOWN: &[&str] = &["hk-", "sk-", "fw_", "hz_", "pk-"];

    /// Whether a token is passed through untouched.
    #[must_use]
    pub fn contains(&self, token: &[u8]) -> bool {
        self.0.iter().any(|prefix| token.starts_with(prefix.as_bytes()))
    }
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

    #[test]
    fn no_key_passes_by_its_beginning_unless_it_is_listed() {
        let none = KeyPrefixes::default();
        let some = KeyPrefixes(vec!["hz_".to_owned()]);
        for prefix in KeyPrefixes::KNOWN {
            let key = format!("{prefix}abc");
            assert!(!none.contains(key.as_bytes()));
            assert_eq!(some.contains(key.as_bytes()), *prefix == "hz_");
        }
        assert!(!some.contains(b"HZ_abc") && !some.contains(b""));
    }
}
