//! Answers that are a file instead of an envelope (SPEC 6.3).

use std::borrow::Cow;

use super::filename;
use super::reply::{Reply, is_media_type};

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

/// The service answered with a path of a file on the gateway's host. Such files are not served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FilePathRefused;

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
    let content_type = reply.string("filetype").filter(|text| is_media_type(text));
    let content_type = content_type.unwrap_or(Cow::Borrowed("application/octet-stream"));
    let disposition = reply.string("filename").map(|name| disposition(&name));
    let disposition = disposition.unwrap_or_else(|| "attachment".to_string());
    Ok(Some(Download { body, content_type, disposition }))
}

/// `attachment` with the name in ASCII and, if that is not all of it, in UTF-8 (RFC 6266 §4.3).
fn disposition(name: &str) -> String {
    let name = filename::sanitise(name.as_bytes());
    let name = name.as_str();
    let mut out = "attachment; filename=\"".to_string();
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
mod tests {
    use super::*;

    fn reply(values: &[(&str, &str)]) -> Reply {
        let mut reply = Reply::new();
        for (key, json) in values {
            reply.set(key, json);
        }
        reply
    }

    #[test]
    fn inline_files_are_served_as_they_are() {
        let reply = reply(&[
            ("file", "\"aGk=\\n\\u00e4\""),
            ("isbase64", "true"),
            ("filetype", "\"text/plain\""),
            ("filename", "\"../a b.txt\""),
        ]);
        let got = download(&reply).unwrap().unwrap();
        assert_eq!((got.body.as_ref(), got.content_type.as_ref()), ("aGk=\nä", "text/plain"));
        assert_eq!(got.disposition, "attachment; filename=\"a b.txt\"");
    }

    #[test]
    fn paths_of_the_gateway_are_refused() {
        for isbase64 in [None, Some("false"), Some("\"true\""), Some("1"), Some("null")] {
            let mut values = vec![("file", "\"/etc/passwd\"")];
            values.extend(isbase64.map(|value| ("isbase64", value)));
            assert_eq!(download(&reply(&values)), Err(FilePathRefused), "{isbase64:?}");
        }
    }

    #[test]
    fn other_answers_are_no_downloads() {
        assert_eq!(download(&reply(&[("message", "\"file\"")])), Ok(None));
        assert_eq!(
            download(&reply(&[("file", "{\"name\":\"a\"}"), ("isbase64", "true")])),
            Ok(None)
        );
    }

    #[test]
    fn what_could_break_a_header_is_replaced() {
        let values = [
            ("file", "\"x\""),
            ("isbase64", "true"),
            ("filetype", "\"text/html\\r\\nSet-Cookie: a=b\""),
        ];
        let got = reply(&values);
        let got = download(&got).unwrap().unwrap();
        assert_eq!(got.content_type, "application/octet-stream");
        assert_eq!(got.disposition, "attachment");
        for (name, want) in [
            ("a\"b\r\nc.txt", "attachment; filename=\"a_bc.txt\"; filename*=UTF-8''a%22bc.txt"),
            ("ä 1.jpg", "attachment; filename=\"_ 1.jpg\"; filename*=UTF-8''%C3%A4%201.jpg"),
            ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
            ("", "attachment; filename=\"upload.bin\""),
        ] {
            assert_eq!(disposition(name), want);
        }
    }
}
