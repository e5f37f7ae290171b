//! How bad the world is.

use std::time::Duration;

use crate::base::prng::Prng;

/// How often something happens, in parts per million.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chance(u32);

const MILLION: u32 = 1_000_000;

impl Chance {
    /// It does not happen.
    pub const NEVER: Chance = Chance(0);
    /// It happens each time.
    pub const ALWAYS: Chance = Chance(MILLION);

    /// So many times in a million; more than a million is always.
    #[must_use]
    pub const fn per_million(times: u32) -> Self {
        Chance(if times > MILLION { MILLION } else { times })
    }

    /// Once in `times` on average; never if `times` is zero.
    #[must_use]
    pub const fn one_in(times: u32) -> Self {
        Chance(match MILLION.checked_div(times) {
            Some(parts) => parts,
            None => 0,
        })
    }

    /// Draws.
    pub fn happens(self, prng: &mut Prng) -> bool {
        self.0 > 0 && prng.below(u64::from(MILLION)) < u64::from(self.0)
    }
}

/// What can go wrong, for counting what a run has met.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(
    missing_docs,
    reason = "each is explained at the field of Faults with the same name, or at World"
)]
pub enum FaultKind {
    ShortRead,
    ShortWrite,
    LateRead,
    LateWrite,
    SpuriousWake,
    ConnectRefused,
    ConnectLost,
    ConnectUnreachable,
    ConnectExhausted,
    BacklogFull,
    AcceptExhausted,
    LinkReset,
    LinkLost,
    LinkHalfLost,
    HostLost,
    ResetQueueLost,
    MovedDespiteCancel,
    MovedDespiteTimeout,
    CalendarJump,
    PipeRefused,
    ClockJump,
    Suspended,
}

impl FaultKind {
    /// All of them, in order.
    pub const ALL: [FaultKind; 22] = [
        FaultKind::ShortRead,
        FaultKind::ShortWrite,
        FaultKind::LateRead,
        FaultKind::LateWrite,
        FaultKind::SpuriousWake,
        FaultKind::ConnectRefused,
        FaultKind::ConnectLost,
        FaultKind::ConnectUnreachable,
        FaultKind::ConnectExhausted,
        FaultKind::BacklogFull,
        FaultKind::AcceptExhausted,
        FaultKind::LinkReset,
        FaultKind::LinkLost,
        FaultKind::LinkHalfLost,
        FaultKind::HostLost,
        FaultKind::ResetQueueLost,
        FaultKind::MovedDespiteCancel,
        FaultKind::MovedDespiteTimeout,
        FaultKind::CalendarJump,
        FaultKind::PipeRefused,
        FaultKind::ClockJump,
        FaultKind::Suspended,
    ];
}

/// The rates of one run. Those of a connection are drawn when it is opened.
#[derive(Clone, Debug)]
pub struct Faults {
    /// A segment travels at least so long ...
    pub delay_min: Duration,
    /// ... and at most so long. Segments of one direction keep their order.
    pub delay_max: Duration,
    /// Bytes that one direction of a connection holds, sent and not read: at least so many ...
    pub buffer_min: u32,
    /// ... and at most so many; small sizes are as likely as large ones.
    pub buffer_max: u32,
    /// Connections that wait at a listener to be accepted; more of them find no answer and try
    /// again.
    pub backlog_max: u32,
    /// Each turn of a task takes up to so long.
    pub turn_max: Duration,
    /// A timer is heard up to so much late.
    pub timer_late_max: Duration,
    /// A read gives fewer bytes than there are.
    pub short_read: Chance,
    /// A write moves fewer bytes than there is room for before others get their turn.
    pub short_write: Chance,
    /// A read has moved its bytes and says so only later ...
    pub late_read: Chance,
    /// A write as well ...
    pub late_write: Chance,
    /// ... by up to so long.
    pub late_max: Duration,
    /// A task is polled though nothing happened, per turn.
    pub spurious_wake: Chance,
    /// A connect is refused though somebody listens.
    pub connect_refused: Chance,
    /// A connect is never answered.
    pub connect_lost: Chance,
    /// A connect finds no way.
    pub connect_unreachable: Chance,
    /// A connect finds no descriptor or port.
    pub connect_exhausted: Chance,
    /// An accept finds no descriptor; the connection stays in the queue.
    pub accept_exhausted: Chance,
    /// The connection will be reset on the way, after some bytes or some time.
    pub link_reset: Chance,
    /// The connection will fall silent in both directions.
    pub link_lost: Chance,
    /// The connection will fall silent in one direction.
    pub link_half_lost: Chance,
    /// A trouble that comes by time comes within so long.
    pub trouble_after_max: Duration,
    /// A trouble that comes by bytes comes within so many of one direction.
    pub trouble_bytes_max: u64,
    /// A reset takes what had arrived and was not read with it (otherwise it can still be read).
    pub reset_queue_lost: Chance,
    /// The calendar is set to another time, up to an hour off, per look at it.
    pub calendar_jump: Chance,
    /// No pipe is to be had.
    pub pipe_refused: Chance,
}

impl Faults {
    /// A quiet network: a short delay, ample room, nothing goes wrong.
    #[must_use]
    pub const fn none() -> Self {
        Faults {
            delay_min: Duration::from_micros(50),
            delay_max: Duration::from_micros(50),
            buffer_min: 256 * 1024,
            buffer_max: 256 * 1024,
            backlog_max: 128,
            turn_max: Duration::ZERO,
            timer_late_max: Duration::ZERO,
            short_read: Chance::NEVER,
            short_write: Chance::NEVER,
            late_read: Chance::NEVER,
            late_write: Chance::NEVER,
            late_max: Duration::ZERO,
            spurious_wake: Chance::NEVER,
            connect_refused: Chance::NEVER,
            connect_lost: Chance::NEVER,
            connect_unreachable: Chance::NEVER,
            connect_exhausted: Chance::NEVER,
            accept_exhausted: Chance::NEVER,
            link_reset: Chance::NEVER,
            link_lost: Chance::NEVER,
            link_half_lost: Chance::NEVER,
            trouble_after_max: Duration::from_secs(10),
            trouble_bytes_max: 1 << 20,
            reset_queue_lost: Chance::NEVER,
            calendar_jump: Chance::NEVER,
            pipe_refused: Chance::NEVER,
        }
    }

    /// Everything goes wrong, but not so often that nothing goes right.
    #[must_use]
    pub const fn storm() -> Self {
        Faults {
            delay_min: Duration::ZERO,
            delay_max: Duration::from_millis(200),
            buffer_min: 1,
            buffer_max: 256 * 1024,
            backlog_max: 4,
            turn_max: Duration::from_micros(2),
            timer_late_max: Duration::from_millis(8),
            short_read: Chance::one_in(2),
            short_write: Chance::one_in(2),
            late_read: Chance::one_in(4),
            late_write: Chance::one_in(4),
            late_max: Duration::from_millis(50),
            spurious_wake: Chance::one_in(16),
            connect_refused: Chance::one_in(16),
            connect_lost: Chance::one_in(16),
            connect_unreachable: Chance::one_in(32),
            connect_exhausted: Chance::one_in(32),
            accept_exhausted: Chance::one_in(16),
            link_reset: Chance::one_in(6),
            link_lost: Chance::one_in(12),
            link_half_lost: Chance::one_in(12),
            trouble_after_max: Duration::from_secs(10),
            trouble_bytes_max: 1 << 20,
            reset_queue_lost: Chance::one_in(2),
            calendar_jump: Chance::one_in(64),
            pipe_refused: Chance::one_in(3),
        }
    }

    /// The rates of a run, drawn as a swarm: one run in eight is quiet, one is all storm, and in
    /// the others each rate is by itself zero or anything up to that of a storm.
    #[must_use]
    pub fn draw(prng: &mut Prng) -> Self {
        let storm = Faults::storm();
        match prng.below(8) {
            0 => return Faults::none(),
            1 => return storm,
            _ => {}
        }
        let quiet = Faults::none();
        let buffer_min = up_to_u32(prng, 1, quiet.buffer_max);
        Faults {
            delay_min: Duration::ZERO,
            delay_max: time(prng, storm.delay_max),
            buffer_min,
            buffer_max: up_to_u32(prng, buffer_min, quiet.buffer_max),
            backlog_max: up_to_u32(prng, 1, quiet.backlog_max),
            turn_max: time(prng, storm.turn_max),
            timer_late_max: time(prng, storm.timer_late_max),
            short_read: rate(prng, Chance::ALWAYS),
            short_write: rate(prng, Chance::ALWAYS),
            late_read: rate(prng, storm.late_read),
            late_write: rate(prng, storm.late_write),
            late_max: time(prng, storm.late_max),
            spurious_wake: rate(prng, storm.spurious_wake),
            connect_refused: rate(prng, storm.connect_refused),
            connect_lost: rate(prng, storm.connect_lost),
            connect_unreachable: rate(prng, storm.connect_unreachable),
            connect_exhausted: rate(prng, storm.connect_exhausted),
            accept_exhausted: rate(prng, storm.accept_exhausted),
            link_reset: rate(prng, storm.link_reset),
            link_lost: rate(prng, storm.link_lost),
            link_half_lost: rate(prng, storm.link_half_lost),
            trouble_after_max: time(prng, Duration::from_mins(1)),
            trouble_bytes_max: log_uniform(prng, 16, 16 << 20),
            reset_queue_lost: rate(prng, Chance::ALWAYS),
            calendar_jump: rate(prng, storm.calendar_jump),
            pipe_refused: rate(prng, Chance::ALWAYS),
        }
    }
}

fn rate(prng: &mut Prng, most: Chance) -> Chance {
    if prng.one_in(2) {
        return Chance::NEVER;
    }
    Chance(up_to_u32(prng, 1, most.0))
}

fn time(prng: &mut Prng, most: Duration) -> Duration {
    if prng.one_in(4) {
        return Duration::ZERO;
    }
    Duration::from_nanos(log_uniform(prng, 100, nanos(most)))
}

fn up_to_u32(prng: &mut Prng, min: u32, max: u32) -> u32 {
    u32::try_from(log_uniform(prng, u64::from(min), u64::from(max))).unwrap_or(max)
}

/// Whole nanoseconds; what does not fit is the most that does.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A number from `min` to `max`; each octave is as likely.
pub(super) fn log_uniform(prng: &mut Prng, min: u64, max: u64) -> u64 {
    if min >= max {
        return min;
    }
    let low = min.max(1).ilog2();
    let octaves = u64::from(max.ilog2().saturating_sub(low)) + 1;
    let octave = low + u32::try_from(prng.below(octaves)).unwrap_or(0);
    let base = 1_u64.checked_shl(octave).unwrap_or(1);
    base.saturating_add(prng.below(base)).clamp(min, max)
}

/// An index below `len`; zero if there is none.
pub(super) fn below(prng: &mut Prng, len: usize) -> usize {
    usize::try_from(prng.below(count(len))).unwrap_or(0)
}

/// A length as a number.
pub(super) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chance_happens_as_often_as_it_says() {
        let mut prng = Prng::new(1);
        let mut times = |chance: Chance| (0..10_000).filter(|_| chance.happens(&mut prng)).count();
        assert_eq!(times(Chance::NEVER), 0);
        assert_eq!(times(Chance::one_in(0)), 0);
        assert_eq!(times(Chance::ALWAYS), 10_000);
        assert!((2300..2700).contains(&times(Chance::one_in(4))));
        assert!((60..140).contains(&times(Chance::per_million(10_000))));
    }

    #[test]
    fn octaves_are_equally_likely() {
        let mut prng = Prng::new(2);
        let draws: Vec<u64> = (0..9000).map(|_| log_uniform(&mut prng, 1, 256 * 1024)).collect();
        assert!(draws.iter().all(|n| (1..=256 * 1024).contains(n)));
        let small = draws.iter().filter(|n| **n < 512).count();
        assert!((3900..5100).contains(&small), "{small}");
        assert_eq!(log_uniform(&mut prng, 7, 7), 7);
    }

    #[test]
    fn some_runs_are_quiet_and_no_two_need_be_alike() {
        let mut prng = Prng::new(3);
        let runs: Vec<Faults> = (0..100).map(|_| Faults::draw(&mut prng)).collect();
        let without = |rate: fn(&Faults) -> Chance| {
            runs.iter().filter(|faults| rate(faults) == Chance::NEVER).count()
        };
        assert!((30..80).contains(&without(|faults| faults.link_reset)));
        assert!((30..80).contains(&without(|faults| faults.short_read)));
        for faults in &runs {
            assert!(faults.buffer_min >= 1 && faults.buffer_min <= faults.buffer_max);
            assert!(faults.backlog_max >= 1 && faults.delay_min <= faults.delay_max);
        }
    }
}
