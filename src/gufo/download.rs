//! Answers that are a file instead of an envelope (SPEC 6.3).

use std::borrow::Cow;

use super::filename;
use super::json;
use super::reply::{Reply, is_media_type};
use super::stream::Said;
use crate::base::limits;

/// A file within an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Download<'a> {
    /// The file. No base64 is decoded, whatever the name of the service's switch says.
    pub body: Cow<'a, str>,
    /// For `Content-Type`.
    pub content_type: Cow<'a, str>,
    /// For `Content-Disposition`: quoted, without control characters.
    pub disposition: String,
}

/// A file of the gateway's host that an answer names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalFile<'a> {
    /// Its path, as the service says it.
    pub path: Cow<'a, str>,
    /// For `Content-Type`.
    pub content_type: Cow<'a, str>,
    /// For `Content-Disposition`.
    pub disposition: String,
}

/// The file of the gateway's host that `reply` names.
#[must_use]
pub fn local(reply: &Reply) -> Option<LocalFile<'_>> {
    let path = reply.file().filter(|_| reply.value("isbase64") != Some("true"))?;
    let (content_type, disposition) = described(reply);
    Some(LocalFile { path, content_type, disposition })
}

/// The names that lead from the directory `root` to `path`, which is relative to it or begins with
/// it. `None`: it lies elsewhere, or has a name that is none.
#[must_use]
pub fn names_below(root: &str, path: &str) -> Option<Vec<String>> {
    let root = root.trim_end_matches('/');
    let below = match path.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')) {
        Some(below) => below,
        None if path.starts_with('/') => return None,
        None => path,
    };
    let is_name = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name.len() <= limits::FILENAME_BYTES_MAX
            && !name.contains(char::is_control)
    };
    let names: Vec<String> = below.split('/').map(str::to_owned).collect();
    (names.len() <= NAMES_MAX && names.iter().all(|name| is_name(name))).then_some(names)
}

/// Directories that a path may lead through.
const NAMES_MAX: usize = 32;

/// The service answered with a path of a file on the gateway's host. Such files are not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FilePathRefused;

/// What the content of a stream is, as far as the service has said before it begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Description {
    content_type: Option<String>,
    filename: Option<String>,
    is_inline: bool,
    size: Option<u64>,
    range: Option<ContentRange>,
    /// For `ETag`, if it is one.
    pub etag: Option<String>,
    /// For `Last-Modified`.
    pub modified: Option<String>,
}

/// The part of a file that is sent (RFC 9110 §14.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContentRange {
    /// The field's value.
    pub text: String,
    len: u64,
}

/// What a service says of its content contradicts itself, or is no such thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

impl Description {
    /// Takes in what one message says: in its `meta`, or among its values. Later words win.
    ///
    /// # Errors
    /// See [`Malformed`]: a length or a range that is none.
    pub fn add(&mut self, said: &Said<'_>, values: &Reply) -> Result<(), Malformed> {
        let text = |names: &[&str]| {
            let own = |name: &&str| match said.meta(name) {
                Some(value) => Some(value.to_owned()),
                None if said.more => values.value(name).map(|value| {
                    json::string(value).map_or_else(|| value.to_owned(), Cow::into_owned)
                }),
                None => None,
            };
            names.iter().find_map(own)
        };
        let media_type = text(&["filetype", "Content-Type"]).filter(|text| is_media_type(text));
        self.content_type = media_type.or(self.content_type.take());
        self.filename = text(&["filename"]).or(self.filename.take());
        if let Some(disposition) = text(&["disposition"]) {
            self.is_inline = disposition == "inline";
        }
        if let Some(size) = text(&["size", "Content-Length"]) {
            self.size = Some(digits(&size).ok_or(Malformed)?);
        }
        if let Some(range) = text(&["Content-Range"]) {
            self.range = Some(ContentRange::parse(range).ok_or(Malformed)?);
        }
        self.etag = text(&["ETag"]).filter(|text| is_etag(text)).or(self.etag.take());
        self.modified = text(&["Last-Modified"]).or(self.modified.take());
        Ok(())
    }

    /// For `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.content_type.as_deref().unwrap_or("application/octet-stream")
    }

    /// For `Content-Disposition`: as that of a whole file, unless the service says `inline`.
    #[must_use]
    pub fn disposition(&self) -> String {
        let kind = if self.is_inline { "inline" } else { "attachment" };
        match &self.filename {
            Some(name) => disposition(kind, name),
            None => kind.to_owned(),
        }
    }

    /// Bytes that will come, where that is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.range.as_ref().map(|range| range.len).or(self.size)
    }

    /// The part that is sent.
    #[must_use]
    pub const fn range(&self) -> Option<&ContentRange> {
        self.range.as_ref()
    }
}

impl ContentRange {
    /// `bytes 0-499/1234`, or `*` for the length of the whole.
    fn parse(text: String) -> Option<Self> {
        let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (digits(first)?, digits(last)?);
        let fits = whole == "*" || digits(whole).is_some_and(|whole| last < whole);
        let len = last.checked_sub(first)?.checked_add(1)?;
        fits.then_some(ContentRange { text, len })
    }
}

/// A number of bytes: digits and nothing else.
fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// An entity tag (RFC 9110 §8.8.3).
fn is_etag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let inner = opaque.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    text.len() <= 256
        && inner.is_some_and(|text| text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x7e)))
}

/// The file that `reply` is; `Ok(None)` if it is an ordinary answer. `file` that is no text, such
/// as an object that describes a file, makes an ordinary answer.
///
/// # Errors
/// See [`FilePathRefused`]: `isbase64` is not `true`.
pub fn download(reply: &Reply) -> Result<Option<Download<'_>>, FilePathRefused> {
    let Some(body) = reply.file() else {
        return Ok(None);
    };
    if reply.value("isbase64") != Some("true") {
        return Err(FilePathRefused);
    }
    let (content_type, disposition) = described(reply);
    Ok(Some(Download { body, content_type, disposition }))
}

/// For `Content-Type` and `Content-Disposition`.
fn described(reply: &Reply) -> (Cow<'_, str>, String) {
    let content_type = reply.string("filetype").filter(|text| is_media_type(text));
    let content_type = content_type.unwrap_or(Cow::Borrowed("application/octet-stream"));
    let disposition = reply.string("filename").map(|name| disposition("attachment", &name));
    (content_type, disposition.unwrap_or_else(|| "attachment".to_string()))
}

/// `kind` with the name in ASCII and, if that is not all of it, in UTF-8 (RFC 6266 §4.3).
fn disposition(kind: &str, name: &str) -> String {
    let name = filename::sanitise(name.as_bytes());
    let name = name.as_str();
    let mut out = format!("{kind}; filename=\"");
    // A percent sign is left out: browsers differ on whether it starts an escape (RFC 6266, D).
    let plain = |c: char| c.is_ascii() && !matches!(c, '"' | '\\' | '%');
    out.extend(name.chars().map(|c| if plain(c) { c } else { '_' }));
    out.push('"');
    if !name.chars().all(plain) {
        out.push_str("; filename*=UTF-8''");
        for byte in name.bytes() {
            // `attr-char` of RFC 8187 §3.2.1, without its signs but these.
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') {
                out.push(char::from(byte));
            } else {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
