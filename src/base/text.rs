//! Short texts of a bounded length without an allocation.

use std::fmt;

/// At most `N` bytes of UTF-8; what does not fit is cut off at a character border.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    len: u16,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// No characters.
    pub const EMPTY: Self = Text { len: 0, bytes: [0; N] };

    /// The first `N` bytes of `text`; bytes that are not UTF-8 become `?`.
    #[must_use]
    pub fn new(text: &[u8]) -> Self {
        let mut out = Self::EMPTY;
        if let Ok(text) = str::from_utf8(text) {
            out.push_str(text);
            return out;
        }
        for chunk in text.utf8_chunks() {
            out.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                out.push_str("?");
            }
        }
        out
    }

    /// The first `N` bytes of `text`, which are ASCII; as [`new`](Self::new) if they are not.
    #[inline]
    #[must_use]
    pub fn ascii(text: &[u8]) -> Self {
        let mut out = Self::EMPTY;
        let (Some(to), Ok(len), true) =
            (out.bytes.get_mut(..text.len()), u16::try_from(text.len()), text.is_ascii())
        else {
            return Self::new(text);
        };
        to.copy_from_slice(text);
        out.len = len;
        out
    }

    /// Appends as many whole characters of `text` as there is room for.
    pub fn push_str(&mut self, text: &str) {
        let start = usize::from(self.len);
        let room = N.min(usize::from(u16::MAX)).saturating_sub(start);
        let take = text.floor_char_boundary(room.min(text.len()));
        if let (Some(to), Some(from)) =
            (self.bytes.get_mut(start..start + take), text.as_bytes().get(..take))
        {
            to.copy_from_slice(from);
            self.len = u16::try_from(start + take).unwrap_or(self.len);
        }
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same as bytes, which costs nothing.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// What does not fit is cut off, as with `push_str`; never an error.
impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(Text::<4>::new("aäöü".as_bytes()).as_str(), "aä");
        assert_eq!(Text::<5>::new("aäöü".as_bytes()).as_str(), "aäö");
        assert_eq!(Text::<16>::new(b"a\xffb").as_str(), "a?b");
        assert!(Text::<4>::new(b"").is_empty());
    }

    #[test]
    fn ascii_is_taken_as_any_text() {
        for text in [&b""[..], b"abcd", b"abcdef", b"a\xff", "aäb".as_bytes()] {
            assert_eq!(Text::<4>::ascii(text), Text::new(text));
        }
    }
}
