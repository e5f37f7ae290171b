//! A REST call as the message `Request` (SPEC 4.1, 4.5), written by hand: lengths first, then one
//! pass into the caller's buffer, without an allocation of its own.

use super::arguments::{Argument, ArgumentValue};
use super::dialect::Dialect;
use super::json;
use super::wire::{
    int32, len_field_len, put_len_field, put_len_head, put_varint_field, varint_field_len, wide,
};
use crate::protocol::grpc::frame;

/// The type of each JSON value within `Args` and `Data` (SPEC 4.4).
pub const BYTES_VALUE_URL: &str = "type.googleapis.com/google.protobuf.BytesValue";

/// The same as the first field of an `Any`, with its key and length.
pub(super) const BYTES_VALUE_FIELD: &[u8; 48] =
    b"\x0a\x2etype.googleapis.com/google.protobuf.BytesValue";

/// About as much as the keys and lengths of an entry of `Args` take.
const ENTRY_HEAD_BYTES: usize = 24;
/// About as much as all but the arguments takes; a call that takes more moves once.
const TEXTS_BYTES: usize = 512;

/// Field numbers of the dialects A and B.
mod field {
    pub(super) const ARGS: u32 = 6;
    pub(super) const FILE: u32 = 23;
    pub(super) const FILENAME: u32 = 24;
    /// Of dialect A.
    pub(super) const INTERNAL_A: u32 = 25;
    pub(super) const INTERNAL: u32 = 26;
    pub(super) const INTERNAL_PARAM: u32 = 1;
    pub(super) const INTERNAL_METHOD: u32 = 3;
    pub(super) const ENTRY_KEY: u32 = 1;
    pub(super) const ENTRY_VALUE: u32 = 2;
    pub(super) const ANY_URL: u32 = 1;
    pub(super) const ANY_VALUE: u32 = 2;
    pub(super) const WRAPPED: u32 = 1;
}

/// One REST call in the words of the protocol. Texts are what services see: decoded and checked by
/// whoever fills them in. `None` leaves a field out; an empty text is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    /// The service.
    pub module: &'a str,
    /// The second path element, or empty.
    pub param: &'a str,
    /// The third path element.
    pub param_id: Option<&'a str>,
    /// The fourth path element.
    pub param_idd: Option<&'a str>,
    /// The path as the client sent it.
    pub path: Option<&'a str>,
    /// The method of HTTP.
    pub method: &'a str,
    /// The gateway's own signature, never the client's (SPEC 7.1).
    pub sign: &'a str,
    /// The address of the client.
    pub ip: Option<&'a str>,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// What is to be done, where the path does not say it. Not filled by the gateway itself.
    pub action: Option<&'a str>,
    /// `v3` or `v1`.
    pub api_version: Option<&'a str>,
    /// The language the client wants.
    pub language: Option<&'a str>,
    /// Seconds since 1970; the field has 32 bits.
    pub time_stamp: Option<i32>,
    /// The session.
    pub sid: Option<&'a str>,
    /// The client's credential.
    pub token: Option<&'a str>,
    /// Its kind: `Bearer` and the like.
    pub token_type: Option<&'a str>,
    /// The user, when the session check found one.
    pub uid: Option<&'a str>,
    /// 1 for administrators.
    pub is_admin: Option<i32>,
    /// When the session ends, seconds since 1970.
    pub session_end: Option<i32>,
    /// 1 when the user's registration is complete.
    pub completed: Option<i32>,
    /// 1 when the user may only read.
    pub readonly: Option<i32>,
    /// `IR.Param`: `stream` for uploads.
    pub internal_param: Option<&'a str>,
    /// `IR.Method`, sent where there is an `IR.Param`: what a masterservice is asked (SPEC 8.2).
    pub internal_method: Option<&'a str>,
    /// The arguments. For dialect C: of the query.
    pub args: &'a [Argument<'a>],
    /// The JSON object that was the body; dialect C alone, where it is not `args` as well.
    pub body: Option<&'a str>,
    /// The id of the request; dialect C alone.
    pub request_id: Option<&'a str>,
    /// The trace that it belongs to, as 32 digits; dialect C alone.
    pub trace_id: Option<&'a str>,
    /// What `context.meta` says besides; dialect C alone.
    pub meta: &'a [(&'a str, &'a str)],
    /// A whole file with its name; the gateway itself sends one in dialect A alone.
    pub file: Option<(&'a str, &'a [u8])>,
}

/// A call cannot be one gRPC message, because it is longer than 2³² − 1 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallTooLarge;

impl Call<'_> {
    /// Appends the call as one gRPC message, its prefix of five bytes included.
    ///
    /// # Errors
    /// Writes nothing if the message is too large for a prefix. What a service takes (4 MiB, if it
    /// does not say otherwise) is the caller's affair: see [`encoded_len`](Self::encoded_len).
    pub fn encode(&self, dialect: Dialect, out: &mut Vec<u8>) -> Result<(), CallTooLarge> {
        let start = out.len();
        let args = self.args.iter().map(|argument| {
            argument.name.len() + argument.value.bytes() + BYTES_VALUE_URL.len() + ENTRY_HEAD_BYTES
        });
        if out.capacity() == 0 {
            let whole = self.body.map_or(0, str::len) + self.file.map_or(0, |(_, file)| file.len());
            out.reserve(TEXTS_BYTES + whole + args.sum::<usize>());
        }
        out.extend_from_slice(&frame::prefix(0));
        self.put(dialect, out);
        // To measure first would cost more than to fill in the length now.
        let len = out.len() - start - frame::PREFIX_BYTES;
        let prefix = u32::try_from(len).map(frame::prefix);
        let place = out.get_mut(start..start + frame::PREFIX_BYTES);
        let (Ok(prefix), Some(place)) = (prefix, place) else {
            out.truncate(start);
            return Err(CallTooLarge);
        };
        place.copy_from_slice(&prefix);
        Ok(())
    }

    /// Bytes of the message without its gRPC prefix.
    #[must_use]
    pub fn encoded_len(&self, dialect: Dialect) -> usize {
        if dialect == Dialect::C {
            return packaged::len(self);
        }
        let texts = self
            .texts()
            .into_iter()
            .filter_map(|(number, text)| text.map(|text| len_field_len(number, text.len())));
        let numbers = self
            .numbers()
            .into_iter()
            .filter_map(|(number, value)| value.map(|v| varint_field_len(number, int32(v))));
        let file = self.file.map_or(0, |(name, file)| {
            len_field_len(field::FILE, file.len()) + len_field_len(field::FILENAME, name.len())
        });
        let internal = self
            .internal_param
            .map_or(0, |param| internal_len(dialect, param, self.internal_method));
        let args = self.args.iter().map(argument_len);
        texts.sum::<usize>() + numbers.sum::<usize>() + file + internal + args.sum::<usize>()
    }

    /// Appends the message without its gRPC prefix. The arguments come last.
    pub(super) fn put(&self, dialect: Dialect, out: &mut Vec<u8>) {
        if dialect == Dialect::C {
            return packaged::put(self, out);
        }
        for (number, text) in self.texts() {
            if let Some(text) = text {
                put_len_field(out, number, text.as_bytes());
            }
        }
        for (number, value) in self.numbers() {
            if let Some(value) = value {
                put_varint_field(out, number, int32(value));
            }
        }
        if let Some((name, file)) = self.file {
            put_len_field(out, field::FILE, file);
            put_len_field(out, field::FILENAME, name.as_bytes());
        }
        if let Some(param) = self.internal_param {
            put_internal(out, dialect, param, self.internal_method);
        }
        for argument in self.args {
            put_argument(out, argument);
        }
    }

    /// Field numbers of SPEC 4.1 with their texts. Module, Param, Sign and Method are always sent:
    /// services of dialect A, and those written after them, do not check for their absence.
    fn texts(&self) -> [(u32, Option<&str>); 16] {
        [
            (1, Some(self.module)),
            (2, Some(self.param)),
            (3, self.param_id),
            (4, self.param_idd),
            (5, self.action),
            (7, self.path),
            (8, self.token),
            (9, Some(self.sign)),
            (10, self.sid),
            (11, self.ip),
            (12, self.user_agent),
            (13, self.token_type),
            (15, self.language),
            (16, self.api_version),
            (17, Some(self.method)),
            (18, self.uid),
        ]
    }

    fn numbers(&self) -> [(u32, Option<i32>); 5] {
        [
            (14, self.time_stamp),
            (19, self.is_admin),
            (20, self.session_end),
            (21, self.completed),
            (22, self.readonly),
        ]
    }
}

const fn internal_field(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::A => field::INTERNAL_A,
        Dialect::B | Dialect::C => field::INTERNAL,
    }
}

/// Bytes of what is inside of an `IR`.
fn internal_inner(param: &str, method: Option<&str>) -> usize {
    let method = method.map_or(0, |text| len_field_len(field::INTERNAL_METHOD, text.len()));
    len_field_len(field::INTERNAL_PARAM, param.len()) + method
}

fn internal_len(dialect: Dialect, param: &str, method: Option<&str>) -> usize {
    len_field_len(internal_field(dialect), internal_inner(param, method))
}

/// Appends `IR{Param, Method}`.
pub(super) fn put_internal(out: &mut Vec<u8>, dialect: Dialect, param: &str, method: Option<&str>) {
    put_len_head(out, internal_field(dialect), internal_inner(param, method));
    put_len_field(out, field::INTERNAL_PARAM, param.as_bytes());
    if let Some(method) = method {
        put_len_field(out, field::INTERNAL_METHOD, method.as_bytes());
    }
}

fn json_len(value: &ArgumentValue<'_>) -> usize {
    match value {
        ArgumentValue::Json(text) => text.len(),
        ArgumentValue::Text(text) => json::string_len(text),
    }
}

pub(super) fn argument_len(argument: &Argument<'_>) -> usize {
    let wrapped = len_field_len(field::WRAPPED, json_len(&argument.value));
    EntryLens::of(&argument.name, BYTES_VALUE_URL, wrapped).field
}

pub(super) fn put_argument(out: &mut Vec<u8>, argument: &Argument<'_>) {
    let json_len = json_len(&argument.value);
    let wrapped = len_field_len(field::WRAPPED, json_len);
    // As `put_entry_head`, but the type is one copy of a length that the compiler knows.
    let any = BYTES_VALUE_FIELD.len() + len_field_len(field::ANY_VALUE, wrapped);
    let name = argument.name.as_bytes();
    let entry =
        len_field_len(field::ENTRY_KEY, name.len()) + len_field_len(field::ENTRY_VALUE, any);
    put_len_head(out, field::ARGS, entry);
    put_len_field(out, field::ENTRY_KEY, name);
    put_len_head(out, field::ENTRY_VALUE, any);
    out.extend_from_slice(BYTES_VALUE_FIELD);
    put_len_head(out, field::ANY_VALUE, wrapped);
    put_len_head(out, field::WRAPPED, json_len);
    match &argument.value {
        ArgumentValue::Json(text) => out.extend_from_slice(text.as_bytes()),
        ArgumentValue::Text(text) => json::put_string(out, text),
    }
}

/// Lengths of one entry of `Args`, inside out.
pub(super) struct EntryLens {
    /// The `Any`: type and value.
    any: usize,
    /// The entry: key and `Any`.
    entry: usize,
    /// The whole field, with its tag and length.
    pub(super) field: usize,
}

impl EntryLens {
    /// Lengths of the entry `name` that holds an `Any` of the type `url` with `value_len` bytes.
    pub(super) fn of(name: &str, url: &str, value_len: usize) -> Self {
        let any =
            len_field_len(field::ANY_URL, url.len()) + len_field_len(field::ANY_VALUE, value_len);
        let entry =
            len_field_len(field::ENTRY_KEY, name.len()) + len_field_len(field::ENTRY_VALUE, any);
        EntryLens { any, entry, field: len_field_len(field::ARGS, entry) }
    }
}

/// Appends an entry of `Args` but for the `value_len` bytes of its `Any`'s value, which the caller
/// writes next. They are the last bytes of the field.
pub(super) fn put_entry_head(out: &mut Vec<u8>, name: &str, url: &str, value_len: usize) {
    let lens = EntryLens::of(name, url, value_len);
    debug_assert!(wide(lens.field) > wide(value_len), "an entry is longer than its value");
    put_len_head(out, field::ARGS, lens.entry);
    put_len_field(out, field::ENTRY_KEY, name.as_bytes());
    put_len_head(out, field::ENTRY_VALUE, lens.any);
    put_len_field(out, field::ANY_URL, url.as_bytes());
    put_len_head(out, field::ANY_VALUE, value_len);
}

pub(super) mod packaged;

#[cfg(test)]
mod tests;
