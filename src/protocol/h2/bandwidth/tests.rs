use super::*;
use crate::base::prng::Prng;

const KIB: u32 = 1024;
const MIB: u32 = 1024 * 1024;

fn at(micros: u64) -> Instant {
    Instant::from_nanos(1_000_000_000) + Duration::from_micros(micros)
}

/// A path with a round trip and a rate, a client that always has something to send and a service
/// that takes so much a second; time passes in steps of a twentieth of a round trip.
struct Path {
    round_trip: u64,
    rate: u64,
    taken: u64,
    width: Width,
    bandwidth: Bandwidth,
    now: u64,
    pings: u32,
    echo: Option<u64>,
    held: u64,
    /// Credit on its way to the client, and when it is there.
    credit: Vec<(u64, u64)>,
    /// What the client may send now.
    room: u64,
    /// Bytes on their way to us.
    way: Vec<(u64, u64)>,
    moved: u64,
}

impl Path {
    fn new(round_trip: u64, rate: u64) -> Path {
        let width = Width { base: 256 * KIB, extra: 0, extra_max: 8 * MIB - 256 * KIB };
        Path {
            round_trip,
            rate,
            taken: u64::MAX,
            width,
            bandwidth: Bandwidth::default(),
            now: 0,
            pings: 0,
            echo: None,
            held: 0,
            credit: Vec::new(),
            room: u64::from(width.base),
            way: Vec::new(),
            moved: 0,
        }
    }

    fn step(&mut self) {
        let step = (self.round_trip / 20).max(10);
        self.now += step;
        let now = self.now;
        let arrived = |list: &mut Vec<(u64, u64)>| {
            let sum = list.iter().filter(|(at, _)| *at <= now).map(|(_, len)| len).sum::<u64>();
            list.retain(|(at, _)| *at > now);
            sum
        };
        self.room += arrived(&mut self.credit);
        let sent = self.room.min(self.rate * step / 1_000_000);
        self.room -= sent;
        self.way.push((now + self.round_trip / 2, sent));
        let len = arrived(&mut self.way);
        if self.echo.is_some_and(|echo| echo <= now) {
            self.echo = None;
            self.bandwidth.answered(at(now));
        }
        if len > 0 {
            self.receive(len, now);
        }
        let taken = self.held.min(self.taken.saturating_mul(step) / 1_000_000);
        self.held -= taken;
        self.moved += taken;
        self.credit.push((now + self.round_trip / 2, taken));
    }

    fn receive(&mut self, len: u64, now: u64) {
        let held = u32::try_from(self.held).unwrap();
        let due = self.bandwidth.received(len, held, at(now));
        self.held += len;
        if due.ping {
            assert!(self.echo.is_none(), "one PING at a time");
            self.pings += 1;
            self.echo = Some(now + self.round_trip);
        }
        if let Some(held) = due.round {
            let before = self.width.extra;
            self.width.extra = self.width.next(self.bandwidth.product(), held, false);
            let more = self.width.extra.saturating_sub(before);
            self.credit.push((now + self.round_trip / 2, u64::from(more)));
        }
    }

    fn run(&mut self, millis: u64) -> &mut Self {
        let end = self.now + millis * 1000;
        while self.now < end {
            self.step();
        }
        self
    }

    fn window(&self) -> u32 {
        self.width.base + self.width.extra
    }
}

#[test]
fn a_window_grows_until_the_path_is_full_and_no_further() {
    for (round_trip, rate) in [(10_000, 50 << 20), (50_000, 20 << 20), (100_000, 20 << 20)] {
        let mut path = Path::new(round_trip, rate);
        path.run(20 * round_trip / 1000);
        let before = path.moved;
        path.run(1000);
        let moved = path.moved - before;
        assert!(moved > rate / 10 * 9, "{round_trip}: {moved} of {rate}");
        let product = rate * round_trip / 1_000_000;
        let window = u64::from(path.window());
        assert!(
            (2 * product..=6 * product).contains(&window),
            "{round_trip}: {window} for {product}"
        );
    }
}

#[test]
fn a_near_client_needs_no_more_than_it_has() {
    let mut path = Path::new(200, 400 << 20);
    path.run(500);
    assert_eq!(path.width.extra, 0);
}

#[test]
fn a_path_that_is_always_full_takes_what_there_is_and_no_more() {
    let mut path = Path::new(100_000, 1 << 40);
    path.run(3000);
    assert_eq!(path.window(), 8 * MIB);
}

#[test]
fn a_service_that_takes_little_does_not_make_a_window_grow() {
    let mut path = Path::new(50_000, 100 << 20);
    path.taken = 1 << 20;
    path.run(3000);
    assert!(path.width.extra == 0, "{}", path.width.extra);
    path.taken = u64::MAX;
    path.run(3000);
    assert!(path.window() >= 4 * MIB);
    path.taken = 0;
    let now = path.now;
    while path.width.extra > 0 && path.now < now + 5_000_000 {
        path.taken = if path.held > 0 { 1 << 20 } else { 0 };
        path.step();
    }
    assert_eq!(path.width.extra, 0, "what is held makes it shrink");
}

#[test]
fn pings_are_few() {
    let mut path = Path::new(20_000, 10 << 20);
    path.run(10_000);
    assert!((5..=15).contains(&path.pings), "{}", path.pings);
    let mut small = Bandwidth::default();
    for round in 0..1000 {
        assert!(!small.received(60_000, 0, at(round * 1000)).ping);
        small.quiet();
    }
}

#[test]
fn a_ping_that_is_not_answered_is_the_last() {
    let mut bandwidth = Bandwidth::default();
    let mut pings = 0;
    for round in 0..10_000 {
        let due = bandwidth.received(100_000, 0, at(round * 1000));
        assert_eq!(due.round, None);
        pings += u32::from(due.ping);
    }
    assert_eq!((pings, bandwidth.product()), (1, 0));
}

#[test]
fn the_shortest_echo_since_the_client_was_quiet_counts() {
    let mut bandwidth = Bandwidth::default();
    bandwidth.answered(at(0));
    assert_eq!(bandwidth.product(), 0, "nobody asked");
    let mut now = 0;
    for took in [50_000, 20_000, 90_000] {
        now += 2_000_000;
        assert!(bandwidth.received(100_000, 0, at(now)).ping);
        bandwidth.answered(at(now + took));
        assert!(!bandwidth.is_quiet());
    }
    assert_eq!(bandwidth.round_trip, Some(Duration::from_millis(20)));
    now += 2_000_000;
    assert!(bandwidth.received(100_000, 0, at(now)).ping);
    bandwidth.quiet();
    bandwidth.answered(at(now + 10));
    assert_eq!(bandwidth.round_trip, None, "it may have waited behind the last body");
}

#[test]
fn widths_stay_within_their_bounds() {
    let mut prng = Prng::new(3);
    for _ in 0..20_000 {
        let mut any = |bits: u64| prng.next_u64() >> (64 - 1 - prng.below(bits));
        let base = u32::try_from(any(26)).unwrap().max(KIB);
        let extra_max = u32::try_from(any(26)).unwrap();
        let extra = u32::try_from(any(27)).unwrap().min(extra_max);
        let (product, held) = (any(40), u32::try_from(any(27)).unwrap());
        let width = Width { base, extra, extra_max };
        let next = width.next(product, held, held.is_multiple_of(2));
        assert!(next <= extra_max, "{width:?} {product} {held}: {next}");
        if next > extra {
            let now = base + extra;
            assert!(next - extra <= now && held < now / 4 && product * PRODUCTS > u64::from(now));
        }
    }
}
