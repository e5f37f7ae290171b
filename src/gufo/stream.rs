//! Streams whose content comes from a service, or goes both ways (SPEC 6.3, 6.4): what is sent, and
//! what the messages that come say.

use std::borrow::Cow;

use super::arguments::{Argument, ArgumentValue};
use super::dialect::Dialect;
use super::reply::{Reply, ReplyError};
use super::request::{self, Call, CallTooLarge, EntryLens, packaged};
use super::upload::{self, CHUNK_KEY, CHUNK_URL, CHUNK_URL_C, META_KEY};
use super::values;
use super::wire::{Reader, Value, WireError, len_field_len, put_len_field};
use crate::protocol::grpc::frame;

/// What a stream is for: `IR.Param`, and `ir` in `context.meta` of dialect C.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// The service sends a file, or events.
    Download,
    /// A WebSocket.
    Socket,
}

impl Purpose {
    const fn param(self) -> &'static str {
        match self {
            Purpose::Download => upload::STREAM,
            Purpose::Socket => SOCKET,
        }
    }
}

/// What `IR.Param` says for a WebSocket, and the name of its chunks.
const SOCKET: &str = "ws";
/// The key that says whether a message of a WebSocket is `text` or `binary`.
const TYPE_KEY: &str = "type";

/// Appends the first message of a stream, which says all about the request.
///
/// # Errors
/// It is too large for one message.
pub fn first(
    call: &Call<'_>,
    dialect: Dialect,
    purpose: Purpose,
    out: &mut Vec<u8>,
) -> Result<(), CallTooLarge> {
    let param = purpose.param();
    let meta = [("ir", param)];
    let call = Call { internal_param: Some(param), meta: &meta, ..*call };
    call.encode(dialect, out)
}

/// Writes the messages of a WebSocket behind the first.
#[derive(Debug)]
pub struct SocketMessages {
    dialect: Dialect,
    common: Vec<u8>,
}

impl SocketMessages {
    /// For the stream that this call has opened.
    #[must_use]
    pub fn new(call: &Call<'_>, dialect: Dialect) -> Self {
        SocketMessages { dialect, common: upload::common(call, dialect, SOCKET) }
    }

    /// Appends one message of the client as one of gRPC, with its prefix.
    ///
    /// # Errors
    /// It is longer than 2³² − 1 bytes.
    pub fn put(&self, is_text: bool, data: &[u8], out: &mut Vec<u8>) -> Result<(), CallTooLarge> {
        let kind = if is_text { "text" } else { "binary" };
        let value = ArgumentValue::Text(Cow::Borrowed(kind));
        let kind = Argument { name: Cow::Borrowed(TYPE_KEY), value };
        let chunk = len_field_len(1, SOCKET.len()) + len_field_len(2, data.len());
        let is_packaged = self.dialect == Dialect::C;
        let rest = if is_packaged {
            packaged::query_len(&kind) + packaged::any_len(CHUNK_URL_C, chunk)
        } else {
            request::argument_len(&kind) + EntryLens::of(CHUNK_KEY, CHUNK_URL, chunk).field
        };
        let len = u32::try_from(self.common.len() + rest).map_err(|_| CallTooLarge)?;
        out.reserve(frame::PREFIX_BYTES + self.common.len() + rest);
        out.extend_from_slice(&frame::prefix(len));
        out.extend_from_slice(&self.common);
        if is_packaged {
            packaged::put_query(out, &kind);
            packaged::put_any_head(out, CHUNK_URL_C, chunk);
        } else {
            request::put_argument(out, &kind);
            request::put_entry_head(out, CHUNK_KEY, CHUNK_URL, chunk);
        }
        put_len_field(out, 1, SOCKET.as_bytes());
        put_len_field(out, 2, data);
        Ok(())
    }
}

/// What one message of a service's stream says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Said<'a> {
    /// `Data["chunk"]`: its content.
    pub chunk: Option<&'a [u8]>,
    /// `Data["meta"]`: a marker, or what the content is.
    pub meta: Vec<(&'a str, &'a str)>,
    /// There is more than that: values, an error.
    pub more: bool,
}

impl<'a> Said<'a> {
    /// Reads a message `Response`; it is the same in the dialects that have streams.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn read(message: &'a [u8]) -> Result<Self, WireError> {
        let mut said = Said::default();
        let mut reader = Reader::new(message);
        while let Some((number, value)) = reader.next_field()? {
            let (1, Value::Bytes(entry)) = (number, value) else {
                said.more = true;
                continue;
            };
            let (key, any) = values::entry_bytes(entry)?;
            if key == CHUNK_KEY.as_bytes()
                && let Some(content) = content_of(any, &["FileChunk"])?
            {
                said.chunk = Some(chunk_data(content)?);
            } else if key == META_KEY.as_bytes() && said.take_meta(any)? {
            } else {
                said.more = true;
            }
        }
        Ok(said)
    }

    /// What `meta` says of `key`, whatever the case of its letters.
    #[must_use]
    pub fn meta(&self, key: &str) -> Option<&'a str> {
        let found = self.meta.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.map(|(_, value)| *value)
    }

    /// Whether the content ends with this message: in either of the ways in which files end
    /// (SPEC 20 item 3).
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.chunk.is_some_and(<[u8]>::is_empty) || self.meta("phase") == Some("end")
    }

    /// Takes what the message says besides content and markers into `answer`.
    ///
    /// # Errors
    /// See [`ReplyError`].
    pub fn merge(
        &self,
        message: &[u8],
        dialect: Dialect,
        answer: &mut Reply,
    ) -> Result<(), ReplyError> {
        if self.more { answer.merge(dialect, message) } else { Ok(()) }
    }

    /// Takes a map of texts: a `StringMap`, or the `meta` of a `RequestContext`. False: it is none.
    fn take_meta(&mut self, any: &'a [u8]) -> Result<bool, WireError> {
        let number = if content_of(any, &["StringMap"])?.is_some() { 1 } else { 9 };
        let Some(content) = content_of(any, &["StringMap", "RequestContext"])? else {
            return Ok(false);
        };
        let mut reader = Reader::new(content);
        while let Some(field) = reader.next_field()? {
            if let (found, Value::Bytes(entry)) = field
                && found == number
            {
                let (key, value) = values::entry_bytes(entry)?;
                self.meta.push((values::text(key)?, values::text(value)?));
            }
        }
        Ok(true)
    }
}

/// The content of an `Any` of one of these types, whatever their package.
fn content_of<'a>(any: &'a [u8], names: &[&str]) -> Result<Option<&'a [u8]>, WireError> {
    let (mut url, mut content): (&[u8], &[u8]) = (&[], &[]);
    let mut reader = Reader::new(any);
    while let Some((number, value)) = reader.next_field()? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => url = bytes,
            (2, Value::Bytes(bytes)) => content = bytes,
            _ => {}
        }
    }
    let start = url.iter().rposition(|byte| matches!(byte, b'/' | b'.')).map_or(0, |at| at + 1);
    let name = url.get(start..).unwrap_or_default();
    Ok(names.iter().any(|own| own.as_bytes() == name).then_some(content))
}

/// `FileChunk.data`; empty if it is left out.
fn chunk_data(content: &[u8]) -> Result<&[u8], WireError> {
    let mut data: &[u8] = &[];
    let mut reader = Reader::new(content);
    while let Some((number, value)) = reader.next_field()? {
        if let (2, Value::Bytes(bytes)) = (number, value) {
            data = bytes;
        }
    }
    Ok(data)
}

/// Whether a message of a WebSocket is a text, by what its service says; `None`: it does not say.
#[must_use]
pub fn says_text(answer: &Reply) -> Option<bool> {
    match answer.string(TYPE_KEY)?.as_ref() {
        "text" => Some(true),
        "binary" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
