//! Fields of an answer in dialect C (SPEC 4.3).

use super::{Meta, Reply, ReplyError, ServiceError, upload_code};
use crate::gufo::values;
use crate::gufo::wire::{self, Reader, Value};

impl Reply {
    /// Takes in a field other than data.
    pub(super) fn take_packaged(
        &mut self,
        number: u32,
        value: Value<'_>,
    ) -> Result<(), ReplyError> {
        match (number, value) {
            (2, Value::Bytes(error)) => self.take_packaged_error(error),
            (3, Value::Bytes(meta)) => self.take_meta(meta),
            (4, Value::Varint(code)) => {
                // Its absence and 0 are the same.
                self.upload_code = (code != 0).then(|| upload_code(code));
                Ok(())
            }
            (5, Value::Bytes(request)) => self.take_packaged_back(request),
            _ => Ok(()),
        }
    }

    fn take_packaged_error(&mut self, error: &[u8]) -> Result<(), ReplyError> {
        let mut found = ServiceError::default();
        let (mut key, mut retryable) = (String::new(), false);
        let mut reader = Reader::new(error);
        while let Some(field) = reader.next_field()? {
            match field {
                (1, Value::Varint(code)) => found.code = wire::to_int32(code),
                (2, Value::Bytes(text)) => key = values::text(text)?.to_string(),
                (3, Value::Bytes(text)) => found.message = values::text(text)?.to_string(),
                (5, Value::Varint(flag)) => retryable = flag != 0,
                _ => {}
            }
        }
        // An error that says nothing is the absence of one.
        if found != ServiceError::default() || !key.is_empty() {
            found.key = Some((key, retryable));
            self.error = Some(found);
        }
        Ok(())
    }

    fn take_meta(&mut self, meta: &[u8]) -> Result<(), ReplyError> {
        let mut found = Meta::default();
        let mut reader = Reader::new(meta);
        while let Some(field) = reader.next_field()? {
            match field {
                (1, Value::Varint(status)) => found.status = wire::to_int32(status),
                (2, Value::Bytes(text)) => found.trace_id = values::text(text)?.to_string(),
                (3, Value::Bytes(text)) => found.request_id = values::text(text)?.to_string(),
                (4, Value::Bytes(text)) => found.node = values::text(text)?.to_string(),
                _ => {}
            }
        }
        self.meta = (found != Meta::default()).then(|| Box::new(found));
        Ok(())
    }

    fn take_packaged_back(&mut self, request: &[u8]) -> Result<(), ReplyError> {
        let mut reader = Reader::new(request);
        while let Some(field) = reader.next_field()? {
            match field {
                (10, Value::Bytes(auth)) => self.take_auth(auth)?,
                (11, Value::Bytes(context)) => {
                    let mut reader = Reader::new(context);
                    while let Some(field) = reader.next_field()? {
                        if let (3, Value::Bytes(text)) = field {
                            let language = values::text(text)?.to_string();
                            self.back.get_or_insert_default().language = Some(language);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn take_auth(&mut self, auth: &[u8]) -> Result<(), ReplyError> {
        let back = self.back.get_or_insert_default();
        let mut reader = Reader::new(auth);
        while let Some(field) = reader.next_field()? {
            match field {
                (4, Value::Bytes(text)) => back.uid = Some(values::text(text)?.to_string()),
                (6, Value::Varint(flag)) => back.is_admin = Some(i32::from(flag != 0)),
                (7, Value::Varint(flag)) => back.readonly = Some(i32::from(flag != 0)),
                (8, Value::Varint(end)) => {
                    back.session_end = Some(i32::try_from(end).unwrap_or(i32::MAX));
                }
                (9, Value::Bytes(entry)) => {
                    let (key, value) = texts(entry)?;
                    if key == "completed" {
                        back.completed = value.parse().ok();
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// An entry of a map of texts.
fn texts(entry: &[u8]) -> Result<(&str, &str), ReplyError> {
    let (mut key, mut text) = ("", "");
    let mut reader = Reader::new(entry);
    while let Some(field) = reader.next_field()? {
        match field {
            (1, Value::Bytes(bytes)) => key = values::text(bytes)?,
            (2, Value::Bytes(bytes)) => text = values::text(bytes)?,
            _ => {}
        }
    }
    Ok((key, text))
}
