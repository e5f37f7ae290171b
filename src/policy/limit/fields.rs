//! What clients are told about limits: the fields of the current draft of the IETF
//! (draft-ietf-httpapi-ratelimit-headers, `RateLimit` and `RateLimit-Policy`), `Retry-After`, and
//! the older `X-RateLimit-*`.

use std::io::Write;

use crate::base::decimal::{self, Digits};

use super::key::Sort;
use super::limiter::{Rule, Verdict};

const SECOND: u64 = 1_000_000_000;
/// Room for what differs from answer to answer: at once, rather than bit by bit.
const VARYING_BYTES: usize = 192;
const LEFT: &str = "x-ratelimit-remaining: ";

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

/// What a rule on a route says each time, written once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fixed {
    shown: Shown,
    /// The lines that never change, and then `ratelimit` as far as the number of requests that are
    /// left.
    start: Vec<u8>,
}

impl Fixed {
    /// Those of a rule on the route with this name.
    #[must_use]
    pub fn new(rule: &Rule, shown: Shown, route: &str) -> Self {
        let mut fixed = Fixed { shown, ..Fixed::default() };
        let out = &mut fixed.start;
        if shown.legacy {
            let rps = Hundredths(rule.rate.hundredths());
            line(out, "x-ratelimit-route", format_args!("{}", Visible(route)));
            line(out, "x-ratelimit-limit-rps", format_args!("{rps}"));
            line(out, "x-ratelimit-burst", format_args!("{}", rule.burst));
        }
        if shown.standard {
            let (count, seconds) = rule.rate.window();
            let name = Quoted(&rule.name);
            line(out, "ratelimit-policy", format_args!("{name};q={count};w={seconds}"));
            out.extend_from_slice(format!("ratelimit: {name};r=").as_bytes());
        }
        fixed
    }

    /// Appends the lines that every answer carries, and those of a refusal. `by` is what was
    /// counted by; `unix` is the time in seconds.
    pub fn write(&self, out: &mut Vec<u8>, verdict: &Verdict, by: Sort, unix: u64) {
        out.reserve(self.start.len() + VARYING_BYTES);
        out.extend_from_slice(&self.start);
        let left = Digits::new(verdict.left);
        if self.shown.standard {
            let reset = match verdict.left {
                0 => retry_after(verdict.wait),
                _ => verdict.full.div_ceil(SECOND),
            };
            left.push(out);
            out.extend_from_slice(b";t=");
            decimal::push(out, reset);
            out.extend_from_slice(b"\r\n");
        }
        if self.shown.legacy {
            let scope = scope_line(by);
            if verdict.left == 0 {
                out.extend_from_slice(scope.strip_suffix(LEFT).unwrap_or(scope).as_bytes());
            } else {
                out.extend_from_slice(scope.as_bytes());
                left.push(out);
                out.extend_from_slice(b"\r\n");
            }
        }
        if !verdict.is_allowed {
            let retry = retry_after(verdict.wait);
            if self.shown.legacy {
                let reset = unix.saturating_add(retry);
                line(out, "x-ratelimit-reset", format_args!("{reset}"));
            }
            line(out, "retry-after", format_args!("{retry}"));
        }
    }
}

/// What was counted by, and the name of the line that follows if anything is left.
const fn scope_line(by: Sort) -> &'static str {
    match by {
        Sort::All => "x-ratelimit-scope: route\r\nx-ratelimit-remaining: ",
        Sort::Address => "x-ratelimit-scope: ip\r\nx-ratelimit-remaining: ",
        Sort::Subject => "x-ratelimit-scope: user\r\nx-ratelimit-remaining: ",
        Sort::Field => "x-ratelimit-scope: header\r\nx-ratelimit-remaining: ",
        Sort::Parameter => "x-ratelimit-scope: param\r\nx-ratelimit-remaining: ",
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
