//! Messages of a service's stream as server-sent events (WHATWG HTML, "Server-sent events").

use super::reply::Reply;
use super::stream::Said;

/// What is sent while nothing happens, so that proxies do not take the connection for dead.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// A text of a service is not UTF-8: an event cannot hold it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotUtf8;

/// Appends the event that a message is, if it is one: its chunk, or else its values (`values`) as a
/// JSON object. `event`, `id` and `retry` of its `meta` are those of the event. A marker is none.
///
/// # Errors
/// See [`NotUtf8`]. Nothing was appended then.
pub fn put_event(out: &mut Vec<u8>, said: &Said<'_>, values: &Reply) -> Result<bool, NotUtf8> {
    let mut json = Vec::new();
    let data = if let Some(chunk) = said.chunk {
        str::from_utf8(chunk).map_err(|_| NotUtf8)?
    } else {
        if !values.put_data(&mut json) {
            return Ok(false);
        }
        str::from_utf8(&json).map_err(|_| NotUtf8)?
    };
    for name in ["event", "id"] {
        // One line, and an id with NUL is none.
        let value = said.meta(name).filter(|value| !value.contains(['\r', '\n', '\0']));
        if let Some(value) = value {
            put_line(out, name, value);
        }
    }
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(retry) = said.meta("retry").filter(is_number) {
        put_line(out, "retry", retry);
    }
    for line in lines(data) {
        put_line(out, "data", line);
    }
    out.push(b'\n');
    Ok(true)
}

/// The lines of a text, ended as events end theirs; one at least.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, after)) = text.split_once(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let is_pair = text.get(line.len()..).is_some_and(|end| end.starts_with("\r\n"));
        rest = Some(if is_pair { after.strip_prefix('\n').unwrap_or(after) } else { after });
        Some(line)
    })
}

fn put_line(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(said: &Said<'_>, values: &[(&str, &str)]) -> Result<Option<String>, NotUtf8> {
        let mut reply = Reply::new();
        for (key, json) in values {
            reply.set(key, json);
        }
        let mut out = Vec::new();
        let made = put_event(&mut out, said, &reply)?;
        Ok(made.then(|| String::from_utf8(out).unwrap()))
    }

    #[test]
    fn a_chunk_is_the_data_of_an_event_line_by_line() {
        let said = |chunk| Said { chunk: Some(chunk), ..Said::default() };
        for (chunk, want) in [
            (&b"hi"[..], "data: hi\n\n"),
            (b"a\nb\r\nc\rd", "data: a\ndata: b\ndata: c\ndata: d\n\n"),
            (b"a\n\r\n", "data: a\ndata: \ndata: \n\n"),
            ("ä".as_bytes(), "data: ä\n\n"),
        ] {
            assert_eq!(event(&said(chunk), &[]), Ok(Some(want.to_owned())));
        }
        assert_eq!(event(&said(b"\xff"), &[]), Err(NotUtf8));
    }

    #[test]
    fn values_are_data_as_one_object() {
        let values = [("n", "12345678901234567890"), ("text", "\"x\"")];
        let want = "data: {\"n\":12345678901234567890,\"text\":\"x\"}\n\n";
        assert_eq!(event(&Said::default(), &values), Ok(Some(want.to_owned())));
        assert_eq!(event(&Said::default(), &[]), Ok(None));
    }

    #[test]
    fn what_meta_says_of_an_event_cannot_make_another() {
        let meta = vec![("event", "tick"), ("id", "7"), ("retry", "1000")];
        let said = Said { chunk: Some(b"x"), meta, more: false };
        let want = "event: tick\nid: 7\nretry: 1000\ndata: x\n\n";
        assert_eq!(event(&said, &[]), Ok(Some(want.to_owned())));
        let meta = vec![("event", "a\n\ndata: b"), ("id", "\0"), ("retry", "1 0")];
        let said = Said { chunk: Some(b"x"), meta, more: false };
        assert_eq!(event(&said, &[]), Ok(Some("data: x\n\n".to_owned())));
    }
}
