//! Texts that no output may show.

use std::fmt;
use std::hint::black_box;

/// A text that is compared in constant time and printed as `***`.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself, to be put on a wire. Never into a log, a fault or an answer.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there are no characters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `given` is this secret. The time depends on the length of `given` alone.
    /// An empty secret matches nothing.
    #[must_use]
    pub fn matches(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        if own.is_empty() {
            return false;
        }
        let mut differs = u8::from(own.len() != given.len());
        for (a, b) in given.iter().zip(own.iter().cycle()) {
            // The box keeps the compiler from ending the loop at the first difference.
            differs = black_box(differs | (a ^ b));
        }
        differs == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// In constant time; two empty ones are equal.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes()) || (self.is_empty() && other.is_empty())
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_matches_itself_alone() {
        let secret = Secret::new("abc");
        assert!(secret.matches(b"abc"));
        for other in [&b""[..], b"a", b"ab", b"abd", b"abca", b"abcabc", b"ABC"] {
            assert!(!secret.matches(other), "{other:?}");
        }
        assert!(!Secret::default().matches(b""));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("abc");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
    }
}
