//! What HTTP endpoints do to requests, and how they word their answers.

use std::fmt::Write;

use crate::decode::Coding;
use crate::dice::Dice;

/// What an endpoint does to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Misdeed {
    /// Takes everything and answers.
    None,
    /// Answers before it has taken the body, and goes on taking it.
    Early,
    /// The same, with a refusal, and goes.
    EarlyAndGo,
    /// Goes with the head of the request, or within its body.
    Go,
    /// The same, with a reset.
    Die,
    /// Says nothing any more.
    Silence,
    /// Takes no more of the request and says nothing.
    Freeze,
    /// Goes within the head of its answer.
    CutHead,
    /// Goes within the body of its answer ...
    CutBody,
    /// ... with a reset.
    CutBodyDie,
    /// Says nothing more within its answer.
    Stall,
    /// Sends bytes behind its answer that nobody asked for, at once or a little later.
    Extra,
    /// Answers, and closes soon after.
    Stale,
    /// Answers, and sends no more, but goes on listening.
    HalfClose,
    /// A head that must not be believed.
    BadHead,
    /// Chunks that must not be believed.
    BadChunk,
    /// Switches to something that nobody asked for.
    Switch,
    /// One interim answer after the other.
    Interims,
    /// Says that it is too busy.
    Busy,
}

impl Misdeed {
    /// A bad one.
    pub fn draw(dice: &mut Dice) -> Misdeed {
        use Misdeed::*;
        dice.pick(&[
            Early, Early, EarlyAndGo, Go, Die, Silence, Freeze, CutHead, CutBody, CutBody,
            CutBodyDie, Stall, Extra, Extra, Stale, Stale, Stale, HalfClose, BadHead, BadHead,
            BadChunk, Switch, Interims, Busy,
        ])
    }

    pub fn name(self) -> &'static str {
        match self {
            Misdeed::None => "misdeed: none",
            Misdeed::Early => "misdeed: early",
            Misdeed::EarlyAndGo => "misdeed: early and go",
            Misdeed::Go => "misdeed: go",
            Misdeed::Die => "misdeed: die",
            Misdeed::Silence => "misdeed: silence",
            Misdeed::Freeze => "misdeed: freeze",
            Misdeed::CutHead => "misdeed: cut head",
            Misdeed::CutBody => "misdeed: cut body",
            Misdeed::CutBodyDie => "misdeed: cut body, die",
            Misdeed::Stall => "misdeed: stall",
            Misdeed::Extra => "misdeed: extra",
            Misdeed::Stale => "misdeed: stale",
            Misdeed::HalfClose => "misdeed: half close",
            Misdeed::BadHead => "misdeed: bad head",
            Misdeed::BadChunk => "misdeed: bad chunk",
            Misdeed::Switch => "misdeed: switch",
            Misdeed::Interims => "misdeed: interims",
            Misdeed::Busy => "misdeed: busy",
        }
    }

    /// Whether the answer, if any, comes before the body was taken.
    pub fn is_early(self) -> bool {
        matches!(self, Misdeed::Early | Misdeed::EarlyAndGo)
    }

    /// Whether no answer may be believed.
    pub fn is_false(self) -> bool {
        matches!(self, Misdeed::BadHead | Misdeed::Switch)
    }
}

/// An answer in bytes.
pub struct Worded {
    pub head: Vec<u8>,
    /// The content, framed.
    pub body: Vec<u8>,
    /// The close is its end.
    pub until_close: bool,
}

/// What is said of an answer.
pub struct Facts<'a> {
    pub status: u16,
    pub id: &'a str,
    pub number: usize,
    pub content: &'a [u8],
    pub has_trailer: bool,
    /// The request was HEAD.
    pub is_head: bool,
    pub coding: Coding,
    pub closes: bool,
}

/// Words an answer.
pub fn word(facts: &Facts<'_>, dice: &mut Dice) -> Worded {
    let Facts { status, id, number, content, .. } = *facts;
    let mut head = format!("HTTP/1.1 {status} {}\r\n", dice.pick(&["OK", "", "As you like"]));
    write!(head, "X-Try: {number}\r\nx-echo: {id}\r\n").unwrap();
    if dice.one_in(3) {
        head += "Server:tester\r\nSet-Cookie: a=b\r\nset-cookie:  c=d \r\n";
    }
    let has_body = !facts.is_head && !matches!(status, 204 | 304);
    let mut body = Vec::new();
    match facts.coding {
        Coding::Chunked if status != 204 && status != 304 => {
            if facts.has_trailer {
                head += "Trailer: x-mark\r\n";
            }
            head += "Transfer-Encoding: chunked\r\n";
            if has_body {
                body = chunks(dice, content, facts.has_trailer.then_some(id));
            }
        }
        Coding::Length(_) if status != 204 => {
            write!(head, "content-length: {}\r\n", content.len()).unwrap();
            if has_body {
                body = content.to_vec();
            }
        }
        _ if has_body => body = content.to_vec(),
        _ => {}
    }
    let until_close = facts.coding == Coding::UntilClose && has_body;
    if until_close || facts.closes {
        head += "Connection: close\r\n";
    }
    head += "\r\n";
    Worded { head: head.into_bytes(), body, until_close }
}

fn chunks(dice: &mut Dice, content: &[u8], trailer: Option<&str>) -> Vec<u8> {
    let chunk_max = dice.pick(&[1, 100, 5000, 200_000]).max(content.len() / 200);
    let (mut out, mut rest) = (Vec::new(), content);
    while !rest.is_empty() {
        let len = dice.count(1, chunk_max).min(rest.len());
        let extension = if dice.one_in(8) { ";a=\"b c\"" } else { "" };
        out.extend(format!("{len:X}{extension}\r\n").into_bytes());
        out.extend(&rest[..len]);
        out.extend(b"\r\n");
        rest = &rest[len..];
    }
    out.extend(b"0\r\n");
    if let Some(id) = trailer {
        out.extend(format!("X-Mark: {id}\r\n").into_bytes());
    }
    out.extend(b"\r\n");
    out
}

/// Kinds of bad heads.
pub const BAD_HEADS: u64 = 12;

/// A head that says what must not be believed. It names the try, so that nobody can mistake who
/// believed it.
pub fn bad_head(kind: u64, id: &str, number: usize) -> Vec<u8> {
    let own = format!("x-try: {number}\r\nx-echo: {id}\r\n");
    let text = match kind {
        0 => {
            format!("HTTP/1.1 200 OK\r\n{own}content-length: 5\r\ncontent-length: 6\r\n\r\nhello!")
        }
        1 => format!("HTTP/1.1 200 OK\r\n{own}content-length: 5, 6\r\n\r\nhello!"),
        2 => format!("HTTP/1.1 200 OK\r\n{own}content-length: +5\r\n\r\nhello"),
        3 => format!("HTTP/1.1 200 OK\r\n{own}transfer-encoding: chunked, gzip\r\n\r\n5\r\nhello"),
        4 => format!("HTTP/1.1 200 OK\r\n{own}content-length : 5\r\n\r\nhello"),
        5 => format!("HTTP/1.1 200 OK\r\n{own}a: b\0c\r\ncontent-length: 5\r\n\r\nhello"),
        6 => format!("HTTP/2.0 200 OK\r\n{own}content-length: 5\r\n\r\nhello"),
        7 => format!("HTTP/1.1 99 OK\r\n{own}content-length: 5\r\n\r\nhello"),
        8 => format!("HTTP/1.1 2000 OK\r\n{own}content-length: 5\r\n\r\nhello"),
        9 => format!("HTTP/1.1 200 OK\r\n{own}x: {}\r\n\r\n", "y".repeat(70_000)),
        10 => format!("HTTP/1.1 200 OK\r\n{own}content-length: 99999999999999999999\r\n\r\nhello"),
        _ => format!("garbage\r\n{own}\r\n\r\n"),
    };
    text.into_bytes()
}

/// Spoils a chunked body somewhere; `false`: there is nothing to spoil.
pub fn spoil_chunks(dice: &mut Dice, body: &mut Vec<u8>) -> bool {
    let Some(end) = body.windows(2).position(|two| two == b"\r\n") else { return false };
    let line = String::from_utf8_lossy(&body[..end]).into_owned();
    let size = usize::from_str_radix(line.split(';').next().unwrap(), 16).unwrap();
    match dice.between(0, 3) {
        0 => body[0] = b'x',
        1 => body.insert(0, b'-'),
        2 => body[end] = b' ',
        // The first chunk is longer than it says. The last one would have a trailer.
        _ if size == 0 => return false,
        _ => body.insert(end + 2 + size, b'!'),
    }
    true
}
