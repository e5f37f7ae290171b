//! How long things took: HDR histograms, recorded by a shard and given away whole to control.
//!
//! A shard records into a [`ShardLatency`] of its own. Now and then control asks for it; the shard
//! gives [`ShardLatency::take`] away and goes on with an empty one. Control adds what it gets to
//! the process's [`Totals`], from which the metrics page is written. It must ask before one step
//! of a histogram holds 2³² times: at 100,000 requests a second, all of one length, in 11 hours.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::labels::{Label, Method};
use crate::base::limits::{LABELS_MAX, LATENCY_SERIES_MAX};

/// Significant decimal digits that a recorded time keeps.
const DIGITS: u8 = 3;
/// The longest time told apart, in microseconds: an hour.
const LONGEST_US: u64 = 3_600_000_000;
/// No histogram yet for this key.
const NONE: u16 = u16::MAX;

/// What a request was measured by, and which histogram that goes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// The route, or for [`Kind::Upstream`] the upstream.
    pub label: Label,
    /// The method; `None` where requests are not told apart by it.
    pub method: Option<Method>,
}

/// What was measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// From the first byte of the request head to the last byte of the answer.
    Request,
    /// From the first byte of a call to the first byte of its answer.
    Upstream,
    /// What the gateway itself added: the request's time less all waiting for peers.
    Own,
}

impl Kind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Kind; 3] = [Kind::Request, Kind::Upstream, Kind::Own];
}

/// The histograms of one shard since they were last taken.
#[derive(Debug, Default)]
pub struct ShardLatency {
    request: Family,
    upstream: Family,
    own: Family,
}

/// What a shard gave away. Boxes and numbers only: it travels to control.
#[derive(Debug)]
pub struct Batch {
    series: Vec<(Kind, Key, Recorded)>,
}

/// Times of one key.
#[derive(Clone, Debug)]
struct Recorded {
    histogram: Histogram<u32>,
    sum: Duration,
}

#[derive(Debug, Default)]
struct Family {
    /// From a key's place to its histogram. Empty until the first time is recorded.
    index: Vec<u16>,
    series: Vec<(Key, Recorded)>,
}

impl ShardLatency {
    /// Without histograms; each is made when its first time is recorded.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records how long a request took. Requests that matched no route of the operator's are not
    /// told apart by their method.
    pub fn request(&mut self, route: Label, method: Method, took: Duration) {
        let method = (!route.is_fixed()).then_some(method);
        self.request.record(Key { label: route, method }, took);
    }

    /// Records how long an endpoint of `upstream` took.
    pub fn upstream(&mut self, upstream: Label, took: Duration) {
        self.upstream.record(Key { label: upstream, method: None }, took);
    }

    /// Records how much of a request's time was the gateway's own.
    pub fn own(&mut self, route: Label, took: Duration) {
        self.own.record(Key { label: route, method: None }, took);
    }

    /// Gives all away and leaves nothing.
    #[must_use]
    pub fn take(&mut self) -> Batch {
        let mut series = Vec::new();
        let families = [
            (Kind::Request, &mut self.request),
            (Kind::Upstream, &mut self.upstream),
            (Kind::Own, &mut self.own),
        ];
        for (kind, family) in families {
            family.index.fill(NONE);
            series.extend(family.series.drain(..).map(|(key, times)| (kind, key, times)));
        }
        Batch { series }
    }
}

impl Family {
    fn record(&mut self, key: Key, took: Duration) {
        if self.index.is_empty() {
            self.index = vec![NONE; LABELS_MAX * (Method::ALL.len() + 1)];
        }
        if let Some(times) = self.times(key) {
            times.record(took);
        }
    }

    /// The histogram of `key`, or of all the rest if there are too many.
    fn times(&mut self, key: Key) -> Option<&mut Recorded> {
        let rest = Key { label: Label::OTHER, method: None };
        let room = self.series.len() < LATENCY_SERIES_MAX - 1;
        let at = match self.held(key) {
            Some(at) => at,
            None if room => self.make(key)?,
            None => match self.held(rest) {
                Some(at) => at,
                None => self.make(rest)?,
            },
        };
        self.series.get_mut(usize::from(at)).map(|(_, times)| times)
    }

    fn held(&self, key: Key) -> Option<u16> {
        self.index.get(place(key)).copied().filter(|at| *at != NONE)
    }

    fn make(&mut self, key: Key) -> Option<u16> {
        let at = u16::try_from(self.series.len()).ok()?;
        *self.index.get_mut(place(key))? = at;
        self.series.push((key, Recorded::new()?));
        Some(at)
    }
}

fn place(key: Key) -> usize {
    let method = key.method.map_or(0, |method| method.place() + 1);
    key.label.place() * (Method::ALL.len() + 1) + method
}

impl Recorded {
    fn new() -> Option<Self> {
        // Grows with the longest time it holds: 8 KiB at first, 94 KiB for an hour.
        let histogram = Histogram::new(DIGITS).ok()?;
        Some(Recorded { histogram, sum: Duration::ZERO })
    }

    fn record(&mut self, took: Duration) {
        let part = u64::from(took.subsec_nanos().div_ceil(1000));
        let micros = took.as_secs().saturating_mul(1_000_000).saturating_add(part);
        let micros = micros.clamp(1, LONGEST_US);
        // It fails only for values beyond what it can grow to, which is far more than an hour.
        if self.histogram.record(micros).is_ok() {
            self.sum = self.sum.saturating_add(took);
        }
    }
}

/// The latencies of the process since it started.
#[derive(Debug, Default)]
pub struct Totals {
    series: BTreeMap<(Kind, Key), Total>,
}

/// Times of one key, of all shards together.
#[derive(Debug)]
pub struct Total {
    histogram: Histogram<u64>,
    sum: Duration,
}

impl Totals {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a shard gave away.
    pub fn add(&mut self, batch: &Batch) {
        for (kind, key, times) in &batch.series {
            match self.series.entry((*kind, *key)) {
                Entry::Occupied(mut total) => total.get_mut().add(times),
                Entry::Vacant(place) => {
                    let Ok(histogram) = Histogram::new(DIGITS) else { continue };
                    place.insert(Total { histogram, sum: Duration::ZERO }).add(times);
                }
            }
        }
    }

    /// The times of one kind, by key.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (Key, &Total)> {
        self.series.iter().filter(move |((k, _), _)| *k == kind).map(|((_, key), t)| (*key, t))
    }
}

impl Total {
    fn add(&mut self, times: &Recorded) {
        for step in times.histogram.iter_recorded() {
            // Both keep the same digits, so that each value falls into the same step of both.
            let count = u64::from(step.count_at_value());
            if self.histogram.record_n(step.value_iterated_to(), count).is_err() {
                return;
            }
        }
        self.sum = self.sum.saturating_add(times.sum);
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// All times added together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The time that this share of all took at most; to three digits.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.histogram.value_at_quantile(share))
    }

    /// How many took at most as long as each of `bounds`, which ascend, in microseconds. A bound
    /// is met to the three digits that a time keeps.
    pub fn up_to<const N: usize>(&self, bounds: &[u64; N]) -> [u64; N] {
        let mut counts = [0u64; N];
        for step in self.histogram.iter_recorded() {
            let least = self.histogram.lowest_equivalent(step.value_iterated_to());
            let class = bounds.partition_point(|bound| *bound < least);
            if let Some(count) = counts.get_mut(class) {
                *count += step.count_at_value();
            }
        }
        let mut below = 0;
        counts.map(|count| {
            below += count;
            below
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn us(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    fn total(times: &[Duration]) -> Totals {
        let mut shard = ShardLatency::new();
        for took in times {
            shard.own(Label::OTHER, *took);
        }
        let mut totals = Totals::new();
        totals.add(&shard.take());
        totals
    }

    #[track_caller]
    fn check(times: &[Duration], want: [u64; 3]) {
        let totals = total(times);
        let (_, total) = totals.of(Kind::Own).next().unwrap();
        assert_eq!(total.up_to(&[100, 2500, 10_000_000]), want);
        assert_eq!(total.sum(), times.iter().sum::<Duration>());
    }

    #[test]
    fn a_time_is_counted_below_every_bound_that_it_meets() {
        check(&[us(100)], [1, 1, 1]);
        check(&[us(101)], [0, 1, 1]);
        check(&[us(2500), us(2502)], [0, 1, 2]);
        check(&[us(10_000_000)], [0, 0, 1]);
        check(&[us(10_020_000)], [0, 0, 0]);
        check(&[Duration::ZERO, Duration::from_nanos(1)], [2, 2, 2]);
        check(&[us(99), Duration::from_nanos(100_001)], [1, 2, 2]);
        check(&[Duration::from_hours(10)], [0, 0, 0]);
    }

    #[test]
    fn shards_add_up_and_an_empty_histogram_takes_over() {
        let mut totals = Totals::new();
        for shard in 1..=3u64 {
            let mut latency = ShardLatency::new();
            for round in 0..2 {
                for n in 0..1000 {
                    latency.request(Label::OTHER, Method::Get, us(shard * 1000 + n + round));
                }
                totals.add(&latency.take());
            }
            assert!(latency.take().series.is_empty());
        }
        let (key, total) = totals.of(Kind::Request).next().unwrap();
        assert_eq!(key, Key { label: Label::OTHER, method: None });
        assert_eq!(total.count(), 6000);
        let median = total.quantile(0.5).as_micros();
        assert!((2490..2510).contains(&median), "{median}");
        assert_eq!(totals.of(Kind::Own).count() + totals.of(Kind::Upstream).count(), 0);
    }

    #[test]
    fn only_routes_of_the_operator_are_told_apart_by_method() {
        let mut shard = ShardLatency::new();
        let route = Label::at(9).unwrap();
        for method in Method::ALL {
            shard.request(Label::OTHER, method, us(5));
            shard.request(route, method, us(5));
        }
        let batch = shard.take();
        assert_eq!(batch.series.len(), 1 + Method::ALL.len());
    }

    #[test]
    fn histograms_beyond_the_bound_share_one() {
        let mut shard = ShardLatency::new();
        for label in 4..LABELS_MAX {
            let label = Label::at(label).unwrap();
            for _ in 0..2 {
                shard.upstream(label, us(7));
                shard.request(label, Method::Get, us(7));
            }
        }
        let batch = shard.take();
        assert_eq!(batch.series.len(), 2 * LATENCY_SERIES_MAX);
        let counted: u64 = batch.series.iter().map(|(_, _, times)| times.histogram.len()).sum();
        assert_eq!(counted, u64::try_from(4 * (LABELS_MAX - 4)).unwrap());
    }

    #[test]
    fn a_batch_can_travel() {
        const fn check<T: Send>() {}
        check::<Batch>();
    }
}
