//! Origins as they are listed: `https://example.com`, `https://*.example.com`.

/// One origin, or all below a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OriginPattern {
    /// As browsers write it (RFC 6454 §6.2): in lower case, without the port that is usual.
    Exact(String),
    /// Those whose hosts end with a dot and a name; not that name itself.
    Below {
        /// `https://`
        front: String,
        /// `.example.com`, perhaps with a port.
        end: String,
    },
}

/// A text is no [`OriginPattern`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OriginError;

impl OriginPattern {
    /// Reads one: a scheme, a host that may begin with `*.`, and perhaps a port.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let text = text.to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://").ok_or(OriginError)?;
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(letters) {
            return Err(OriginError);
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let number: u16 = port.parse().map_err(|_| OriginError)?;
                (host, Some(number))
            }
            _ => (rest, None),
        };
        let usual = matches!((scheme, port), ("https", Some(443)) | ("http", Some(80)));
        let port = port.filter(|_| !usual).map_or_else(String::new, |port| format!(":{port}"));
        match host.strip_prefix("*.") {
            Some(name) if is_host(name.as_bytes()) => Ok(OriginPattern::Below {
                front: format!("{scheme}://"),
                end: format!(".{name}{port}"),
            }),
            None if is_host(host.as_bytes()) || is_address(host) => {
                Ok(OriginPattern::Exact(format!("{scheme}://{host}{port}")))
            }
            _ => Err(OriginError),
        }
    }

    /// Whether an origin, as a browser sends it, is one of these.
    #[must_use]
    pub fn matches(&self, origin: &[u8]) -> bool {
        match self {
            OriginPattern::Exact(own) => own.as_bytes() == origin,
            OriginPattern::Below { front, end } => origin
                .strip_prefix(front.as_bytes())
                .and_then(|rest| rest.strip_suffix(end.as_bytes()))
                // Nothing but labels may stand there: no port, no path, no other host.
                .is_some_and(is_host),
        }
    }
}

/// Labels of letters, digits, `-` and `_`, with one dot between them.
fn is_host(name: &[u8]) -> bool {
    let is_label = |label: &[u8]| {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.iter().all(fits)
    };
    name.len() < 254 && name.split(|byte| *byte == b'.').all(is_label)
}

/// `[::1]`
fn is_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_browsers_write_it() {
        for (text, want) in [
            ("https://Example.com", "https://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("http://example.com:80", "http://example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            let want = OriginPattern::Exact(want.to_owned());
            assert_eq!(OriginPattern::parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "",
            "example.com",
            "https://",
            "https://example.com/",
            "https://example.com/a",
            "https://a b",
            "https://*",
            "https://*example.com",
            "https://a.*.com",
            "https://*.",
            "https://example.com:",
            "https://example.com:x",
            "https://a..b",
            "://a",
            "1://a",
            "https://user@example.com",
            "https://[::1",
            "https://*.[::1]",
            "https://a?b",
        ] {
            assert_eq!(OriginPattern::parse(text), Err(OriginError), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_labels_and_nothing_else() {
        let pattern = OriginPattern::parse("https://*.example.com").unwrap();
        for origin in ["https://a.example.com", "https://a.b-c.example.com"] {
            assert!(pattern.matches(origin.as_bytes()), "{origin}");
        }
        for origin in [
            "https://example.com",
            "https://.example.com",
            "http://a.example.com",
            "https://a.example.com:8443",
            "https://aexample.com",
            "https://evil.com/.example.com",
            "https://evil.com:1.example.com",
            "https://a..example.com",
            "https://a.example.com.evil.com",
            "https://evil.com#.example.com",
            "null",
            "",
        ] {
            assert!(!pattern.matches(origin.as_bytes()), "{origin}");
        }
        let port = OriginPattern::parse("https://*.example.com:8443").unwrap();
        assert!(port.matches(b"https://a.example.com:8443"));
        assert!(!port.matches(b"https://a.example.com"));
    }
}
