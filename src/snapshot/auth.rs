//! Profiles of authentication, and where their keys come from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::policy::auth::keys::KeySet;
use crate::policy::auth::profile::Profile;
use crate::tls::client::ClientTls;

/// All that is needed to know who calls.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Auth {
    /// Ways of proving who one is; routes name them by their place.
    pub profiles: Vec<Profile>,
    /// Where keys come from; profiles name them by their place.
    pub sources: Vec<KeySource>,
}

/// Where keys come from, and how often they are looked for.
#[derive(Clone, PartialEq, Debug)]
pub struct KeySource {
    /// What control and shards call it: the name of the first profile that uses it.
    pub name: Arc<str>,
    /// Where they are.
    pub place: KeyPlace,
    /// After so long they are looked for again.
    pub refresh: Duration,
    /// How long one look may take.
    pub timeout: Duration,
    /// Between two looks that were asked for by tokens with unknown keys.
    pub cooldown: Duration,
}

/// Where keys are.
#[derive(Clone, Debug)]
pub enum KeyPlace {
    /// They are written in the configuration.
    Fixed(Arc<KeySet>),
    /// In a file, which was read already and is read anew when it changes.
    File(PathBuf, Arc<KeySet>),
    /// They are published.
    Url(KeyUrl, Option<Box<ClientTls>>),
}

impl KeyPlace {
    /// The keys that are known before anybody looks.
    #[must_use]
    pub fn initial(&self) -> Option<&Arc<KeySet>> {
        match self {
            KeyPlace::Fixed(keys) | KeyPlace::File(_, keys) => Some(keys),
            KeyPlace::Url(..) => None,
        }
    }
}

/// The same place. Keys of a configuration are the same only if they were read together.
impl PartialEq for KeyPlace {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (KeyPlace::Fixed(a), KeyPlace::Fixed(b)) => Arc::ptr_eq(a, b),
            (KeyPlace::File(a, keys), KeyPlace::File(b, others)) => {
                a == b && Arc::ptr_eq(keys, others)
            }
            (KeyPlace::Url(a, tls), KeyPlace::Url(b, other)) => a == b && tls == other,
            _ => false,
        }
    }
}

/// An `http` or `https` URL without a user, as operators write it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyUrl {
    /// Whether TLS is spoken.
    pub secure: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What `host` says: with brackets, and with the port if it is not the usual one.
    pub authority: String,
    /// The path and the query, beginning with a slash.
    pub target: String,
}

impl KeyUrl {
    /// Reads a URL; `None`: it is none that can be asked for.
    #[must_use]
    pub fn parse(text: &str) -> Option<KeyUrl> {
        let (secure, rest) = match text.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#\\\"<>{}^`|".contains(&byte);
        if !rest.bytes().all(is_plain) {
            return None;
        }
        let cut = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(cut);
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (address, after) = inner.split_once(']')?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                (address, after)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_host = authority.starts_with('[') || host.bytes().all(is_name);
        let usual = if secure { 443 } else { 80 };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok().filter(|port| *port != 0)?,
            None if port.is_empty() => usual,
            None => return None,
        };
        if host.is_empty() || !is_host {
            return None;
        }
        let target = if target.starts_with('/') { target.into() } else { format!("/{target}") };
        let (host, authority) = (host.to_owned(), authority.to_owned());
        Some(KeyUrl { secure, host, port, authority, target })
    }

    /// Whether it stays on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_in_their_parts() {
        for (text, secure, host, port, target) in [
            ("https://id.example/.well-known/jwks", true, "id.example", 443, "/.well-known/jwks"),
            ("http://127.0.0.1:8080/a?b=c", false, "127.0.0.1", 8080, "/a?b=c"),
            ("https://[::1]:1", true, "::1", 1, "/"),
            ("https://a?b", true, "a", 443, "/?b"),
        ] {
            let url = KeyUrl::parse(text).unwrap();
            let parts = (url.secure, url.host.as_str(), url.port, url.target.as_str());
            assert_eq!(parts, (secure, host, port, target), "{text}");
        }
        assert!(KeyUrl::parse("http://localhost/").unwrap().is_local());
        assert!(!KeyUrl::parse("http://localhost.example/").unwrap().is_local());
    }

    #[test]
    fn what_cannot_be_asked_for_is_no_url() {
        for text in [
            "",
            "id.example",
            "ftp://a/",
            "file:///etc/passwd",
            "https://",
            "https:///a",
            "https://user:word@a/",
            "https://a:0/",
            "https://a:x/",
            "https://a:70000/",
            "https://a/ b",
            "https://a/\r\nx",
            "https://a/#b",
            "https://[::1/",
            "https://[a]/",
            "https://[::1]x/",
        ] {
            assert_eq!(KeyUrl::parse(text), None, "{text}");
        }
    }
}
