//! Keys that stand in web pages, for everybody to read (SPEC 11.6): good from the pages of their
//! owners only, and a few times a minute.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;

use super::sliding_log::{Full, SlidingLog};

/// How such keys may be used.
#[derive(Clone, Debug)]
pub struct Widget {
    /// The name of the rule.
    pub name: String,
    /// How such a key begins.
    pub prefix: String,
    /// Hosts whose pages, and those of their subdomains, may use one; none: any may.
    pub origins: Vec<String>,
    /// How often.
    pub log: Arc<SlidingLog>,
}

/// What was counted makes no difference.
impl PartialEq for Widget {
    fn eq(&self, other: &Self) -> bool {
        let words = |widget: &Widget| (widget.name.clone(), widget.prefix.clone());
        words(self) == words(other) && self.origins == other.origins && self.log.is_like(&other.log)
    }
}

/// Why a use is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It comes from no page that may.
    Origin,
    /// It comes too often; after this time it may come again.
    TooOften(Duration),
}

impl Widget {
    /// The original's prefix.
    pub const PREFIX: &str = "hz_";

    /// Whether a token is such a key.
    #[must_use]
    pub fn is_key(&self, token: &[u8]) -> bool {
        token.starts_with(self.prefix.as_bytes())
    }

    /// Whether a request with such a key may go on. `origins` and `referer` are the fields of these
    /// names: a browser sends at most one of each.
    pub fn admit<'a>(
        &self,
        origins: impl Iterator<Item = &'a [u8]>,
        referers: impl Iterator<Item = &'a [u8]>,
        client: IpAddr,
        now: Instant,
    ) -> Result<(), Refused> {
        if !self.origins.is_empty() && !self.is_page_allowed(origins, referers) {
            return Err(Refused::Origin);
        }
        self.log.admit(client, now).map_err(|full| match full {
            Full::Client(wait) | Full::All(wait) => Refused::TooOften(wait),
        })
    }

    fn is_page_allowed<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a [u8]>,
        mut referers: impl Iterator<Item = &'a [u8]>,
    ) -> bool {
        let page = match (origins.next(), origins.next()) {
            (Some(origin), None) => Some(origin),
            // A page that says two things of itself says nothing.
            (Some(_), Some(_)) => None,
            (None, _) => referers.next().filter(|_| referers.next().is_none()),
        };
        let Some(host) = page.and_then(host_of) else { return false };
        self.origins.iter().any(|allowed| is_within(host, allowed.as_bytes()))
    }
}

/// The host of `https://host[:port][/…]`.
fn host_of(page: &[u8]) -> Option<&[u8]> {
    let rest = [&b"https://"[..], b"http://"].iter().find_map(|scheme| {
        let (start, rest) = page.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'));
    let authority = rest.get(..end.unwrap_or(rest.len()))?;
    // Browsers send no user there, and readers differ about what it is.
    if authority.contains(&b'@') {
        return None;
    }
    let host = match authority.iter().rposition(|byte| *byte == b':') {
        Some(at) if !authority.ends_with(b"]") => authority.get(..at)?,
        _ => authority,
    };
    (!host.is_empty()).then_some(host)
}

/// Whether `host` is `allowed` or below it.
fn is_within(host: &[u8], allowed: &[u8]) -> bool {
    let Some(at) = host.len().checked_sub(allowed.len()) else { return false };
    let (sub, end) = host.split_at(at);
    end.eq_ignore_ascii_case(allowed) && (sub.is_empty() || sub.ends_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widget(origins: &[&str]) -> Widget {
        Widget {
            name: "page".to_owned(),
            prefix: Widget::PREFIX.to_owned(),
            origins: origins.iter().map(|text| (*text).to_owned()).collect(),
            log: Arc::new(SlidingLog::new(2, 600, Duration::from_mins(1))),
        }
    }

    fn asks(widget: &Widget, origins: &[&str], referers: &[&str]) -> bool {
        let origins = origins.iter().map(|text| text.as_bytes());
        let referers = referers.iter().map(|text| text.as_bytes());
        widget.is_page_allowed(origins, referers)
    }

    #[test]
    fn pages_of_the_owner_and_below_may() {
        let widget = widget(&["hanzo.ai", "localhost"]);
        for page in [
            "https://hanzo.ai",
            "https://Hanzo.AI",
            "https://app.hanzo.ai:8443",
            "http://localhost:3000",
            "https://hanzo.ai/page?x=1",
            "https://hanzo.ai#x",
        ] {
            assert!(asks(&widget, &[page], &[]), "{page}");
            assert!(asks(&widget, &[], &[page]), "{page}");
            assert!(!asks(&widget, &[page, page], &[]), "{page}");
        }
        for page in [
            "",
            "null",
            "hanzo.ai",
            "https://",
            "https://evilhanzo.ai",
            "https://hanzo.ai.evil",
            "https://hanzo.ai@evil.example",
            "https://evil.example/hanzo.ai",
            "ftp://hanzo.ai",
            "https://evil.example\\.hanzo.ai",
            "https://evil.example?.hanzo.ai",
            "https://:80",
            "https://hanzo.ai:80@evil.example",
        ] {
            assert!(!asks(&widget, &[page], &[]), "{page}");
            assert!(!asks(&widget, &[], &[page]), "{page}");
            // A page that said where it is does not get a second try.
            assert!(!asks(&widget, &[page], &["https://hanzo.ai/"]), "{page}");
        }
        assert!(!asks(&widget, &[], &[]), "whatever the User-Agent says");
    }

    #[test]
    fn uses_are_counted_once_the_page_is_right() {
        let widget = widget(&["hanzo.ai"]);
        let ask = |origin: &'static str| {
            let (none, now) = (std::iter::empty(), Instant::START);
            let client = "10.0.0.1".parse().unwrap();
            widget.admit(std::iter::once(origin.as_bytes()), none, client, now)
        };
        for _ in 0..10 {
            assert_eq!(ask("https://evil.example"), Err(Refused::Origin));
        }
        assert_eq!(ask("https://hanzo.ai"), Ok(()));
        assert_eq!(ask("https://hanzo.ai"), Ok(()));
        assert!(matches!(ask("https://hanzo.ai"), Err(Refused::TooOften(_))));
    }

    #[test]
    fn without_a_list_every_page_may() {
        let widget = widget(&[]);
        let (none, now) = (std::iter::empty, Instant::START);
        let client = "10.0.0.1".parse().unwrap();
        assert_eq!(widget.admit(none(), none(), client, now), Ok(()));
        assert!(widget.is_key(b"hz_1") && !widget.is_key(b"HZ_1"));
    }
}
