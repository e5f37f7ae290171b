//! Every bound, with its unit and its reason. Configurable ones are defaults here; `config` holds
//! their range.

use std::time::Duration;

use super::size::{KIB, MIB};

/// Bytes of a request or response head, first line to blank line. nginx allows 32 KiB in all.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a request target. RFC 9112 §3 asks for 8,000 octets at least.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Fields of one head. `HAProxy` and Apache allow 100 as well.
pub const HEAD_FIELDS_MAX: usize = 100;
/// One small buffer. A head must fit, so that parsing never copies.
pub const SMALL_BUFFER_BYTES: usize = 16 * 1024;
/// One large buffer, for answers, tunnels and HTTP/2: no more than a slow client takes within
/// [`WRITE_TIMEOUT`].
pub const LARGE_BUFFER_BYTES: usize = 256 * 1024;
/// One buffer for the body of a request. Larger reads cost less per byte, until they leave the
/// cache.
pub const BODY_BUFFER_BYTES: usize = 512 * 1024;
/// A buffer that one TLS record fits in: 16 KiB of payload, at most 256 bytes more, a header of 5
/// (RFC 8446 §5.2).
pub const RECORD_BUFFER_BYTES: usize = 17 * 1024;
/// Bytes that one pipe takes. The kernel's default for all pipes of a user is 64 MiB
/// (`fs.pipe-user-pages-soft`); beyond it bodies are copied.
pub const PIPE_BYTES: usize = 1024 * 1024;
/// Pipes of one shard, two descriptors each. Further bodies are copied.
pub const PIPES_MAX: usize = 64;
/// Frames of HTTP/2 whose payload may leave out of a pipe are at least so large. Each costs two
/// system calls, more than it costs to copy 16 KiB twice.
pub const PIPED_FRAME_MIN: u32 = 64 * 1024;
/// Bytes of one trailer section.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;
/// Fields of one trailer section. Real ones have three; each is compared with many names.
pub const TRAILERS_MAX: usize = 32;
/// Bytes of a chunk-size line with its extensions (RFC 9112 §7.1.1 asks recipients to bound them).
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Bytes of one JSON body that becomes a unary call. gRPC's own default for a message is 4 MiB.
pub const JSON_BODY_BYTES_MAX: u64 = 4 * MIB;
/// Bytes of one gRPC message that a service may answer with.
pub const GRPC_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of one message that a client sends over a WebSocket to a module. What a service takes of
/// gRPC is 4 MiB, if it does not say otherwise.
pub const SOCKET_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Payload bytes of one upload message (SPEC 6.1: at most 65,536).
pub const UPLOAD_CHUNK_BYTES: usize = 64 * 1024;
/// Memory that one upload may hold, buffers and framing together.
pub const UPLOAD_MEMORY_BYTES: u64 = MIB;
/// Files of one multipart upload.
pub const UPLOAD_FILES_MAX: u32 = 1024;
/// Bytes of the head of one multipart part.
pub const PART_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a multipart boundary (RFC 2046 §5.1.1).
pub const BOUNDARY_BYTES_MAX: usize = 70;
/// Bytes of a file name that is passed on.
pub const FILENAME_BYTES_MAX: usize = 255;
/// Levels of nesting that a JSON text may have.
pub const JSON_DEPTH_MAX: u32 = 128;
/// Connections that one shard accepts.
pub const CONNECTIONS_MAX: u32 = 16_384;
/// Small buffers kept for reuse by one shard: so many stay, up to so many while they are needed.
pub const SMALL_BUFFERS_KEPT: (usize, usize) = (256, 1024);
/// Large buffers kept for reuse by one shard.
pub const LARGE_BUFFERS_KEPT: (usize, usize) = (8, 8);
/// Buffers for bodies of requests kept for reuse by one shard.
pub const BODY_BUFFERS_KEPT: (usize, usize) = (8, 8);
/// Beside its buffer an upload holds a small one and the framing of what is sent.
pub const UPLOAD_MEMORY_BESIDE: u64 = 64 * KIB;
/// Buffers for TLS records kept for reuse by one shard.
pub const RECORD_BUFFERS_KEPT: (usize, usize) = (64, 1024);
/// Spans waiting to be exported, for each shard and exporter.
pub const SPANS_MAX: usize = 2048;
/// Log records waiting to be written, for each shard.
pub const LOG_RECORDS_MAX: usize = 8192;
/// Letters waiting in a shard's mailbox.
pub const LETTERS_MAX: usize = 64;

/// From the first byte of a head to its end.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two requests of a connection.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Between two reads of a body that is expected.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// A response that the client does not take makes no progress for this long.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that was silent for so long is asked by the kernel whether it is still there ...
pub const CLIENT_PROBE_AFTER: Duration = Duration::from_mins(1);
/// ... and again after so long, ...
pub const CLIENT_PROBE_EVERY: Duration = Duration::from_secs(30);
/// ... until it has said nothing for so long: its host is lost, and its connection with it. The
/// same goes for bytes that wait for so long, unacknowledged or before a window that stays shut.
pub const CLIENT_LOST_AFTER: Duration = Duration::from_mins(5);
/// A body must bring so many bytes ...
pub const BODY_RATE_BYTES: u64 = KIB;
/// ... in each such time. No body has a total timeout.
pub const BODY_RATE_WINDOW: Duration = Duration::from_secs(8);
/// After an early answer, the rest of the request is read and thrown away, so that the answer is
/// not lost to a reset, while no two reads are further apart than this ...
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// ... and for so long at most (nginx: `lingering_time`).
pub const LINGER_TOTAL_MAX: Duration = Duration::from_secs(30);

#[expect(clippy::as_conversions, reason = "constants: there is no other conversion in them")]
const _: () = {
    assert!(HEAD_BYTES_MAX <= SMALL_BUFFER_BYTES);
    assert!(TARGET_BYTES_MAX < HEAD_BYTES_MAX);
    assert!(BODY_BUFFER_BYTES as u64 + UPLOAD_MEMORY_BESIDE <= UPLOAD_MEMORY_BYTES);
    assert!(RECORD_BUFFER_BYTES >= 16_384 + 256 + 5);
    assert!(SMALL_BUFFER_BYTES.is_power_of_two() && LARGE_BUFFER_BYTES.is_power_of_two());
    assert!(BODY_BUFFER_BYTES.is_power_of_two() && BODY_BUFFER_BYTES > LARGE_BUFFER_BYTES);
};

/// From the first SIGTERM until exchanges are cut off.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(30);
/// The same for uploads in flight.
pub const UPLOAD_GRACE: Duration = Duration::from_mins(10);
/// From the start of a connection to an endpoint until it can carry calls (SPEC 4.7).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the start of a unary call to its answer (SPEC 4.7).
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Without progress of a stream to a service (SPEC 4.7).
pub const STREAM_IDLE_TIMEOUT: Duration = Duration::from_mins(2);
/// Connections of one shard to one endpoint.
pub const POOL_CONNECTIONS_MAX: u32 = 4;
/// Streams of one connection to an endpoint.
pub const POOL_STREAMS_MAX: u32 = 100;
/// A connection to an endpoint without streams is closed after so long (SPEC 4.7).
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// Between two PINGs to an endpoint (SPEC 4.7).
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// From a PING to its answer (SPEC 4.7).
pub const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts of one call, the first included (SPEC 4.7).
pub const RETRY_ATTEMPTS_MAX: u32 = 4;
/// Retries for each call that needed none.
pub const RETRY_BUDGET_RATIO: f32 = 0.2;
/// Before the second attempt (SPEC 4.7).
pub const RETRY_BACKOFF_MIN: Duration = Duration::from_millis(200);
/// At most so long before any attempt (SPEC 4.7).
pub const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Unsent bytes that the kernel holds for an endpoint, so that control frames do not queue long.
pub const UPSTREAM_NOT_SENT_LOWAT: u32 = 128 * 1024;
/// Congestion control between processes of one host: a pacing one (BBR) costs up to four times the
/// CPU per byte there and has no network to be gentle to.
pub const CONGESTION_LOCAL: &str = "cubic";
/// Bytes of a settings file or `.env`.
pub const CONFIG_BYTES_MAX: u64 = 4 * MIB;
/// Bytes of a file with certificates or a key.
pub const KEY_FILE_BYTES_MAX: u64 = MIB;
/// Bytes of a file that lists ranges of addresses: 100,000 of version 6 at their longest.
pub const LIST_FILE_BYTES_MAX: u64 = 8 * MIB;
/// Members of a JSON body that become arguments of a call. Bounds the list, not the text.
pub const JSON_MEMBERS_MAX: usize = 4096;
/// Values in what a service answers, all messages of a stream together.
pub const REPLY_ENTRIES_MAX: usize = 65_536;
/// Parts of one multipart body, files and other fields together.
pub const PARTS_MAX: u32 = 2048;
/// Bytes before the first delimiter of a multipart body. Nobody sends any on purpose.
pub const PREAMBLE_BYTES_MAX: usize = 4 * 1024;
/// Bytes after the last delimiter of a multipart body.
pub const EPILOGUE_BYTES_MAX: usize = 4 * 1024;
/// Routes, and upstreams, that have a label of their own in metrics; those beyond share one.
pub const LABELS_MAX: usize = 256;
/// Latency histograms of one sort that a shard holds; one takes up to 94 KiB.
pub const LATENCY_SERIES_MAX: usize = 128;
/// Notices to the operator that wait to be written. More at once is a storm; the rest is counted.
pub const NOTICES_MAX: usize = 256;
/// Routes of one configuration.
pub const ROUTES_MAX: usize = 65_536;
/// Segments of the path of a route. Bounds the depth of a lookup.
pub const ROUTE_SEGMENTS_MAX: usize = 32;
/// Parameters of the path of a route.
pub const ROUTE_PARAMS_MAX: usize = 8;
/// Bytes of a literal segment, or of a host, of a route. Longer ones of requests match no literal.
pub const ROUTE_LITERAL_BYTES_MAX: usize = 255;
/// Bytes of a prefix of a route that is compared as a string.
pub const ROUTE_STRING_BYTES_MAX: usize = 1024;
/// Endpoints of one upstream.
pub const ENDPOINTS_MAX: usize = 256;
/// Endpoints that are asked at once whether they are well.
pub const HEALTH_CHECKS_MAX: usize = 32;
/// Names that are asked for at once.
pub const DNS_QUESTIONS_MAX: usize = 16;
/// How long one name server may take.
pub const DNS_TIMEOUT: Duration = Duration::from_secs(2);
/// How often all name servers are asked.
pub const DNS_ATTEMPTS: u32 = 2;
/// An address is used for at least so long: a name server is not asked for each request.
pub const DNS_MIN_TTL: Duration = Duration::from_secs(5);
/// An address is used for at most so long before it is asked for again.
pub const DNS_MAX_TTL: Duration = Duration::from_mins(5);
/// A name that is said not to exist keeps its addresses for so long.
pub const DNS_KEEP_GONE: Duration = Duration::from_mins(1);
/// How long a start or a reload waits for names that it brings.
pub const DNS_START_WAIT: Duration = Duration::from_secs(1);
/// Between a request that was sent whole and the first byte of its answer. nginx waits 60 s.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_mins(1);
/// Without progress of a body in either direction towards an endpoint.
pub const UPSTREAM_IDLE_TIMEOUT: Duration = Duration::from_mins(1);
/// Between the head of a request with a body that the endpoint no longer takes, and its answer.
pub const ENDING_TIMEOUT: Duration = Duration::from_secs(1);
/// Idle connections of one shard to one HTTP endpoint. A few clients of HTTP/2 keep hundreds busy;
/// those beyond are opened anew for each burst, which costs more than the requests.
pub const HTTP_POOL_CONNECTIONS_MAX: u32 = 256;
/// An HTTP connection without an exchange is closed after so long, before most endpoints close it.
pub const HTTP_POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// So many times as many are kept while they are needed.
pub const HTTP_POOL_BEYOND_FACTOR: u32 = 4;
/// One of those is closed when it was idle for so long, or for up to twice as long.
pub const HTTP_POOL_BEYOND_IDLE: Duration = Duration::from_secs(1);
/// Interim answers (1xx) of an endpoint to one request. Real ones send one or two.
pub const INTERIM_ANSWERS_MAX: u32 = 16;
/// An answer of so many bytes is not begun towards a client whose receive window is smaller
/// than [`CLIENT_WINDOW_MIN`]: it would hold the connection for as long as it likes.
pub const SLOW_READ_BYTES: u64 = 256 * 1024;
/// Less room than two full segments of Ethernet. See [`SLOW_READ_BYTES`].
pub const CLIENT_WINDOW_MIN: u32 = 2048;
/// Streams of a client's HTTP/2 connection.
pub const STREAMS_MAX: u32 = 100;
/// What a client may send on a stream of HTTP/2 before it was taken.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same on all streams of a connection together.
pub const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What the window of a stream may grow to where the client is far away: 50 ms at 670 Mbit/s.
pub const STREAM_WINDOW_BYTES_MAX: u32 = 8 * 1024 * 1024;
/// The same of a connection.
pub const CONNECTION_WINDOW_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// What the windows of all clients' connections of a shard may be larger than at first, together.
pub const WINDOW_BUDGET_BYTES: u64 = 64 * MIB;
/// One direction of a call that is passed through, without a byte.
pub const CALL_SILENCE_MAX: Duration = Duration::from_hours(24);
/// Towards services that call the gateway: PING after so long without a word, and how long its echo
/// may take (SPEC 4.8).
pub const REVERSE_PINGS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// How long a signature of a call holds (SPEC 7.2).
pub const SIGNATURE_AGE_MAX: Duration = Duration::from_mins(2);
