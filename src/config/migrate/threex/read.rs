//! Values as the other gateway writes them.

use std::net::IpAddr;
use std::time::Duration;

/// Names that the table of the limiter may have.
const LIMITERS: [&str; 4] = ["rate_limit", "rate_limiter", "rate_limiting", "limiter"];

/// A key of the limiter, under each of its names.
pub(super) fn below_limiters(key: &str) -> Vec<String> {
    LIMITERS.iter().map(|table| format!("{table}.{key}")).collect()
}

/// `5`, `1.5`, `5s`, `1m30s`, `250ms`
pub(super) fn time(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(letters);
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * unit;
        sum = sum.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(sum)
}

/// As settings write it.
pub(super) fn written(length: Duration) -> String {
    match length.subsec_millis() {
        0 => format!("{}s", length.as_secs()),
        _ => format!("{}ms", length.as_millis()),
    }
}

/// `10.0.0.0/8`, `10.1.2.3/8` or `10.1.2.3`: the range that is meant.
pub(super) fn range(text: &str) -> Option<String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    match address.trim().parse().ok()? {
        IpAddr::V4(address) => {
            let bits = bits.unwrap_or(32);
            let rest = u32::MAX.checked_shr(bits).unwrap_or(0);
            let first = std::net::Ipv4Addr::from_bits(address.to_bits() & !rest);
            (bits <= 32).then(|| format!("{first}/{bits}"))
        }
        IpAddr::V6(address) => {
            let bits = bits.unwrap_or(128);
            let rest = u128::MAX.checked_shr(bits).unwrap_or(0);
            let first = std::net::Ipv6Addr::from_bits(address.to_bits() & !rest);
            (bits <= 128).then(|| format!("{first}/{bits}"))
        }
    }
}

/// `true` and its like in YAML 1.1.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        _ => None,
    }
}

/// A back end: `http://host:8081/base`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Url {
    pub(super) tls: bool,
    /// Host and port.
    pub(super) endpoint: String,
    /// Without a slash at its end.
    pub(super) path: String,
    pub(super) has_query: bool,
}

pub(super) fn url(text: &str) -> Option<Url> {
    let (tls, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("http://")?),
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (path, query) = rest.split_once(['?', '#']).unwrap_or((rest, ""));
    if authority.is_empty() || authority.contains(['@', ' ']) {
        return None;
    }
    let port = authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    let endpoint = match port {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            authority.to_owned()
        }
        Some(_) => return None,
        None => format!("{authority}:{}", if tls { 443 } else { 80 }),
    };
    let path = path.trim_end_matches('/').to_owned();
    Some(Url { tls, endpoint, path, has_query: !query.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_have_a_unit() {
        for (text, want) in [
            ("5", Some(5000)),
            ("0.5", Some(500)),
            ("5s", Some(5000)),
            ("1m30s", Some(90_000)),
            ("250ms", Some(250)),
            ("", None),
            ("5x", None),
            ("s", None),
            ("-1", None),
            ("soon", None),
        ] {
            assert_eq!(time(text), want.map(Duration::from_millis), "{text}");
        }
        assert_eq!(written(Duration::from_millis(1500)), "1500ms");
        assert_eq!(written(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn ranges_lose_their_host_bits() {
        assert_eq!(range("10.1.2.3/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(range("192.0.2.1").as_deref(), Some("192.0.2.1/32"));
        assert_eq!(range("fd00::1/8").as_deref(), Some("fd00::/8"));
        assert_eq!((range("10.0.0.0/33"), range("ten")), (None, None));
    }

    #[test]
    fn back_ends_are_urls() {
        let of = |text| url(text).map(|url| (url.tls, url.endpoint, url.path));
        let want =
            |tls, endpoint: &str, path: &str| Some((tls, endpoint.to_owned(), path.to_owned()));
        assert_eq!(of("http://a:8081"), want(false, "a:8081", ""));
        assert_eq!(of("https://a.test/base/"), want(true, "a.test:443", "/base"));
        assert_eq!(of("http://[::1]:80/"), want(false, "[::1]:80", ""));
        for text in ["", "a:80", "ftp://a", "http://", "http://a:x", "http://u@a", "http://:80"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
