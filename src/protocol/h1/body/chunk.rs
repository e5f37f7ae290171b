//! The framing of chunked bodies, byte by byte: size lines, ends of chunks, trailers (RFC 9112
//! §7.1).

use crate::base::limits;
use crate::message::token::{is_token_byte, is_value_byte};

use super::BodyError;

/// Longer names are none of the forbidden ones.
const NAME_BYTES_KEPT: usize = 17;

/// What the framing that was read leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    /// The input ended first.
    More,
    /// So many bytes of payload, not zero.
    Chunk(u64),
    /// The end of the body.
    End,
}

/// What the last byte was part of. Names with `Bws` stand in bad whitespace (RFC 9110 §5.6.3),
/// which is allowed around `;` and `=`, and nowhere else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// At the CR behind a chunk's data.
    DataCr,
    DataLf,
    SizeFirst,
    Size,
    SizeBws,
    ExtName,
    ExtNameRest,
    ExtNameBws,
    ExtValue,
    ExtToken,
    ExtQuoted,
    ExtEscaped,
    ExtQuotedEnd,
    ExtValueBws,
    SizeLf,
    TrailerFirst,
    TrailerName,
    TrailerOws,
    TrailerValue,
    TrailerLf,
    LastLf,
}

/// Where in the framing a decoder stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkMachine {
    place: Place,
    size: u64,
    digits: u8,
    /// Bytes of this size line, or of the trailer section.
    line: usize,
    /// The name of this trailer in lower case, as far as it fits.
    name: [u8; NAME_BYTES_KEPT],
    name_len: usize,
    /// Trailers that were begun.
    trailers: usize,
}

impl ChunkMachine {
    /// At the first size line.
    pub(super) const fn new() -> Self {
        ChunkMachine::at(Place::SizeFirst)
    }

    /// At the CRLF behind the data of a chunk.
    pub(super) const fn after_data() -> Self {
        ChunkMachine::at(Place::DataCr)
    }

    const fn at(place: Place) -> Self {
        let name = [0; NAME_BYTES_KEPT];
        ChunkMachine { place, size: 0, digits: 0, line: 0, name, name_len: 0, trailers: 0 }
    }

    /// Reads up to the next turn, and appends what it reads of trailers to `trailers`. Returns how
    /// many bytes that took.
    pub(super) fn run(
        &mut self,
        input: &[u8],
        trailers: &mut Vec<u8>,
    ) -> Result<(usize, Turn), BodyError> {
        for (index, byte) in input.iter().enumerate() {
            let turn = match self.place {
                Place::DataCr | Place::DataLf => self.data_end(*byte)?,
                Place::TrailerFirst
                | Place::TrailerName
                | Place::TrailerOws
                | Place::TrailerValue
                | Place::TrailerLf
                | Place::LastLf => self.trailer(*byte, trailers)?,
                Place::SizeFirst | Place::Size | Place::SizeBws | Place::SizeLf => {
                    self.size(*byte)?
                }
                _ => self.extension(*byte)?,
            };
            if turn != Turn::More {
                return Ok((index + 1, turn));
            }
        }
        Ok((input.len(), Turn::More))
    }

    fn data_end(&mut self, byte: u8) -> Result<Turn, BodyError> {
        self.place = match (self.place, byte) {
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::SizeFirst,
            (_, _) => return Err(BodyError::ChunkEnd),
        };
        Ok(Turn::More)
    }

    fn size(&mut self, byte: u8) -> Result<Turn, BodyError> {
        self.count_line(limits::CHUNK_LINE_BYTES_MAX, BodyError::ChunkLineTooLong)?;
        if let (Place::SizeFirst | Place::Size, Some(digit)) = (self.place, hex(byte)) {
            if self.digits == 16 {
                return Err(BodyError::ChunkSizeTooLong);
            }
            self.digits += 1;
            self.size = self.size << 4 | u64::from(digit);
            self.place = Place::Size;
            return Ok(Turn::More);
        }
        self.place = match (self.place, byte) {
            (Place::SizeLf, b'\n') => return Ok(self.line_end()),
            (Place::SizeLf, _) => return Err(BodyError::BareCr),
            (_, b'\n') => return Err(BodyError::BareLf),
            (Place::SizeFirst, b'\r' | b';') => return Err(BodyError::ChunkSizeMissing),
            (Place::Size, b'\r') => Place::SizeLf,
            (Place::Size | Place::SizeBws, b';') => Place::ExtName,
            (Place::Size | Place::SizeBws, b' ' | b'\t') => Place::SizeBws,
            (_, _) => return Err(BodyError::ChunkSizeByte),
        };
        Ok(Turn::More)
    }

    /// A size line is whole.
    fn line_end(&mut self) -> Turn {
        let size = self.size;
        if size == 0 {
            *self = ChunkMachine::at(Place::TrailerFirst);
            return Turn::More;
        }
        Turn::Chunk(size)
    }

    fn extension(&mut self, byte: u8) -> Result<Turn, BodyError> {
        self.count_line(limits::CHUNK_LINE_BYTES_MAX, BodyError::ChunkLineTooLong)?;
        if byte == b'\n' {
            return Err(BodyError::BareLf);
        }
        let bws = matches!(byte, b' ' | b'\t');
        self.place = match (self.place, byte) {
            (Place::ExtName, _) if bws => Place::ExtName,
            (Place::ExtName | Place::ExtNameRest, _) if is_token_byte(byte) => Place::ExtNameRest,
            (Place::ExtNameRest | Place::ExtNameBws, _) if bws => Place::ExtNameBws,
            (Place::ExtNameRest | Place::ExtNameBws, b'=') => Place::ExtValue,
            (Place::ExtValue, _) if bws => Place::ExtValue,
            (Place::ExtValue, b'"') => Place::ExtQuoted,
            (Place::ExtValue | Place::ExtToken, _) if is_token_byte(byte) => Place::ExtToken,
            (Place::ExtQuoted, b'"') => Place::ExtQuotedEnd,
            (Place::ExtQuoted, b'\\') => Place::ExtEscaped,
            (Place::ExtQuoted | Place::ExtEscaped, _) if is_value_byte(byte) => Place::ExtQuoted,
            (Place::ExtToken | Place::ExtQuotedEnd | Place::ExtValueBws, _) if bws => {
                Place::ExtValueBws
            }
            (
                Place::ExtNameRest
                | Place::ExtNameBws
                | Place::ExtToken
                | Place::ExtQuotedEnd
                | Place::ExtValueBws,
                b';',
            ) => Place::ExtName,
            (Place::ExtNameRest | Place::ExtToken | Place::ExtQuotedEnd, b'\r') => Place::SizeLf,
            (_, _) => return Err(BodyError::ChunkExtension),
        };
        Ok(Turn::More)
    }

    /// Lines are kept without white space around the value.
    fn trailer(&mut self, byte: u8, kept: &mut Vec<u8>) -> Result<Turn, BodyError> {
        self.count_line(limits::TRAILER_BYTES_MAX, BodyError::TrailerTooLarge)?;
        self.place = match (self.place, byte) {
            (Place::TrailerLf, b'\n') => {
                self.name_len = 0;
                Place::TrailerFirst
            }
            (Place::LastLf, b'\n') => return Ok(Turn::End),
            (Place::TrailerLf | Place::LastLf, _) => return Err(BodyError::BareCr),
            (_, b'\n') => return Err(BodyError::BareLf),
            (Place::TrailerFirst, b'\r') => Place::LastLf,
            (Place::TrailerFirst | Place::TrailerName, _) if is_token_byte(byte) => {
                self.trailers += usize::from(self.place == Place::TrailerFirst);
                if self.trailers > limits::TRAILERS_MAX {
                    return Err(BodyError::TrailerTooLarge);
                }
                self.keep(byte);
                kept.push(byte);
                Place::TrailerName
            }
            (Place::TrailerName, b':') if self.is_forbidden() => {
                return Err(BodyError::TrailerForbidden);
            }
            (Place::TrailerName, b':') => {
                kept.push(b':');
                Place::TrailerOws
            }
            (Place::TrailerOws, b' ' | b'\t') => Place::TrailerOws,
            (Place::TrailerOws | Place::TrailerValue, b'\r') => {
                while kept.pop_if(|last| matches!(*last, b' ' | b'\t')).is_some() {}
                kept.extend_from_slice(b"\r\n");
                Place::TrailerLf
            }
            (Place::TrailerOws | Place::TrailerValue, _) if is_value_byte(byte) => {
                if self.place == Place::TrailerOws {
                    kept.push(b' ');
                }
                kept.push(byte);
                Place::TrailerValue
            }
            (_, _) => return Err(BodyError::Trailer),
        };
        Ok(Turn::More)
    }

    fn count_line(&mut self, max: usize, error: BodyError) -> Result<(), BodyError> {
        self.line += 1;
        if self.line > max { Err(error) } else { Ok(()) }
    }

    fn keep(&mut self, byte: u8) {
        if let Some(to) = self.name.get_mut(self.name_len) {
            *to = byte.to_ascii_lowercase();
        }
        self.name_len = self.name_len.saturating_add(1);
    }

    fn is_forbidden(&self) -> bool {
        match self.name.get(..self.name_len) {
            Some(name) => matches!(name, b"content-length" | b"transfer-encoding" | b"host"),
            None => false,
        }
    }
}

fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
