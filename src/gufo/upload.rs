//! An upload as messages of one stream (SPEC 6.1): markers whole, chunks without their payload.
//!
//! A chunk's payload is the last field of the last field of its message, so the bytes made here can
//! be sent ahead and the payload follows from wherever it lies, uncopied. Field order is free in
//! protobuf; all decoders take this one.

use super::dialect::{Dialect, EndMarker};
use super::filename::FileName;
use super::request::{self, Call, EntryLens, packaged};
use super::wire::{len_field_len, put_len_field, put_len_head};
use crate::base::bug::Bug;
use crate::base::limits;
use crate::bug;
use crate::protocol::grpc::frame;

/// What `IR.Param` says on each message of an upload.
pub(super) const STREAM: &str = "stream";
/// The key of a chunk within `Args`.
pub(super) const CHUNK_KEY: &str = "chunk";
/// The key of a marker within `Args`.
pub(super) const META_KEY: &str = "meta";
/// The type of a chunk.
pub(super) const CHUNK_URL: &str = "type.googleapis.com/FileChunk";
const META_URL: &str = "type.googleapis.com/StringMap";
/// The same in dialect C.
pub(super) const CHUNK_URL_C: &str = "type.googleapis.com/gufo.FileChunk";
const META_URL_C: &str = "type.googleapis.com/gufo.RequestContext";
/// The map of a `RequestContext`.
const CONTEXT_META: u32 = 9;

/// Writes the messages of one upload in their order. Calls out of order are bugs of the caller.
#[derive(Debug)]
pub struct Uploader {
    dialect: Dialect,
    end_marker: EndMarker,
    /// The whole mapped call, for the first message; empty once it is sent.
    first: Vec<u8>,
    /// What each later message begins with: see [`common`].
    common: Vec<u8>,
    file: Option<FileName>,
}

impl Uploader {
    /// Prepares an upload. `call` tells the first message all about the request; its
    /// `internal_param` is replaced.
    #[must_use]
    pub fn new(call: &Call<'_>, dialect: Dialect, end_marker: EndMarker) -> Self {
        let call = Call { internal_param: Some(STREAM), internal_method: None, ..*call };
        let mut first = Vec::with_capacity(call.encoded_len(dialect));
        call.put(dialect, &mut first);
        let common = common(&call, dialect, STREAM);
        Uploader { dialect, end_marker, first, common, file: None }
    }

    /// Appends the message that a file begins with.
    ///
    /// # Errors
    /// A bug of the caller: the file before has not ended.
    pub fn begin_file(&mut self, name: FileName, out: &mut Vec<u8>) -> Result<(), Bug> {
        if self.file.is_some() {
            return Err(bug!("a file of an upload begins within another"));
        }
        self.file = Some(name);
        let first = std::mem::take(&mut self.first);
        let head = if first.is_empty() { &self.common } else { &first };
        put_meta(self.dialect, head, &name, "start", out)
    }

    /// Appends what precedes `payload_len` bytes of the present file in the stream: the gRPC prefix
    /// and the message up to its payload, which must follow in exactly that length.
    ///
    /// # Errors
    /// Bugs of the caller: no file has begun, or more than [`limits::UPLOAD_CHUNK_BYTES`].
    pub fn chunk_prelude(&self, payload_len: u32, out: &mut Vec<u8>) -> Result<(), Bug> {
        let Some(name) = &self.file else {
            return Err(bug!("a chunk of an upload without a file"));
        };
        let payload_len = usize::try_from(payload_len).unwrap_or(usize::MAX);
        if payload_len > limits::UPLOAD_CHUNK_BYTES {
            return Err(bug!("a chunk of an upload is too large"));
        }
        let name = name.as_str().as_bytes();
        let chunk = len_field_len(1, name.len()) + len_field_len(2, payload_len);
        match self.dialect {
            Dialect::A | Dialect::B => {
                let entry = EntryLens::of(CHUNK_KEY, CHUNK_URL, chunk);
                put_prefix(self.common.len() + entry.field, out)?;
                out.extend_from_slice(&self.common);
                request::put_entry_head(out, CHUNK_KEY, CHUNK_URL, chunk);
            }
            Dialect::C => {
                put_prefix(self.common.len() + packaged::any_len(CHUNK_URL_C, chunk), out)?;
                out.extend_from_slice(&self.common);
                packaged::put_any_head(out, CHUNK_URL_C, chunk);
            }
        }
        put_len_field(out, 1, name);
        put_len_head(out, 2, payload_len);
        Ok(())
    }

    /// Appends the messages that the present file ends with.
    ///
    /// # Errors
    /// A bug of the caller: no file has begun.
    pub fn end_file(&mut self, out: &mut Vec<u8>) -> Result<(), Bug> {
        let Some(name) = self.file else {
            return Err(bug!("no file of an upload to end"));
        };
        if self.end_marker.has_meta() {
            put_meta(self.dialect, &self.common, &name, "end", out)?;
        }
        if self.end_marker.has_empty_chunk() {
            self.chunk_prelude(0, out)?;
        }
        self.file = None;
        Ok(())
    }

    /// Whether a file has begun that has not ended.
    #[must_use]
    pub const fn is_within_file(&self) -> bool {
        self.file.is_some()
    }

    /// An upper bound of what [`chunk_prelude`](Self::chunk_prelude) appends.
    #[must_use]
    pub fn prelude_bytes_max(&self) -> usize {
        // Tags and lengths of the six levels take at most five bytes each.
        let texts = CHUNK_KEY.len() + CHUNK_URL.len() + limits::FILENAME_BYTES_MAX;
        frame::PREFIX_BYTES + self.common.len() + texts + 7 * 5
    }
}

/// What each message of a stream behind the first begins with: whose it is, that it is signed, and
/// what the stream is for. A service may look at each message by itself.
pub(super) fn common(call: &Call<'_>, dialect: Dialect, param: &str) -> Vec<u8> {
    let mut common = Vec::new();
    put_len_field(&mut common, 1, call.module.as_bytes());
    match dialect {
        Dialect::A | Dialect::B => {
            if !call.sign.is_empty() {
                put_len_field(&mut common, 9, call.sign.as_bytes());
            }
            request::put_internal(&mut common, dialect, param, None);
        }
        Dialect::C => {
            packaged::put_method(call.method, &mut common);
            let signed = Call { sign: call.sign, ..Call::default() };
            packaged::put_auth(&signed, &mut common);
        }
    }
    common
}

/// Appends a message that begins with `head` and holds a marker.
fn put_meta(
    dialect: Dialect,
    head: &[u8],
    name: &FileName,
    phase: &str,
    out: &mut Vec<u8>,
) -> Result<(), Bug> {
    let pairs = [("filename", name.as_str()), ("phase", phase)];
    let pair_len =
        |(key, value): (&str, &str)| len_field_len(1, key.len()) + len_field_len(2, value.len());
    let number = if dialect == Dialect::C { CONTEXT_META } else { 1 };
    let map: usize = pairs.into_iter().map(|pair| len_field_len(number, pair_len(pair))).sum();
    match dialect {
        Dialect::A | Dialect::B => {
            put_prefix(head.len() + EntryLens::of(META_KEY, META_URL, map).field, out)?;
            out.extend_from_slice(head);
            request::put_entry_head(out, META_KEY, META_URL, map);
        }
        Dialect::C => {
            put_prefix(head.len() + packaged::any_len(META_URL_C, map), out)?;
            out.extend_from_slice(head);
            packaged::put_any_head(out, META_URL_C, map);
        }
    }
    for (key, value) in pairs {
        put_len_head(out, number, pair_len((key, value)));
        put_len_field(out, 1, key.as_bytes());
        put_len_field(out, 2, value.as_bytes());
    }
    Ok(())
}

pub(super) fn put_prefix(len: usize, out: &mut Vec<u8>) -> Result<(), Bug> {
    let len = u32::try_from(len).map_err(|_| bug!("a head of 16 KiB made a message of 4 GiB"))?;
    out.extend_from_slice(&frame::prefix(len));
    Ok(())
}

#[cfg(test)]
mod tests;
