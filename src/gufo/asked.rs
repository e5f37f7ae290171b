//! What services ask the gateway: the message `Request` of any dialect, read where it lies
//! (SPEC 4.1 to 4.3, 4.8).

use std::collections::BTreeMap;

use super::dialect::Dialect;
use super::request::Call;
use super::values;
use super::wire::{Reader, Value, WireError, to_int32};
use crate::base::limits;

/// Why a message cannot be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AskedError {
    /// It is not the message it should be.
    Wire(WireError),
    /// A message within it is there twice: receivers would not agree on what that means.
    Twice,
    /// More than [`limits::JSON_MEMBERS_MAX`] arguments.
    TooMany,
}

impl From<WireError> for AskedError {
    fn from(error: WireError) -> Self {
        AskedError::Wire(error)
    }
}

/// A value as it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given<'a> {
    /// An `Any`.
    Any(&'a [u8]),
    /// A parameter of a query: a text without a type.
    Text(&'a str),
}

/// `InternalRequest`: what one service asks another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Internal<'a> {
    /// `Param`.
    pub param: Option<&'a str>,
    /// `ParamID`.
    pub param_id: Option<&'a str>,
    /// `Method`.
    pub method: Option<&'a str>,
    /// `Args`.
    pub args: BTreeMap<&'a str, Given<'a>>,
}

/// A `Request` that was read.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The form that it has. Without an `InternalRequest` and files A and B are one: B.
    pub dialect: Dialect,
    /// All that has the same place in every dialect. Arguments and body stand beside it.
    pub call: Call<'a>,
    /// `Args`, or the query of dialect C. Of several with one name the last counts.
    pub args: BTreeMap<&'a str, Given<'a>>,
    /// The body of dialect C: an `Any`.
    pub body: Option<&'a [u8]>,
    /// The `InternalRequest` of A and B.
    pub internal: Option<Internal<'a>>,
    /// Names of files. In dialect C those of `FileRef`.
    pub files: Vec<&'a str>,
    /// Which of `Module`, `Param`, `Sign` and `Method` are there, be they empty.
    pub(super) present: [bool; 4],
    /// The message itself.
    pub message: &'a [u8],
}

impl<'a> Asked<'a> {
    /// Reads a message that came to `/gufo.Reverse/…` (`packaged`), or to `/Reverse/…`.
    ///
    /// # Errors
    /// See [`AskedError`].
    pub fn read(packaged: bool, message: &'a [u8]) -> Result<Self, AskedError> {
        let mut asked = Asked {
            dialect: if packaged { Dialect::C } else { Dialect::B },
            call: Call::default(),
            args: BTreeMap::new(),
            body: None,
            internal: None,
            files: Vec::new(),
            present: [false; 4],
            message,
        };
        if packaged {
            asked.read_c()?;
        } else {
            asked.read_ab()?;
        }
        Ok(asked)
    }

    fn read_ab(&mut self) -> Result<(), AskedError> {
        // Field 25: the names of files in B, the `InternalRequest` in A.
        let mut disputed: Vec<&'a [u8]> = Vec::new();
        let mut own: Option<&'a [u8]> = None;
        let (mut file, mut filename): (Option<&'a [u8]>, &str) = (None, "");
        let mut reader = Reader::new(self.message);
        while let Some((number, value)) = reader.next_field()? {
            match (number, value) {
                (6, Value::Bytes(entry)) => put_entry(&mut self.args, entry)?,
                (23, Value::Bytes(bytes)) => file = Some(bytes),
                (24, Value::Bytes(bytes)) => filename = values::text(bytes)?,
                (25, Value::Bytes(bytes)) if disputed.len() < limits::JSON_MEMBERS_MAX => {
                    disputed.push(bytes);
                }
                (25, Value::Bytes(_)) => return Err(AskedError::TooMany),
                (26, Value::Bytes(bytes)) => once(&mut own, bytes)?,
                (number, Value::Bytes(bytes)) => self.take_text(number, bytes)?,
                (number, Value::Varint(value)) => self.take_number(number, to_int32(value)),
                _ => {}
            }
        }
        self.call.file = file.map(|file| (filename, file));
        if let Some(bytes) = own {
            self.internal = Some(internal(bytes)?);
            // Some write it into both fields, for receivers of both dialects (SPEC 4.2).
            disputed.retain(|name| *name != bytes);
        } else if let [bytes] = disputed[..]
            && let Some(internal) = plausible(bytes)
        {
            self.dialect = Dialect::A;
            self.internal = Some(internal);
            return Ok(());
        }
        for name in disputed {
            self.files.push(values::text(name)?);
        }
        Ok(())
    }

    /// A text of the dialects A and B.
    fn take_text(&mut self, number: u32, bytes: &'a [u8]) -> Result<(), AskedError> {
        let call = &mut self.call;
        let (optional, required) = match number {
            1 => (None, Some((&mut call.module, 0))),
            2 => (None, Some((&mut call.param, 1))),
            9 => (None, Some((&mut call.sign, 2))),
            17 => (None, Some((&mut call.method, 3))),
            3 => (Some(&mut call.param_id), None),
            4 => (Some(&mut call.param_idd), None),
            5 => (Some(&mut call.action), None),
            7 => (Some(&mut call.path), None),
            8 => (Some(&mut call.token), None),
            10 => (Some(&mut call.sid), None),
            11 => (Some(&mut call.ip), None),
            12 => (Some(&mut call.user_agent), None),
            13 => (Some(&mut call.token_type), None),
            15 => (Some(&mut call.language), None),
            16 => (Some(&mut call.api_version), None),
            18 => (Some(&mut call.uid), None),
            _ => return Ok(()),
        };
        let text = values::text(bytes)?;
        if let Some(place) = optional {
            *place = Some(text);
        }
        if let Some((place, at)) = required {
            *place = text;
            self.present.iter_mut().skip(at).take(1).for_each(|present| *present = true);
        }
        Ok(())
    }

    fn take_number(&mut self, number: u32, value: i32) {
        let call = &mut self.call;
        let place = match number {
            14 => &mut call.time_stamp,
            19 => &mut call.is_admin,
            20 => &mut call.session_end,
            21 => &mut call.completed,
            22 => &mut call.readonly,
            _ => return,
        };
        *place = Some(value);
    }

    fn read_c(&mut self) -> Result<(), AskedError> {
        self.present = [true; 4];
        let mut file = None;
        let mut reader = Reader::new(self.message);
        while let Some((number, value)) = reader.next_field()? {
            match (number, value) {
                (6, Value::Bytes(entry)) => {
                    let (name, text) = values::entry(entry)?;
                    put(&mut self.args, name, Given::Text(values::text(text)?))?;
                }
                (7, Value::Bytes(any)) => once(&mut self.body, any)?,
                (9, Value::Varint(method)) => self.call.method = method_name(method),
                (10, Value::Bytes(auth)) => self.take_auth(auth)?,
                (11, Value::Bytes(context)) => self.take_context(context)?,
                (12, Value::Bytes(bytes)) => once(&mut file, file_upload(bytes)?)?,
                (13, Value::Bytes(bytes)) => {
                    if self.files.len() >= limits::JSON_MEMBERS_MAX {
                        return Err(AskedError::TooMany);
                    }
                    self.files.push(first_text(bytes)?);
                }
                (number, Value::Bytes(bytes)) => self.take_text_c(number, bytes)?,
                _ => {}
            }
        }
        self.call.file = file;
        Ok(())
    }

    /// A text of dialect C. Scalars there have no presence: an empty one is none.
    fn take_text_c(&mut self, number: u32, bytes: &'a [u8]) -> Result<(), AskedError> {
        let call = &mut self.call;
        let given = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        match number {
            1 => call.module = values::text(bytes)?,
            2 => call.param = values::text(bytes)?,
            3 => call.param_id = given(values::text(bytes)?),
            4 => call.param_idd = given(values::text(bytes)?),
            5 => call.action = given(values::text(bytes)?),
            8 => call.path = given(values::text(bytes)?),
            _ => {}
        }
        Ok(())
    }

    fn take_auth(&mut self, auth: &'a [u8]) -> Result<(), AskedError> {
        let call = &mut self.call;
        let mut reader = Reader::new(auth);
        while let Some(field) = reader.next_field()? {
            match field {
                (1, Value::Bytes(text)) => call.token = Some(values::text(text)?),
                (2, Value::Bytes(text)) => call.token_type = Some(values::text(text)?),
                (3, Value::Bytes(text)) => call.sid = Some(values::text(text)?),
                (4, Value::Bytes(text)) => call.uid = Some(values::text(text)?),
                (5, Value::Bytes(text)) => call.sign = values::text(text)?,
                (6, Value::Varint(flag)) => call.is_admin = Some(i32::from(flag != 0)),
                (7, Value::Varint(flag)) => call.readonly = Some(i32::from(flag != 0)),
                (8, Value::Varint(end)) => {
                    call.session_end = Some(i32::try_from(end).unwrap_or(i32::MAX));
                }
                (9, Value::Bytes(entry)) => {
                    let (name, value) = values::entry(entry)?;
                    if name == "completed" {
                        call.completed = Some(i32::from(!matches!(value, b"" | b"0")));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn take_context(&mut self, context: &'a [u8]) -> Result<(), AskedError> {
        let call = &mut self.call;
        let mut reader = Reader::new(context);
        while let Some(field) = reader.next_field()? {
            match field {
                (1, Value::Bytes(text)) => call.ip = Some(values::text(text)?),
                (2, Value::Bytes(text)) => call.user_agent = Some(values::text(text)?),
                (3, Value::Bytes(text)) => call.language = Some(values::text(text)?),
                (4, Value::Bytes(text)) => call.api_version = Some(values::text(text)?),
                (5, Value::Varint(time)) => {
                    call.time_stamp = Some(i32::try_from(time).unwrap_or(i32::MAX));
                }
                (6, Value::Bytes(text)) => call.trace_id = Some(values::text(text)?),
                (7, Value::Bytes(text)) => call.request_id = Some(values::text(text)?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Sets what may be there once.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), AskedError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(AskedError::Twice),
    }
}

fn put<'a>(
    args: &mut BTreeMap<&'a str, Given<'a>>,
    name: &'a str,
    value: Given<'a>,
) -> Result<(), AskedError> {
    args.insert(name, value);
    if args.len() > limits::JSON_MEMBERS_MAX { Err(AskedError::TooMany) } else { Ok(()) }
}

fn put_entry<'a>(
    args: &mut BTreeMap<&'a str, Given<'a>>,
    entry: &'a [u8],
) -> Result<(), AskedError> {
    let (name, any) = values::entry(entry)?;
    put(args, name, Given::Any(any))
}

fn internal(bytes: &[u8]) -> Result<Internal<'_>, AskedError> {
    let mut read = Internal::default();
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.next_field()? {
        match field {
            (1, Value::Bytes(text)) => read.param = Some(values::text(text)?),
            (2, Value::Bytes(text)) => read.param_id = Some(values::text(text)?),
            (3, Value::Bytes(text)) => read.method = Some(values::text(text)?),
            (4, Value::Bytes(entry)) => put_entry(&mut read.args, entry)?,
            _ => {}
        }
    }
    Ok(read)
}

/// An `InternalRequest`, unless the bytes had better be taken for the name of a file: fields of
/// its four numbers and nothing else, at least one. No sensible name of a file is that.
fn plausible(bytes: &[u8]) -> Option<Internal<'_>> {
    let mut reader = Reader::new(bytes);
    let mut is_one = false;
    while let Some((number, value)) = reader.next_field().ok()? {
        is_one = matches!((number, value), (1..=4, Value::Bytes(_)));
        if !is_one {
            return None;
        }
    }
    internal(bytes).ok().filter(|_| is_one)
}

/// `FileUpload`: its name and its bytes.
fn file_upload(bytes: &[u8]) -> Result<(&str, &[u8]), AskedError> {
    let (mut data, mut name): (&[u8], &str) = (&[], "");
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.next_field()? {
        match field {
            (1, Value::Bytes(bytes)) => data = bytes,
            (2, Value::Bytes(text)) => name = values::text(text)?,
            _ => {}
        }
    }
    Ok((name, data))
}

/// The text in field 1.
fn first_text(bytes: &[u8]) -> Result<&str, AskedError> {
    let mut found = "";
    let mut reader = Reader::new(bytes);
    while let Some(field) = reader.next_field()? {
        if let (1, Value::Bytes(text)) = field {
            found = values::text(text)?;
        }
    }
    Ok(found)
}

/// `Method` of dialect C. What travels as 0 has no name.
const fn method_name(number: u64) -> &'static str {
    match number {
        1 => "GET",
        2 => "POST",
        3 => "PUT",
        4 => "PATCH",
        5 => "DELETE",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
