//! How the text format is written.

use std::time::Duration;

use crate::observe::counters::{CountersReader, SIZE_BOUNDS, Sizes};
use crate::observe::latency::Total;

/// Bounds of the duration histograms, as written and in microseconds: OpenTelemetry's advice for
/// `http.server.request.duration`, and six below it, where a gateway's own time lies.
const BOUNDS: [(&str, u64); 20] = [
    ("0.00005", 50),
    ("0.0001", 100),
    ("0.00025", 250),
    ("0.0005", 500),
    ("0.001", 1_000),
    ("0.0025", 2_500),
    ("0.005", 5_000),
    ("0.01", 10_000),
    ("0.025", 25_000),
    ("0.05", 50_000),
    ("0.075", 75_000),
    ("0.1", 100_000),
    ("0.25", 250_000),
    ("0.5", 500_000),
    ("0.75", 750_000),
    ("1", 1_000_000),
    ("2.5", 2_500_000),
    ("5", 5_000_000),
    ("7.5", 7_500_000),
    ("10", 10_000_000),
];

/// How many times lie below each bound.
pub(super) struct Times<const N: usize> {
    bounds: &'static [(&'static str, u64); N],
    below: [u64; N],
    count: u64,
    sum: Duration,
}

impl<const N: usize> Times<N> {
    /// None yet. The bounds ascend: as written, and in microseconds.
    pub(super) fn new(bounds: &'static [(&'static str, u64); N]) -> Self {
        Times { bounds, below: [0; N], count: 0, sum: Duration::ZERO }
    }

    /// Those of one key more.
    pub(super) fn add(&mut self, total: &Total) {
        let counts = total.up_to(&self.bounds.map(|(_, micros)| micros));
        for (below, count) in self.below.iter_mut().zip(counts) {
            *below += count;
        }
        self.count += total.count();
        self.sum = self.sum.saturating_add(total.sum());
    }
}

/// The page as far as it is written.
pub(super) struct Page<'a> {
    out: &'a mut String,
}

impl<'a> Page<'a> {
    /// Appends to `out`.
    pub(super) fn new(out: &'a mut String) -> Self {
        Page { out }
    }

    /// Begins a family. Its samples come next, and no others among them.
    pub(super) fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.all(&["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"]);
    }

    /// A family of one counter.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A family of one gauge.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A family with one sample for each shard.
    pub(super) fn each_shard(
        &mut self,
        shards: &[CountersReader],
        name: &str,
        (kind, help): (&str, &str),
        of: impl Fn(&CountersReader) -> u64,
    ) {
        self.head(name, kind, help);
        for (number, shard) in shards.iter().enumerate() {
            self.sample(name, &[("shard", &number.to_string())], of(shard));
        }
    }

    /// The samples of one duration histogram; `None` for one that has recorded nothing.
    pub(super) fn duration(&mut self, name: &str, labels: &[(&str, &str)], total: Option<&Total>) {
        let mut times = Times::new(&BOUNDS);
        if let Some(total) = total {
            times.add(total);
        }
        self.times(name, labels, &times);
    }

    /// The samples of one duration histogram.
    pub(super) fn times<const N: usize>(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        times: &Times<N>,
    ) {
        for ((bound, _), count) in times.bounds.iter().zip(times.below) {
            self.bucket(name, labels, bound, count);
        }
        self.bucket(name, labels, "+Inf", times.count);
        self.seconds(&[name, "_sum"].concat(), labels, times.sum);
        self.sample(&[name, "_count"].concat(), labels, times.count);
    }

    /// A family of one size histogram.
    pub(super) fn sizes(&mut self, name: &str, help: &str, sizes: &Sizes) {
        self.head(name, "histogram", help);
        let mut below = 0;
        let bounds = SIZE_BOUNDS.iter().map(u64::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(sizes.classes) {
            below += count;
            self.bucket(name, &[], &bound, below);
        }
        self.sample(&[name, "_sum"].concat(), &[], sizes.bytes);
        self.sample(&[name, "_count"].concat(), &[], below);
    }

    fn bucket(&mut self, name: &str, labels: &[(&str, &str)], bound: &str, count: u64) {
        self.all(&[name, "_bucket"]);
        self.labels(labels.iter().copied().chain([("le", bound)]));
        self.all(&[" ", &count.to_string(), "\n"]);
    }

    /// One sample.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.value(name, labels, &value.to_string());
    }

    /// One sample in seconds, to the nanosecond.
    pub(super) fn seconds(&mut self, name: &str, labels: &[(&str, &str)], value: Duration) {
        let value = format!("{}.{:09}", value.as_secs(), value.subsec_nanos());
        self.value(name, labels, &value);
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.out.push_str(name);
        self.labels(labels.iter().copied());
        self.all(&[" ", value, "\n"]);
    }

    fn labels<'l>(&mut self, labels: impl Iterator<Item = (&'l str, &'l str)>) {
        let mut before = "{";
        for (name, value) in labels {
            self.all(&[before, name, "=\""]);
            before = ",";
            for character in value.chars() {
                match character {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    _ => self.out.push(character),
                }
            }
            self.out.push('"');
        }
        if before == "," {
            self.out.push('}');
        }
    }

    fn all(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.push_str(part);
        }
    }
}
