//! Connections of HTTP/2, below any exchange: the same events and replies however the bytes are cut,
//! accounts that balance, and the `h2` crate finds the same requests.

use std::collections::BTreeMap;

use otus::base::time::Instant;
use otus::protocol::h2::connection::config::{Config, Role};
use otus::protocol::h2::connection::engine::Connection;
use otus::protocol::h2::connection::event::{ConnectionError, Event, Fault, HeadersKind};
use otus::protocol::h2::frame::{self, Kind, PREFACE, StreamId};
use otus::protocol::h2::hpack::decode::DecodeError;
use otus::protocol::h2::hpack::encode::Block;

use super::{cuts, h2_crate};

const NOW: Instant = Instant::from_nanos(1_000_000_000_000);

/// Names and values of a head.
pub type List = Vec<(Vec<u8>, Vec<u8>)>;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Event(Event),
    Head(StreamId, HeadersKind, bool, List),
    Data(StreamId, Vec<u8>, bool),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Told {
    seen: Vec<Seen>,
    replies: Vec<u8>,
    error: Option<ConnectionError>,
}

/// The first byte chooses the role, and whether what each connection begins with is there already.
pub fn run(data: &[u8]) {
    let (mode, data) = cuts::choice(data, 4);
    let role = if mode < 3 { Role::Server } else { Role::Client };
    let mut bytes = Vec::new();
    match mode {
        0 => bytes.extend_from_slice(PREFACE),
        1 | 3 => {
            if role == Role::Server {
                bytes.extend_from_slice(PREFACE);
            }
            frame::write(&mut bytes, Kind::Settings, 0, 0, &[]);
        }
        _ => {}
    }
    bytes.extend_from_slice(data);
    compare(role, &bytes);
}

/// Header blocks, each behind its length in one byte, as requests of one connection. Each begins
/// with what makes it a request.
pub fn blocks(data: &[u8]) {
    let mut bytes = PREFACE.to_vec();
    frame::write(&mut bytes, Kind::Settings, 0, 0, &[]);
    let (mut stream, mut rest) = (1, data);
    while let Some((len, tail)) = rest.split_first() {
        let (block, tail) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = tail;
        // Sizes of the table are told first: what is not `001.....` follows the pseudo-fields.
        let resized = block.first().is_some_and(|first| first & 0xe0 == 0x20);
        let start: &[u8] = if resized { &[] } else { &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'] };
        frame::write_headers(&mut bytes, stream, &[start, block].concat(), true, 16_384);
        stream += 2;
    }
    compare(Role::Server, &bytes);
}

fn compare(role: Role, bytes: &[u8]) {
    let whole = feed(role, &[bytes]);
    for way in cuts::ways(bytes) {
        assert_eq!(feed(role, &way), whole, "in pieces");
    }
    for seen in &whole.seen {
        if let Seen::Head(_, _, _, list) = seen {
            for (name, value) in list {
                check_field(name, value);
            }
        }
    }
    well_formed(&whole.replies, role);
    if role == Role::Server {
        against_the_crate(bytes, &whole);
    }
}

/// Fields that belong to one connection (RFC 9113 §8.2.2).
const OF_CONNECTIONS: [&[u8]; 5] =
    [b"connection", b"transfer-encoding", b"upgrade", b"keep-alive", b"proxy-connection"];

fn check_field(name: &[u8], value: &[u8]) {
    let bare = name.strip_prefix(b":").unwrap_or(name);
    let is_name = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    assert!(!bare.is_empty() && bare.iter().all(is_name) && !bare.contains(&b':'));
    assert!(value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)));
    assert!(!OF_CONNECTIONS.contains(&name));
}

fn feed(role: Role, pieces: &[&[u8]]) -> Told {
    let config = Config {
        initial_window: 1000,
        streams_max: 8,
        header_list_max: 4096,
        ..if role == Role::Server { Config::server() } else { Config::client() }
    };
    let mut connection = Connection::new(role, config, NOW);
    if role == Role::Client {
        let block = Block::new().field(b":method", b"GET").field(b":scheme", b"http");
        let block = block.field(b":path", b"/").field(b":authority", b"a").into_vec();
        for end in [true, false, true] {
            connection.open(&block, end).expect("streams that are assumed");
        }
    }
    let mut told = Told { seen: Vec::new(), replies: Vec::new(), error: None };
    let mut held: BTreeMap<u32, u32> = BTreeMap::new();
    'pieces: for piece in pieces {
        let mut rest = *piece;
        loop {
            let received = match connection.receive(rest, NOW) {
                Ok(received) => received,
                Err(error) => {
                    assert_eq!(connection.receive(rest, NOW), Err(error));
                    told.error = Some(error);
                    break 'pieces;
                }
            };
            connection.check();
            assert!(received.consumed <= rest.len());
            let Some(event) = received.event else {
                assert_eq!(received.consumed, rest.len());
                break;
            };
            if let Event::Data { id, len, .. } = event {
                *held.entry(id.0).or_default() += len;
            }
            note(&connection, event, rest, &mut told.seen);
            rest = &rest[received.consumed..];
        }
    }
    if told.error.is_none() {
        // The window is taken for a whole frame when it begins.
        let sum: u32 = held.values().sum();
        let owed = connection.unreleased() - sum;
        assert!(owed == 0 || !ends_with_a_frame(&pieces.concat()), "{owed} of {sum} bytes more");
        for (id, len) in held {
            connection.release(StreamId(id), len);
        }
        connection.check();
        assert_eq!(connection.unreleased(), owed);
    }
    told.replies = std::mem::take(connection.outgoing());
    told
}

fn ends_with_a_frame(bytes: &[u8]) -> bool {
    let (_, rest) = frames(bytes);
    rest.is_empty()
}

/// Heads and payloads of whole frames, and what follows them.
fn frames(bytes: &[u8]) -> (Vec<(frame::FrameHead, &[u8])>, &[u8]) {
    let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    let mut frames = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk() {
        let head = frame::FrameHead::parse(head);
        let Some((payload, tail)) = tail.split_at_checked(usize::try_from(head.len).unwrap())
        else {
            break;
        };
        frames.push((head, payload));
        rest = tail;
    }
    (frames, rest)
}

fn has_a_stream_that_depends_on_itself(bytes: &[u8]) -> bool {
    frames(bytes).0.iter().any(|(head, payload)| {
        let padding = usize::from(head.flags & frame::PADDED != 0);
        let other = payload.get(padding..).and_then(|rest| rest.first_chunk());
        let is_told = head.kind == Kind::Headers && head.flags & frame::PRIORITY != 0;
        is_told && other.is_some_and(|id| u32::from_be_bytes(*id) & StreamId::MAX.0 == head.stream)
    })
}

fn note(connection: &Connection, event: Event, input: &[u8], seen: &mut Vec<Seen>) {
    match event {
        Event::Headers { id, end_stream, kind } => {
            let own = |(name, value): (&[u8], &[u8])| (name.to_vec(), value.to_vec());
            let list = connection.fields().iter().map(own).collect();
            seen.push(Seen::Head(id, kind, end_stream, list));
        }
        Event::Data { id, start, len, end_stream } => {
            assert!(len > 0 || end_stream);
            let data = &input[start..start + usize::try_from(len).unwrap()];
            match seen.last_mut() {
                // One frame may come as several events.
                Some(Seen::Data(last, bytes, end)) if *last == id => {
                    assert!(!*end, "DATA behind the end");
                    bytes.extend_from_slice(data);
                    *end = end_stream;
                }
                _ => seen.push(Seen::Data(id, data.to_vec(), end_stream)),
            }
        }
        other => seen.push(Seen::Event(other)),
    }
}

/// What we write are whole frames.
fn well_formed(replies: &[u8], role: Role) {
    let mut rest = replies;
    if role == Role::Client {
        rest = rest.strip_prefix(PREFACE).expect("the preface first");
    }
    while let Some((head, tail)) = rest.split_first_chunk() {
        let head = frame::FrameHead::parse(head);
        assert!(!matches!(head.kind, Kind::Unknown(_) | Kind::PushPromise | Kind::Priority));
        assert!(head.len <= frame::FRAME_BYTES_DEFAULT);
        rest = &tail[usize::try_from(head.len).unwrap()..];
    }
    assert!(rest.is_empty());
}

/// Requests that both find say the same. A block that one cannot decode the other cannot.
fn against_the_crate(bytes: &[u8], ours: &Told) {
    let theirs = h2_crate::serve(bytes);
    for seen in &ours.seen {
        let Seen::Head(id, HeadersKind::Head, _, list) = seen else { continue };
        let Some(request) = theirs.requests.get(&id.0) else { continue };
        let find =
            |name: &[u8]| list.iter().find(|field| field.0 == name).map(|field| &field.1[..]);
        assert_eq!(find(b":method"), Some(request.method.as_bytes()), "{id}");
        let regular = list.iter().filter(|(name, _)| !name.starts_with(b":")).cloned();
        let mut regular: List = regular.collect();
        regular.sort();
        assert_eq!(regular, request.fields, "{id}");
        if let Some(path) = find(b":path") {
            assert_eq!(path, request.path.as_bytes(), "{id}");
        }
    }
    if let Some(ConnectionError { fault: Fault::Compression(error), .. }) = ours.error {
        // The crate takes any number of changes of a table's size (RFC 7541 §4.2: two at most).
        // It leaves the block of a stream that depends on itself undecoded, and goes on.
        let strict =
            error == DecodeError::SizeUpdates || has_a_stream_that_depends_on_itself(bytes);
        assert!(strict || theirs.reason.is_some(), "only we cannot decode a block: {error:?}");
    } else if theirs.reason == Some(h2::Reason::COMPRESSION_ERROR) {
        assert!(ours.error.is_some(), "only the crate cannot decode a block");
    }
}
