//! Base64 for URLs (RFC 4648 §5), as tokens use it: without padding, one text for each value.

/// The bytes that `text` stands for; `None` if an encoder would not have written it so.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    decode_with(text, value)
}

/// The same with `+` and `/` for the last two digits, and padding: RFC 4648 §4.
#[must_use]
pub fn decode_standard(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let bare = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    decode_with(bare, |byte| match byte {
        b'+' => Some(62),
        b'/' => Some(63),
        b'-' | b'_' => None,
        byte => value(byte),
    })
}

/// The text of `bytes` with `+` and `/`, and padding: RFC 4648 §4.
#[must_use]
pub fn encode_standard(bytes: &[u8]) -> String {
    let mut out = encode(bytes).replace('-', "+").replace('_', "/");
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

/// The text of `bytes`.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 3);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        // As many digits as there are bytes, and one.
        for shift in [18, 12, 6, 0].into_iter().take(group.len() + 1) {
            let digit = usize::try_from(word >> shift & 63).unwrap_or(0);
            out.push(char::from(DIGITS.get(digit).copied().unwrap_or(b'A')));
        }
    }
    out
}

fn decode_with(text: &[u8], value: impl Fn(u8) -> Option<u8>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() * 3 / 4 + 3);
    for group in text.chunks(4) {
        let mut word = 0;
        for byte in group {
            word = word << 6 | u32::from(value(*byte)?);
        }
        let [_, a, b, c] = match group.len() {
            4 => word.to_be_bytes(),
            3 => (word << 6).to_be_bytes(),
            2 => (word << 12).to_be_bytes(),
            _ => return None,
        };
        // Bits that are left over are zero: else one value would have several texts.
        match (group.len(), b, c) {
            (4, ..) => out.extend_from_slice(&[a, b, c]),
            (3, _, 0) => out.extend_from_slice(&[a, b]),
            (2, 0, 0) => out.push(a),
            _ => return None,
        }
    }
    Some(out)
}

const fn value(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for len in 0..=256 {
            let bytes: Vec<u8> = (0..len).map(|n| u8::try_from(n % 256).unwrap()).collect();
            assert_eq!(decode(encode(&bytes).as_bytes()), Some(bytes));
        }
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for text in ["A", "AAAAA", "Zg==", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm 9", "Zg\n", "Zg\0", "é"]
        {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(decode(b"Zm8").unwrap(), b"fo");
        assert_eq!(decode(b"-_8").unwrap(), [0xfb, 0xff]);
    }

    #[test]
    fn the_standard_form_is_padded() {
        assert_eq!(decode_standard(b"Zm8=").unwrap(), b"fo");
        assert_eq!(decode_standard(b"+/8=").unwrap(), [0xfb, 0xff]);
        for text in ["Zm8", "-_8=", "Zm8==", "Z===", "="] {
            assert_eq!(decode_standard(text.as_bytes()), None, "{text:?}");
        }
    }
}
