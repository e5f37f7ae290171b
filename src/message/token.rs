//! Byte classes of RFC 9110 §5.6 and the list syntax built on them.

/// Whether each byte may be part of a token (RFC 9110 §5.6.2, `tchar`).
pub const TOKEN_BYTES: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

const fn table(marks: &[u8]) -> [bool; 256] {
    let mut out = [false; 256];
    let mut rest = marks;
    while let [first, tail @ ..] = rest {
        set(&mut out, *first);
        rest = tail;
    }
    let mut byte: u8 = 0;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            set(&mut out, byte);
        }
        byte += 1;
    }
    out
}

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "const; a byte is below 256")]
const fn set(table: &mut [bool; 256], byte: u8) {
    table[byte as usize] = true;
}

/// Whether `byte` may be part of a token.
#[inline]
#[must_use]
#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

/// Whether `text` is a token: not empty, nothing but `tchar`.
#[must_use]
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token_byte(*byte))
}

/// Whether `byte` may be part of a field value: visible, space, tab, or 0x80 and above (RFC 9110
/// §5.5).
#[inline]
#[must_use]
pub const fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// `text` without the spaces and tabs around it (OWS, RFC 9110 §5.6.3).
#[must_use]
pub const fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// The elements of a comma-separated list without quoted strings, trimmed; empty ones are left out
/// (RFC 9110 §5.6.1.2).
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_bytes_are_those_of_the_rfc() {
        let all: Vec<u8> = (0..=255).filter(|byte| is_token_byte(*byte)).collect();
        let mut want = b"!#$%&'*+-.^_`|~".to_vec();
        want.extend(b'0'..=b'9');
        want.extend(b'A'..=b'Z');
        want.extend(b'a'..=b'z');
        want.sort_unstable();
        assert_eq!(all, want);
        assert!(!is_token(b""));
    }

    #[test]
    fn value_bytes_leave_out_all_controls_but_tab() {
        for byte in 0..=255_u8 {
            assert_eq!(is_value_byte(byte), byte == b'\t' || !byte.is_ascii_control(), "{byte}");
        }
    }

    #[test]
    fn lists_skip_empty_elements() {
        let got: Vec<&[u8]> = list(b" , a ,b,\t, c d ").collect();
        assert_eq!(got, [&b"a"[..], b"b", b"c d"]);
        assert_eq!(list(b" ").count(), 0);
    }
}
