//! JSON text, written by appending: the log thread writes many lines a second.

use std::time::Duration;

use crate::base::decimal;
use crate::base::time::{UnixTime, civil};

/// Appends `text` as a JSON string that is one line on any screen.
///
/// Beside what RFC 8259 §7 asks for, it escapes DEL, the C1 controls and the separators U+2028 and
/// U+2029, so that no logged text can end a line or move a terminal's cursor.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_escaped(out, text);
    out.push(b'"');
}

/// Appends `text` with escapes, without the quotes.
pub(crate) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    // Nearly all that is logged.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for piece in text.split_inclusive(needs_escape) {
        let mut characters = piece.chars();
        match characters.next_back() {
            Some(last) if needs_escape(last) => {
                out.extend_from_slice(characters.as_str().as_bytes());
                push_escape(out, last);
            }
            _ => out.extend_from_slice(piece.as_bytes()),
        }
    }
}

fn needs_escape(c: char) -> bool {
    matches!(c, '"' | '\\' | '\u{2028}' | '\u{2029}') || c.is_control()
}

fn push_escape(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u");
            // Every character that needs an escape lies in the first plane.
            for shift in [12, 8, 4, 0] {
                let digit = char::from_digit(u32::from(c) >> shift & 15, 16).unwrap_or('0');
                out.extend(u8::try_from(digit));
            }
        }
    }
}

/// Appends a time in whole microseconds.
pub(crate) fn push_micros(out: &mut Vec<u8>, took: Duration) {
    decimal::push(out, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
}

/// Writes calendar times; remembers the last second, for most lines lie in the same one.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    second: Option<u64>,
    text: Vec<u8>,
}

impl Calendar {
    /// Appends `"2026-11-20T23:53:04.120Z"`, with the quotes.
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, time: UnixTime) {
        if self.second != Some(time.seconds()) {
            self.second = Some(time.seconds());
            self.text.clear();
            push_second(&mut self.text, time.seconds());
        }
        out.push(b'"');
        out.extend_from_slice(&self.text);
        out.push(b'.');
        push_digits(out, u64::from(time.0.subsec_millis()), 100);
        out.extend_from_slice(b"Z\"");
    }
}

fn push_second(out: &mut Vec<u8>, seconds: u64) {
    let (year, month, day) = civil(seconds / 86_400);
    let of_day = seconds % 86_400;
    push_digits(out, year, 1000);
    for (mark, number) in [
        (b'-', month),
        (b'-', day),
        (b'T', of_day / 3600),
        (b':', of_day / 60 % 60),
        (b':', of_day % 60),
    ] {
        out.push(mark);
        push_digits(out, number, 10);
    }
}

/// Appends a number with leading zeros; `unit` is the weight of the first digit.
fn push_digits(out: &mut Vec<u8>, number: u64, mut unit: u64) {
    while unit > 0 {
        out.push(b'0' + u8::try_from(number / unit % 10).unwrap_or(0));
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let mut out = Vec::new();
        push_string(&mut out, text);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, want);
        assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    }

    #[test]
    fn a_string_stays_on_its_line_and_reads_back() {
        check("", r#""""#);
        check("/a/b", r#""/a/b""#);
        check("naïve 🦉", r#""naïve 🦉""#);
        check("a\"b\\c", r#""a\"b\\c""#);
        check("x\n{\"forged\":1}\r\n\t", r#""x\n{\"forged\":1}\r\n\t""#);
        check("\u{0}\u{1b}[2J\u{7f}", r#""\u0000\u001b[2J\u007f""#);
        check("\u{85}\u{9b}\u{2028}\u{2029}", r#""\u0085\u009b\u2028\u2029""#);
    }

    #[test]
    fn every_character_reads_back() {
        for c in (0..=0x2_ffff).filter_map(char::from_u32) {
            let mut out = Vec::new();
            push_string(&mut out, c.encode_utf8(&mut [0; 4]));
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap().chars().next(), Some(c));
            assert!(out.iter().all(|byte| *byte >= 0x20));
        }
    }

    #[test]
    fn times_are_those_of_the_base_word() {
        let mut calendar = Calendar::default();
        for millis in [0, 1, 999, 1000, 951_782_400_120, 1_798_761_599_999, 951_782_400_007] {
            let time = UnixTime(Duration::from_millis(millis));
            let mut out = Vec::new();
            calendar.push(&mut out, time);
            assert_eq!(String::from_utf8(out).unwrap(), format!("\"{time}\""));
        }
    }
}
