//! As much of a client of HTTP/1.1 as the gateway of etcd asks for: one connection, JSON both ways.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Of each wait within a question.
const WAIT_TIMEOUT: Duration = Duration::from_secs(2);
const HEAD_LINE_MAX: u64 = 8 * 1024;
const HEAD_LINES_MAX: usize = 64;
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A member of etcd: its name and port, and a connection if one is open.
#[derive(Debug)]
pub(super) struct Member {
    authority: String,
    open: Option<BufReader<TcpStream>>,
}

impl Member {
    /// From a URL such as `http://127.0.0.1:2379`.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let is_plain = |rest: &&str| !rest.is_empty() && !rest.contains(['/', '@', '?', '#']);
        let Some(rest) = rest.filter(is_plain) else {
            return Err("a member of etcd is written as \"http://host:2379\"".to_owned());
        };
        let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { rest.to_owned() } else { format!("{rest}:2379") };
        Ok(Member { authority, open: None })
    }

    /// Posts `question` to `path`; the answer with status 200. A connection that was open and is
    /// gone by now is made anew once: what etcd is asked here does no harm a second time.
    pub(super) fn post(&mut self, path: &str, question: &Value) -> Result<Value, String> {
        let body = question.to_string();
        let was_open = self.open.is_some();
        let mut result = self.exchange(path, &body);
        if was_open && result.is_err() {
            result = self.exchange(path, &body);
        }
        let (status, bytes) = result.map_err(|error| format!("{}: {error}", self.authority))?;
        let answer: Option<Value> = serde_json::from_slice(&bytes).ok();
        match (status, answer) {
            (200, Some(answer)) => Ok(answer),
            (status, answer) => {
                let said = answer.and_then(|value| Some(value.get("error")?.as_str()?.to_owned()));
                let said = said.unwrap_or_default();
                Err(format!("{}: answered {status} {said}", self.authority))
            }
        }
    }

    fn exchange(&mut self, path: &str, body: &str) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.authority,
            body.len()
        );
        stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        let (status, bytes, stays) = answer(&mut stream)?;
        self.open = stays.then_some(stream);
        Ok((status, bytes))
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(WAIT_TIMEOUT))?;
                    stream.set_write_timeout(Some(WAIT_TIMEOUT))?;
                    stream.set_nodelay(true)?;
                    return Ok(BufReader::new(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Status, body, and whether the connection is good for another question.
fn answer(stream: &mut impl BufRead) -> io::Result<(u16, Vec<u8>, bool)> {
    let first = line(stream)?;
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| malformed("no answer of HTTP/1.1"))?;
    let (mut length, mut chunked, mut stays) = (None, false, true);
    for _ in 0..HEAD_LINES_MAX {
        let field = line(stream)?;
        if field.is_empty() {
            let body = if chunked { chunks(stream)? } else { sized(stream, length)? };
            return Ok((status, body, stays));
        }
        let (name, value) =
            field.split_once(':').ok_or_else(|| malformed("a field without name"))?;
        let value = value.trim().to_ascii_lowercase();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let number = value.parse::<u64>().map_err(|_| malformed("no length"))?;
                length = Some(number);
            }
            "transfer-encoding" => chunked = value == "chunked",
            "connection" => stays = value != "close",
            _ => {}
        }
    }
    Err(malformed("too many fields"))
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    stream.take(HEAD_LINE_MAX).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| malformed("no text"))
}

fn sized(stream: &mut impl BufRead, length: Option<u64>) -> io::Result<Vec<u8>> {
    let length = length.ok_or_else(|| malformed("an answer without length"))?;
    if length > BODY_BYTES_MAX {
        return Err(malformed("the answer is too long"));
    }
    let mut body = Vec::new();
    let read = stream.take(length).read_to_end(&mut body)?;
    let whole = u64::try_from(read).is_ok_and(|read| read == length);
    if whole { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let head = line(stream)?;
        let digits = head.split(';').next().unwrap_or_default().trim();
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = u64::from_str_radix(digits, 16).ok().filter(|_| plain);
        let size = size.ok_or_else(|| malformed("no size of a chunk"))?;
        let so_far = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if so_far.saturating_add(size) > BODY_BYTES_MAX {
            return Err(malformed("the answer is too long"));
        }
        if size > 0 {
            body.append(&mut sized(stream, Some(size))?);
        }
        let end = line(stream)?;
        if !end.is_empty() {
            return Err(malformed("a chunk is longer than it says, or has trailers"));
        }
        if size == 0 {
            return Ok(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<(u16, &str, bool)>) {
        let got = answer(&mut text.as_bytes()).ok();
        let want = want.map(|(status, body, stays)| (status, body.as_bytes().to_vec(), stays));
        assert_eq!(got, want, "{text}");
    }

    #[test]
    fn answers_are_read_with_a_length_or_in_chunks() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some((200, "{}", true)));
        let chunked = "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                       1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
        check(chunked, Some((503, "{}", false)));
        for text in [
            "",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\n{\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn members_are_urls_without_a_path() {
        let authority = |url| Member::parse(url).ok().map(|member| member.authority);
        assert_eq!(authority("http://a:1/"), Some("a:1".to_owned()));
        assert_eq!(authority("http://a"), Some("a:2379".to_owned()));
        assert_eq!(authority("http://[::1]:5"), Some("[::1]:5".to_owned()));
        for url in ["a:1", "https://a:1", "http://", "http://a/b", "http://u@a"] {
            assert_eq!(authority(url), None, "{url}");
        }
    }
}
