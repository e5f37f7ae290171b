//! What clients are told about limits: the fields of the current draft of the IETF
//! (draft-ietf-httpapi-ratelimit-headers, `RateLimit` and `RateLimit-Policy`), `Retry-After`, and
//! the older `X-RateLimit-*`.

use std::io::Write;

use super::limiter::{Rule, Verdict};

const SECOND: u64 = 1_000_000_000;

/// Which fields a rule shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Shown {
    /// `RateLimit` and `RateLimit-Policy`.
    pub standard: bool,
    /// `X-RateLimit-*`.
    pub legacy: bool,
}

/// Seconds until a refused request may be repeated: rounded up, and never zero.
#[must_use]
pub fn retry_after(wait: u64) -> u64 {
    wait.div_ceil(SECOND).max(1)
}

/// Appends the lines that every answer of the rule carries, and those of a refusal. `route` and
/// `scope` are shown in the older fields; `unix` is the time in seconds.
pub fn write(
    out: &mut Vec<u8>,
    rule: &Rule,
    shown: Shown,
    verdict: &Verdict,
    (route, scope): (&str, &str),
    unix: u64,
) {
    let retry = retry_after(verdict.wait);
    if shown.standard {
        let (count, seconds) = rule.rate.window();
        let reset = if verdict.left == 0 { retry } else { verdict.full.div_ceil(SECOND) };
        let name = Quoted(&rule.name);
        line(out, "ratelimit-policy", format_args!("{name};q={count};w={seconds}"));
        line(out, "ratelimit", format_args!("{name};r={};t={reset}", verdict.left));
    }
    if shown.legacy {
        line(out, "x-ratelimit-route", format_args!("{}", Visible(route)));
        line(out, "x-ratelimit-scope", format_args!("{scope}"));
        line(out, "x-ratelimit-limit-rps", format_args!("{}", Hundredths(rule.rate.hundredths())));
        line(out, "x-ratelimit-burst", format_args!("{}", rule.burst));
        if verdict.left > 0 {
            line(out, "x-ratelimit-remaining", format_args!("{}", verdict.left));
        }
        if !verdict.is_allowed {
            line(out, "x-ratelimit-reset", format_args!("{}", unix.saturating_add(retry)));
        }
    }
    if !verdict.is_allowed {
        line(out, "retry-after", format_args!("{retry}"));
    }
}

/// Appends `name: value` and the end of the line.
pub fn line(out: &mut Vec<u8>, name: &str, value: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = write!(out, "{name}: {value}\r\n");
}

/// The body of a refusal as 3xpluto's clients expect it.
#[must_use]
pub fn legacy_body(route: &str, scope: &str, retry: u64) -> String {
    let route = Visible(route);
    format!(
        "{{\"error\":\"rate_limited\",\"route\":\"{route}\",\"scope\":\"{scope}\",\
         \"retry_after_seconds\":{retry}}}"
    )
}

/// Hundredths as a decimal number without zeros at its end.
struct Hundredths(u64);

impl std::fmt::Display for Hundredths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match (part, part % 10) {
            (0, _) => write!(f, "{whole}"),
            (_, 0) => write!(f, "{whole}.{}", part / 10),
            _ => write!(f, "{whole}.{part:02}"),
        }
    }
}

/// A name as a string of structured fields (RFC 9651 §3.3.3); what it cannot hold is left out.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", Visible(self.0))
    }
}

/// Visible ASCII without quotes and backslashes: right within quotes of every kind.
pub struct Visible<'a>(pub &'a str);

impl std::fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fits = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        self.0.chars().filter(fits).try_for_each(|c| write!(f, "{c}"))
    }
}
