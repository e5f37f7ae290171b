//! Whole connections: a production shard is sent anything, and answers strictly.

use std::collections::BTreeMap;

use otus::message::framing::Framing;
use otus::message::head::{Method, RequestHead, ResponseHead};
use otus::protocol::h1::body::{BodyDecoder, BodyEvent};
use otus::protocol::h1::request::{HeadLimits, Progress, RequestParser};
use otus::protocol::h1::response::ResponseParser;
use otus::protocol::h2::frame::{self, END_HEADERS, END_STREAM, FrameHead, Kind, PREFACE};
use otus::protocol::h2::hpack::decode::Decoder;
use otus::protocol::h2::hpack::fields::Fields;

use super::{cuts, world};

/// HTTP/1: each request that is whole is answered once and in its order, what is no request ends
/// the connection, and the endpoint is asked for nothing else.
pub fn http1(data: &[u8]) {
    if data.windows(14).any(|window| window == &PREFACE[..14]) {
        return; // That is HTTP/2.
    }
    let sent = requests(data);
    let pieces = cuts::ways(data).pop().unwrap();
    let outcome = world::visit(&pieces);
    let statuses = answers(&outcome.answers, &sent.methods);
    let most = sent.whole + usize::from(sent.methods.len() > sent.whole || sent.is_malformed);
    assert!(statuses.len() <= most, "{statuses:?} for {} requests", sent.whole);
    if sent.is_malformed && statuses.len() > sent.whole {
        assert!(statuses[sent.whole] >= 400, "what is malformed is refused");
    }
    assert!(outcome.asked.len() <= sent.whole, "the endpoint is asked for more");
    let good = statuses.iter().filter(|status| **status == 200).count();
    assert!(good <= outcome.asked.len(), "an answer that the endpoint did not give");
    // Methods and bodies come in their order, as they were sent.
    let mut left = sent.got.iter();
    for (method, _, body) in &outcome.asked {
        assert!(left.any(|sent| (&sent.0, &sent.1) == (method, body)), "{method} was not sent so");
    }
}

/// The requests in the bytes of a client.
struct Sent {
    /// Of all heads that are whole.
    methods: Vec<Method>,
    /// Methods and bodies of those that are whole.
    got: Vec<(String, Vec<u8>)>,
    whole: usize,
    /// Something else follows them.
    is_malformed: bool,
}

fn requests(data: &[u8]) -> Sent {
    let mut sent = Sent { methods: Vec::new(), got: Vec::new(), whole: 0, is_malformed: false };
    let mut at = 0;
    loop {
        let rest = &data[at..];
        let mut head = RequestHead::default();
        match RequestParser::new(HeadLimits::default()).parse(rest, &mut head) {
            Ok(Progress::Done { len }) => at += len,
            Ok(Progress::NeedMore) => {
                // The end of the stream within a head, or behind the last one.
                sent.is_malformed = !matches!(rest, b"" | b"\r" | b"\r\n");
                return sent;
            }
            Err(_) => {
                sent.is_malformed = true;
                return sent;
            }
        }
        sent.methods.push(head.method);
        let method = String::from_utf8(head.method_text.of(rest).to_vec()).unwrap();
        let mut decoder = BodyDecoder::new(head.framing, u64::MAX);
        let mut body = Vec::new();
        while !decoder.is_done() {
            let Ok(step) = decoder.decode(&data[at..]) else { return sent };
            if let BodyEvent::Data { start, len } = step.event {
                body.extend_from_slice(&data[at + start..at + start + len]);
            }
            at += step.consumed;
            if step.event == BodyEvent::NeedMore {
                return sent;
            }
        }
        sent.whole += 1;
        sent.got.push((method, body));
        if !head.keep_alive {
            return sent;
        }
    }
}

/// The statuses of all answers. Each is well-formed, and nothing stands between them.
fn answers(bytes: &[u8], methods: &[Method]) -> Vec<u16> {
    let (mut statuses, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let method = methods.get(statuses.len()).copied().unwrap_or_default();
        let mut head = ResponseHead::default();
        let parsed = ResponseParser::new(HeadLimits::default(), method).parse(rest, &mut head);
        let Ok(Progress::Done { len }) = parsed else {
            panic!("no answer: {parsed:?} {}", rest.escape_ascii())
        };
        assert_ne!(head.framing, Framing::UntilClose, "an end that cannot be known");
        rest = &rest[len..];
        if head.is_interim() {
            continue;
        }
        statuses.push(head.status);
        let mut decoder = BodyDecoder::new(head.framing, u64::MAX);
        while !decoder.is_done() {
            let step = decoder.decode(rest).expect("a body");
            assert!(step.event != BodyEvent::NeedMore, "an answer that is cut");
            rest = &rest[step.consumed..];
        }
        if !head.keep_alive {
            assert!(rest.is_empty(), "bytes behind the last answer: {}", rest.escape_ascii());
        }
    }
    statuses
}

/// HTTP/2: whole frames, each stream answered once, none that the client did not open.
pub fn http2(data: &[u8]) {
    let (mode, data) = cuts::choice(data, 2);
    let mut bytes = PREFACE.to_vec();
    if mode == 0 {
        frame::write(&mut bytes, Kind::Settings, 0, 0, &[]);
    }
    bytes.extend_from_slice(data);
    let opened = opened(&bytes[PREFACE.len()..]);
    let pieces = cuts::ways(&bytes).pop().unwrap();
    let outcome = world::visit(&pieces);
    assert!(outcome.asked.len() <= opened.len(), "the endpoint is asked for more");

    let mut decoder = Decoder::new(4096);
    let mut fields = Fields::new(1 << 16);
    let mut streams: BTreeMap<u32, Answer> = BTreeMap::new();
    let mut rest = outcome.answers.as_slice();
    let mut is_first = true;
    while let Some((head, tail)) = rest.split_first_chunk() {
        let head = FrameHead::parse(head);
        let len = usize::try_from(head.len).unwrap();
        // A connection that is reset may be cut anywhere.
        let Some(payload) = tail.get(..len) else { break };
        rest = &tail[len..];
        assert!(!is_first || head.kind == Kind::Settings, "SETTINGS first");
        is_first = false;
        assert!(head.len <= frame::FRAME_BYTES_DEFAULT);
        match head.kind {
            Kind::Headers => {
                assert!(head.has(END_HEADERS), "small heads");
                assert_eq!(decoder.decode(payload, &mut fields), Ok(()));
                let answer = streams.entry(head.stream).or_default();
                answer.take_head(fields.status(), head.has(END_STREAM));
            }
            Kind::Data => {
                let answer = streams.entry(head.stream).or_default();
                answer.take_data(len, head.has(END_STREAM));
            }
            Kind::Reset => streams.entry(head.stream).or_default().reset(),
            Kind::Settings | Kind::Ping | Kind::GoAway => assert_eq!(head.stream, 0),
            Kind::WindowUpdate => assert_eq!(len, 4),
            other => panic!("{other:?}"),
        }
    }
    let whole = streams.values().filter(|answer| answer.is_good()).count();
    assert!(whole <= outcome.asked.len(), "an answer that the endpoint did not give");
    for (id, answer) in &streams {
        assert!(answer.head.is_none() || opened.contains(id), "stream {id}");
    }
}

/// Streams for which the client sent HEADERS.
fn opened(mut rest: &[u8]) -> Vec<u32> {
    let mut found = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk() {
        let head = FrameHead::parse(head);
        if head.kind == Kind::Headers {
            found.push(head.stream);
        }
        let Some(tail) = tail.get(usize::try_from(head.len).unwrap()..) else { break };
        rest = tail;
    }
    found
}

/// What was sent on one stream.
#[derive(Default)]
struct Answer {
    head: Option<u16>,
    body: usize,
    ended: bool,
    was_reset: bool,
}

impl Answer {
    fn take_head(&mut self, status: Option<u16>, end: bool) {
        assert!(!self.ended && !self.was_reset, "a head behind the end");
        match (self.head, status) {
            (None, Some(100..=199)) => assert!(!end),
            (None, Some(status)) => self.head = Some(status),
            (None, None) => panic!("a head without a status"),
            (Some(_), status) => assert!(status.is_none() && end, "a second answer"),
        }
        self.ended |= end;
    }

    fn take_data(&mut self, len: usize, end: bool) {
        assert!(self.head.is_some() && !self.ended && !self.was_reset, "DATA out of place");
        self.body += len;
        self.ended |= end;
    }

    fn reset(&mut self) {
        self.was_reset = true;
    }

    /// Whole, and from the endpoint.
    fn is_good(&self) -> bool {
        self.head == Some(200) && self.ended && self.body == 2
    }
}
