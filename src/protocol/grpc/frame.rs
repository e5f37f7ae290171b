//! Messages within DATA: a flag, a length of four bytes, the message (gRPC over HTTP/2,
//! "Length-Prefixed-Message").

/// Bytes that precede each message.
pub const PREFIX_BYTES: usize = 5;

/// The prefix of an uncompressed message of `len` bytes.
#[must_use]
pub fn prefix(len: u32) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = len.to_be_bytes();
    [0, a, b, c, d]
}

/// Why bytes are not messages that we take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// The flag says "compressed". We never offer `grpc-accept-encoding`, so nobody may send this.
    Compressed,
    /// The flag is neither 0 nor 1.
    FlagUnknown,
    /// The message is longer than the bound.
    TooLarge,
}

/// What one call of [`MessageDecoder::feed`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fed {
    /// Bytes of the input that were used. Feed the rest again.
    pub consumed: usize,
    /// Whether [`MessageDecoder::message`] is whole now. It stays readable until the next call.
    pub complete: bool,
}

/// Collects messages out of pieces of DATA. Meant for answers, which are small: it copies.
#[derive(Debug)]
pub struct MessageDecoder {
    max: usize,
    prefix: [u8; PREFIX_BYTES],
    prefix_len: usize,
    /// Bytes the present message will have, once its prefix is known.
    want: Option<usize>,
    message: Vec<u8>,
    complete: bool,
}

impl MessageDecoder {
    /// Takes messages of at most `max` bytes.
    #[must_use]
    pub fn new(max: usize) -> Self {
        MessageDecoder {
            max,
            prefix: [0; PREFIX_BYTES],
            prefix_len: 0,
            want: None,
            message: Vec::new(),
            complete: false,
        }
    }

    /// Takes bytes until a message is whole or the input ends. After an error the decoder is of no
    /// more use: the stream has to be reset.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn feed(&mut self, input: &[u8]) -> Result<Fed, FrameError> {
        if self.complete {
            self.complete = false;
            self.message.clear();
        }
        let mut rest = input;
        if self.is_between_messages()
            && let Some((prefix, after)) = rest.split_first_chunk()
        {
            // The usual case: all of it is here.
            rest = after;
            self.begin(*prefix)?;
        }
        while self.want.is_none() {
            let Some((byte, after)) = rest.split_first() else {
                return Ok(Fed { consumed: input.len(), complete: false });
            };
            rest = after;
            self.take_prefix_byte(*byte)?;
        }
        let missing = self.want.unwrap_or(0).saturating_sub(self.message.len());
        let (piece, after) = rest.split_at(missing.min(rest.len()));
        // Room grows with what has come, not with what a prefix claims.
        self.message.extend_from_slice(piece);
        self.complete = piece.len() == missing;
        if self.complete {
            self.want = None;
        }
        Ok(Fed { consumed: input.len() - after.len(), complete: self.complete })
    }

    /// The message that the last call of [`feed`](Self::feed) completed; else what there is of it.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Takes that message away, instead of a copy of it.
    pub fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.message)
    }

    /// Whether the stream may end here: no message has begun that is not whole.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        self.prefix_len == 0 && self.want.is_none()
    }

    fn take_prefix_byte(&mut self, byte: u8) -> Result<(), FrameError> {
        if self.prefix_len == 0 {
            judge_flag(byte)?;
        }
        if let Some(place) = self.prefix.get_mut(self.prefix_len) {
            *place = byte;
        }
        self.prefix_len += 1;
        if self.prefix_len == PREFIX_BYTES {
            self.prefix_len = 0;
            self.begin(self.prefix)?;
        }
        Ok(())
    }

    /// A message begins.
    fn begin(&mut self, prefix: [u8; PREFIX_BYTES]) -> Result<(), FrameError> {
        let [flag, a, b, c, d] = prefix;
        judge_flag(flag)?;
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if len > self.max {
            return Err(FrameError::TooLarge);
        }
        self.want = Some(len);
        Ok(())
    }
}

fn judge_flag(flag: u8) -> Result<(), FrameError> {
    match flag {
        0 => Ok(()),
        1 => Err(FrameError::Compressed),
        _ => Err(FrameError::FlagUnknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_collected_over_any_cuts() {
        check(b"", Ok(&[]), true);
        check(b"\0\0\0\0\0", Ok(&[b""]), true);
        check(b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x01z", Ok(&[b"abc", b"", b"z"]), true);
    }

    #[test]
    fn a_message_cut_short_is_noticed() {
        check(b"\0\0\0\0", Ok(&[]), false);
        check(b"\0\0\0\0\x02a", Ok(&[]), false);
        check(b"\0\0\0\0\x01ab".get(..6).unwrap(), Ok(&[b"a"]), true);
    }

    #[test]
    fn what_we_did_not_offer_is_refused() {
        check(b"\x01\0\0\0\x01a", Err(FrameError::Compressed), true);
        check(b"\x02", Err(FrameError::FlagUnknown), true);
        check(b"\0\0\0\0\x09", Err(FrameError::TooLarge), false);
        check(b"\0\xff\xff\xff\xff", Err(FrameError::TooLarge), false);
    }

    #[test]
    fn a_prefix_says_its_length() {
        assert_eq!(prefix(0x0102_0304), [0, 1, 2, 3, 4]);
    }

    #[track_caller]
    fn check(input: &[u8], want: Result<&[&[u8]], FrameError>, ends_well: bool) {
        for cut in 0..=input.len() {
            let (front, back) = input.split_at(cut);
            let mut decoder = MessageDecoder::new(8);
            let got = decode(&mut decoder, &[front, back]);
            let want = want.map(|list| list.iter().map(|m| m.to_vec()).collect::<Vec<_>>());
            assert_eq!(got, want, "cut at {cut}");
            if got.is_ok() {
                assert_eq!(decoder.is_between_messages(), ends_well, "cut at {cut}");
            }
        }
    }

    fn decode(decoder: &mut MessageDecoder, pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut messages = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                let fed = decoder.feed(rest)?;
                rest = &rest[fed.consumed..];
                if fed.complete {
                    messages.push(decoder.message().to_vec());
                }
            }
        }
        Ok(messages)
    }
}
