//! Bodies as HTTP/1.1 frames them, read strictly: the other opinion beside the gateway's own codec.

/// How the end of a body is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Coding {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// A body as far as it has come.
pub struct Decoder {
    coding: Coding,
    state: State,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Data(usize),
    Size,
    AfterData,
    Trailers,
    Done,
}

impl Decoder {
    pub fn new(coding: Coding) -> Decoder {
        let state = match coding {
            Coding::None | Coding::Length(0) => State::Done,
            Coding::Length(len) => State::Data(len),
            Coding::Chunked => State::Size,
            Coding::UntilClose => State::Data(usize::MAX),
        };
        Decoder { coding, state, body: Vec::new(), trailers: Vec::new() }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The connection has ended in good order. True: that is how this body ends.
    pub fn close(&mut self) -> bool {
        let ends = self.coding == Coding::UntilClose;
        if ends {
            self.state = State::Done;
        }
        ends || self.is_done()
    }

    /// Takes what belongs to the body off the front of `bytes`.
    pub fn feed(&mut self, bytes: &mut Vec<u8>) {
        let mut at = 0;
        while let Some(used) = self.step(&bytes[at..]) {
            at += used;
        }
        bytes.drain(..at);
    }

    /// One piece; `None`: more bytes are needed, or none at all.
    fn step(&mut self, rest: &[u8]) -> Option<usize> {
        match self.state {
            State::Done => None,
            State::Data(_) if rest.is_empty() => None,
            State::Data(left) => {
                let len = left.min(rest.len());
                self.body.extend(&rest[..len]);
                self.state = match (left - len, self.coding) {
                    (0, Coding::Chunked) => State::AfterData,
                    (0, _) => State::Done,
                    (left, _) => State::Data(left),
                };
                Some(len)
            }
            State::AfterData => {
                let end = rest.get(..2)?;
                assert_eq!(end, b"\r\n", "a chunk is longer than it says");
                self.state = State::Size;
                Some(2)
            }
            State::Size => {
                let (line, used) = line(rest)?;
                let digits = line.split(';').next().unwrap();
                let len = usize::from_str_radix(digits, 16).expect("the size of a chunk");
                self.state = if len == 0 { State::Trailers } else { State::Data(len) };
                Some(used)
            }
            State::Trailers => {
                let (line, used) = line(rest)?;
                if line.is_empty() {
                    self.state = State::Done;
                } else {
                    self.trailers.push(field(&line));
                }
                Some(used)
            }
        }
    }
}

/// A field line, its name in lower case.
pub fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').expect("a colon in each field");
    assert!(!name.contains(char::is_whitespace), "a space in the name of {line:?}");
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

/// The value of a field, which may be there once.
pub fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut values = fields.iter().filter(|(field, _)| field == name);
    let first = values.next();
    assert!(values.next().is_none(), "{name} stands there twice");
    first.map(|(_, value)| value.as_str())
}

/// The length or coding that a head tells; `None`: neither.
pub fn told(fields: &[(String, String)]) -> Option<Coding> {
    let length = value(fields, "content-length").map(|text| {
        assert!(text.bytes().all(|byte| byte.is_ascii_digit()), "the length {text:?}");
        Coding::Length(text.parse().unwrap())
    });
    let coding = value(fields, "transfer-encoding").map(|text| {
        assert_eq!(text, "chunked", "a coding that nobody has");
        Coding::Chunked
    });
    assert!(length.is_none() || coding.is_none(), "a length and a coding");
    length.or(coding)
}

fn line(rest: &[u8]) -> Option<(String, usize)> {
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    Some((String::from_utf8_lossy(&rest[..end]).into_owned(), end + 2))
}
