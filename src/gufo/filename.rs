//! Names of uploaded files, made harmless before a service sees them (SPEC 6.2).

use crate::base::limits;
use crate::base::text::Text;

/// The name of a file whose sender gave none (SPEC 6.1).
pub const DEFAULT: &str = "upload.bin";

/// A name that is one path element.
pub type FileName = Text<{ limits::FILENAME_BYTES_MAX }>;

/// The last element of `name`, without control characters and space at its ends, at most
/// [`limits::FILENAME_BYTES_MAX`] bytes; bytes that are not UTF-8 become `_`. [`DEFAULT`] if
/// nothing is left, or `.` or `..`.
///
/// Both kinds of slash separate: old browsers send whole Windows paths.
#[must_use]
pub fn sanitise(name: &[u8]) -> FileName {
    let start = memchr::memrchr2(b'/', b'\\', name).map_or(0, |at| at + 1);
    let last = name.get(start..).unwrap_or_default().trim_ascii();
    let mut out = FileName::EMPTY;
    for chunk in last.utf8_chunks() {
        // Text without control characters is what stands between them.
        for plain in chunk.valid().split(is_dropped) {
            out.push_str(plain);
        }
        if !chunk.invalid().is_empty() {
            out.push_str("_");
        }
    }
    match out.as_str().trim() {
        "" | "." | ".." => Text::new(DEFAULT.as_bytes()),
        trimmed if trimmed.len() == out.as_str().len() => out,
        trimmed => Text::new(trimmed.as_bytes()),
    }
}

/// Control characters, and those that turn the direction of writing: `exe.gpj` must not look like
/// `jpg.exe`.
fn is_dropped(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    turns || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_element_is_kept() {
        check("a.jpg", "a.jpg");
        check("/etc/passwd", "passwd");
        check("../../etc/passwd", "passwd");
        check("C:\\dir\\a b.txt", "a b.txt");
        check("a/..\\b", "b");
        check("..a", "..a");
        check("ä ö.bin", "ä ö.bin");
    }

    #[test]
    fn nothing_left_gives_the_default() {
        for name in ["", " ", ".", "..", "a/", "a/..", "\\", "\0", ".\r\n", "\u{202e}", " . "] {
            check(name, DEFAULT);
        }
    }

    #[test]
    fn control_characters_are_dropped() {
        check("a\0b\r\nc\x7f\u{85}d", "abcd");
        check("\u{202e}gpj.exe", "gpj.exe");
        assert_eq!(sanitise(b"a\xffb").as_str(), "a_b");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = "ä".repeat(200);
        assert_eq!(sanitise(name.as_bytes()).as_str(), &name[..254]);
    }

    #[track_caller]
    fn check(name: &str, want: &str) {
        assert_eq!(sanitise(name.as_bytes()).as_str(), want, "{name:?}");
    }
}
