//! Load shedding: a shard that runs late refuses some of the requests that come, before it runs
//! later still.
//!
//! A task of the shard rings a bell every few milliseconds and sees how late it hears it: so long
//! would any request have waited too, wherever it waits. (A timer is not enough: the kernel hands
//! out what has happened in small portions, and between two of them a shard with seconds of work
//! before it wakes its sleepers in time.) Being late once is a burst, which passes; being late all
//! the time is a queue that does not get shorter. So the *least* lateness of a span counts, as
//! `CoDel` does it for packets.
//!
//! While it is above the target, the share of requests that are refused grows a little with each
//! look, and shrinks while it is below. (All or nothing, a shard was found to serve half of what it
//! can: everybody is refused until the queue is gone, and then there is nothing to do.)
//!
//! A refusal is not for nothing, and who ignores `Retry-After` would have refusals take the place
//! of answers: three times as much as a shard can serve left it no time to serve at all. So a
//! connection that was refused is not listened to for a while: about as long as it takes to serve
//! three requests for each connection that there is. That bounds what refusing takes, however many
//! ask how often.

use std::time::Duration;

use crate::base::prng::Prng;
use crate::base::time::Instant;

/// Between two looks.
pub const PERIOD: Duration = Duration::from_millis(10);
/// The least lateness of so long counts.
const SPAN: Duration = Duration::from_millis(100);
/// What one look changes in the share of requests that are refused, at most.
const STEP: f64 = 0.01;
/// Some are served, however late it is.
const SHARE_MAX: f64 = 0.95;
/// Requests that are served for each connection while one that was refused rests: a refusal costs a
/// third to two thirds of a request.
const SERVED_MEANWHILE: f64 = 3.0;
/// The least rest ...
const REST_MIN: Duration = Duration::from_millis(10);
/// ... and the longest: what `Retry-After` asks for.
const REST_MAX: Duration = Duration::from_secs(1);

/// How late one shard runs, and what follows.
#[derive(Clone, Copy, Debug)]
pub struct Lateness {
    /// When the look under way should have been over; [`Instant::NEVER`]: none is.
    due: Instant,
    /// The least lateness of the span under way.
    least: Option<Duration>,
    /// When it began.
    since: Instant,
    /// The least lateness of the span before it, and of later looks.
    settled: Duration,
    /// The least target that anybody has asked with since the last look.
    asked: Option<Duration>,
    /// What the shard is held to.
    target: Duration,
    /// Of requests that may be refused, those that are: from 0 to [`SHARE_MAX`].
    share: f64,
    /// How much of a refusal the requests since the last one have come to.
    part: f64,
    /// Requests that were let in, in the span under way.
    admitted: u32,
    /// The same in a second, of late.
    rate: f64,
}

impl Default for Lateness {
    fn default() -> Self {
        Lateness {
            due: Instant::NEVER,
            least: None,
            since: Instant::START,
            settled: Duration::ZERO,
            asked: None,
            target: REST_MAX,
            share: 0.0,
            part: 0.0,
            admitted: 0,
            rate: 0.0,
        }
    }
}

impl Lateness {
    /// The shard looks; were it not late, it would be done at `due`.
    pub fn looks(&mut self, due: Instant) {
        self.due = due;
    }

    /// It is done at `now`.
    pub fn woke(&mut self, now: Instant) {
        let late = now - std::mem::replace(&mut self.due, Instant::NEVER);
        let least = self.least.map_or(late, |least| least.min(late));
        self.least = Some(least);
        // Better than what is known: known at once, so that no more are refused than must be.
        self.settled = self.settled.min(late);
        if now - self.since >= SPAN {
            let rate =
                f64::from(std::mem::take(&mut self.admitted)) / (now - self.since).as_secs_f64();
            self.rate = if self.rate == 0.0 { rate } else { f64::midpoint(self.rate, rate) };
            (self.least, self.since, self.settled) = (None, now, least);
        }
        if let Some(target) = self.asked.take() {
            self.target = target;
        }
        let excess = self.settled.as_secs_f64() / self.target.as_secs_f64() - 1.0;
        self.share = (self.share + STEP * excess.clamp(-1.0, 1.0)).clamp(0.0, SHARE_MAX);
    }

    /// A request may be refused where the shard is later than `target`: whether it is. Where routes
    /// have several targets the shard is held to the least, and requests with a larger one are
    /// refused only while even that is exceeded.
    pub fn refuses(&mut self, target: Duration) -> bool {
        self.asked = Some(self.asked.map_or(target, |asked| asked.min(target)));
        self.part += self.share;
        if self.part >= 1.0 && (target <= self.target || self.settled > target) {
            self.part -= 1.0;
            return true;
        }
        self.part = self.part.min(1.0);
        self.admitted = self.admitted.saturating_add(1);
        false
    }

    /// For how long a connection that was refused is not listened to, on a shard with so many, give
    /// or take a half, which `chance` decides: they are not to come back together.
    #[must_use]
    pub fn rest(&self, connections: u32, chance: &mut Prng) -> Duration {
        let spread = 0.5 + f64::from(u32::try_from(chance.below(1001)).unwrap_or(0)) / 1000.0;
        let seconds = SERVED_MEANWHILE * f64::from(connections) / self.rate * spread;
        let rest = Duration::try_from_secs_f64(seconds).unwrap_or(REST_MAX);
        rest.clamp(REST_MIN, REST_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);

    /// A shard that looks.
    struct Shard {
        now: Instant,
        lateness: Lateness,
    }

    impl Shard {
        fn new() -> Self {
            Shard { now: Instant::START + Duration::from_secs(100), lateness: Lateness::default() }
        }

        /// Looks of which each is late by so many milliseconds; ten requests come before each. The
        /// share of those that were refused.
        fn looks(&mut self, lates: &[u64]) -> f64 {
            let mut refused = 0;
            for late in lates {
                refused += (0..10).filter(|_| self.lateness.refuses(TARGET)).count();
                let due = self.now + PERIOD;
                self.lateness.looks(due);
                self.now = due + Duration::from_millis(*late);
                self.lateness.woke(self.now);
            }
            f64::from(u32::try_from(refused).unwrap())
                / f64::from(u32::try_from(lates.len() * 10).unwrap())
        }
    }

    #[test]
    fn a_shard_in_time_refuses_nobody() {
        assert!(Shard::new().looks(&[1; 1000]) < f64::EPSILON);
        assert!(Shard::new().looks(&[49; 1000]) < f64::EPSILON);
    }

    #[test]
    fn a_burst_that_passes_refuses_next_to_nobody() {
        assert!(Shard::new().looks(&[0, 0, 500, 0, 0].repeat(100)) < 0.01);
        assert!(Shard::new().looks(&[0, 80, 80, 80, 0, 0].repeat(100)) < 0.01);
    }

    #[test]
    fn a_queue_that_stays_refuses_more_and_more_but_never_all() {
        let mut shard = Shard::new();
        shard.looks(&[100; 20]);
        let first = shard.looks(&[100; 20]);
        let then = shard.looks(&[100; 20]);
        assert!(0.0 < first && first < then && then < 1.0, "{first} {then}");
        let last = shard.looks(&[100; 500]);
        assert!(last <= SHARE_MAX, "{last}");
        // One moment in time is known at once, and what is refused then shrinks.
        let after = shard.looks(&[0; 50]);
        assert!(after < last);
        shard.looks(&[0; 100]);
        assert!(shard.looks(&[0; 100]) < f64::EPSILON);
    }

    #[test]
    fn who_bears_more_is_refused_later() {
        let mut shard = Shard::new();
        shard.looks(&[70; 300]);
        let refused = |shard: &mut Shard, target| {
            (0..100).filter(|_| shard.lateness.refuses(Duration::from_millis(target))).count()
        };
        assert_eq!(refused(&mut shard, 100), 0);
        assert!(refused(&mut shard, 50) > 50);
    }

    #[test]
    fn who_was_refused_rests_the_longer_the_more_there_are_and_the_fewer_are_served() {
        let mut shard = Shard::new();
        // A thousand a second.
        shard.looks(&[0; 200]);
        let mut prng = Prng::new(1);
        for _ in 0..100 {
            let millis = shard.lateness.rest(100, &mut prng).as_millis();
            assert!((145..=455).contains(&millis), "{millis}");
            assert_eq!(shard.lateness.rest(1, &mut prng), REST_MIN);
            assert_eq!(shard.lateness.rest(5_000, &mut prng), REST_MAX);
        }
        // A shard that serves nobody has no time for refusals either.
        assert_eq!(Lateness::default().rest(1, &mut prng), REST_MAX);
    }
}
