//! Rates as operators write them, and as buckets count them.

use std::fmt;
use std::str::FromStr;

/// Requests in a span of time, such as `10/s`, `0.5/s`, `600/m` or `5/30s`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rate {
    /// Thousandths of requests ...
    thousandths: u64,
    /// ... in so many seconds.
    seconds: u32,
}

/// Why a text is no rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RateError {
    /// Not a number, `/`, and `s`, `m`, `h` or `d`.
    Form,
    /// Zero, or more than [`RATE_MAX`] a second, or less than one in a day.
    Range,
}

/// Requests a second that a rule may allow: 100 ns between two are still exact to half a per cent.
pub const RATE_MAX: u64 = 10_000_000;
/// Requests that a rule may allow at once.
pub const BURST_MAX: u32 = 1_000_000_000;
const DAY: u32 = 86_400;
const NANOS: u128 = 1_000_000_000;
/// A bucket is empty for at most so long: 2⁶¹ ns are 73 years.
const SPAN_MAX: u64 = 1 << 61;

impl Rate {
    /// So many thousandths of requests a second; `None` if that is out of range.
    #[must_use]
    pub fn per_second(thousandths: u64) -> Option<Rate> {
        Rate::new(thousandths, 1)
    }

    fn new(thousandths: u64, seconds: u32) -> Option<Rate> {
        let most = u128::from(RATE_MAX) * 1000 * u128::from(seconds);
        let slow = u128::from(thousandths) * u128::from(DAY) < 1000 * u128::from(seconds);
        let is_odd = thousandths == 0 || seconds == 0 || slow || u128::from(thousandths) > most;
        (!is_odd).then_some(Rate { thousandths, seconds })
    }

    /// Nanoseconds from one request to the next, rounded to the nearest.
    #[must_use]
    pub fn interval(self) -> u64 {
        let span = u128::from(self.seconds) * NANOS * 1000;
        let count = u128::from(self.thousandths);
        u64::try_from((span + count / 2) / count.max(1)).unwrap_or(u64::MAX).max(1)
    }

    /// Requests a second in hundredths, rounded.
    #[must_use]
    pub fn hundredths(self) -> u64 {
        let divisor = 10 * u64::from(self.seconds);
        (self.thousandths + divisor / 2) / divisor.max(1)
    }

    /// Whole requests a second, rounded up.
    #[must_use]
    pub fn ceiling(self) -> u64 {
        self.thousandths.div_ceil(1000 * u64::from(self.seconds.max(1)))
    }

    /// The same as a whole number of requests in a whole number of seconds.
    #[must_use]
    pub fn window(self) -> (u64, u64) {
        let seconds = u64::from(self.seconds);
        for factor in [1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 125, 200, 250, 500] {
            if (self.thousandths * factor).is_multiple_of(1000) {
                return (self.thousandths * factor / 1000, seconds * factor);
            }
        }
        (self.thousandths, seconds * 1000)
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (count, per) = text.split_once('/').ok_or(RateError::Form)?;
        let per = per.trim();
        let unit = per.chars().last().ok_or(RateError::Form)?;
        let times = per.strip_suffix(unit).unwrap_or_default();
        let times: u32 =
            if times.is_empty() { 1 } else { times.parse().map_err(|_| RateError::Form)? };
        let unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => DAY,
            _ => return Err(RateError::Form),
        };
        let seconds = times.checked_mul(unit).filter(|&span| span <= DAY);
        let seconds = seconds.ok_or(RateError::Range)?;
        let thousandths = thousandths(count.trim()).ok_or(RateError::Form)?;
        Rate::new(thousandths, seconds).ok_or(RateError::Range)
    }
}

/// A decimal number with at most three decimals, in thousandths.
#[must_use]
pub fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part)
}

/// As it would be read.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.thousandths / 1000, self.thousandths % 1000);
        if part == 0 {
            write!(f, "{whole}")?;
        } else {
            let part = format!("{part:03}");
            write!(f, "{whole}.{}", part.trim_end_matches('0'))?;
        }
        match self.seconds {
            1 => write!(f, "/s"),
            60 => write!(f, "/m"),
            3600 => write!(f, "/h"),
            DAY => write!(f, "/d"),
            other => write!(f, "/{other}s"),
        }
    }
}

/// A rate with its burst, as buckets count: in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Quota {
    /// From one request to the next.
    pub interval: u64,
    /// Requests at once.
    pub burst: u32,
    /// How long an empty bucket needs to be full: `interval · burst`.
    pub span: u64,
}

impl Quota {
    /// `None` without a burst, and if an empty bucket would not be full again within a lifetime.
    #[must_use]
    pub fn new(rate: Rate, burst: u32) -> Option<Quota> {
        let interval = rate.interval();
        let span = interval.checked_mul(u64::from(burst)).filter(|&span| span <= SPAN_MAX)?;
        (burst > 0 && burst <= BURST_MAX).then_some(Quota { interval, burst, span })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for (text, interval, rps, window) in [
            ("10/s", 100_000_000, 1000, (10, 1)),
            ("0.5/s", 2_000_000_000, 50, (1, 2)),
            ("600/m", 100_000_000, 1000, (600, 60)),
            ("3/s", 333_333_333, 300, (3, 1)),
            ("1.125/s", 888_888_889, 113, (9, 8)),
            ("5/30s", 6_000_000_000, 17, (5, 30)),
            ("1/d", 86_400_000_000_000, 0, (1, 86_400)),
            ("10000000/s", 100, 1_000_000_000, (10_000_000, 1)),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
            let found = (rate.interval(), rate.hundredths(), rate.window());
            assert_eq!(found, (interval, rps, window), "{text}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in ["", "10", "10/", "/s", "10/x", "1e3/s", "-1/s", "1.2345/s", "1./x", ".5/s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Form), "{text}");
        }
        for text in ["0/s", "0.000/m", "10000001/s", "0.5/d", "1/2d", "1/0s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Range), "{text}");
        }
        assert_eq!("99999999999999999999/s".parse::<Rate>(), Err(RateError::Form));
    }

    #[test]
    fn no_quota_overflows() {
        let slow: Rate = "1/d".parse().unwrap();
        assert!(Quota::new(slow, 26_000).is_some());
        assert!(Quota::new(slow, 27_000).is_none());
        assert!(Quota::new(slow, 0).is_none());
        let fast: Rate = "10000000/s".parse().unwrap();
        assert!(Quota::new(fast, BURST_MAX).is_some());
        assert!(Quota::new(fast, BURST_MAX + 1).is_none());
    }
}
