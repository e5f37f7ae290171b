//! What a connection of HTTP/1.1 is asked to become (RFC 9110 §7.8). What follows is a tunnel to
//! us.

use crate::message::framing::Framing;
use crate::message::head::{RequestHead, ResponseHead, Version};
use crate::message::known::Known;

use super::websocket;

/// A whole request to switch, to one protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Upgrade<'a> {
    /// A valid handshake of WebSocket.
    WebSocket,
    /// Any other, as the client named it.
    Other(&'a [u8]),
}

impl<'a> Upgrade<'a> {
    /// What a request asks for. `None`: nothing, or more than one thing, or not properly; then it
    /// is a request like any other.
    #[must_use]
    pub fn asked_for(head: &RequestHead, text: &'a [u8]) -> Option<Self> {
        if websocket::is_asked_for(head, text) {
            return Some(Upgrade::WebSocket);
        }
        let mut names = head.values(text, Known::Upgrade);
        let name = names.next()?;
        // A body would belong to the old protocol, and what follows it to the new one.
        let is_whole = head.upgrade
            && head.version == Version::Http11
            && matches!(head.framing, Framing::Empty | Framing::Length(0))
            && names.next().is_none()
            && !name.contains(&b',')
            && !websocket::is_name(name);
        is_whole.then_some(Upgrade::Other(name))
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'a [u8] {
        match self {
            Upgrade::WebSocket => b"websocket",
            Upgrade::Other(name) => name,
        }
    }

    /// Whether a 101 switches to what was asked for, and to nothing else.
    #[must_use]
    pub fn is_taken(
        self,
        request: &RequestHead,
        request_text: &[u8],
        answer: &ResponseHead,
        text: &[u8],
    ) -> bool {
        let mut names = answer.values(text, Known::Upgrade);
        answer.status == 101
            && answer.upgrade
            && names.next().is_some_and(|name| name.eq_ignore_ascii_case(self.name()))
            && names.next().is_none()
            && match self {
                Upgrade::WebSocket => websocket::is_taken(request, request_text, answer, text),
                Upgrade::Other(_) => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::head::Method;
    use crate::protocol::h1::request::{HeadLimits, RequestParser};
    use crate::protocol::h1::response::ResponseParser;

    /// What a request with these lines asks for, and whether a 101 with those takes it.
    #[track_caller]
    fn asked(start: &str, lines: &str, answer: &str) -> (Option<String>, bool) {
        let text = format!("{start}\r\nHost: h\r\n{lines}\r\n");
        let mut head = RequestHead::default();
        RequestParser::new(HeadLimits::default()).parse(text.as_bytes(), &mut head).unwrap();
        let upgrade = Upgrade::asked_for(&head, text.as_bytes());
        let name = |upgrade: Upgrade<'_>| String::from_utf8_lossy(upgrade.name()).into_owned();
        let said = format!("HTTP/1.1 101 x\r\nConnection: upgrade\r\n{answer}\r\n");
        let mut says = ResponseHead::default();
        let mut parser = ResponseParser::new(HeadLimits::default(), Method::Get);
        let is_taken = parser.parse(said.as_bytes(), &mut says).is_ok()
            && upgrade.is_some_and(|upgrade| {
                upgrade.is_taken(&head, text.as_bytes(), &says, said.as_bytes())
            });
        (upgrade.map(name), is_taken)
    }

    #[test]
    fn a_switch_is_to_the_one_thing_that_was_asked_for() {
        let lines = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n";
        let post = format!("{lines}Content-Length: 0\r\n");
        let want = Some("SPDY/3.1".to_owned());
        for (answer, taken) in [
            ("Upgrade: spdy/3.1\r\n", true),
            ("Upgrade: spdy/3.2\r\n", false),
            ("Upgrade: spdy/3.1, x\r\n", false),
            ("Upgrade: spdy/3.1\r\nUpgrade: x\r\n", false),
            ("", false),
        ] {
            assert_eq!(asked("GET / HTTP/1.1", lines, answer), (want.clone(), taken), "{answer}");
            assert_eq!(asked("POST / HTTP/1.1", &post, answer), (want.clone(), taken), "{answer}");
        }
    }

    #[test]
    fn half_a_switch_is_none() {
        for (start, lines) in [
            ("GET / HTTP/1.1", "Upgrade: x\r\n"),
            ("GET / HTTP/1.0", "Connection: upgrade\r\nUpgrade: x\r\n"),
            ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: x, y\r\n"),
            ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: x\r\nUpgrade: y\r\n"),
            ("POST / HTTP/1.1", "Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n"),
            ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: WebSocket\r\n"),
        ] {
            assert_eq!(asked(start, lines, "Upgrade: x\r\n"), (None, false), "{lines}");
        }
    }
}
