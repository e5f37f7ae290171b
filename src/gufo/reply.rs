//! What a service answered: the messages `Response` of one call, merged and held as raw JSON
//! (SPEC 4.6, 6.1).

use std::borrow::Cow;
use std::ops::Range;

use super::dialect::Dialect;
use super::json;
use super::values;
use super::wire::{self, Reader, Value, WireError};
use crate::base::limits;
use crate::protocol::grpc::status::Status;

/// JSON text of all values of one reply, in bytes. Room for two messages of the largest size.
const BYTES_MAX: usize = 2 * limits::GRPC_MESSAGE_BYTES_MAX;
/// Entries that are compared each with each.
const FEW: usize = 16;
/// The key that holds the status of HTTP. Never passed on.
const HTTPCODE: &str = "httpcode";
/// Keys that mean something to us. Few answers have any of them.
const NAMED: [&[u8]; 5] = [HTTPCODE.as_bytes(), b"file", b"lang", b"Content-Type", b"stream"];
/// What an upload's answer has always said (SPEC 6.1).
const UPLOADED: &str = "\"PUT streamed successfully\"";

/// Why an answer cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyError {
    /// It is not the message it should be.
    Wire(WireError),
    /// More than [`limits::REPLY_ENTRIES_MAX`] values.
    TooManyEntries,
    /// More text than two messages of [`limits::GRPC_MESSAGE_BYTES_MAX`] hold.
    TooLarge,
}

impl From<WireError> for ReplyError {
    fn from(error: WireError) -> Self {
        ReplyError::Wire(error)
    }
}

/// How a service says an upload ended (`UploadStatusCode`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UploadCode {
    /// It does not say, or says something new.
    Unknown,
    /// The upload is stored.
    Ok,
    /// It is not.
    Failed,
}

/// A fault that a service reports beside its data.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ServiceError {
    /// A status of HTTP, a code of gRPC, or the service's own number.
    pub code: i32,
    /// For the client.
    pub message: String,
    /// What a program tells it by, and whether another try may help; dialect C alone.
    pub key: Option<(String, bool)>,
}

/// What a service says of its answer; dialect C alone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// A status of HTTP; 0: it does not say.
    pub status: i32,
    /// Of its traces.
    pub trace_id: String,
    /// As it knows the request.
    pub request_id: String,
    /// Where it ran.
    pub node: String,
}

mod packaged;

/// What a service changed of the request on its way back (SPEC 4.6 item 7). Tokens are not kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestBack {
    /// The user.
    pub uid: Option<String>,
    /// The language.
    pub language: Option<String>,
    /// 1 for administrators.
    pub is_admin: Option<i32>,
    /// When the session ends, seconds since 1970.
    pub session_end: Option<i32>,
    /// 1 when the registration is complete.
    pub completed: Option<i32>,
    /// 1 when the user may only read.
    pub readonly: Option<i32>,
}

/// The answer to one call. Of values with the same key, within a message or over several, the last
/// counts.
#[derive(Debug, Default)]
pub struct Reply {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    /// Bytes of the arena that no entry refers to.
    dead: usize,
    /// Some key is, or was, one of [`NAMED`].
    has_named: bool,
    upload_code: Option<UploadCode>,
    error: Option<ServiceError>,
    back: Option<Box<RequestBack>>,
    meta: Option<Box<Meta>>,
}

/// A member of an object as it stands in the arena: `"key":value`.
#[derive(Clone, Debug)]
struct Entry {
    /// Without its quotes. Keys are the same if they are the same as JSON.
    key: Range<usize>,
    /// Where the value ends.
    end: usize,
}

impl Entry {
    /// The member whose key begins with a quote at `start`.
    fn new(start: usize, value: usize, end: usize) -> Self {
        Entry { key: start + 1..value - 2, end }
    }

    fn member(&self) -> Range<usize> {
        self.key.start - 1..self.end
    }

    fn value(&self) -> Range<usize> {
        self.key.end + 2..self.end
    }
}

impl Reply {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, and keeps the memory unless it was unusually much.
    pub fn clear(&mut self) {
        const KEPT: usize = 16 * 1024;
        let mut arena = std::mem::take(&mut self.arena);
        let mut entries = std::mem::take(&mut self.entries);
        arena.clear();
        arena.shrink_to(KEPT);
        entries.clear();
        entries.shrink_to(KEPT / size_of::<Entry>());
        *self = Reply { arena, entries, ..Reply::default() };
    }

    /// Takes in one message `Response`.
    ///
    /// # Errors
    /// See [`ReplyError`]. The reply is of no more use then.
    pub fn merge(&mut self, dialect: Dialect, message: &[u8]) -> Result<(), ReplyError> {
        // What a message holds is about as long as the message.
        self.arena.reserve(message.len());
        let mut reader = Reader::new(message);
        while let Some(field) = reader.next_field()? {
            match (dialect, field) {
                (_, (1, Value::Bytes(entry))) => self.take_entry(entry)?,
                (Dialect::C, (number, value)) => self.take_packaged(number, value)?,
                (_, (2, Value::Bytes(request))) => self.take_back(request)?,
                (_, (3, Value::Varint(code))) => self.upload_code = Some(upload_code(code)),
                (Dialect::B, (4, Value::Bytes(error))) => self.take_error(error)?,
                _ => {}
            }
        }
        self.settle();
        if self.arena.len() - self.dead > BYTES_MAX {
            return Err(ReplyError::TooLarge);
        }
        Ok(())
    }

    /// Sets a value. `json` must be JSON text; it is not looked at again.
    pub fn set(&mut self, key: &str, json: &str) {
        let start = self.arena.len();
        let value = self.put_key(key.as_bytes());
        self.arena.extend_from_slice(json.as_bytes());
        self.entries.push(Entry::new(start, value, self.arena.len()));
        self.settle();
    }

    /// Says that the upload is stored, in the words that clients know; unless the service said that
    /// it is not: then its own message stays.
    pub fn finish_upload(&mut self) {
        if self.status() < 400 {
            self.set("message", UPLOADED);
        }
    }

    /// All values as raw JSON, in the order in which they came. Keys have the escapes of JSON.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        let parts = |entry: &Entry| (self.text(&entry.key), self.text(&entry.value()));
        self.entries.iter().map(parts)
    }

    /// All values but the status, for the envelope: members of a JSON object.
    pub(super) fn data(&self) -> impl Iterator<Item = &[u8]> {
        let is_data =
            |entry: &&Entry| !self.has_named || self.bytes(&entry.key) != HTTPCODE.as_bytes();
        self.entries.iter().filter(is_data).map(|entry| self.bytes(&entry.member()))
    }

    /// Appends all values but the status as one JSON object; false, if there are none.
    pub fn put_data(&self, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        for member in self.data() {
            out.push(if out.len() == start { b'{' } else { b',' });
            out.extend_from_slice(member);
        }
        if out.len() == start {
            return false;
        }
        out.push(b'}');
        true
    }

    /// The raw JSON of one value. `key` has no characters that JSON escapes.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|e| self.bytes(&e.key) == key.as_bytes())?;
        Some(self.text(&entry.value()))
    }

    /// The same for a key of [`NAMED`].
    fn named(&self, key: &str) -> Option<&str> {
        debug_assert!(NAMED.contains(&key.as_bytes()), "{key} is looked for by its name");
        if self.has_named { self.value(key) } else { None }
    }

    /// The text of what a service calls a file.
    pub(super) fn file(&self) -> Option<Cow<'_, str>> {
        self.named("file").and_then(json::string)
    }

    /// Whether the service says that its answer is a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.named("stream") == Some("true")
    }

    /// The text of one value, if it is a JSON string.
    #[must_use]
    pub fn string(&self, key: &str) -> Option<Cow<'_, str>> {
        self.value(key).and_then(json::string)
    }

    /// The status of HTTP: `httpcode` if there is one, else what the service's error says, else
    /// 200. What is no final status (200 to 599) is 500.
    #[must_use]
    pub fn status(&self) -> u16 {
        let meta = self.meta.as_ref().and_then(|meta| u16::try_from(meta.status).ok());
        match (self.named(HTTPCODE), &self.error, self.upload_code) {
            (Some(value), _, _) if value != "null" => http_status(value),
            _ if meta.is_some_and(|status| (200..=599).contains(&status)) => {
                meta.unwrap_or_default()
            }
            (_, Some(error), _) => error_status(error.code),
            (_, None, Some(UploadCode::Failed)) => 500,
            _ => 200,
        }
    }

    /// The service's `Content-Type`, if it can stand in a field of HTTP.
    #[must_use]
    pub fn content_type(&self) -> Option<Cow<'_, str>> {
        self.named("Content-Type").and_then(json::string).filter(|text| is_media_type(text))
    }

    /// The service's language, if it is a short word.
    #[must_use]
    pub fn lang(&self) -> Option<Cow<'_, str>> {
        self.named("lang")
            .and_then(json::string)
            .filter(|text| !text.is_empty() && text.len() <= 35)
    }

    /// The fault that the service reported beside its data.
    #[must_use]
    pub const fn error(&self) -> Option<&ServiceError> {
        self.error.as_ref()
    }

    /// What the service says of its answer.
    #[must_use]
    pub fn meta(&self) -> Option<&Meta> {
        self.meta.as_deref()
    }

    /// How the service says the upload ended.
    #[must_use]
    pub const fn upload_code(&self) -> Option<UploadCode> {
        self.upload_code
    }

    /// What the service changed of the request.
    #[must_use]
    pub fn request_back(&self) -> Option<&RequestBack> {
        self.back.as_deref()
    }

    fn text(&self, range: &Range<usize>) -> &str {
        str::from_utf8(self.bytes(range)).unwrap_or_default()
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.arena.get(range.clone()).unwrap_or_default()
    }

    /// Begins a member; says where its value begins.
    fn put_key(&mut self, key: &[u8]) -> usize {
        self.has_named = self.has_named || NAMED.contains(&key);
        json::put_bytes(&mut self.arena, key);
        self.arena.push(b':');
        self.arena.len()
    }

    fn take_entry(&mut self, entry: &[u8]) -> Result<(), ReplyError> {
        if self.entries.len() >= limits::REPLY_ENTRIES_MAX {
            return Err(ReplyError::TooManyEntries);
        }
        if self.entries.is_empty() {
            self.entries.reserve(8);
        }
        let (key, any) = values::entry_bytes(entry)?;
        let start = self.arena.len();
        let value = self.put_key(key);
        if values::put_any(&mut self.arena, any)? {
            self.entries.push(Entry::new(start, value, self.arena.len()));
        } else {
            self.arena.truncate(start);
        }
        // A text may take six times its bytes as JSON; the bound counts what is held.
        if self.arena.len() > 8 * BYTES_MAX { Err(ReplyError::TooLarge) } else { Ok(()) }
    }

    fn take_error(&mut self, error: &[u8]) -> Result<(), ReplyError> {
        let mut found = ServiceError::default();
        let mut reader = Reader::new(error);
        while let Some((number, value)) = reader.next_field()? {
            match (number, value) {
                (1, Value::Varint(code)) => found.code = wire::to_int32(code),
                (2, Value::Bytes(text)) => found.message = values::text(text)?.to_string(),
                _ => {}
            }
        }
        // An error without a code and a message is the absence of one.
        if found != ServiceError::default() {
            self.error = Some(found);
        }
        Ok(())
    }

    fn take_back(&mut self, request: &[u8]) -> Result<(), ReplyError> {
        let back = self.back.get_or_insert_default();
        let mut reader = Reader::new(request);
        while let Some((number, value)) = reader.next_field()? {
            match (number, value) {
                (15, Value::Bytes(text)) => back.language = Some(values::text(text)?.to_string()),
                (18, Value::Bytes(text)) => back.uid = Some(values::text(text)?.to_string()),
                (19, Value::Varint(number)) => back.is_admin = Some(wire::to_int32(number)),
                (20, Value::Varint(number)) => back.session_end = Some(wire::to_int32(number)),
                (21, Value::Varint(number)) => back.completed = Some(wire::to_int32(number)),
                (22, Value::Varint(number)) => back.readonly = Some(wire::to_int32(number)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Leaves the last of the entries with one key, and the arena without too much waste.
    fn settle(&mut self) {
        if self.entries.len() <= FEW && self.keys_differ() {
            return;
        }
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        let key = |at: &usize| self.entries.get(*at).map(|entry| self.bytes(&entry.key));
        // Stable: entries of one key stay in the order in which they came.
        order.sort_by(|a, b| key(a).cmp(&key(b)));
        let mut doomed: Vec<usize> = order
            .windows(2)
            .filter_map(|pair| match pair {
                [a, b] if key(a) == key(b) => Some(*a),
                _ => None,
            })
            .collect();
        if doomed.is_empty() {
            return;
        }
        doomed.sort_unstable();
        let mut at = 0;
        let mut dead = 0;
        self.entries.retain(|entry| {
            let stays = doomed.binary_search(&at).is_err();
            at += 1;
            dead += if stays { 0 } else { entry.member().len() };
            stays
        });
        self.dead += dead;
        if self.dead > self.arena.len() / 2 {
            self.compact();
        }
    }

    /// Compares each key with each: for a few that is quicker than to sort them.
    fn keys_differ(&self) -> bool {
        self.entries.iter().enumerate().all(|(at, one)| {
            let mut before = self.entries.iter().take(at);
            before.all(|other| self.bytes(&other.key) != self.bytes(&one.key))
        })
    }

    fn compact(&mut self) {
        let mut arena = Vec::with_capacity(self.arena.len() - self.dead);
        for entry in &mut self.entries {
            let start = arena.len();
            arena.extend_from_slice(self.arena.get(entry.member()).unwrap_or_default());
            let key = start + 1..start + 1 + entry.key.len();
            *entry = Entry { key, end: arena.len() };
        }
        self.arena = arena;
        self.dead = 0;
    }
}

const fn upload_code(code: u64) -> UploadCode {
    match code {
        1 => UploadCode::Ok,
        2 => UploadCode::Failed,
        _ => UploadCode::Unknown,
    }
}

/// `httpcode` as services write it: 404, "404", 404.0.
fn http_status(value: &str) -> u16 {
    let text = json::string(value).unwrap_or(Cow::Borrowed(value));
    let text = text.trim();
    let number = text.parse::<u16>().ok().or_else(|| {
        let number = text.parse::<f64>().ok()?.trunc();
        (200..=599).find(|status| f64::from(*status).total_cmp(&number).is_eq())
    });
    number.filter(|status| (200..=599).contains(status)).unwrap_or(500)
}

/// A status for the number of an error that came without `httpcode`: never one that says it worked.
fn error_status(code: i32) -> u16 {
    match u16::try_from(code) {
        Ok(status @ 400..=599) => status,
        Ok(code @ 1..=16) => Status::from_code(u32::from(code)).http(),
        _ => 500,
    }
}

/// `type/subtype` and parameters, of visible ASCII and blanks (RFC 9110 §8.3.1).
pub(super) fn is_media_type(text: &str) -> bool {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let shape = text.split_once('/').is_some_and(|(kind, rest)| {
        kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !kind.is_empty()
            && rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '*')
    });
    plain && shape && text.len() <= 128 && text.trim() == text
}

#[cfg(test)]
mod tests;
