//! Answers of a dialect-B service.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::Any;

use super::store::Stored;
use crate::base::decimal;
use crate::observe::json::push_string;
use crate::proto::reverse::{Response, UploadStatusCode};

/// The type of an `Any` that holds a JSON value (SPEC 4.4).
const BYTES_VALUE: &str = "type.googleapis.com/google.protobuf.BytesValue";

/// Gathers what a service answers.
#[derive(Debug, Default)]
pub(super) struct Reply {
    data: BTreeMap<String, Any>,
}

impl Reply {
    /// A fault, as services report it: an HTTP status, a code made of it, and a sentence.
    pub(super) fn fault(status: u16, message: &str) -> Reply {
        Reply::default()
            .number("httpcode", u64::from(status))
            .text("code", &format!("{status:06}"))
            .text("message", message)
    }

    /// What was stored.
    pub(super) fn stored(files: &[Stored]) -> Reply {
        let mut list = vec![b'['];
        for (number, file) in files.iter().enumerate() {
            list.extend_from_slice(if number == 0 { b"{" } else { b",{" });
            list.extend_from_slice(b"\"name\":");
            push_string(&mut list, &file.name);
            list.extend_from_slice(b",\"bytes\":");
            decimal::push(&mut list, file.bytes);
            list.extend_from_slice(b",\"sha256\":");
            push_string(&mut list, &file.sha256);
            list.extend_from_slice(b",\"path\":");
            push_string(&mut list, &file.path.to_string_lossy());
            list.push(b'}');
        }
        list.push(b']');
        let bytes = files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
        let count = files.len();
        let plural = if count == 1 { "" } else { "s" };
        Reply::default()
            .json("files", &list)
            .number("bytes", bytes)
            .text("message", &format!("stored {count} file{plural}"))
    }

    /// Adds a value that is already encoded.
    pub(super) fn value(mut self, name: String, value: Any) -> Reply {
        self.data.insert(name, value);
        self
    }

    /// Adds a text.
    pub(super) fn text(self, name: &str, text: &str) -> Reply {
        let mut json = Vec::new();
        push_string(&mut json, text);
        self.json(name, &json)
    }

    /// Adds a number.
    pub(super) fn number(self, name: &str, number: u64) -> Reply {
        let mut json = Vec::new();
        decimal::push(&mut json, number);
        self.json(name, &json)
    }

    fn json(self, name: &str, json: &[u8]) -> Reply {
        // `Vec<u8>` is prost's BytesValue.
        let value = json.to_vec().encode_to_vec();
        self.value(name.to_owned(), Any { type_url: BYTES_VALUE.to_owned(), value })
    }

    /// The answer to a call.
    pub(super) fn response(self) -> Response {
        Response { data: self.data, ..Response::default() }
    }

    /// The answer to an upload.
    pub(super) fn upload_response(self, code: UploadStatusCode) -> Response {
        Response { data: self.data, code: Some(code.into()), ..Response::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[track_caller]
    fn check(reply: &Reply, name: &str, want: &str) {
        let value = reply.data.get(name).expect(name);
        assert_eq!(value.type_url, BYTES_VALUE);
        let json = Vec::<u8>::decode(value.value.as_slice()).unwrap();
        assert_eq!(String::from_utf8(json).unwrap(), want);
    }

    #[test]
    fn a_fault_names_its_status_and_code() {
        check(&Reply::fault(507, "disk full"), "httpcode", "507");
        check(&Reply::fault(507, "disk full"), "code", "\"000507\"");
        check(&Reply::fault(507, "disk \"full\""), "message", "\"disk \\\"full\\\"\"");
    }

    #[test]
    fn stored_files_are_listed_in_order() {
        let file = |name: &str, bytes| Stored {
            name: name.to_owned(),
            bytes,
            sha256: "ab".to_owned(),
            path: PathBuf::from("d").join(name),
        };
        let files = [file("a\".jpg", 3), file("b.jpg", 4)];
        let want = r#"[{"name":"a\".jpg","bytes":3,"sha256":"ab","path":"d/a\".jpg"},"#.to_owned()
            + r#"{"name":"b.jpg","bytes":4,"sha256":"ab","path":"d/b.jpg"}]"#;
        check(&Reply::stored(&files), "files", &want);
        check(&Reply::stored(&files), "bytes", "7");
        check(&Reply::stored(&files), "message", "\"stored 2 files\"");
        check(&Reply::stored(&[]), "files", "[]");
    }
}
