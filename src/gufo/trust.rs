//! Signatures by which gateway and services know each other (SPEC part 7).
//!
//! Version 1 is what the existing services check: an HMAC over module and time. Version 2 covers
//! path, method and content as well, and its nonce lets a receiver refuse it the second time.

use std::time::Duration;

use ring::{digest, hmac};

use super::arguments::{Argument, ArgumentValue};
use super::asked::{Asked, Given};
use super::json;
use super::request::Call;
use super::values;
use super::wire::WireError;
use crate::base::base64url;
use crate::base::decimal;
use crate::base::hex;
use crate::base::text::Text;
use crate::base::time::UnixTime;

/// What a sender's clock may be ahead of ours.
pub const AHEAD_MAX: Duration = Duration::from_secs(30);
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 16;

const NONCE_CHARACTERS: usize = 22;
const MAC_CHARACTERS: usize = 64;
const VERSION_2: &str = "v2:";

/// A signature as it travels in `Sign`.
pub type Signature = Text<160>;

/// What signs and what is checked with.
#[derive(Clone, Debug)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        SigningKey(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A signature of version 1: `<hex of HMAC(module:time)>:<time>`.
    #[must_use]
    pub fn sign_1(&self, module: &str, now: UnixTime) -> Signature {
        let mut out = Text::EMPTY;
        put_hex(&mut out, self.mac_1(module, now.seconds()).as_ref());
        out.push_str(":");
        put_number(&mut out, now.seconds());
        out
    }

    /// A signature of version 2: `v2:<time>:<nonce>:<hex of the HMAC>`.
    #[must_use]
    pub fn sign_2(
        &self,
        subject: &Subject<'_>,
        nonce: [u8; NONCE_BYTES],
        now: UnixTime,
    ) -> Signature {
        let nonce = base64url::encode(&nonce);
        let mac = hmac::sign(&self.0, &subject.text(now.seconds(), nonce.as_str()));
        let mut out = Text::EMPTY;
        out.push_str(VERSION_2);
        put_number(&mut out, now.seconds());
        out.push_str(":");
        out.push_str(nonce.as_str());
        out.push_str(":");
        put_hex(&mut out, mac.as_ref());
        out
    }

    fn mac_1(&self, module: &str, time: u64) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(module.as_bytes());
        context.update(b":");
        let mut digits = Text::<20>::EMPTY;
        put_number(&mut digits, time);
        context.update(digits.as_bytes());
        context.sign()
    }

    /// Whether a signature of version 1 is for this module and was made with this key. Takes the
    /// same time for every MAC.
    #[must_use]
    pub fn holds_1(&self, token: &Token<'_>, module: &str) -> bool {
        let mut text = Vec::with_capacity(module.len() + 21);
        text.extend_from_slice(module.as_bytes());
        text.push(b':');
        decimal::push(&mut text, token.time);
        token.nonce.is_none() && hmac::verify(&self.0, &text, &token.mac).is_ok()
    }

    /// The same for version 2.
    #[must_use]
    pub fn holds_2(&self, token: &Token<'_>, subject: &Subject<'_>) -> bool {
        let Some(nonce) = token.nonce else { return false };
        hmac::verify(&self.0, &subject.text(token.time, nonce), &token.mac).is_ok()
    }
}

/// What version 2 covers besides time and nonce.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The module.
    pub module: &'a str,
    /// The elements of the path behind it that are not empty, joined by slashes.
    pub path: &'a str,
    /// The method of HTTP.
    pub method: &'a str,
    /// Of the content.
    pub digest: [u8; 32],
}

impl Subject<'_> {
    fn text(&self, time: u64, nonce: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(160 + self.path.len());
        out.extend_from_slice(b"v2\n");
        decimal::push(&mut out, time);
        for part in [nonce, self.module, self.path, self.method] {
            out.push(b'\n');
            out.extend_from_slice(part.as_bytes());
        }
        out.push(b'\n');
        for byte in self.digest {
            out.extend_from_slice(&hex::digits(byte));
        }
        out
    }
}

/// What stands for the path of a call in a signature.
#[must_use]
pub fn path_of(call: &Call<'_>) -> String {
    let parts = [Some(call.param), call.param_id, call.param_idd];
    let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("/")
}

/// The digest of the arguments of a call, as its receiver has them: SHA-256 over each in the order
/// of their names, as the length of the name in four bytes, the name, the length of its JSON text,
/// that text; then the body of dialect C, if there is one.
#[must_use]
pub fn arguments_digest(args: &[Argument<'_>], body: Option<&str>) -> [u8; 32] {
    let mut sorted: Vec<_> = args.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut context = digest::Context::new(&digest::SHA256);
    let mut put = |bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        context.update(&len.to_be_bytes());
        context.update(bytes);
    };
    let mut text = Vec::new();
    for argument in sorted {
        put(argument.name.as_bytes());
        match &argument.value {
            ArgumentValue::Json(json) => put(json.as_bytes()),
            ArgumentValue::Text(value) => {
                text.clear();
                json::put_string(&mut text, value);
                put(&text);
            }
        }
    }
    if let Some(body) = body {
        put(body.as_bytes());
    }
    array(context.finish())
}

/// The same of a call that came to us. What is no JSON counts as its type, a zero byte and its
/// bytes; a parameter of a query as the JSON string that it is.
///
/// # Errors
/// See [`WireError`].
pub fn asked_digest(asked: &Asked<'_>) -> Result<[u8; 32], WireError> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut put = |bytes: &[u8]| {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        context.update(&len.to_be_bytes());
        context.update(bytes);
    };
    for (name, given) in &asked.args {
        put(name.as_bytes());
        match given {
            Given::Any(any) => put(&values::signed(any)?),
            Given::Text(value) => {
                let mut text = Vec::with_capacity(value.len() + 2);
                json::put_string(&mut text, value);
                put(&text);
            }
        }
    }
    if let Some(any) = asked.body {
        put(&values::signed(any)?);
    }
    Ok(array(context.finish()))
}

/// The digest of a request as a client sends it: SHA-256 over the query without its `?`, a zero
/// byte, and the body. Of an upload the body is left out.
#[must_use]
pub fn request_digest(query: &[u8], body: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [query, b"\0", body] {
        context.update(part);
    }
    array(context.finish())
}

fn array(digest: digest::Digest) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    out
}

/// A signature that was read; nothing of it is proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token<'a> {
    /// When it was made, seconds since 1970.
    pub time: u64,
    /// Of version 2.
    pub nonce: Option<&'a str>,
    mac: [u8; 32],
}

impl<'a> Token<'a> {
    /// Reads a signature of either version.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let Some(rest) = text.strip_prefix(VERSION_2) else {
            let (mac, time) = text.split_once(':')?;
            return Some(Token { time: seconds(time)?, nonce: None, mac: unhex(mac)? });
        };
        let mut parts = rest.split(':');
        let (time, nonce, mac) = (parts.next()?, parts.next()?, parts.next()?);
        let is_nonce = nonce.len() == NONCE_CHARACTERS
            && nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_nonce || parts.next().is_some() {
            return None;
        }
        Some(Token { time: seconds(time)?, nonce: Some(nonce), mac: unhex(mac)? })
    }

    /// Whether it was made within `max_age` before now, or at most [`AHEAD_MAX`] after.
    #[must_use]
    pub fn is_fresh(&self, now: UnixTime, max_age: Duration) -> bool {
        let now = now.seconds();
        now <= self.time.saturating_add(max_age.as_secs())
            && self.time <= now.saturating_add(AHEAD_MAX.as_secs())
    }
}

/// A decimal number without a sign or zeros before it.
fn seconds(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() <= 12;
    if plain && !text.starts_with('0') { text.parse().ok() } else { None }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != MAC_CHARACTERS {
        return None;
    }
    let mut out = [0; 32];
    for (to, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

fn put_number<const N: usize>(out: &mut Text<N>, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Appends the digits of a MAC, or of fewer bytes.
fn put_hex<const N: usize>(out: &mut Text<N>, bytes: &[u8]) {
    let mut digits = [b'0'; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&hex::digits(*byte));
    }
    let digits = Text::<64>::ascii(digits.get(..bytes.len() * 2).unwrap_or_default());
    out.push_str(digits.as_str());
}

#[cfg(test)]
mod tests;
