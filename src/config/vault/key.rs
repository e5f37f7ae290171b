//! Keys that values are encrypted with, and where they were found.

use std::fmt;

use ring::digest::{SHA256, digest};

use crate::base::{base64url, hex};

/// The variable that holds a key (SPEC 16.1).
pub const VARIABLE: &str = "GUFO_AES_KEY";
/// Added to the name of the key file: the next key, while it is not yet the one in use.
pub const NEXT: &str = ".next";
/// Added to the name of the key file: the key before.
pub const OLD: &str = ".old";

/// What a key begins with that is written as text. With it a key is longer than any that is raw.
const PREFIX: &[u8] = b"otus-aes-key:";
/// Bytes of a key that is made here.
const NEW_BYTES: usize = 32;
/// Bytes of the id of a key.
pub(super) const ID_BYTES: usize = 4;

/// A key of AES with 128, 192 or 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct AesKey(Vec<u8>);

impl AesKey {
    /// Reads a key: its bytes as they are, or [`AesKey::text`]. Nothing is trimmed off bytes that
    /// are a key; one end of a line behind others is no part of them. The error never quotes.
    pub fn parse(content: &[u8]) -> Result<AesKey, String> {
        let line = content.strip_suffix(b"\n").unwrap_or(content);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(text) = content.strip_prefix(PREFIX) {
            let text = text.trim_ascii_end();
            let bytes = base64url::decode_standard(text).filter(|bytes| is_length(bytes.len()));
            return bytes.map(AesKey).ok_or_else(|| {
                "what follows its prefix is no base64 of 16, 24 or 32 bytes".to_owned()
            });
        }
        for bytes in [content, line] {
            if is_length(bytes.len()) {
                return Ok(AesKey(bytes.to_vec()));
            }
        }
        Err(format!("it has {} bytes; a key has 16, 24 or 32", content.len()))
    }

    /// A new key; `None` without random bytes.
    pub fn generate(random: &mut dyn FnMut(&mut [u8]) -> bool) -> Option<AesKey> {
        let mut bytes = vec![0; NEW_BYTES];
        random(&mut bytes).then_some(AesKey(bytes))
    }

    /// One line that [`AesKey::parse`] reads.
    #[must_use]
    pub fn text(&self) -> String {
        let prefix = String::from_utf8_lossy(PREFIX);
        format!("{prefix}{}\n", base64url::encode_standard(&self.0))
    }

    /// What tells keys apart without telling what they are.
    #[must_use]
    pub fn id(&self) -> String {
        hex::text(&self.id_bytes())
    }

    pub(super) fn id_bytes(&self) -> [u8; ID_BYTES] {
        let hash = digest(&SHA256, &[b"otus key id", self.0.as_slice()].concat());
        let mut id = [0; ID_BYTES];
        for (to, from) in id.iter_mut().zip(hash.as_ref()) {
            *to = *from;
        }
        id
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

fn is_length(bytes: usize) -> bool {
    matches!(bytes, 16 | 24 | 32)
}

/// Shows the id alone.
impl fmt::Debug for AesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AesKey({})", self.id())
    }
}

/// The keys that were found, and where none was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keys {
    found: Vec<(String, AesKey)>,
    misses: Vec<String>,
    exposed: Vec<String>,
}

impl Keys {
    /// Adds what a place holds: the variable, or a file by its name.
    pub fn add(&mut self, place: &str, content: &[u8]) {
        match AesKey::parse(content) {
            Ok(key) => self.found.push((place.to_owned(), key)),
            Err(why) => self.miss(place, &why),
        }
    }

    /// Remembers why a place holds none.
    pub fn miss(&mut self, place: &str, why: &str) {
        self.misses.push(format!("{place}: {why}"));
    }

    /// Remembers that others than its owner can read a file.
    pub fn expose(&mut self, place: &str) {
        self.exposed.push(place.to_owned());
    }

    /// The files that others than their owner can read.
    #[must_use]
    pub fn exposed(&self) -> &[String] {
        &self.exposed
    }

    /// The key in use, and where it is.
    #[must_use]
    pub fn first(&self) -> Option<(&str, &AesKey)> {
        self.found.first().map(|(place, key)| (place.as_str(), key))
    }

    /// The key that was found in this place.
    #[must_use]
    pub fn at(&self, place: &str) -> Option<&AesKey> {
        self.found.iter().find(|(own, _)| own == place).map(|(_, key)| key)
    }

    pub(in crate::config) fn all(&self) -> impl Iterator<Item = &AesKey> {
        self.found.iter().map(|(_, key)| key)
    }

    /// Where keys are and which, or why there are none.
    #[must_use]
    pub fn shown(&self) -> String {
        let found = self.found.iter().map(|(place, key)| format!("{place} (key {})", key.id()));
        let found: Vec<_> = found.collect();
        if found.is_empty() { self.misses.join("; ") } else { found.join(", ") }
    }
}
