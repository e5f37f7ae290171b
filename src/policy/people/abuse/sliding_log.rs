//! How often something happened within a span of time, to the very number, for all shards at once.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::base::time::Instant;

/// The last admissions, each with its time and its client.
///
/// There are as many places as admissions are allowed within the window, so whoever finds a place
/// that is free or older than the window takes it by one exchange of a word, and otherwise is
/// refused. How often one client came is counted in the same places. So there is nothing to lock,
/// a refusal writes nothing, and memory does not grow with the number of clients.
#[derive(Debug)]
pub struct SlidingLog {
    places: Box<[AtomicU64]>,
    per_client: usize,
    window: Duration,
    keys: RandomState,
}

/// Why a client is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// It came too often itself; it may come again after this time.
    Client(Duration),
    /// All together came too often.
    All(Duration),
}

/// A tick is 2²⁶ ns, some 67 ms: so its number fits half a word for nine years.
const TICK_BITS: u32 = 26;

impl SlidingLog {
    /// Most admissions within a window: all places are looked at for each request.
    pub const TOTAL_MAX: u32 = 4096;

    /// Admits `total` within `window`, and `per_client` of each client.
    #[must_use]
    pub fn new(per_client: u32, total: u32, window: Duration) -> Self {
        let total = total.clamp(1, Self::TOTAL_MAX);
        let places = (0..total).map(|_| AtomicU64::new(0)).collect();
        let per_client = usize::try_from(per_client).unwrap_or(usize::MAX);
        SlidingLog { places, per_client, window, keys: RandomState::new() }
    }

    /// Whether another one keeps the same count.
    #[must_use]
    pub fn is_like(&self, other: &SlidingLog) -> bool {
        let of = |log: &SlidingLog| (log.places.len(), log.per_client, log.window);
        of(self) == of(other)
    }

    /// Takes a place, if there is one.
    pub fn admit(&self, client: IpAddr, now: Instant) -> Result<(), Full> {
        let (key, tick) = (self.key(client), tick(now));
        loop {
            let seen = self.look(key, tick);
            if seen.of_client >= self.per_client {
                return Err(Full::Client(self.wait(seen.oldest_of_client, tick)));
            }
            let Some((place, old)) = seen.free else {
                return Err(Full::All(self.wait(seen.oldest, tick)));
            };
            let new = u64::from(key) << 32 | u64::from(tick);
            if place.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                continue; // Another shard took it.
            }
            // Another shard may have let the same client in meanwhile; each sees the other's.
            let seen = self.look(key, tick);
            if seen.of_client <= self.per_client {
                return Ok(());
            }
            let _ = place.compare_exchange(new, old, Ordering::SeqCst, Ordering::SeqCst);
            return Err(Full::Client(self.wait(seen.oldest_of_client, tick)));
        }
    }

    fn look(&self, key: u32, tick: u32) -> Seen<'_> {
        let mut seen = Seen { of_client: 0, oldest_of_client: tick, oldest: tick, free: None };
        for place in &self.places {
            let word = place.load(Ordering::SeqCst);
            let (owner, at) = halves(word);
            // Shards' clocks are read at different moments: `at` may be ahead a little.
            let age = u64::from(tick.wrapping_sub(at).min(at.wrapping_sub(tick)));
            let is_ahead = at.wrapping_sub(tick) < tick.wrapping_sub(at);
            if word == 0 || (!is_ahead && age > self.ticks()) {
                seen.free = Some((place, word));
                continue;
            }
            seen.oldest = older(seen.oldest, at, tick);
            if owner == key {
                seen.of_client += 1;
                seen.oldest_of_client = older(seen.oldest_of_client, at, tick);
            }
        }
        seen
    }

    /// A window in ticks, rather too long than too short.
    fn ticks(&self) -> u64 {
        let nanos = u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX);
        (nanos >> TICK_BITS) + 1
    }

    /// How long until an admission of `at` does not count any more.
    fn wait(&self, at: u32, tick: u32) -> Duration {
        let ticks = (self.ticks() + 1).saturating_sub(u64::from(tick.wrapping_sub(at)));
        Duration::from_nanos(ticks << TICK_BITS)
    }

    /// What stands for a client. Who has an address of IPv6 has a network of them.
    fn key(&self, client: IpAddr) -> u32 {
        let hash = match client.to_canonical() {
            IpAddr::V4(address) => self.keys.hash_one(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                self.keys.hash_one([a, b, c, d])
            }
        };
        halves(hash).0
    }
}

/// What one look at all places brings.
struct Seen<'a> {
    of_client: usize,
    oldest_of_client: u32,
    oldest: u32,
    free: Option<(&'a AtomicU64, u64)>,
}

/// The one of two ticks that is farther back from `tick`.
fn older(left: u32, right: u32, tick: u32) -> u32 {
    let back = |at: u32| if at.wrapping_sub(tick) < 1 << 16 { 0 } else { tick.wrapping_sub(at) };
    if back(left) >= back(right) { left } else { right }
}

/// The number of a tick; never zero with a client of zero, which would be an empty place.
fn tick(now: Instant) -> u32 {
    let [_, low] = split(now.as_nanos() >> TICK_BITS);
    low.wrapping_add(1).max(1)
}

fn halves(word: u64) -> (u32, u32) {
    let [high, low] = split(word);
    (high, low)
}

fn split(word: u64) -> [u32; 2] {
    let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0);
    [half(word >> 32), half(word)]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const WINDOW: Duration = Duration::from_mins(1);

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    fn ip(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_client_has_its_number_within_every_window() {
        let log = SlidingLog::new(10, 600, WINDOW);
        for number in 0..10 {
            log.admit(ip(1), at(number * 1000)).unwrap();
        }
        let Err(Full::Client(wait)) = log.admit(ip(1), at(30_000)) else { panic!() };
        assert!((30..31).contains(&wait.as_secs()), "{wait:?}");
        log.admit(ip(2), at(30_000)).unwrap();
        assert!(log.admit(ip(1), at(59_900)).is_err());
        // A log slides: one place is free when the first admission is a minute old, not ten.
        log.admit(ip(1), at(60_300)).unwrap();
        assert!(log.admit(ip(1), at(60_400)).is_err());
    }

    #[test]
    fn all_together_have_theirs() {
        let log = SlidingLog::new(10, 600, WINDOW);
        for number in 0..600 {
            log.admit(ip(number), at(u64::from(number))).unwrap();
        }
        assert!(matches!(log.admit(ip(1000), at(10_000)), Err(Full::All(_))));
        log.admit(ip(1000), at(61_000)).unwrap();
    }

    #[test]
    fn refusals_take_no_place() {
        let log = SlidingLog::new(1, 3, WINDOW);
        log.admit(ip(1), at(0)).unwrap();
        for _ in 0..100 {
            log.admit(ip(1), at(1)).unwrap_err();
        }
        log.admit(ip(2), at(2)).unwrap();
        log.admit(ip(3), at(3)).unwrap();
    }

    #[test]
    fn addresses_of_one_network_are_one_client() {
        let log = SlidingLog::new(1, 10, WINDOW);
        log.admit("2001:db8::1".parse().unwrap(), at(0)).unwrap();
        log.admit("2001:db8::2".parse().unwrap(), at(0)).unwrap_err();
        log.admit("2001:db8:0:1::1".parse().unwrap(), at(0)).unwrap();
        log.admit("10.0.0.1".parse().unwrap(), at(0)).unwrap();
        log.admit("::ffff:10.0.0.1".parse().unwrap(), at(0)).unwrap_err();
    }

    #[test]
    fn threads_admit_no_more_together_than_one_would() {
        for round in 0..50 {
            let log = Arc::new(SlidingLog::new(5, 20, WINDOW));
            let admitted = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (log, admitted) = (Arc::clone(&log), Arc::clone(&admitted));
                    std::thread::spawn(move || {
                        for number in 0..50 {
                            if log.admit(ip(number % 2), at(number.into())).is_ok() {
                                admitted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            // Racing refusals may cost a place or two, an admission too many never happens.
            assert!(admitted.load(Ordering::Relaxed) <= 10, "round {round}");
        }
    }

    #[test]
    fn a_clock_that_is_a_little_behind_sees_what_is_ahead() {
        let log = SlidingLog::new(1, 10, WINDOW);
        log.admit(ip(1), at(10_000)).unwrap();
        log.admit(ip(1), at(9_000)).unwrap_err();
    }
}
