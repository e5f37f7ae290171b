//! Sizes in bytes, with their units.

use std::fmt;
use std::str::FromStr;

/// 2¹⁰ bytes.
pub const KIB: u64 = 1024;
/// 2²⁰ bytes.
pub const MIB: u64 = 1024 * KIB;
/// 2³⁰ bytes.
pub const GIB: u64 = 1024 * MIB;

/// A number of bytes an operator wrote, with its unit: `512B`, `64KiB`, `20GiB`, `10MB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ByteSize(pub u64);

/// Why a text is not a [`ByteSize`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByteSizeError {
    /// It does not begin with digits.
    NoNumber,
    /// Digits without a unit.
    NoUnit,
    /// A unit that is none of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB.
    UnknownUnit,
    /// More than 2⁶⁴ bytes.
    TooLarge,
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(ByteSizeError::NoNumber);
        }
        let number: u64 = number.parse().map_err(|_| ByteSizeError::TooLarge)?;
        let unit = match unit.trim_start() {
            "" => return Err(ByteSizeError::NoUnit),
            "B" => 1,
            "KiB" => KIB,
            "MiB" => MIB,
            "GiB" => GIB,
            "TiB" => 1024 * GIB,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            _ => return Err(ByteSizeError::UnknownUnit),
        };
        number.checked_mul(unit).map(ByteSize).ok_or(ByteSizeError::TooLarge)
    }
}

/// In the largest binary unit that divides it: `64KiB`, `1500B`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0;
        for (unit, name) in [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
            if bytes >= unit && bytes.is_multiple_of(unit) {
                return write!(f, "{}{name}", bytes / unit);
            }
        }
        write!(f, "{bytes}B")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        check("512B", Ok(512));
        check("64KiB", Ok(65_536));
        check("64 KiB", Ok(65_536));
        check("10MB", Ok(10_000_000));
        check("20GiB", Ok(20 * GIB));
        check("", Err(ByteSizeError::NoNumber));
        check("KiB", Err(ByteSizeError::NoNumber));
        check("-1B", Err(ByteSizeError::NoNumber));
        check("64", Err(ByteSizeError::NoUnit));
        check("64k", Err(ByteSizeError::UnknownUnit));
        check("18446744073709551616B", Err(ByteSizeError::TooLarge));
        check("18446744073709551615TiB", Err(ByteSizeError::TooLarge));
    }

    #[test]
    fn a_size_is_written_as_it_would_be_read() {
        for bytes in [0, 1, 1023, 1024, 1025, 64 * KIB, MIB, 20 * GIB] {
            let text = ByteSize(bytes).to_string();
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[track_caller]
    fn check(text: &str, want: Result<u64, ByteSizeError>) {
        assert_eq!(text.parse::<ByteSize>(), want.map(ByteSize), "{text}");
    }
}
