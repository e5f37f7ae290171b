//! What a shard counts: one block of numbers per shard, written by it alone and read by control.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use super::labels::{Label, Method};
use super::tally::{Kind, Tally};

/// A number that only grows. The unit is in the name; without one it counts things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counter {
    /// Connections taken from a listener.
    ConnectionsAccepted,
    /// Connections that ended, however they did.
    ConnectionsClosed,
    /// Connections closed at once because the shard held its maximum.
    ConnectionsRefused,
    /// Connections closed because their PROXY header was missing, wrong, or not to be believed.
    ProxyHeadersRefused,
    /// TLS handshakes that came to their end.
    TlsHandshakes,
    /// Those of them that went on from an earlier one.
    TlsResumptions,
    /// TLS handshakes that failed or took too long.
    TlsHandshakesFailed,
    /// Requests whose head was read.
    RequestsStarted,
    /// Requests that ended, with an answer or without.
    RequestsEnded,
    /// Bytes read from clients.
    DownstreamReceivedBytes,
    /// Bytes written to clients.
    DownstreamSentBytes,
    /// Bytes read from endpoints.
    UpstreamReceivedBytes,
    /// Bytes written to endpoints.
    UpstreamSentBytes,
    /// Uploads whose stream to the service was begun.
    UploadsStarted,
    /// Uploads that ended, whole or not.
    UploadsEnded,
    /// Uploads that ended before the service had answered for all of it.
    UploadsFailed,
    /// Bytes of files handed to services.
    UploadBytes,
    /// Bytes of files that passed without being copied.
    UploadPipedBytes,
    /// Files handed to services, each to its end.
    UploadFiles,
    /// Connections opened to endpoints.
    UpstreamConnectionsOpened,
    /// Connections to endpoints that ended.
    UpstreamConnectionsClosed,
    /// Attempts to connect to an endpoint that failed.
    UpstreamConnectFailures,
    /// Endpoints that a shard set aside because their requests failed.
    EndpointsEjected,
    /// Streams opened on connections to endpoints.
    UpstreamStreamsOpened,
    /// Streams to endpoints that ended.
    UpstreamStreamsClosed,
    /// Streams to endpoints that we ended early, for the client left or a deadline passed.
    UpstreamStreamsCancelled,
    /// Those of them that are of gRPC.
    GrpcConnectionsOpened,
    /// Attempts beyond the first.
    Retries,
    /// Those of them that are calls of gRPC.
    GrpcRetries,
    /// Attempts beyond the first that the retry budget did not allow.
    RetriesDenied,
    /// Deadlines that passed while waiting for a client.
    DownstreamTimeouts,
    /// Deadlines that passed while waiting for an endpoint.
    UpstreamTimeouts,
    /// Requests whose client left before the answer was out.
    ClientsLeft,
    /// Tasks that panicked, each at the cost of its connection.
    Panics,
    /// Spans and reports for which there was no room.
    TelemetryDropped,
    /// Access log records for which the ring had no room.
    LogDropped,
}

impl Counter {
    const COUNT: usize = Counter::LogDropped.place() + 1;

    #[expect(clippy::as_conversions, reason = "a fieldless enum to its place in the block")]
    const fn place(self) -> usize {
        self as usize
    }
}

/// A number that goes up and down and that the shard sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gauge {
    /// The generation that the shard runs.
    Generation,
    /// Bytes that clients of HTTP/2 may have under way beyond their first windows.
    WindowsLent,
}

impl Gauge {
    const COUNT: usize = Gauge::WindowsLent.place() + 1;

    #[expect(clippy::as_conversions, reason = "a fieldless enum to its place in the block")]
    const fn place(self) -> usize {
        self as usize
    }
}

/// Reasons that can be told apart. `proxy` keeps its table below this.
pub const REASONS_MAX: usize = 80;
/// Reasons why tokens are refused that can be told apart. `policy` keeps its list below this.
pub const REFUSALS_MAX: usize = 24;
/// gRPC status codes, 0 to 16.
pub const GRPC_STATUSES: usize = 17;
/// Upper bounds of the classes that bodies are counted in, in bytes.
pub const SIZE_BOUNDS: [u64; 10] =
    [0, 1 << 10, 1 << 14, 1 << 16, 1 << 20, 1 << 24, 1 << 27, 1 << 30, 1 << 32, 1 << 34];

/// The writer's end of a shard's block.
///
/// It can move to the shard's thread, but two threads cannot use it at once (it is not `Sync`):
/// a counter is therefore raised by a plain load and store, without a locked instruction.
///
/// ```compile_fail
/// fn shared<T: Sync>(_: &T) {}
/// shared(&otus::observe::counters::ShardCounters::new());
/// ```
#[derive(Debug)]
pub struct ShardCounters {
    block: Arc<CachePadded<Block>>,
    one_writer: PhantomData<Cell<()>>,
}

/// The reader's end of a shard's block.
#[derive(Clone, Debug)]
pub struct CountersReader {
    block: Arc<CachePadded<Block>>,
}

/// How many bodies had which size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sizes {
    /// Bodies no larger than the bound of the same place in [`SIZE_BOUNDS`], and larger than the
    /// one before; the last are those beyond all bounds.
    pub classes: [u64; SIZE_BOUNDS.len() + 1],
    /// Bytes of all bodies together.
    pub bytes: u64,
}

#[derive(Debug)]
struct Block {
    counters: [AtomicU64; Counter::COUNT],
    gauges: [AtomicU64; Gauge::COUNT],
    reasons: [AtomicU64; REASONS_MAX],
    refusals: [AtomicU64; REFUSALS_MAX],
    grpc_statuses: [AtomicU64; GRPC_STATUSES],
    request_sizes: SizeCells,
    response_sizes: SizeCells,
    requests: Tally,
}

#[derive(Debug, Default)]
struct SizeCells {
    classes: [AtomicU64; SIZE_BOUNDS.len() + 1],
    bytes: AtomicU64,
}

impl Default for ShardCounters {
    fn default() -> Self {
        Self::new()
    }
}

impl ShardCounters {
    /// A block of zeros.
    pub fn new() -> Self {
        let zeros = Block {
            counters: [const { AtomicU64::new(0) }; Counter::COUNT],
            gauges: [const { AtomicU64::new(0) }; Gauge::COUNT],
            reasons: [const { AtomicU64::new(0) }; REASONS_MAX],
            refusals: [const { AtomicU64::new(0) }; REFUSALS_MAX],
            grpc_statuses: [const { AtomicU64::new(0) }; GRPC_STATUSES],
            request_sizes: SizeCells::default(),
            response_sizes: SizeCells::default(),
            requests: Tally::default(),
        };
        ShardCounters { block: Arc::new(CachePadded::new(zeros)), one_writer: PhantomData }
    }

    /// An end to read from, for another thread.
    pub fn reader(&self) -> CountersReader {
        CountersReader { block: Arc::clone(&self.block) }
    }

    /// Adds `n` to a counter.
    pub fn add(&self, counter: Counter, n: u64) {
        raise(self.block.counters.get(counter.place()), n);
    }

    /// Adds one to a counter.
    pub fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: Gauge, value: u64) {
        if let Some(cell) = self.block.gauges.get(gauge.place()) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    /// Counts a request that ended: with `status`, or with 0 if none was sent.
    pub fn request(&self, route: Label, method: Method, status: u16) {
        self.block.requests.add(Kind { route, method, status });
    }

    /// Counts an answer of our own by the place of its reason. Places beyond [`REASONS_MAX`] share
    /// the last one.
    pub fn reason(&self, place: usize) {
        raise(self.block.reasons.get(place.min(REASONS_MAX - 1)), 1);
    }

    /// Counts a token that was refused by the place of the reason. Places beyond [`REFUSALS_MAX`]
    /// share the last one.
    pub fn token_refused(&self, place: usize) {
        raise(self.block.refusals.get(place.min(REFUSALS_MAX - 1)), 1);
    }

    /// Counts the end of a call by its gRPC status; a number that gRPC does not know counts as
    /// `UNKNOWN` (2).
    pub fn grpc_status(&self, code: u32) {
        let place = usize::try_from(code).ok().filter(|place| *place < GRPC_STATUSES).unwrap_or(2);
        raise(self.block.grpc_statuses.get(place), 1);
    }

    /// Counts the body of a request, in bytes as received.
    pub fn request_body(&self, bytes: u64) {
        self.block.request_sizes.add(bytes);
    }

    /// Counts the body of a response, in bytes as sent.
    pub fn response_body(&self, bytes: u64) {
        self.block.response_sizes.add(bytes);
    }
}

impl CountersReader {
    /// The value of a counter.
    pub fn get(&self, counter: Counter) -> u64 {
        read(self.block.counters.get(counter.place()))
    }

    /// The value of a gauge.
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        read(self.block.gauges.get(gauge.place()))
    }

    /// How often we answered for the reason at `place`.
    pub fn reason(&self, place: usize) -> u64 {
        read(self.block.reasons.get(place))
    }

    /// How often a token was refused for the reason at `place`.
    pub fn tokens_refused(&self, place: usize) -> u64 {
        read(self.block.refusals.get(place))
    }

    /// How often a call ended with this gRPC status.
    pub fn grpc_status(&self, code: usize) -> u64 {
        read(self.block.grpc_statuses.get(code))
    }

    /// Sizes of request bodies.
    pub fn request_sizes(&self) -> Sizes {
        self.block.request_sizes.read()
    }

    /// Sizes of response bodies.
    pub fn response_sizes(&self) -> Sizes {
        self.block.response_sizes.read()
    }

    pub(super) fn requests(&self) -> &Tally {
        &self.block.requests
    }
}

impl SizeCells {
    fn add(&self, bytes: u64) {
        let class = SIZE_BOUNDS.partition_point(|bound| *bound < bytes);
        raise(self.classes.get(class), 1);
        raise(Some(&self.bytes), bytes);
    }

    fn read(&self) -> Sizes {
        Sizes {
            classes: std::array::from_fn(|class| read(self.classes.get(class))),
            bytes: read(Some(&self.bytes)),
        }
    }
}

/// One writer: nothing can come between the load and the store.
fn raise(cell: Option<&AtomicU64>, n: u64) {
    if let Some(cell) = cell {
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }
}

fn read(cell: Option<&AtomicU64>) -> u64 {
    cell.map_or(0, |cell| cell.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_on_another_thread_sees_what_was_counted() {
        let counters = ShardCounters::new();
        let reader = counters.reader();
        let shard = std::thread::spawn(move || {
            for _ in 0..1000 {
                counters.count(Counter::RequestsStarted);
                counters.add(Counter::UploadBytes, 65_536);
            }
            counters.set(Gauge::Generation, 7);
        });
        shard.join().unwrap();
        assert_eq!(reader.get(Counter::RequestsStarted), 1000);
        assert_eq!(reader.get(Counter::UploadBytes), 65_536_000);
        assert_eq!(reader.get(Counter::LogDropped), 0);
        assert_eq!(reader.gauge(Gauge::Generation), 7);
    }

    #[test]
    fn a_place_beyond_the_table_counts_at_its_end() {
        let counters = ShardCounters::new();
        counters.reason(3);
        counters.reason(REASONS_MAX + 9);
        counters.token_refused(REFUSALS_MAX + 9);
        counters.grpc_status(14);
        counters.grpc_status(99);
        let reader = counters.reader();
        assert_eq!(reader.reason(3), 1);
        assert_eq!(reader.reason(REASONS_MAX - 1), 1);
        assert_eq!(reader.tokens_refused(REFUSALS_MAX - 1), 1);
        assert_eq!(reader.grpc_status(14), 1);
        assert_eq!(reader.grpc_status(2), 1);
    }

    #[test]
    fn a_body_belongs_to_the_smallest_class_that_holds_it() {
        let counters = ShardCounters::new();
        for bytes in [0, 1, 1024, 1025, 1 << 34, (1 << 34) + 1] {
            counters.request_body(bytes);
        }
        let sizes = counters.reader().request_sizes();
        assert_eq!(sizes.classes, [1, 2, 1, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(sizes.bytes, 1 + 1024 + 1025 + (1 << 34) + (1 << 34) + 1);
        assert_eq!(counters.reader().response_sizes(), Sizes::default());
    }

    #[test]
    fn blocks_of_two_shards_share_no_pair_of_cache_lines() {
        let (one, two) = (ShardCounters::new(), ShardCounters::new());
        let place = |counters: &ShardCounters| std::ptr::from_ref(&**counters.block).addr();
        assert_eq!(place(&one) % 128, 0);
        assert!(place(&one).abs_diff(place(&two)) >= size_of::<Block>().next_multiple_of(128));
    }
}
