//! From one dialect to another: what is the same passes byte for byte, JSON values always do.

use std::borrow::Cow;

use super::answer;
use super::arguments::{Argument, ArgumentValue};
use super::asked::{Asked, Given};
use super::dialect::Dialect;
use super::json::{self, Member};
use super::request::Call;
use super::values;
use super::wire::{Reader, Value, WireError, put_len_field, put_varint_field};
use crate::base::limits;

/// Field numbers of the dialects A and B that differ, or must be there.
mod field {
    pub(super) const FILES: u32 = 25;
    pub(super) const INTERNAL_A: u32 = 25;
    pub(super) const INTERNAL_B: u32 = 26;
    /// `Module`, `Param`, `Sign`, `Method`: services of A use them without asking.
    pub(super) const NEEDED: [u32; 4] = [1, 2, 9, 17];
}

/// How a message gets to a service of another dialect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Passage {
    /// As it is.
    Same,
    /// With some fields under other numbers. All that is signed is as it was.
    Moved(Vec<u8>),
    /// It has to be made anew: see [`Parts`].
    Anew,
}

/// How this message gets to a service of the dialect `to`.
///
/// # Errors
/// See [`WireError`].
pub fn passage(asked: &Asked<'_>, to: Dialect) -> Result<Passage, WireError> {
    let lacks = asked.present.contains(&false);
    let internal = asked.internal.is_some();
    let fits = match (asked.dialect, to) {
        (Dialect::B, Dialect::B) | (Dialect::C, Dialect::C) => true,
        (Dialect::C, _) | (_, Dialect::C) => return Ok(Passage::Anew),
        (Dialect::A, Dialect::A) => !lacks,
        (Dialect::B, Dialect::A) => !lacks && !internal && asked.files.is_empty(),
        (Dialect::A, Dialect::B) => false,
    };
    if fits { Ok(Passage::Same) } else { moved(asked, to).map(Passage::Moved) }
}

/// A message of A or B with what the other has elsewhere.
fn moved(asked: &Asked<'_>, to: Dialect) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(asked.message.len() + 8);
    let from = asked.dialect;
    let mut reader = Reader::new(asked.message);
    while let Some((number, value)) = reader.next_field()? {
        let number = match (from, to, number) {
            (Dialect::A, Dialect::B, field::INTERNAL_A) => field::INTERNAL_B,
            (Dialect::B, Dialect::A, field::INTERNAL_B) => field::INTERNAL_A,
            (Dialect::B, Dialect::A, field::FILES) => continue,
            _ => number,
        };
        match value {
            Value::Bytes(bytes) => put_len_field(&mut out, number, bytes),
            Value::Varint(value) => put_varint_field(&mut out, number, value),
            // No dialect has fields of these kinds.
            Value::Fixed64(_) | Value::Fixed32(_) => {}
        }
    }
    if to == Dialect::A {
        for (number, present) in field::NEEDED.into_iter().zip(asked.present) {
            if !present {
                put_len_field(&mut out, number, b"");
            }
        }
    }
    Ok(out)
}

/// Why a call cannot be said in another dialect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartsError {
    /// See [`WireError`].
    Wire(WireError),
    /// The body of dialect C is no JSON object, so it has no arguments.
    NotAnObject,
}

impl From<WireError> for PartsError {
    fn from(error: WireError) -> Self {
        PartsError::Wire(error)
    }
}

/// The arguments of a call as JSON, wherever its dialect has them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// By name, in the order of names: JSON text, or a text.
    named: Vec<(String, Part)>,
    /// The body of dialect C as JSON text.
    body: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Json(String),
    Text(String),
}

impl Parts {
    /// Reads the arguments of a call. Those that are no JSON (chunks of files) are left out.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn of(asked: &Asked<'_>) -> Result<Self, WireError> {
        let mut args = asked.args.clone();
        if let Some(internal) = &asked.internal {
            args.extend(&internal.args);
        }
        let mut named = Vec::with_capacity(args.len());
        for (name, given) in args {
            let part = match given {
                Given::Text(text) => Part::Text(text.to_owned()),
                Given::Any(any) => match json_of(any)? {
                    Some(json) => Part::Json(json),
                    None => continue,
                },
            };
            named.push((name.to_owned(), part));
        }
        let body = asked.body.map(json_of).transpose()?.flatten();
        Ok(Parts { named, body })
    }

    /// The same as one JSON object. `None`: its body is no object.
    #[must_use]
    pub fn object(&self) -> Option<String> {
        let mut out = b"{".to_vec();
        let body = self.body.as_deref().unwrap_or("{}");
        let members = json::members(body.as_bytes()).ok()?;
        let mut put = |name: &str, value: &dyn Fn(&mut Vec<u8>)| {
            if out.len() > 1 {
                out.push(b',');
            }
            json::put_string(&mut out, name);
            out.push(b':');
            value(&mut out);
        };
        for (name, part) in &self.named {
            if !has(&members, name) {
                put(name, &|out| part.put(out));
            }
        }
        for member in &members {
            put(&member.key, &|out| out.extend_from_slice(member.value.as_bytes()));
        }
        out.push(b'}');
        String::from_utf8(out).ok()
    }

    fn arguments(&self) -> impl Iterator<Item = Argument<'_>> {
        self.named.iter().map(|(name, part)| Argument {
            name: Cow::Borrowed(name),
            value: match part {
                Part::Json(text) => ArgumentValue::Json(text),
                Part::Text(text) => ArgumentValue::Text(Cow::Borrowed(text)),
            },
        })
    }
}

impl Part {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Part::Json(text) => out.extend_from_slice(text.as_bytes()),
            Part::Text(text) => json::put_string(out, text),
        }
    }
}

/// Whether one of the members, which are in the order of their names, is called so.
fn has(members: &[Member<'_>], name: &str) -> bool {
    members.binary_search_by(|member| (*member.key).cmp(name)).is_ok()
}

/// The JSON text of an `Any`; none of one that is no value.
fn json_of(any: &[u8]) -> Result<Option<String>, WireError> {
    let mut out = Vec::new();
    if !values::put_any(&mut out, any)? {
        return Ok(None);
    }
    String::from_utf8(out).map(Some).map_err(|_| WireError::NotUtf8)
}

/// Hands `then` the call in the words of the dialect `to`, of which its own is none. It is to be
/// signed anew.
///
/// # Errors
/// See [`PartsError`].
pub fn anew<T>(
    asked: &Asked<'_>,
    to: Dialect,
    then: impl FnOnce(&Call<'_>) -> T,
) -> Result<T, PartsError> {
    let parts = Parts::of(asked)?;
    let internal = asked.internal.clone().unwrap_or_default();
    // Dialect C has nothing inside: what is asked there is asked itself.
    let call = Call {
        param: internal.param.unwrap_or(asked.call.param),
        param_id: internal.param_id.or(asked.call.param_id),
        method: internal.method.unwrap_or(asked.call.method),
        ..asked.call
    };
    if to != Dialect::C {
        let body = parts.body.as_deref().unwrap_or("{}");
        let members = json::members(body.as_bytes()).map_err(|_| PartsError::NotAnObject)?;
        let args = parts.arguments().filter(|argument| !has(&members, &argument.name));
        let args: Vec<_> = args
            .chain(members.iter().map(|member| Argument {
                name: Cow::Borrowed(&*member.key),
                value: ArgumentValue::Json(member.value),
            }))
            .collect();
        return Ok(then(&Call { args: &args, ..call }));
    }
    if reads(call.method) {
        let args: Vec<_> = parts.arguments().map(as_text).collect();
        return Ok(then(&Call { args: &args, ..call }));
    }
    let body = parts.object().ok_or(PartsError::NotAnObject)?;
    Ok(then(&Call { args: &[], body: Some(&body), ..call }))
}

/// Whether a method has its arguments in the query (SPEC 4.5). None at all is a GET (SPEC 4.3).
#[must_use]
pub fn reads(method: &str) -> bool {
    matches!(method, "" | "GET" | "HEAD" | "TRACE")
}

/// A query has no types: a JSON string is the text that it stands for.
fn as_text(argument: Argument<'_>) -> Argument<'_> {
    let value = match argument.value {
        ArgumentValue::Json(text) => match json::string(text) {
            Some(inner) => ArgumentValue::Text(inner),
            None => ArgumentValue::Json(text),
        },
        text @ ArgumentValue::Text(_) => text,
    };
    Argument { value, ..argument }
}

/// The answer of a service of the dialect `from` for a caller who speaks `to`, with the request in
/// it (SPEC 4.8). That is left out where the two together are no message that callers take.
///
/// # Errors
/// See [`WireError`].
pub fn response(
    from: Dialect,
    to: Dialect,
    message: &[u8],
    request: &[u8],
) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(message.len() + request.len() + 16);
    match (from == Dialect::C, to == Dialect::C) {
        (true, false) => unpackaged(message, &mut out)?,
        (false, true) => packaged(message, &mut out)?,
        (is_packaged, _) => {
            let back = if is_packaged { 5 } else { 2 };
            let mut reader = Reader::new(message);
            while let Some((number, value)) = reader.next_field()? {
                match value {
                    _ if number == back => {}
                    Value::Bytes(bytes) => put_len_field(&mut out, number, bytes),
                    Value::Varint(value) => put_varint_field(&mut out, number, value),
                    Value::Fixed64(_) | Value::Fixed32(_) => {}
                }
            }
        }
    }
    // Its key and length take no more than sixteen bytes.
    if out.len() + request.len() + 16 <= limits::GRPC_MESSAGE_BYTES_MAX {
        put_len_field(&mut out, if to == Dialect::C { 5 } else { 2 }, request);
    }
    Ok(out)
}

/// From A or B to C. Values lie in the same field, in the same words.
fn packaged(message: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        match field {
            (1, Value::Bytes(entry)) => put_len_field(out, 1, entry),
            (3, Value::Varint(code)) => put_varint_field(out, 4, code),
            (4, Value::Bytes(error)) => put_len_field(out, 2, &fault(error, &[(2, 3), (3, 4)])?),
            _ => {}
        }
    }
    Ok(())
}

/// From C to A or B. The status of its meta becomes `httpcode`, unless there is one.
fn unpackaged(message: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let (mut status, mut has_code) = (0, false);
    let mut reader = Reader::new(message);
    while let Some(field) = reader.next_field()? {
        match field {
            (1, Value::Bytes(entry)) => {
                has_code |= values::entry_bytes(entry)?.0 == answer::HTTPCODE.as_bytes();
                put_len_field(out, 1, entry);
            }
            (2, Value::Bytes(error)) => put_len_field(out, 4, &fault(error, &[(3, 2), (4, 3)])?),
            (3, Value::Bytes(meta)) => {
                let mut reader = Reader::new(meta);
                while let Some(field) = reader.next_field()? {
                    if let (1, Value::Varint(number)) = field {
                        status = number;
                    }
                }
            }
            (4, Value::Varint(code)) => put_varint_field(out, 3, code),
            _ => {}
        }
    }
    if status != 0 && !has_code {
        answer::put_number(out, answer::HTTPCODE, status);
    }
    Ok(())
}

/// An `Error` with its texts under other numbers. The code has the same one.
fn fault(error: &[u8], numbers: &[(u32, u32)]) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(error.len());
    let mut reader = Reader::new(error);
    while let Some((number, value)) = reader.next_field()? {
        let to = numbers.iter().find(|(from, _)| *from == number).map(|(_, to)| *to);
        match (number, value, to) {
            (1, Value::Varint(code), _) => put_varint_field(&mut out, 1, code),
            (_, Value::Bytes(bytes), Some(to)) => put_len_field(&mut out, to, bytes),
            _ => {}
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
