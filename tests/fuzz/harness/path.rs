//! Paths: the normal form is one, has no way up, and is what a simple reader makes of the path.

use otus::message::path::oddities::Oddities;
use otus::message::path::{PathError, Reader, lenient, normalise};

const READERS: [Reader; 4] =
    [Reader::Cutting, Reader::CuttingWithoutDots, Reader::KeepingWithoutDots, Reader::Ending];

pub fn run(data: &[u8]) {
    let mut buffer = Vec::new();
    let normal = match normalise(data, &mut buffer) {
        Ok(normal) => normal,
        Err(error) => return refused(data, error),
    };
    check(normal.text);
    let mut again = Vec::new();
    let twice = normalise(normal.text, &mut again).expect("a normal path is a path");
    assert_eq!(twice.text, normal.text, "the normal form of the normal form is itself");
    // Segments that `..` took away took their oddities with them; none is new.
    let left = normal.oddities.without(Oddities::DOTS);
    assert_eq!(left.with(twice.oddities), left);
    assert_eq!(plainly(data).as_deref(), Some(&decoded(normal.text)[..]), "a simple reader");
    for reader in READERS {
        let mut out = Vec::new();
        if lenient(normal.text, reader, &mut out).is_ok() {
            check(&out);
            let mut third = Vec::new();
            let settled = normalise(&out, &mut third).expect("what is forwarded is a path");
            assert_eq!(settled.text, out, "{reader:?}");
        }
    }
}

/// Whatever is refused has something to be refused for.
fn refused(data: &[u8], error: PathError) {
    let visible = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    match error {
        PathError::NotAbsolute => assert_ne!(data.first(), Some(&b'/')),
        PathError::Byte => assert!(!data.iter().all(visible)),
        PathError::Escape | PathError::Break | PathError::Overlong => assert!(data.contains(&b'%')),
        PathError::AboveRoot => assert_eq!(plainly(data), None),
    }
}

/// What a path to be forwarded looks like.
fn check(path: &[u8]) {
    assert!(path.starts_with(b"/"));
    assert!(path.iter().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>^`{|}[]".contains(b)));
    let mut segments = path[1..].split(|byte| *byte == b'/').peekable();
    while let Some(segment) = segments.next() {
        assert!(!segment.is_empty() || segments.peek().is_none(), "an empty segment");
        assert!(segment != b"." && segment != b"..", "a dot segment");
        let mut rest = segment;
        while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
            let (high, low) = (rest[at + 1], rest[at + 2]);
            let is_capital = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
            assert!(is_capital(high) && is_capital(low), "escapes are in capitals");
            let byte = hex(high) << 4 | hex(low);
            assert!(!byte.is_ascii_alphanumeric() && !b"-._~\0\r\n".contains(&byte));
            rest = &rest[at + 3..];
        }
    }
}

fn hex(digit: u8) -> u8 {
    u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap()
}

/// A path as its decoded segments.
fn decoded(path: &[u8]) -> Vec<Vec<u8>> {
    path[1..].split(|byte| *byte == b'/').map(once).collect()
}

fn once(segment: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), segment);
    while let Some((byte, tail)) = rest.split_first() {
        if *byte == b'%' && tail.len() >= 2 && tail[..2].iter().all(u8::is_ascii_hexdigit) {
            out.push(hex(tail[0]) << 4 | hex(tail[1]));
            rest = &tail[2..];
        } else {
            out.push(*byte);
            rest = tail;
        }
    }
    out
}

/// RFC 3986 §5.2.4 with a stack, on segments that are decoded first; nothing above the root.
fn plainly(path: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut stack: Vec<Vec<u8>> = Vec::new();
    let mut ends_open = false;
    for segment in path[1..].split(|byte| *byte == b'/').map(once) {
        ends_open = matches!(segment.as_slice(), b"" | b"." | b"..");
        match segment.as_slice() {
            b"" | b"." => {}
            b".." => {
                stack.pop()?;
            }
            _ => stack.push(segment),
        }
    }
    if ends_open {
        stack.push(Vec::new());
    }
    Some(stack)
}
