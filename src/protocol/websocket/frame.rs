//! Frames of WebSocket as a server reads and writes them (RFC 6455 §5 to §8). No extensions.
//!
//! Pure: bytes in, events out. Messages are put together within a bound; what a client may not send
//! is a [`Fault`], which names the code that the connection is closed with.

/// Payload of a control frame, at most (RFC 6455 §5.5).
pub const CONTROL_BYTES_MAX: usize = 125;
/// A head with its mask.
const HEAD_BYTES_MAX: usize = 14;
/// A decoder keeps so much memory between two messages.
const KEPT_BYTES: usize = 16 * 1024;

/// What a message is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A whole message.
    Message(Kind),
    /// To be answered by a pong with the same payload.
    Ping,
    /// The answer to a ping, or one that nobody asked for.
    Pong,
    /// Nothing follows. The code is `None` if the client gave none.
    Close(Option<u16>),
}

/// Why nothing more can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is no frame that a client may send here.
    Protocol,
    /// A message is longer than the bound.
    TooLarge,
    /// A text, or the reason of a close, is not UTF-8.
    NotUtf8,
}

impl Fault {
    /// The code of the close that says so (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Fault::Protocol => code::PROTOCOL,
            Fault::TooLarge => code::TOO_LARGE,
            Fault::NotUtf8 => code::NOT_UTF8,
        }
    }
}

/// Codes that a connection is closed with (RFC 6455 §7.4.1).
pub mod code {
    /// All was said.
    pub const NORMAL: u16 = 1000;
    /// The server goes away.
    pub const GOING_AWAY: u16 = 1001;
    /// What came is no WebSocket.
    pub const PROTOCOL: u16 = 1002;
    /// A text is not UTF-8.
    pub const NOT_UTF8: u16 = 1007;
    /// A message is too large.
    pub const TOO_LARGE: u16 = 1009;
    /// Something behind the server failed.
    pub const FAILURE: u16 = 1011;
}

/// What one call of [`Decoder::feed`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fed {
    /// Bytes of the input that were used. Feed the rest again.
    pub consumed: usize,
    /// What is whole now; its payload is [`Decoder::payload`] until the next call.
    pub event: Option<Event>,
}

mod opcode {
    pub(super) const CONTINUATION: u8 = 0;
    pub(super) const TEXT: u8 = 1;
    pub(super) const BINARY: u8 = 2;
    pub(super) const CLOSE: u8 = 8;
    pub(super) const PING: u8 = 9;
    pub(super) const PONG: u8 = 10;
}

/// Reads the frames of a client, in pieces of any size.
#[derive(Debug)]
pub struct Decoder {
    max: usize,
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    /// The frame whose payload comes.
    frame: Option<Frame>,
    /// The message so far.
    message: Vec<u8>,
    /// What it is, once it has begun.
    kind: Option<Kind>,
    control: Vec<u8>,
    /// What the last call said.
    told: Option<Event>,
    is_over: bool,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    fin: bool,
    opcode: u8,
    /// Turned so that its first byte is for the next byte of payload.
    mask: u32,
    left: usize,
}

impl Frame {
    const fn is_control(&self) -> bool {
        self.opcode >= opcode::CLOSE
    }
}

impl Decoder {
    /// Takes messages of at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Decoder {
            max,
            head: [0; HEAD_BYTES_MAX],
            head_len: 0,
            frame: None,
            message: Vec::new(),
            kind: None,
            control: Vec::new(),
            told: None,
            is_over: false,
        }
    }

    /// Takes bytes until something is whole or the input ends. Behind a close, and after a fault,
    /// nothing is looked at any more.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn feed(&mut self, input: &[u8]) -> Result<Fed, Fault> {
        self.forget_told();
        if self.is_over {
            return Ok(Fed { consumed: input.len(), event: None });
        }
        let mut rest = input;
        let fed = loop {
            let Some(frame) = &mut self.frame else {
                let taken = self.take_head(rest)?;
                rest = rest.get(taken..).unwrap_or_default();
                if self.frame.is_none() {
                    break None;
                }
                continue;
            };
            let (piece, after) = rest.split_at(frame.left.min(rest.len()));
            rest = after;
            let into = if frame.is_control() { &mut self.control } else { &mut self.message };
            let start = into.len();
            into.extend_from_slice(piece);
            unmask(into.get_mut(start..).unwrap_or_default(), frame);
            if frame.left > 0 {
                break None;
            }
            let frame = *frame;
            self.frame = None;
            let event = self.finish(frame)?;
            if event.is_some() {
                break event;
            }
        };
        self.told = fed;
        self.is_over = matches!(fed, Some(Event::Close(_)));
        Ok(Fed { consumed: input.len() - rest.len(), event: fed })
    }

    /// The payload of what the last call of [`feed`](Self::feed) said: the message, what a ping or
    /// pong carries, or the reason of a close.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match self.told {
            Some(Event::Message(_)) => &self.message,
            Some(Event::Ping | Event::Pong) => &self.control,
            Some(Event::Close(_)) => self.control.get(2..).unwrap_or_default(),
            None => &[],
        }
    }

    fn forget_told(&mut self) {
        match self.told.take() {
            Some(Event::Message(_)) => {
                self.message.clear();
                self.message.shrink_to(KEPT_BYTES);
            }
            Some(_) => self.control.clear(),
            None => {}
        }
    }

    /// Takes bytes of a head; says how many. The frame is there when the head is whole.
    fn take_head(&mut self, input: &[u8]) -> Result<usize, Fault> {
        let mut taken = 0;
        for byte in input {
            if let Some(place) = self.head.get_mut(self.head_len) {
                *place = *byte;
            }
            self.head_len += 1;
            taken += 1;
            if self.head_len >= self.head_want()? {
                self.head_len = 0;
                self.begin()?;
                break;
            }
        }
        Ok(taken)
    }

    /// Bytes of the head, as far as it is known: its first two say how many there are.
    fn head_want(&self) -> Result<usize, Fault> {
        let [first, second, ..] = self.head;
        if self.head_len == 1 {
            // No extension that gives the reserved bits a meaning was agreed on.
            let known = matches!(first & 15, 0..=2 | 8..=10);
            return if first & 0x70 == 0 && known { Ok(2) } else { Err(Fault::Protocol) };
        }
        if second & 0x80 == 0 {
            return Err(Fault::Protocol); // A client masks (§5.1).
        }
        Ok(match second & 0x7f {
            126 => 8,
            127 => 14,
            _ => 6,
        })
    }

    fn head_at<const N: usize>(&self, start: usize) -> [u8; N] {
        let bytes = self.head.get(start..).and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or([0; N])
    }

    /// The head is whole.
    fn begin(&mut self) -> Result<(), Fault> {
        let [first, second, ..] = self.head;
        let (len, mask) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes(self.head_at(2))), self.head_at(4)),
            127 => (u64::from_be_bytes(self.head_at(2)), self.head_at(10)),
            short => (u64::from(short), self.head_at(2)),
        };
        // The shortest form is the only one (§5.2).
        let is_shortest = match second & 0x7f {
            126 => len > 125,
            127 => len > 0xffff && len <= u64::MAX >> 1,
            _ => true,
        };
        if !is_shortest {
            return Err(Fault::Protocol);
        }
        let left = usize::try_from(len).map_err(|_| Fault::TooLarge)?;
        let (fin, opcode) = (first & 0x80 != 0, first & 15);
        let frame = Frame { fin, opcode, mask: u32::from_le_bytes(mask), left };
        match (opcode, self.kind) {
            _ if frame.is_control() => {
                if !fin || left > CONTROL_BYTES_MAX {
                    return Err(Fault::Protocol);
                }
            }
            (opcode::CONTINUATION, Some(_)) => {}
            (opcode::TEXT, None) => self.kind = Some(Kind::Text),
            (opcode::BINARY, None) => self.kind = Some(Kind::Binary),
            _ => return Err(Fault::Protocol),
        }
        if !frame.is_control() && left > self.max - self.message.len() {
            return Err(Fault::TooLarge);
        }
        self.frame = Some(frame);
        Ok(())
    }

    /// A frame is whole.
    fn finish(&mut self, frame: Frame) -> Result<Option<Event>, Fault> {
        match frame.opcode {
            opcode::PING => return Ok(Some(Event::Ping)),
            opcode::PONG => return Ok(Some(Event::Pong)),
            opcode::CLOSE => return closing(&self.control).map(Event::Close).map(Some),
            _ => {}
        }
        if !frame.fin {
            return Ok(None);
        }
        let Some(kind) = self.kind.take() else { return Err(Fault::Protocol) };
        if kind == Kind::Text && str::from_utf8(&self.message).is_err() {
            return Err(Fault::NotUtf8);
        }
        Ok(Some(Event::Message(kind)))
    }
}

/// Takes the mask off the next bytes of a frame's payload.
fn unmask(bytes: &mut [u8], frame: &mut Frame) {
    let mask = frame.mask.to_le_bytes();
    let (fours, rest) = bytes.as_chunks_mut::<4>();
    for four in fours {
        *four = (u32::from_le_bytes(*four) ^ frame.mask).to_le_bytes();
    }
    let turn = rest.len();
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
    frame.left -= bytes.len();
    frame.mask = frame.mask.rotate_right(8 * u32::try_from(turn).unwrap_or(0));
}

/// What the payload of a close says: nothing, or a code and a reason.
fn closing(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Fault::Protocol) };
    };
    let code = u16::from_be_bytes(*code);
    // 1004 to 1006 and 1015 stand for what no close says (§7.4.1, and IANA's list).
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Fault::Protocol);
    }
    str::from_utf8(reason).map_err(|_| Fault::NotUtf8)?;
    Ok(Some(code))
}

/// Appends a message as one frame.
pub fn put_message(out: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    let opcode = match kind {
        Kind::Text => opcode::TEXT,
        Kind::Binary => opcode::BINARY,
    };
    put(out, opcode, payload);
}

/// Appends the answer to a ping.
pub fn put_pong(out: &mut Vec<u8>, payload: &[u8]) {
    put(out, opcode::PONG, payload.get(..CONTROL_BYTES_MAX).unwrap_or(payload));
}

/// Appends a close; without a code if it answers one without.
pub fn put_close(out: &mut Vec<u8>, code: Option<u16>) {
    match code {
        Some(code) => put(out, opcode::CLOSE, &code.to_be_bytes()),
        None => put(out, opcode::CLOSE, &[]),
    }
}

/// A server's frames have no mask (§5.1).
fn put(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    out.push(0x80 | opcode);
    let len = payload.len();
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ 0..=125), _) => out.push(len),
        (_, Ok(len)) => {
            out.push(126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&u64::try_from(len).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
