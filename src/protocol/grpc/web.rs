//! gRPC-Web (PROTOCOL-WEB.md of gRPC): calls of browsers, which see no trailers and, in some of
//! their interfaces, no bytes. The trailers become a last frame; as text, all is base64.

use crate::message::token::is_token;
use crate::protocol::base64::Encoder;

use super::frame::PREFIX_BYTES;

/// The bit of a frame's flag that says that it holds trailers.
const TRAILERS: u8 = 0x80;

/// How frames are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    /// As they are.
    Binary,
    /// In base64.
    Text,
}

/// A type of content of gRPC-Web.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContentType<'a> {
    /// How its frames are written.
    pub coding: Coding,
    /// What follows the name: nothing, or `+proto` and the like.
    pub suffix: &'a [u8],
}

impl<'a> ContentType<'a> {
    /// What a value of `content-type`, or an element of `accept`, names; `None`: something else.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let rest = after(value, b"application/grpc-web")?;
        let (coding, rest) = match after(rest, b"-text") {
            Some(rest) => (Coding::Text, rest),
            None => (Coding::Binary, rest),
        };
        Some(ContentType { coding, suffix: suffix(rest)? })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        let text: &[u8] = if self.coding == Coding::Text { b"-text" } else { b"" };
        [b"application/grpc-web", text, self.suffix].concat()
    }
}

/// What follows `application/grpc` in a type of content of gRPC itself: nothing, or `+proto` and
/// the like. `None`: it is another type.
#[must_use]
pub fn native_suffix(value: &[u8]) -> Option<&[u8]> {
    suffix(after(value, b"application/grpc")?)
}

fn after<'a>(value: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = value.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(rest)
}

/// `+proto` of `+proto; charset=utf-8`.
fn suffix(rest: &[u8]) -> Option<&[u8]> {
    let end = rest.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
    let suffix = rest.get(..end.unwrap_or(rest.len()))?;
    match suffix {
        [] => Some(suffix),
        [b'+', format @ ..] if is_token(format) => Some(suffix),
        _ => None,
    }
}

/// Frames of an answer cannot be told apart any more, or one claims to be trailers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// An answer on its way: knows where its frames end, and writes what follows them.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The base64 of an answer that is text.
    text: Option<Encoder>,
    /// Bytes of the present frame's prefix, and how many there are.
    prefix: [u8; PREFIX_BYTES],
    prefix_len: usize,
    /// Bytes of the present frame that are still to come.
    left: u64,
}

impl Answer {
    /// An answer before its first byte.
    #[must_use]
    pub fn new(coding: Coding) -> Self {
        let text = (coding == Coding::Text).then(Encoder::default);
        Answer { text, prefix: [0; PREFIX_BYTES], prefix_len: 0, left: 0 }
    }

    /// Whether it is text: what is sent has to be [`written`](Self::write).
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.text.is_some()
    }

    /// Looks at the content that leaves next.
    pub fn look(&mut self, mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (_, rest) = bytes.split_at(here);
            self.left -= u64::try_from(here).unwrap_or(u64::MAX);
            bytes = rest;
            let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            self.take_prefix_byte(*byte)?;
        }
        Ok(())
    }

    fn take_prefix_byte(&mut self, byte: u8) -> Result<(), Broken> {
        if self.prefix_len == 0 && byte & TRAILERS != 0 {
            self.left = u64::MAX; // Where the next frame begins is not to be trusted.
            return Err(Broken);
        }
        if let Some(place) = self.prefix.get_mut(self.prefix_len) {
            *place = byte;
        }
        self.prefix_len += 1;
        if self.prefix_len == PREFIX_BYTES {
            let [_, a, b, c, d] = self.prefix;
            self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
            self.prefix_len = 0;
        }
        Ok(())
    }

    /// Whether another frame, the trailers for one, may begin here.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.prefix_len == 0 && self.left == 0
    }

    /// Bytes that `len` bytes become, of which the last were looked at.
    #[must_use]
    pub fn size(&self, len: usize, end: bool) -> usize {
        let is_flushed = end || self.is_between_frames();
        self.text.as_ref().map_or(len, |text| text.text_len(len, is_flushed))
    }

    /// Appends `bytes` as the client reads them.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.text {
            Some(text) => text.encode(bytes, out),
            None => out.extend_from_slice(bytes),
        }
    }

    /// Appends what base64 holds back, if the client could make use of it: behind a whole frame.
    pub fn flush(&mut self, end: bool, out: &mut Vec<u8>) {
        let is_due = end || self.is_between_frames();
        if let Some(text) = self.text.as_mut().filter(|_| is_due) {
            text.end(out);
        }
    }
}

/// Appends the frame that ends an answer; `lines` are fields as in HTTP/1.
pub fn trailers(lines: &[u8], out: &mut Vec<u8>) {
    out.push(TRAILERS);
    out.extend_from_slice(&u32::try_from(lines.len()).unwrap_or(u32::MAX).to_be_bytes());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, rest) = line.split_at(colon);
        out.extend(name.iter().map(u8::to_ascii_lowercase));
        out.extend_from_slice(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_apart() {
        let of = |value: &'static str| {
            ContentType::parse(value.as_bytes()).map(|found| (found.coding, found.suffix))
        };
        let binary = |suffix: &'static str| Some((Coding::Binary, suffix.as_bytes()));
        let text = |suffix: &'static str| Some((Coding::Text, suffix.as_bytes()));
        for (value, want) in [
            ("application/grpc-web", binary("")),
            ("Application/gRPC-Web+proto", binary("+proto")),
            ("application/grpc-web+json; charset=utf-8", binary("+json")),
            ("application/grpc-web-text", text("")),
            ("application/grpc-web-text+proto", text("+proto")),
            ("application/grpc-web-text;x", text("")),
            ("application/grpc-web+", None),
            ("application/grpc-webby", None),
            ("application/grpc-web-textual", None),
            ("application/grpc", None),
            ("application/grpc+proto", None),
            ("", None),
        ] {
            assert_eq!(of(value), want, "{value}");
        }
        let name = |value: &'static str| ContentType::parse(value.as_bytes()).unwrap().name();
        assert_eq!(name("APPLICATION/grpc-web-TEXT+proto;a"), b"application/grpc-web-text+proto");
        assert_eq!(native_suffix(b"application/grpc+proto"), Some(&b"+proto"[..]));
        assert_eq!(native_suffix(b"application/grpc; x"), Some(&b""[..]));
        assert_eq!(native_suffix(b"application/grpc-web"), None);
        assert_eq!(native_suffix(b"text/html"), None);
    }

    #[test]
    fn frames_are_followed_over_any_cuts() {
        let frames = b"\0\0\0\0\x02ab\0\0\0\0\0\x01\0\0\0\x01z";
        let ends = [0, 7, 12, 18];
        for step in 1..=frames.len() {
            let mut answer = Answer::new(Coding::Binary);
            let mut at = 0;
            for piece in frames.chunks(step) {
                answer.look(piece).unwrap();
                at += piece.len();
                assert_eq!(answer.is_between_frames(), ends.contains(&at), "at {at}");
            }
        }
    }

    #[test]
    fn an_answer_cannot_say_itself_how_it_ended() {
        let mut answer = Answer::new(Coding::Binary);
        answer.look(b"\0\0\0\0\x01\x80").unwrap();
        assert_eq!(answer.look(b"\x80\0\0\0\0"), Err(Broken));
        assert!(!answer.is_between_frames());
    }

    #[test]
    fn text_is_flushed_where_a_frame_ends() {
        let (mut answer, mut out) = (Answer::new(Coding::Text), Vec::new());
        for (bytes, want) in [
            (&b"\0\0\0\0"[..], "AAAA"),
            (b"\x05ab", "AAAAAAVh"),
            (b"cde", "AAAAAAVhYmNkZQ=="),
            (b"\0\0\0\0\0", "AAAAAAVhYmNkZQ==AAAAAAA="),
        ] {
            answer.look(bytes).unwrap();
            let len = out.len() + answer.size(bytes.len(), false);
            answer.write(bytes, &mut out);
            answer.flush(false, &mut out);
            assert_eq!((out.len(), &*String::from_utf8_lossy(&out)), (len, want));
        }
    }

    #[test]
    fn trailers_are_a_frame_of_lines_in_small_letters() {
        let mut out = Vec::new();
        trailers(b"Grpc-Status: 0\r\nx-A: B: c\r\n", &mut out);
        assert_eq!(out, b"\x80\0\0\0\x1bgrpc-status: 0\r\nx-a: B: c\r\n");
    }
}
