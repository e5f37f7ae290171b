//! The protocol of Redis and Valkey (RESP2), as far as one needs it who sends commands and reads
//! short answers. Bytes in, values out; no connection.

use std::io::Write;

/// An answer that is longer is refused: ours are numbers, names and complaints.
const TEXT_BYTES_MAX: usize = 4096;
/// Values of one array.
const VALUES_MAX: usize = 64;

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// `+OK`
    Simple(String),
    /// `-ERR ...`
    Error(String),
    /// `:42`
    Integer(i64),
    /// A text of any bytes; `None`: there is none.
    Bulk(Option<Vec<u8>>),
    /// Several, without arrays among them.
    Array(Vec<Answer>),
}

/// What came is no answer, or a longer one than we read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Appends a command.
pub fn command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    // Writing to memory does not fail.
    let _ = write!(out, "*{}\r\n", parts.len());
    for part in parts {
        let _ = write!(out, "${}\r\n", part.len());
        out.extend_from_slice(part);
        out.extend_from_slice(b"\r\n");
    }
}

/// The first answer of `bytes`, and how many bytes it had; `None`: it is not here whole.
pub fn answer(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Malformed> {
    let Some((line, used)) = line(bytes)? else { return Ok(None) };
    let (sort, rest) = line.split_first().ok_or(Malformed)?;
    if *sort != b'*' {
        return single(bytes);
    }
    let count = usize::try_from(number(rest)?).map_err(|_| Malformed)?;
    if count > VALUES_MAX {
        return Err(Malformed);
    }
    let (mut values, mut used) = (Vec::with_capacity(count), used);
    for _ in 0..count {
        let rest = bytes.get(used..).unwrap_or_default();
        let Some((value, len)) = single(rest)? else { return Ok(None) };
        values.push(value);
        used += len;
    }
    Ok(Some((Answer::Array(values), used)))
}

fn single(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Malformed> {
    let Some((line, used)) = line(bytes)? else { return Ok(None) };
    let (sort, rest) = line.split_first().ok_or(Malformed)?;
    let text = || String::from_utf8_lossy(rest).into_owned();
    let value = match sort {
        b'+' => Answer::Simple(text()),
        b'-' => Answer::Error(text()),
        b':' => Answer::Integer(number(rest)?),
        b'$' => match number(rest)? {
            -1 => Answer::Bulk(None),
            len => {
                let len = usize::try_from(len).map_err(|_| Malformed)?;
                if len > TEXT_BYTES_MAX {
                    return Err(Malformed);
                }
                let Some(content) = bytes.get(used..used + len + 2) else { return Ok(None) };
                let text = content.strip_suffix(b"\r\n").ok_or(Malformed)?;
                return Ok(Some((Answer::Bulk(Some(text.to_vec())), used + len + 2)));
            }
        },
        _ => return Err(Malformed),
    };
    Ok(Some((value, used)))
}

/// The first line without its end, and its length with it.
fn line(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, Malformed> {
    match memchr::memchr(b'\n', bytes) {
        Some(at) => {
            let line = bytes.get(..at).and_then(|line| line.strip_suffix(b"\r"));
            Ok(Some((line.ok_or(Malformed)?, at + 1)))
        }
        None if bytes.len() > TEXT_BYTES_MAX => Err(Malformed),
        None => Ok(None),
    }
}

fn number(text: &[u8]) -> Result<i64, Malformed> {
    let text = str::from_utf8(text).map_err(|_| Malformed)?;
    text.parse().map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_arrays_of_texts() {
        let mut out = Vec::new();
        command(&mut out, &[b"SET", b"a\r\nb", b""]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$4\r\na\r\nb\r\n$0\r\n\r\n");
    }

    #[test]
    fn answers_are_read_however_they_are_cut() {
        let bytes = b"+OK\r\n-ERR no\r\n:-42\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n:1\r\n$1\r\nx\r\n";
        let want = [
            Answer::Simple("OK".to_owned()),
            Answer::Error("ERR no".to_owned()),
            Answer::Integer(-42),
            Answer::Bulk(Some(b"a\r\n".to_vec())),
            Answer::Bulk(None),
            Answer::Array(vec![Answer::Integer(1), Answer::Bulk(Some(b"x".to_vec()))]),
        ];
        let (mut begin, mut found) = (0, Vec::new());
        for end in 0..=bytes.len() {
            if let Some((value, used)) = answer(&bytes[begin..end]).unwrap() {
                found.push(value);
                begin += used;
            }
        }
        assert_eq!(begin, bytes.len());
        // A text of three bytes and its end: "a\r\n" and "\r\n".
        assert_eq!(found, want);
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bytes in [
            &b"\r\n"[..],
            b"OK\r\n",
            b":x\r\n",
            b"+OK\n",
            b"$-2\r\n",
            b"$9999\r\n",
            b"$1\r\nab\r\n",
            b"*-1\r\n",
            b"*65\r\n",
            b"*1\r\n*0\r\n",
            &[b'+'; 5000],
        ] {
            assert_eq!(answer(bytes), Err(Malformed), "{}", bytes.escape_ascii());
        }
    }
}
