//! From what was written to what is meant, for each kind of key.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::fault::Code;
use super::schema::key::{Kind, Span};
use crate::base::size::{ByteSize, ByteSizeError};
use crate::base::text::Text;
use crate::snapshot::cidr::{Cidr, CidrError};
use crate::snapshot::observe::LogTarget;
use crate::snapshot::secret::Secret;
use crate::snapshot::server::Workers;
use crate::snapshot::transport::Congestion;

/// Shards at most; far more than machines have cores.
const WORKERS_MAX: u64 = 1024;
/// Items of a list at most.
const LIST_MAX: usize = 1024;

/// What was written.
#[derive(Clone, Debug)]
pub(super) enum Raw<'a> {
    /// In a variable, where every type is a text.
    Untyped(&'a str),
    Text(&'a str),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Raw<'a>>),
    /// Anything else, by the name of its type.
    Other(&'static str),
}

/// What is meant.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Bool(bool),
    Text(String),
    Secret(Secret),
    Ip(IpAddr),
    Address(Option<SocketAddr>),
    Integer(u64),
    Float(f64),
    Duration(Option<Duration>),
    Size(Option<u64>),
    Workers(Workers),
    Cidrs(Vec<Cidr>),
    Paths(Vec<String>),
    Texts(Vec<String>),
    Log(Option<LogTarget>),
    Congestion(Congestion),
}

/// Why what was written cannot be meant. Neither text quotes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Complaint {
    pub(super) code: Code,
    /// Follows the key: `has no unit`.
    pub(super) what: String,
    /// What to write instead.
    pub(super) way_out: String,
}

type Read = Result<Value, Complaint>;

fn complain<T>(code: Code, what: &str, way_out: impl Into<String>) -> Result<T, Complaint> {
    Err(Complaint { code, what: what.to_owned(), way_out: way_out.into() })
}

/// Reads what was written as a value of this kind.
pub(super) fn read(kind: &Kind, raw: &Raw<'_>) -> Read {
    match kind {
        Kind::Bool => boolean(raw),
        Kind::Switch(words) => switch::read(raw, words),
        Kind::Text => text(raw, "text").map(|text| Value::Text(text.to_owned())),
        Kind::Secret => text(raw, "text").map(|text| Value::Secret(Secret::new(text))),
        Kind::Port { zero } => port(raw, *zero),
        Kind::Ip => ip(text(raw, "an address")?),
        Kind::Host => host(text(raw, "a host name")?),
        Kind::AddressOrOff => address(text(raw, "an address with a port")?),
        Kind::Integer(min, max) => {
            integer(raw).and_then(|n| in_range(n, *min, *max)).map(Value::Integer)
        }
        Kind::Float(min, max) => float(raw, *min, *max),
        Kind::Duration(span) => duration(raw, span),
        Kind::Size { min, max, none } => size(raw, *min, *max, *none),
        Kind::Choice(words) => choice(text(raw, "one of its words")?, words),
        Kind::Workers => workers(raw),
        Kind::Cidrs => {
            items(raw)?.into_iter().map(cidr).collect::<Result<_, _>>().map(Value::Cidrs)
        }
        Kind::Paths => {
            items(raw)?.into_iter().map(path).collect::<Result<_, _>>().map(Value::Paths)
        }
        Kind::Texts(_) => {
            let items = if let Raw::Text(_) = raw { vec![text(raw, "text")?] } else { items(raw)? };
            Ok(Value::Texts(items.into_iter().map(str::to_owned).collect()))
        }
        Kind::Path => path(text(raw, "a path")?).map(Value::Text),
        Kind::Log => log(text(raw, "a place for the log")?),
        Kind::Congestion => congestion(text(raw, "a name")?),
    }
}

/// The name of the type that was written.
fn type_of(raw: &Raw<'_>) -> &'static str {
    match raw {
        Raw::Untyped(_) | Raw::Text(_) => "a text",
        Raw::Integer(_) => "a whole number",
        Raw::Float(_) => "a number with a fraction",
        Raw::Bool(_) => "true or false",
        Raw::List(_) => "a list",
        Raw::Other(name) => name,
    }
}

fn wrong_type<T>(raw: &Raw<'_>, way_out: &str) -> Result<T, Complaint> {
    let what = format!("is {}", type_of(raw));
    Err(Complaint { code: Code::WrongType, what, way_out: way_out.to_owned() })
}

fn text<'a>(raw: &Raw<'a>, wanted: &str) -> Result<&'a str, Complaint> {
    match raw {
        Raw::Untyped(text) | Raw::Text(text) if text.chars().any(char::is_control) => {
            complain(Code::Malformed, "has control characters", "leave them out")
        }
        Raw::Untyped(text) | Raw::Text(text) => Ok(text),
        _ => wrong_type(raw, &format!("write {wanted} in quotes")),
    }
}

fn boolean(raw: &Raw<'_>) -> Read {
    match raw {
        Raw::Bool(value) => Ok(Value::Bool(*value)),
        // Gufo's files and variables have them in quotes, too.
        Raw::Untyped("true" | "TRUE" | "True" | "1") | Raw::Text("true") => Ok(Value::Bool(true)),
        Raw::Untyped("false" | "FALSE" | "False" | "0") | Raw::Text("false") => {
            Ok(Value::Bool(false))
        }
        Raw::Untyped(_) | Raw::Text(_) => {
            complain(Code::Malformed, "is neither true nor false", "write true or false")
        }
        _ => wrong_type(raw, "write true or false"),
    }
}

/// A whole number; Gufo's files have them in quotes, too.
fn integer(raw: &Raw<'_>) -> Result<u64, Complaint> {
    let way_out = "write digits only";
    match raw {
        Raw::Integer(n) => match u64::try_from(*n) {
            Ok(n) => Ok(n),
            Err(_) => complain(Code::OutOfRange, "is below zero", "write zero or more"),
        },
        Raw::Untyped(text) | Raw::Text(text) => {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            match text.parse() {
                Ok(n) if digits => Ok(n),
                _ => complain(Code::Malformed, "is not a whole number", way_out),
            }
        }
        _ => wrong_type(raw, way_out),
    }
}

fn in_range(n: u64, min: u64, max: u64) -> Result<u64, Complaint> {
    if (min..=max).contains(&n) {
        Ok(n)
    } else {
        let way_out = format!("write a number from {min} to {max}");
        complain(Code::OutOfRange, "is out of range", way_out)
    }
}

fn port(raw: &Raw<'_>, zero: bool) -> Read {
    let min = u64::from(!zero);
    let way_out = || format!("write a port from {min} to 65535");
    match integer(raw) {
        Ok(n) if (min..=65_535).contains(&n) => Ok(Value::Integer(n)),
        Ok(_) => complain(Code::OutOfRange, "is not a port", way_out()),
        Err(complaint) => complain(complaint.code, &complaint.what, way_out()),
    }
}

fn float(raw: &Raw<'_>, min: f64, max: f64) -> Read {
    let number = match raw {
        Raw::Float(number) => *number,
        Raw::Integer(n) => match i32::try_from(*n) {
            Ok(n) => f64::from(n),
            Err(_) => f64::NAN,
        },
        Raw::Untyped(text) | Raw::Text(text) => match text.parse() {
            Ok(number) => number,
            Err(_) => return complain(Code::Malformed, "is not a number", "write one such as 0.2"),
        },
        _ => return wrong_type(raw, "write a number such as 0.2"),
    };
    // NaN lies in no range.
    if (min..=max).contains(&number) {
        Ok(Value::Float(number))
    } else {
        complain(Code::OutOfRange, "is out of range", format!("write a number from {min} to {max}"))
    }
}

fn duration(raw: &Raw<'_>, span: &Span) -> Read {
    let text = match raw {
        Raw::Integer(n) if span.bare_seconds => match u64::try_from(*n) {
            Ok(seconds) => return within(Duration::from_secs(seconds), span),
            Err(_) => return complain(Code::OutOfRange, "is below zero", "write zero or more"),
        },
        Raw::Integer(n) => return complain(Code::NoUnit, "has no unit", units_for(&n.to_string())),
        Raw::Untyped(text) | Raw::Text(text) => *text,
        _ => return wrong_type(raw, "write a text such as \"30s\""),
    };
    if text == "off" && span.off {
        return Ok(Value::Duration(None));
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        return match (raw, text.parse()) {
            (Raw::Untyped(_), Ok(seconds)) if span.bare_seconds => {
                within(Duration::from_secs(seconds), span)
            }
            _ => complain(Code::NoUnit, "has no unit", units_for(text)),
        };
    }
    match parse_duration(text) {
        Some(duration) => within(duration, span),
        None => complain(
            Code::Malformed,
            "is not a length of time",
            "write whole numbers with ms, s, m, h or d, such as \"30s\"",
        ),
    }
}

/// `write "30s" or "30ms"`, with the number that was written if it is short.
fn units_for(number: &str) -> String {
    let number = if number.len() <= 9 { number } else { "30" };
    format!("write \"{number}s\" or \"{number}ms\"")
}

/// `500ms`, `30s`, `1h30m`; whole numbers only.
fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let part = match unit {
            "us" => Duration::from_micros(number),
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            "d" => Duration::from_secs(number.checked_mul(86_400)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = tail;
    }
    if text.is_empty() { None } else { Some(total) }
}

fn within(duration: Duration, span: &Span) -> Read {
    if (span.min..=span.max).contains(&duration) {
        return Ok(Value::Duration(Some(duration)));
    }
    let (min, max) = (duration_text(span.min), duration_text(span.max));
    let off = if span.off { ", or \"off\"" } else { "" };
    complain(Code::OutOfRange, "is out of range", format!("write \"{min}\" to \"{max}\"{off}"))
}

/// In the largest unit that divides it: `10m`.
pub(super) fn duration_text(duration: Duration) -> String {
    let us = duration.as_micros();
    match duration.as_secs() {
        _ if !us.is_multiple_of(1000) => format!("{us}us"),
        _ if duration.subsec_nanos() != 0 => format!("{}ms", us / 1000),
        n if n % 60 != 0 || n == 0 => format!("{n}s"),
        n if n % 86_400 == 0 => format!("{}d", n / 86_400),
        n if n % 3600 == 0 => format!("{}h", n / 3600),
        n => format!("{}m", n / 60),
    }
}

fn size(raw: &Raw<'_>, min: u64, max: u64, none: Option<&str>) -> Read {
    let or_none = none.map_or(String::new(), |word| format!(", or \"{word}\""));
    let text = match raw {
        Raw::Integer(n) => {
            let way_out = format!("write \"{n}B\" or \"{n}KiB\"{or_none}");
            return complain(Code::NoUnit, "has no unit", way_out);
        }
        Raw::Untyped(text) | Raw::Text(text) => *text,
        _ => return wrong_type(raw, "write a text such as \"64KiB\""),
    };
    if none == Some(text) {
        return Ok(Value::Size(None));
    }
    match text.parse::<ByteSize>() {
        Ok(ByteSize(bytes)) if (min..=max).contains(&bytes) => Ok(Value::Size(Some(bytes))),
        Ok(_) | Err(ByteSizeError::TooLarge) => {
            let (min, max) = (ByteSize(min), ByteSize(max));
            let way_out = format!("write \"{min}\" to \"{max}\"{or_none}");
            complain(Code::OutOfRange, "is out of range", way_out)
        }
        Err(ByteSizeError::NoUnit) => {
            let number = if text.len() <= 9 { text } else { "64" };
            let way_out = format!("write \"{number}B\" or \"{number}KiB\"{or_none}");
            complain(Code::NoUnit, "has no unit", way_out)
        }
        Err(ByteSizeError::NoNumber | ByteSizeError::UnknownUnit) => {
            let way_out = format!("write a number with B, KiB, MiB or GiB{or_none}");
            complain(Code::Malformed, "is not a size", way_out)
        }
    }
}

fn choice(text: &str, words: &[&'static str]) -> Read {
    let lower = text.to_ascii_lowercase();
    if let Some(word) = words.iter().find(|word| **word == lower) {
        return Ok(Value::Text((*word).to_owned()));
    }
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    complain(Code::Malformed, "is not one of its words", format!("write {}", quoted.join(" or ")))
}

fn ip(text: &str) -> Read {
    match text.parse() {
        Ok(ip) => Ok(Value::Ip(ip)),
        Err(_) => complain(
            Code::Malformed,
            "is not an address",
            "write one such as \"0.0.0.0\", \"127.0.0.1\" or \"::\"",
        ),
    }
}

/// A host name (RFC 1123 §2.1, and the underscore that containers use), or an address.
fn host(text: &str) -> Read {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let name = text.len() <= 253 && text.trim_end_matches('.').split('.').all(label);
    if bare.parse::<IpAddr>().is_ok() || name {
        Ok(Value::Text(bare.to_owned()))
    } else {
        complain(
            Code::Malformed,
            "is not a host",
            "write a name or an address, without scheme, port and path",
        )
    }
}

fn address(text: &str) -> Read {
    if text == "off" {
        return Ok(Value::Address(None));
    }
    match text.parse() {
        Ok(address) => Ok(Value::Address(Some(address))),
        Err(_) => complain(
            Code::Malformed,
            "is not an address with a port",
            "write one such as \"127.0.0.1:9100\", or \"off\"",
        ),
    }
}

/// The texts of a list; in a variable they are separated by commas.
fn items<'a>(raw: &Raw<'a>) -> Result<Vec<&'a str>, Complaint> {
    let list: Vec<&str> = match raw {
        Raw::Untyped(text) => {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
        }
        Raw::List(list) => list.iter().map(|item| text(item, "each")).collect::<Result<_, _>>()?,
        _ => return wrong_type(raw, "write a list of texts: [\"...\", \"...\"]"),
    };
    if list.len() > LIST_MAX {
        return complain(Code::OutOfRange, "is too long", format!("list {LIST_MAX} at most"));
    }
    Ok(list)
}

fn cidr(text: &str) -> Result<Cidr, Complaint> {
    text.parse().or_else(|error| match error {
        CidrError::Address => complain(
            Code::Malformed,
            "holds what is no range",
            "write ranges such as \"10.0.0.0/8\"",
        ),
        CidrError::Prefix => complain(
            Code::Malformed,
            "holds a wrong prefix length",
            "0 to 32 for IPv4, to 128 for IPv6",
        ),
        CidrError::HostBits => complain(
            Code::Malformed,
            "holds a range with bits behind its prefix",
            "write the first address of the range, or leave out the prefix for one address",
        ),
    })
}

/// A path of a URL: a slash, then visible characters without query, escapes or empty parts.
fn path(text: &str) -> Result<String, Complaint> {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    let visible =
        text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%' | b'\\'));
    let parts = text == "/" || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part));
    if visible && parts {
        Ok(text.to_owned())
    } else {
        complain(Code::Malformed, "is not a path", "write one such as \"/api/v3\"")
    }
}

fn workers(raw: &Raw<'_>) -> Read {
    let count = |n| in_range(n, 1, WORKERS_MAX).map(to_usize);
    let cores = |list: &[Raw<'_>]| -> Result<Vec<usize>, Complaint> {
        let one = |item: &Raw<'_>| integer(item).and_then(|n| in_range(n, 0, WORKERS_MAX - 1));
        list.iter().map(|item| one(item).map(to_usize)).collect()
    };
    let workers = match raw {
        Raw::Untyped("auto") | Raw::Text("auto") => Workers::Auto,
        Raw::Untyped(text) if text.contains(',') => {
            let list: Vec<_> = text.split(',').map(|item| Raw::Untyped(item.trim())).collect();
            Workers::Cores(cores(&list)?)
        }
        Raw::List(list) => Workers::Cores(cores(list)?),
        Raw::Integer(_) | Raw::Untyped(_) | Raw::Text(_) => match integer(raw) {
            Ok(n) => Workers::Count(count(n)?),
            Err(complaint) => {
                return complain(complaint.code, &complaint.what, "write \"auto\", 4 or [0, 2]");
            }
        },
        _ => return wrong_type(raw, "write \"auto\", 4 or [0, 2]"),
    };
    if let Workers::Cores(list) = &workers {
        let mut unique = list.clone();
        unique.sort_unstable();
        unique.dedup();
        if unique.is_empty() || unique.len() != list.len() {
            return complain(
                Code::Malformed,
                "names no core, or one twice",
                "write each core once",
            );
        }
    }
    Ok(Value::Workers(workers))
}

fn to_usize(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn log(text: &str) -> Read {
    let target = match text {
        "off" => None,
        "stdout" => Some(LogTarget::Stdout),
        "stderr" => Some(LogTarget::Stderr),
        path if path.contains('/') => Some(LogTarget::File(path.into())),
        _ => {
            return complain(
                Code::Malformed,
                "is no place for a log",
                "write \"stdout\", \"stderr\", \"off\" or a path with a slash",
            );
        }
    };
    Ok(Value::Log(target))
}

fn congestion(text: &str) -> Read {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match text {
        "auto" => Ok(Value::Congestion(Congestion::Auto)),
        "system" => Ok(Value::Congestion(Congestion::System)),
        _ if (1..=15).contains(&text.len()) && text.bytes().all(name) => {
            Ok(Value::Congestion(Congestion::Named(Text::new(text.as_bytes()))))
        }
        _ => complain(
            Code::Malformed,
            "is no name of a congestion control",
            "write \"auto\", \"system\" or a name such as \"bbr\" or \"cubic\"",
        ),
    }
}

mod switch;
#[cfg(test)]
mod tests;
