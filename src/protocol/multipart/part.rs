//! The head of a part: which field of a form it is, and whether it is a file (RFC 7578 §4).

use super::boundary::is_token;

/// What the head of a part says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Part {
    /// The name of the form's field.
    pub name: Option<String>,
    /// The name of the file, as the client sent it: not safe to use as a path. A part with a file
    /// name is a file, even if the name is empty.
    pub filename: Option<String>,
    /// The content type, as it was sent; ASCII, without control characters.
    pub content_type: Option<String>,
}

/// Why the head of a part is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartError {
    /// A line that is no field, a bare CR or LF, a folded line, a control character.
    Malformed,
    /// Two fields that say the same thing, or a parameter twice.
    Repeated,
    /// A `Content-Disposition` whose parameters cannot be read.
    Disposition,
    /// A name that is not UTF-8, or in another character set.
    NotUtf8,
    /// A `Content-Transfer-Encoding` that would have to be decoded. RFC 7578 §4.7 deprecates it;
    /// passing such a part on would store its encoded form.
    TransferEncoding,
}

/// Reads the fields in `head`: whole lines, each with its CRLF, without the empty line.
///
/// # Errors
/// See [`PartError`].
pub fn parse(head: &[u8]) -> Result<Part, PartError> {
    let mut part = Part::default();
    let mut disposition = false;
    let mut encoding = false;
    let mut rest = head;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\r', rest).ok_or(PartError::Malformed)?;
        let (line, after) = rest.split_at_checked(end).ok_or(PartError::Malformed)?;
        rest = after.strip_prefix(b"\r\n").ok_or(PartError::Malformed)?;
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-disposition") {
            once(&mut disposition)?;
            read_disposition(value, &mut part)?;
        } else if name.eq_ignore_ascii_case(b"content-type") {
            let text = str::from_utf8(value).ok().filter(|text| text.is_ascii());
            let text = text.ok_or(PartError::Malformed)?;
            if part.content_type.replace(text.to_string()).is_some() {
                return Err(PartError::Repeated);
            }
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            once(&mut encoding)?;
            let plain: [&[u8]; 3] = [b"binary", b"8bit", b"7bit"];
            if !plain.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                return Err(PartError::TransferEncoding);
            }
        }
    }
    Ok(part)
}

fn once(seen: &mut bool) -> Result<(), PartError> {
    if std::mem::replace(seen, true) { Err(PartError::Repeated) } else { Ok(()) }
}

/// Name and value of one line. Bytes above ASCII may stand in values: browsers send names of files
/// in UTF-8 (RFC 7578 §5.1.2).
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), PartError> {
    let colon = memchr::memchr(b':', line).ok_or(PartError::Malformed)?;
    let (name, value) = line.split_at_checked(colon).ok_or(PartError::Malformed)?;
    let value = value.get(1..).unwrap_or_default();
    // Before anything is trimmed: a bare LF at its edge may end the line for others.
    let is_control = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f;
    if is_token(name) && !value.iter().any(is_control) {
        Ok((name, value.trim_ascii()))
    } else {
        Err(PartError::Malformed)
    }
}

fn read_disposition(value: &[u8], part: &mut Part) -> Result<(), PartError> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (kind, mut rest) = value.split_at_checked(end).ok_or(PartError::Disposition)?;
    if !is_token(kind.trim_ascii_end()) {
        return Err(PartError::Disposition);
    }
    let mut extended = None;
    while let Some(text) = rest.strip_prefix(b";") {
        let (name, value, after) = parameter(text.trim_ascii_start())?;
        let slot = if name.eq_ignore_ascii_case(b"name") {
            Some((&mut part.name, value.decoded()?))
        } else if name.eq_ignore_ascii_case(b"filename") {
            Some((&mut part.filename, value.decoded()?))
        } else if name.eq_ignore_ascii_case(b"filename*") {
            Some((&mut extended, extended_value(value)?))
        } else {
            None
        };
        if let Some((slot, text)) = slot
            && slot.replace(text).is_some()
        {
            return Err(PartError::Repeated);
        }
        rest = after;
    }
    // RFC 7578 §4.2 forbids `filename*` in forms, RFC 6266 §4.3 prefers it elsewhere. The plain
    // name counts, so that there is one rule; the other makes a part a file if it stands alone.
    if part.filename.is_none() {
        part.filename = extended;
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Parameter<'a> {
    Token(&'a [u8]),
    Quoted(&'a [u8]),
}

/// Name and value of the parameter that `text` begins with, and what follows: nothing or a `;`.
fn parameter(text: &[u8]) -> Result<(&[u8], Parameter<'_>, &[u8]), PartError> {
    let split = || {
        let (name, value) = text.split_at_checked(memchr::memchr(b'=', text)?)?;
        let value = value.get(1..)?;
        let (value, rest) = if let Some(inner) = value.strip_prefix(b"\"") {
            let (inner, rest) = inner.split_at_checked(quoted_len(inner)?)?;
            (Parameter::Quoted(inner), rest.get(1..)?)
        } else {
            let end = memchr::memchr(b';', value).unwrap_or(value.len());
            let (token, rest) = value.split_at_checked(end)?;
            let token = token.trim_ascii_end();
            is_token(token).then_some((Parameter::Token(token), rest))?
        };
        let rest = rest.trim_ascii_start();
        let whole = is_token(name) && matches!(rest.first(), None | Some(b';'));
        whole.then_some((name, value, rest))
    };
    split().ok_or(PartError::Disposition)
}

/// Bytes before the quote that closes. Only `\"` and `\\` are escapes: old browsers send
/// `C:\dir\file` as it is.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match (text.get(at)?, text.get(at + 1)) {
            (b'"', _) => return Some(at),
            (b'\\', Some(b'"' | b'\\')) => at += 2,
            _ => at += 1,
        }
    }
}

impl Parameter<'_> {
    /// The text meant. Within quotes `%22`, `%0D` and `%0A` stand for what HTML forbids there
    /// (HTML, "multipart/form-data encoding algorithm"); other percent signs are themselves.
    fn decoded(self) -> Result<String, PartError> {
        let (Parameter::Token(mut rest) | Parameter::Quoted(mut rest)) = self;
        let mut bytes = Vec::with_capacity(rest.len());
        while let Some((&byte, after)) = rest.split_first() {
            let (byte, after) = match (self, byte, after) {
                (Parameter::Token(_), _, _) => (byte, after),
                (_, b'\\', [escaped @ (b'"' | b'\\'), after @ ..]) => (*escaped, after),
                (_, b'%', [b'2', b'2', after @ ..]) => (b'"', after),
                (_, b'%', [b'0', b'D' | b'd', after @ ..]) => (b'\r', after),
                (_, b'%', [b'0', b'A' | b'a', after @ ..]) => (b'\n', after),
                _ => (byte, after),
            };
            bytes.push(byte);
            rest = after;
        }
        String::from_utf8(bytes).map_err(|_| PartError::NotUtf8)
    }
}

/// `UTF-8'language'percent-encoded` (RFC 8187 §3.2.1).
fn extended_value(value: Parameter<'_>) -> Result<String, PartError> {
    let Parameter::Token(text) = value else {
        return Err(PartError::Disposition);
    };
    let mut pieces = text.splitn(3, |byte| *byte == b'\'');
    let (charset, _language) = (pieces.next().unwrap_or_default(), pieces.next());
    let mut rest = pieces.next().ok_or(PartError::Disposition)?;
    if !charset.eq_ignore_ascii_case(b"utf-8") {
        return Err(PartError::NotUtf8);
    }
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let byte = if byte == b'%' {
            let digits = after.split_first_chunk::<2>();
            let (&[high, low], after) = digits.ok_or(PartError::Disposition)?;
            let digit = |byte| char::from(byte).to_digit(16).ok_or(PartError::Disposition);
            rest = after;
            u8::try_from(digit(high)? * 16 + digit(low)?).map_err(|_| PartError::Disposition)?
        } else {
            byte
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).map_err(|_| PartError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_are_told_apart() {
        check_part("", None, None);
        check_part("Content-Disposition: form-data; name=\"a\"\r\n", Some("a"), None);
        check_part("content-disposition:form-data;name=a;filename=b\r\n", Some("a"), Some("b"));
        let head = "X-Other: y\r\nContent-Disposition: form-data; name=\"file\"; \
                    filename=\"a b.jpg\"\r\nContent-Type: image/jpeg\r\n";
        let part = parse(head.as_bytes()).unwrap();
        assert_eq!(part.filename.as_deref(), Some("a b.jpg"));
        assert_eq!(part.content_type.as_deref(), Some("image/jpeg"));
        check_part("Content-Disposition: attachment; filename=\"\"\r\n", None, Some(""));
    }

    #[test]
    fn names_are_decoded_as_browsers_encode_them() {
        check_name(r#""a%22b%0D%0Ac""#, "a\"b\r\nc");
        check_name(r#""50%20off%.txt""#, "50%20off%.txt");
        check_name(r#""a\"b\\c""#, "a\"b\\c");
        check_name(r#""C:\dir\file.txt""#, "C:\\dir\\file.txt");
        check_name("\"ä;=.jpg\"", "ä;=.jpg");
        check_name("plain%22", "plain%22");
    }

    #[test]
    fn the_plain_name_counts_before_the_extended_one() {
        let both = "Content-Disposition: form-data; filename*=UTF-8''b; filename=\"a\"\r\n";
        check_part(both, None, Some("a"));
        let alone = "Content-Disposition: attachment; filename*=utf-8'en'%C3%A4%20b\r\n";
        check_part(alone, None, Some("ä b"));
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        let form = "Content-Disposition: form-data; ";
        check_error("no colon\r\n", PartError::Malformed);
        check_error(": a\r\n", PartError::Malformed);
        check_error("a : b\r\n", PartError::Malformed);
        check_error("a: b\n", PartError::Malformed);
        check_error("a: b\nc: d\r\n", PartError::Malformed);
        check_error("a: b\rc: d\r\n", PartError::Malformed);
        check_error("a:\nb: c\r\n", PartError::Malformed);
        check_error("a: b\x0c\r\n", PartError::Malformed);
        check_error("a: b\r\n c\r\n", PartError::Malformed);
        check_error("a: b\0\r\n", PartError::Malformed);
        check_error("Content-Type: a\u{e4}\r\n", PartError::Malformed);
        check_error("Content-Type: a\r\ncontent-type: a\r\n", PartError::Repeated);
        check_error(&format!("{form}name=a\r\n{form}name=a\r\n"), PartError::Repeated);
        check_error(&format!("{form}filename=a; FILENAME=b\r\n"), PartError::Repeated);
        for bad in ["name", "name=", "name=\"a", "name=\"a\"b", "name=a b", "name=a;", "=a", ";"] {
            check_error(&format!("{form}{bad}\r\n"), PartError::Disposition);
        }
        check_error("Content-Disposition: ;name=a\r\n", PartError::Disposition);
        check_error(&format!("{form}filename*=\"UTF-8''a\"\r\n"), PartError::Disposition);
        check_error(&format!("{form}filename*=UTF-8''a%4\r\n"), PartError::Disposition);
        check_error(&format!("{form}filename*=UTF-8\r\n"), PartError::Disposition);
        check_error(&format!("{form}filename*=iso-8859-1''a\r\n"), PartError::NotUtf8);
        check_error(&format!("{form}filename*=UTF-8''%ff\r\n"), PartError::NotUtf8);
        let raw = b"Content-Disposition: form-data; filename=\"a\xff\"\r\n";
        assert_eq!(parse(raw), Err(PartError::NotUtf8));
    }

    #[test]
    fn encoded_parts_are_refused() {
        check_part("Content-Transfer-Encoding: Binary\r\n", None, None);
        check_error("Content-Transfer-Encoding: base64\r\n", PartError::TransferEncoding);
        let twice = "Content-Transfer-Encoding: 8bit\r\n".repeat(2);
        check_error(&twice, PartError::Repeated);
    }

    #[track_caller]
    fn check_part(head: &str, name: Option<&str>, filename: Option<&str>) {
        let part = parse(head.as_bytes()).unwrap();
        assert_eq!((part.name.as_deref(), part.filename.as_deref()), (name, filename), "{head}");
    }

    #[track_caller]
    fn check_name(value: &str, want: &str) {
        let head = format!("Content-Disposition: form-data; filename={value}; name=x\r\n");
        check_part(&head, Some("x"), Some(want));
    }

    #[track_caller]
    fn check_error(head: &str, want: PartError) {
        assert_eq!(parse(head.as_bytes()), Err(want), "{head}");
    }
}
