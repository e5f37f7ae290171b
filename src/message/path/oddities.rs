//! What in a path two back ends could read differently.

/// What in a normal path two back ends could read differently; a set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Oddities(u16);

impl Oddities {
    /// Nothing: every back end reads the same.
    pub const NONE: Oddities = Oddities(0);
    /// `%2F`
    pub const SLASH: Oddities = Oddities(1);
    /// `\` or `%5C`
    pub const BACKSLASH: Oddities = Oddities(1 << 1);
    /// `%25` and two hexadecimal digits.
    pub const DOUBLE: Oddities = Oddities(1 << 2);
    /// `;` or `%3B`: some back ends cut off what follows in the segment.
    pub const PARAMETER: Oddities = Oddities(1 << 3);
    /// An escaped control character. NUL, CR and LF are refused at once.
    pub const CONTROL: Oddities = Oddities(1 << 4);
    /// Escapes that are not UTF-8.
    pub const NOT_UTF8: Oddities = Oddities(1 << 5);
    /// A character that some back ends fold to a slash or a backslash (U+FF0F, U+FF3C, U+FE68),
    /// or a whole segment of dots and characters that they fold to dots.
    pub const ALIKE: Oddities = Oddities(1 << 6);
    /// `%3F` or `%23`: a back end that decodes and parses again would end the path there. Such a
    /// path is taken under every policy if the shorter path leads to the same route.
    pub const DELIMITER: Oddities = Oddities(1 << 7);

    /// A segment `.` or `..`: clients resolve them before they send a path (RFC 3986 §5.2.4).
    pub const DOTS: Oddities = Oddities(1 << 8);

    /// All there are.
    pub const ALL: Oddities = Oddities((1 << 9) - 1);

    /// Whether there are none.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those of either set.
    #[must_use]
    pub const fn with(self, other: Oddities) -> Oddities {
        Oddities(self.0 | other.0)
    }

    /// Those of this set that the other has as well.
    #[must_use]
    pub const fn common(self, other: Oddities) -> Oddities {
        Oddities(self.0 & other.0)
    }

    /// Those of this set that the other lacks.
    #[must_use]
    pub const fn without(self, other: Oddities) -> Oddities {
        Oddities(self.0 & !other.0)
    }

    /// The first of them in words, for operators; empty if there are none.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self.0.trailing_zeros() {
            0 => "an escaped slash",
            1 => "a backslash",
            2 => "an escape that was escaped again",
            3 => "a path parameter (;)",
            4 => "a control character",
            5 => "bytes that are not UTF-8",
            6 => "a character that looks like a slash or dots",
            7 => "an escaped ? or #",
            8 => "a segment . or ..",
            _ => "",
        }
    }
}
