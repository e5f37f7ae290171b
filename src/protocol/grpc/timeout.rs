//! The value of `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").

use std::time::Duration;

use crate::base::text::Text;

/// The largest number that eight digits hold.
const VALUE_MAX: u128 = 99_999_999;
/// Units with their length in nanoseconds, shortest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// `timeout` in the shortest unit that holds it, rounded up: `5000000u` for five seconds.
/// What exceeds 99,999,999 hours becomes that.
#[must_use]
pub fn encode(timeout: Duration) -> Text<9> {
    let nanos = timeout.as_nanos();
    let (value, unit) = UNITS
        .into_iter()
        .map(|(unit, length)| (nanos.div_ceil(length), unit))
        .find(|(value, _)| *value <= VALUE_MAX)
        .unwrap_or((VALUE_MAX, b'H'));
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    let mut text = Text::new(itoa::Buffer::new().format(value).as_bytes());
    text.push_str(str::from_utf8(&[unit]).unwrap_or_default());
    text
}

/// The time that a `grpc-timeout` value says; `None` if it is not one.
#[must_use]
pub fn decode(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0u64, |n, digit| n * 10 + u64::from(digit - b'0'));
    let (_, nanos) = UNITS.into_iter().find(|(name, _)| name == unit)?;
    let nanos = nanos * u128::from(number);
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let below = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_eight_digits_at_most() {
        check(Duration::ZERO, "0n");
        check(Duration::from_nanos(99_999_999), "99999999n");
        check(Duration::from_millis(100), "100000u");
        check(Duration::from_secs(5), "5000000u");
        check(Duration::from_mins(2), "120000m");
        check(Duration::from_hours(24 * 30), "2592000S");
        check(Duration::MAX, "99999999H");
    }

    #[test]
    fn a_remainder_is_rounded_up() {
        check(Duration::from_nanos(100_000_001), "100001u");
    }

    #[test]
    fn values_are_read_strictly() {
        assert_eq!(decode(b"5S"), Some(Duration::from_secs(5)));
        assert_eq!(decode(b"99999999H"), Some(Duration::from_hours(99_999_999)));
        for bad in ["", "S", "5", "5s", "123456789n", "-1S", "+1S", "1 S", "1.5S"] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad}");
        }
    }

    #[track_caller]
    fn check(timeout: Duration, want: &str) {
        let text = encode(timeout);
        assert_eq!(text.as_str(), want);
        let back = decode(text.as_str().as_bytes()).unwrap();
        assert!(back >= timeout || want == "99999999H");
    }
}
