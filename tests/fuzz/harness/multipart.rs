//! Multipart bodies: the same parts however they are cut, no delimiter within a payload, written
//! anew the same, and `multer` reads the same payloads.

use std::fmt::Write;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use otus::protocol::multipart::boundary::boundary;
use otus::protocol::multipart::parser::{Event, Limits, Multipart, MultipartError};
use otus::protocol::multipart::part::{self, Part};

use super::cuts;

const BOUNDARIES: [&str; 4] = ["b", "XX", "a-b--c", "----WebKitFormBoundaryA1"];
const LIMITS: Limits = Limits { part_head_bytes: 256, files: 4, parts: 6 };

type Parts = Vec<(Part, Vec<u8>)>;

#[derive(Clone, PartialEq, Eq, Debug)]
struct Read {
    parts: Parts,
    /// Whether the body is whole.
    done: bool,
    error: Option<MultipartError>,
}

/// The first byte chooses the boundary, or that this is the value of a field.
pub fn run(data: &[u8]) {
    let (mode, data) = cuts::choice(data, 6);
    let Some(name) = BOUNDARIES.get(mode) else { return words(data) };
    let whole = read(name, &[data]);
    for way in cuts::ways(data) {
        assert_eq!(read(name, &way), whole, "in pieces");
    }
    let delimiter = format!("\r\n--{name}");
    let total: usize = whole.parts.iter().map(|(_, payload)| payload.len()).sum();
    assert!(total <= data.len());
    for (_, payload) in &whole.parts {
        assert!(find(payload, delimiter.as_bytes()).is_none(), "a delimiter in a payload");
    }
    if whole.done && whole.error.is_none() {
        rewritten(&whole.parts, name);
        against_multer(data, name, &whole.parts);
    }
}

/// Values of fields: whatever is read of them has none of what it must not have.
fn words(data: &[u8]) {
    if let Ok(boundary) = boundary(data) {
        assert!((1..=70).contains(&boundary.len()) && boundary.is_ascii());
        assert!(!boundary.iter().any(|b| b.is_ascii_control() || b"\"\\;<>@".contains(b)));
        let value = [b"multipart/form-data; boundary=\"", boundary, b"\""].concat();
        assert_eq!(otus::protocol::multipart::boundary::boundary(&value), Ok(boundary));
    }
    if let Ok(part) = part::parse(data) {
        let kind = part.content_type.as_deref().unwrap_or_default();
        assert!(kind.is_ascii() && !kind.bytes().any(|b| b.is_ascii_control() && b != b'\t'));
        assert_eq!(part::parse(head_of(&part).as_bytes()).as_ref(), Ok(&part), "written anew");
    }
}

/// A head that says the same, in the words of browsers.
fn head_of(part: &Part) -> String {
    let quoted = |text: &str| {
        let plain = text.replace('\\', "\\\\").replace('\r', "%0D").replace('\n', "%0A");
        plain.replace('"', "%22")
    };
    // What browsers cannot say is left away: an escape that is meant as it stands.
    let odd = |text: &str| ["%22", "%0D", "%0d", "%0A", "%0a"].iter().any(|e| text.contains(e));
    let control = |text: &str| text.chars().any(|c| c.is_control() && !"\r\n".contains(c));
    let mut head = String::new();
    let texts = [("name", &part.name), ("filename", &part.filename)];
    if texts.iter().any(|(_, text)| text.as_deref().is_some_and(|t| odd(t) || control(t))) {
        // Percent-encoded, which only names of files can be.
        let encode = |text: &str| hexed(text.as_bytes());
        if let (None, Some(name)) = (&part.name, &part.filename) {
            head = format!("Content-Disposition: form-data; filename*=utf-8''{}\r\n", encode(name));
        } else {
            return head_of(&Part { name: None, filename: None, ..part.clone() }) + "!";
        }
    } else if part.name.is_some() || part.filename.is_some() {
        head.push_str("Content-Disposition: form-data");
        for (what, text) in texts {
            if let Some(text) = text {
                write!(head, "; {what}=\"{}\"", quoted(text)).unwrap();
            }
        }
        head.push_str("\r\n");
    }
    if let Some(kind) = &part.content_type {
        write!(head, "Content-Type: {kind}\r\n").unwrap();
    }
    head
}

/// Each byte as an escape.
fn hexed(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| ['%', digit(byte >> 4), digit(byte & 15)]).collect()
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap()
}

fn read(name: &str, pieces: &[&[u8]]) -> Read {
    let mut parser = Multipart::new(name.as_bytes(), LIMITS);
    let mut read = Read { parts: Vec::new(), done: false, error: None };
    let mut open = false;
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let step = match parser.next(rest) {
                Ok(step) => step,
                Err(error) => {
                    // How much of a part was told before is a matter of its pieces.
                    read.parts.truncate(read.parts.len() - usize::from(open));
                    return Read { error: Some(error), ..read };
                }
            };
            assert!(step.consumed <= rest.len());
            match step.event {
                Event::NeedMore => assert_eq!(step.consumed, rest.len()),
                Event::PartBegin => {
                    assert!(!open);
                    open = true;
                    read.parts.push((parser.part().clone(), Vec::new()));
                }
                Event::Data { start, len } => {
                    assert!(open && len > 0 && start + len <= step.consumed);
                    read.parts.last_mut().unwrap().1.extend(&rest[start..start + len]);
                }
                Event::Held { start, len } => {
                    assert!(open && len > 0);
                    let held = parser.delimiter()[start..start + len].to_vec();
                    read.parts.last_mut().unwrap().1.extend(held);
                }
                Event::PartEnd => {
                    assert!(open);
                    open = false;
                }
                Event::End => assert!(!open && parser.is_done()),
            }
            rest = &rest[step.consumed..];
            if step.event == Event::NeedMore {
                break;
            }
        }
    }
    read.parts.truncate(read.parts.len() - usize::from(open));
    Read { done: parser.is_done(), ..read }
}

fn rewritten(parts: &Parts, name: &str) {
    let mut body = Vec::new();
    for (part, payload) in parts {
        let head = head_of(part);
        if head.ends_with('!') || head.len() > 200 {
            return; // Cannot be said in one way.
        }
        body.extend(format!("--{name}\r\n{head}\r\n").into_bytes());
        body.extend_from_slice(payload);
        body.extend_from_slice(b"\r\n");
    }
    if parts.iter().any(|(_, payload)| payload.starts_with(&[b"--", name.as_bytes()].concat())) {
        return; // Behind the head it would be a delimiter.
    }
    body.extend(format!("--{name}--\r\n").into_bytes());
    let again = read(name, &[&body]);
    let want = Read { parts: parts.clone(), done: true, error: None };
    assert_eq!(again, want, "written anew: {}", body.escape_ascii());
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// Whatever we accept, `multer` accepts with the same payloads, but for what it cannot read.
fn against_multer(data: &[u8], name: &str, parts: &Parts) {
    // A part without a head, and one whose delimiter's CRLF is the empty line behind the head, are
    // well-formed (RFC 2046 §5.1.1); it finds a delimiter in a preamble within a line as well.
    let delimiter = format!("--{name}");
    let bodiless = format!("\r\n\r\n{delimiter}");
    let first = find(data, delimiter.as_bytes()).unwrap_or(0);
    let in_line = first > 0 && !data[..first].ends_with(b"\r\n");
    let many = data.split(|byte| *byte == b'\n').count() > 31;
    if has_empty_head(data, delimiter.as_bytes())
        || find(data, bodiless.as_bytes()).is_some()
        || in_line
        || many
    {
        return;
    }
    let stream =
        futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(data))]);
    let mut theirs = multer::Multipart::new(stream, name);
    let read = async {
        let mut payloads = Vec::new();
        while let Some(field) = theirs.next_field().await? {
            payloads.push(field.bytes().await?.to_vec());
        }
        Ok::<_, multer::Error>(payloads)
    };
    let ours: Vec<&[u8]> = parts.iter().map(|(_, payload)| payload.as_slice()).collect();
    match now(read) {
        Ok(payloads) => assert_eq!(payloads, ours, "multer reads something else"),
        Err(error) => panic!("only we accept it: {error}"),
    }
}

fn has_empty_head(data: &[u8], delimiter: &[u8]) -> bool {
    let mut rest = data;
    while let Some(at) = find(rest, delimiter) {
        rest = &rest[at + delimiter.len()..];
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if rest[blanks..].starts_with(b"\r\n\r\n") {
            return true;
        }
    }
    false
}

/// The result of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
    panic!("it waits for ever")
}
