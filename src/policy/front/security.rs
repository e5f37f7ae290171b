//! Fields that tell browsers to be careful with an answer (SPEC 2.7).
//!
//! The lines are written once, when the rule is made. What a back end says under these names is
//! replaced, so that a page has one policy.

use std::fmt::Write as _;

use crate::message::token::is_value_byte;

/// What a rule is made from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SecuritySpec {
    /// `x-frame-options`, such as `DENY`.
    pub frame: Option<String>,
    /// `x-content-type-options: nosniff`
    pub nosniff: bool,
    /// `referrer-policy`
    pub referrer: Option<String>,
    /// `content-security-policy`
    pub csp: Option<String>,
    /// `permissions-policy`
    pub permissions: Option<String>,
    /// `x-xss-protection: 1; mode=block`, for browsers that are long out of use.
    pub browser_xss: bool,
    /// `strict-transport-security`
    pub hsts: Option<Hsts>,
}

/// How long a browser does not ask without TLS (RFC 6797).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hsts {
    /// For so many seconds.
    pub seconds: u64,
    /// Nor hosts below this one.
    pub subdomains: bool,
    /// The operator wants to be on browsers' lists.
    pub preload: bool,
    /// Also on connections without TLS, where a proxy before us speaks it (RFC 6797 §7.2 has
    /// browsers ignore it otherwise).
    pub force: bool,
}

/// A value that cannot be written as a field: the key that it is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecurityError(pub &'static str);

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SecurityHeaders {
    always: Vec<u8>,
    over_tls: Vec<u8>,
    /// What a back end may not say in their place.
    names: Vec<&'static str>,
}

impl SecurityHeaders {
    /// Makes a rule.
    pub fn new(spec: &SecuritySpec) -> Result<Self, SecurityError> {
        let mut rule = SecurityHeaders::default();
        let nosniff = spec.nosniff.then(|| "nosniff".to_owned());
        let xss = spec.browser_xss.then(|| "1; mode=block".to_owned());
        for (key, name, value) in [
            ("frame", "x-frame-options", &spec.frame),
            ("nosniff", "x-content-type-options", &nosniff),
            ("referrer", "referrer-policy", &spec.referrer),
            ("csp", "content-security-policy", &spec.csp),
            ("permissions", "permissions-policy", &spec.permissions),
            ("browser_xss", "x-xss-protection", &xss),
        ] {
            if let Some(value) = value {
                if value.is_empty() || !value.bytes().all(is_value_byte) {
                    return Err(SecurityError(key));
                }
                line(&mut rule.always, name, value);
                rule.names.push(name);
            }
        }
        if let Some(hsts) = spec.hsts {
            let mut value = format!("max-age={}", hsts.seconds);
            let subdomains = if hsts.subdomains { "; includeSubDomains" } else { "" };
            let preload = if hsts.preload { "; preload" } else { "" };
            let _ = write!(value, "{subdomains}{preload}");
            let name = "strict-transport-security";
            line(if hsts.force { &mut rule.always } else { &mut rule.over_tls }, name, &value);
            rule.names.push(name);
        }
        Ok(rule)
    }

    /// Writes the lines of an answer on a connection that speaks TLS, or not.
    pub fn lines(&self, over_tls: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.always);
        if over_tls {
            out.extend_from_slice(&self.over_tls);
        }
    }

    /// The fields that the rule writes.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }
}

fn line(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HSTS: Hsts = Hsts { seconds: 63_072_000, subdomains: true, preload: false, force: false };

    fn lines(spec: &SecuritySpec, over_tls: bool) -> String {
        let mut out = Vec::new();
        SecurityHeaders::new(spec).unwrap().lines(over_tls, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_field_is_written_as_it_was_set() {
        let spec = SecuritySpec {
            frame: Some("DENY".to_owned()),
            nosniff: true,
            referrer: Some("no-referrer".to_owned()),
            csp: Some("default-src 'self'".to_owned()),
            permissions: Some("camera=()".to_owned()),
            browser_xss: true,
            hsts: Some(HSTS),
        };
        let plain = "x-frame-options: DENY\r\n\
                     x-content-type-options: nosniff\r\n\
                     referrer-policy: no-referrer\r\n\
                     content-security-policy: default-src 'self'\r\n\
                     permissions-policy: camera=()\r\n\
                     x-xss-protection: 1; mode=block\r\n";
        assert_eq!(lines(&spec, false), plain);
        let hsts = "strict-transport-security: max-age=63072000; includeSubDomains\r\n";
        assert_eq!(lines(&spec, true), format!("{plain}{hsts}"));
        assert_eq!(lines(&SecuritySpec::default(), true), "");
    }

    #[test]
    fn hsts_is_said_without_tls_only_if_it_is_forced() {
        let spec = |force| SecuritySpec {
            hsts: Some(Hsts { force, preload: true, subdomains: false, ..HSTS }),
            ..SecuritySpec::default()
        };
        assert_eq!(lines(&spec(false), false), "");
        let forced = "strict-transport-security: max-age=63072000; preload\r\n";
        assert_eq!(lines(&spec(true), false), forced);
        assert_eq!(lines(&spec(true), true), forced);
    }

    #[test]
    fn the_rule_names_what_it_writes() {
        let spec = SecuritySpec { nosniff: true, hsts: Some(HSTS), ..SecuritySpec::default() };
        let rule = SecurityHeaders::new(&spec).unwrap();
        assert_eq!(rule.names(), ["x-content-type-options", "strict-transport-security"]);
    }

    #[test]
    fn a_value_that_would_be_another_line_is_refused() {
        let spec =
            SecuritySpec { csp: Some("a\r\nset-cookie: b".to_owned()), ..SecuritySpec::default() };
        assert_eq!(SecurityHeaders::new(&spec), Err(SecurityError("csp")));
    }
}
