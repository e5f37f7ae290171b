//! Base64 that comes and goes in pieces (RFC 4648 §4).

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The value of a byte that is no digit.
const NONE: u8 = 0xff;
/// What each byte stands for.
static VALUES: [u8; 256] = values();

/// Bytes are no base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Text to bytes. Each group of four digits may be padded, wherever it stands: what several writers
/// have encoded on their own may follow each other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Decoder {
    /// The digits of a group that is not whole.
    word: u32,
    /// How many there are, padding included.
    len: u32,
    padding: u32,
}

impl Decoder {
    /// Appends what `text` stands for. After an error the decoder is of no more use.
    pub fn decode(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        out.reserve(text.len() / 4 * 3 + 3);
        let mut rest = text;
        loop {
            if self.len == 0 {
                rest = groups(rest, out);
            }
            let Some((byte, after)) = rest.split_first() else { return Ok(()) };
            rest = after;
            self.digit(*byte, out)?;
        }
    }

    /// Whether the text may end here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.len == 0
    }

    fn digit(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let value = value(byte);
        match (byte, value) {
            (b'=', _) if self.len >= 2 => self.padding += 1,
            (_, 0..64) if self.padding == 0 => self.word |= u32::from(value) << (18 - 6 * self.len),
            _ => return Err(Malformed),
        }
        self.len += 1;
        if self.len < 4 {
            return Ok(());
        }
        // Bits that the padding leaves over are zero: one text for each value.
        let [_, a, b, c] = self.word.to_be_bytes();
        match (self.padding, b, c) {
            (0, ..) => out.extend_from_slice(&[a, b, c]),
            (1, _, 0) => out.extend_from_slice(&[a, b]),
            (2, 0, 0) => out.push(a),
            _ => return Err(Malformed),
        }
        *self = Decoder::default();
        Ok(())
    }
}

/// Decodes whole groups up to one that is padded, cut or malformed; gives the rest.
fn groups<'a>(mut text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    while let Some((group, after)) = text.split_first_chunk::<4>() {
        let values = group.map(value);
        if values.iter().fold(0, |all, value| all | value) > 63 {
            break;
        }
        let word = values.iter().fold(0, |word, value| word << 6 | u32::from(*value));
        let [_, bytes @ ..] = word.to_be_bytes();
        out.extend_from_slice(&bytes);
        text = after;
    }
    text
}

/// Bytes to text. What does not fill a group waits for more, or for [`end`](Self::end).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Encoder {
    held: [u8; 3],
    len: usize,
}

impl Encoder {
    /// Appends the text of all groups that are whole now.
    pub fn encode(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while self.len > 0 {
            let Some((byte, after)) = rest.split_first() else { return };
            rest = after;
            self.hold(*byte);
            if self.len == 3 {
                out.extend_from_slice(&group(self.held));
                self.len = 0;
            }
        }
        let (whole, rest) = rest.as_chunks::<3>();
        for bytes in whole {
            out.extend_from_slice(&group(*bytes));
        }
        for byte in rest {
            self.hold(*byte);
        }
    }

    /// Appends what was held, padded. More may follow: it begins a group of its own.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let [a, b, _] = self.held;
        let group = match self.len {
            1 => group([a, 0, 0]),
            2 => group([a, b, 0]),
            _ => return,
        };
        // As many digits as there are bytes, and one.
        out.extend_from_slice(group.get(..=self.len).unwrap_or_default());
        out.extend_from_slice(b"==".get(self.len - 1..).unwrap_or_default());
        self.len = 0;
    }

    /// The text that `len` more bytes make; `end`: and then the end.
    #[must_use]
    pub fn text_len(&self, len: usize, end: bool) -> usize {
        let bytes = self.len + len;
        (if end { bytes.div_ceil(3) } else { bytes / 3 }) * 4
    }

    fn hold(&mut self, byte: u8) {
        if let Some(place) = self.held.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

#[inline]
fn group([a, b, c]: [u8; 3]) -> [u8; 4] {
    [a >> 2, (a << 4 | b >> 4) & 63, (b << 2 | c >> 6) & 63, c & 63].map(digit)
}

#[inline]
fn digit(value: u8) -> u8 {
    DIGITS.get(usize::from(value)).copied().unwrap_or(b'=')
}

#[inline]
fn value(byte: u8) -> u8 {
    VALUES.get(usize::from(byte)).copied().unwrap_or(NONE)
}

#[expect(clippy::as_conversions, clippy::indexing_slicing, reason = "const; a fault stops it")]
const fn values() -> [u8; 256] {
    let mut table = [NONE; 256];
    let mut value: u8 = 0;
    while value < 64 {
        table[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [(&str, &str); 7] = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];

    #[test]
    fn text_is_the_same_whatever_the_pieces() {
        for (bytes, text) in SAMPLES {
            for cut in 0..=bytes.len() {
                let (mut encoder, mut out) = (Encoder::default(), Vec::new());
                let (front, back) = bytes.as_bytes().split_at(cut);
                assert_eq!(encoder.text_len(bytes.len(), true), text.len());
                let size = encoder.text_len(front.len(), false);
                encoder.encode(front, &mut out);
                assert_eq!(out.len(), size);
                encoder.encode(back, &mut out);
                encoder.end(&mut out);
                assert_eq!(String::from_utf8_lossy(&out), text, "{bytes} cut at {cut}");
                encoder.end(&mut out);
                assert_eq!(out.len(), text.len());
            }
            for cut in 0..=text.len() {
                let (mut decoder, mut out) = (Decoder::default(), Vec::new());
                let (front, back) = text.as_bytes().split_at(cut);
                decoder.decode(front, &mut out).unwrap();
                assert_eq!(decoder.is_whole(), cut % 4 == 0);
                decoder.decode(back, &mut out).unwrap();
                assert!(decoder.is_whole());
                assert_eq!(String::from_utf8_lossy(&out), bytes, "{text} cut at {cut}");
            }
        }
    }

    #[test]
    fn every_byte_comes_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let (mut text, mut back) = (Vec::new(), Vec::new());
        let mut encoder = Encoder::default();
        encoder.encode(&bytes, &mut text);
        encoder.end(&mut text);
        Decoder::default().decode(&text, &mut back).unwrap();
        assert_eq!(back, bytes);
    }

    #[test]
    fn texts_that_were_padded_apart_may_follow_each_other() {
        let all: String = SAMPLES.iter().map(|sample| sample.1).collect();
        let want: String = SAMPLES.iter().map(|sample| sample.0).collect();
        for step in 1..8 {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            for piece in all.as_bytes().chunks(step) {
                decoder.decode(piece, &mut out).unwrap();
            }
            assert!(decoder.is_whole());
            assert_eq!(String::from_utf8_lossy(&out), want, "in pieces of {step}");
        }
    }

    #[test]
    fn what_no_encoder_writes_is_malformed() {
        for text in [
            "=", "A=", "A===", "AA=A", "AAA=A===", "Zh==", "Zm9=", "Zg==Zg=A", "Z m9v", "Zm9v\n",
            "Zm-_", "Zg\0=",
        ] {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            assert_eq!(decoder.decode(text.as_bytes(), &mut out), Err(Malformed), "{text:?}");
        }
        let mut decoder = Decoder::default();
        decoder.decode(b"Zm9", &mut Vec::new()).unwrap();
        assert!(!decoder.is_whole());
    }
}
