//! How the end of a body is known: one total function for requests, one for responses.

use super::head::{Method, Version};

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Framing {
    /// There is no body.
    #[default]
    Empty,
    /// So many bytes follow.
    Length(u64),
    /// Chunks follow, and then trailers (RFC 9112 §7.1).
    Chunked,
    /// All bytes until the peer closes. Only responses end so.
    UntilClose,
}

impl Framing {
    /// Whether at least one byte of body may follow.
    #[must_use]
    pub const fn has_body(self) -> bool {
        !matches!(self, Framing::Empty | Framing::Length(0))
    }
}

/// Why the end of a body cannot be known beyond doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FramingError {
    /// `content-length` is not 1 to 19 digits. Lists are refused even when all elements agree.
    LengthInvalid,
    /// `content-length` appears twice, even if with the same value.
    LengthRepeated,
    /// `transfer-encoding` is neither `chunked` nor the name of one other coding.
    CodingInvalid,
    /// `transfer-encoding` names one coding that is not `chunked`.
    CodingUnsupported,
    /// `transfer-encoding` appears twice.
    CodingRepeated,
    /// `transfer-encoding` in a message of HTTP/1.0 (RFC 9112 §6.1).
    CodingBeforeHttp11,
    /// `transfer-encoding` and `content-length` together (RFC 9112 §6.1).
    LengthAndCoding,
    /// A body where there can be none: CONNECT, TRACE, or an interim response.
    BodyForbidden,
}

/// The values of the two framing fields of one head, gathered field by field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FramingFields {
    length: Option<u64>,
    coding: Option<Coding>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coding {
    Chunked,
    /// Refused in the end. What comes with it may be a worse fault.
    Other,
}

impl FramingFields {
    /// Takes the value of a `content-length` field.
    pub fn add_length(&mut self, value: &[u8]) -> Result<(), FramingError> {
        if self.length.is_some() {
            return Err(FramingError::LengthRepeated);
        }
        self.length = Some(parse_length(value)?);
        Ok(())
    }

    /// Takes the value of a `transfer-encoding` field.
    pub fn add_coding(&mut self, value: &[u8]) -> Result<(), FramingError> {
        if self.coding.is_some() {
            return Err(FramingError::CodingRepeated);
        }
        self.coding = if value.eq_ignore_ascii_case(b"chunked") {
            Some(Coding::Chunked)
        } else if super::token::is_token(value) {
            Some(Coding::Other)
        } else {
            return Err(FramingError::CodingInvalid);
        };
        Ok(())
    }

    /// The value of `content-length`, if there was one.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// The framing of a request (RFC 9112 §6.3, items 3 to 7, without the repairs that it allows).
    pub fn request(&self, method: Method, version: Version) -> Result<Framing, FramingError> {
        match (self.chunked(version)?, method, self.length) {
            (true, Method::Connect | Method::Trace, _)
            | (false, Method::Connect | Method::Trace, Some(1..)) => {
                Err(FramingError::BodyForbidden)
            }
            (true, _, _) => Ok(Framing::Chunked),
            (false, _, Some(length)) => Ok(Framing::Length(length)),
            (false, _, None) => Ok(Framing::Empty),
        }
    }

    /// The framing of a response to a request with `method` (RFC 9112 §6.3).
    ///
    /// A 204 that announces a body, and any 2xx to CONNECT, are [`Framing::Empty`]: what follows is
    /// not ours to read, so the caller must not reuse the connection ([`FramingFields::is_odd`]).
    pub fn response(
        &self,
        method: Method,
        version: Version,
        status: u16,
    ) -> Result<Framing, FramingError> {
        let chunked = self.chunked(version)?;
        match (method, status) {
            (_, 100..=199) if self.is_odd(status) => Err(FramingError::BodyForbidden),
            (_, 100..=199 | 204 | 304) | (Method::Head, _) | (Method::Connect, 200..=299) => {
                Ok(Framing::Empty)
            }
            (_, _) => Ok(match (chunked, self.length) {
                (true, _) => Framing::Chunked,
                (false, Some(length)) => Framing::Length(length),
                (false, None) => Framing::UntilClose,
            }),
        }
    }

    /// Whether the body is chunked, after all that a coding may contradict.
    fn chunked(&self, version: Version) -> Result<bool, FramingError> {
        match (self.coding, version, self.length) {
            (None, _, _) => Ok(false),
            (Some(_), _, Some(_)) => Err(FramingError::LengthAndCoding),
            (Some(_), Version::Http10 | Version::Http2, None) => {
                Err(FramingError::CodingBeforeHttp11)
            }
            (Some(Coding::Other), Version::Http11, None) => Err(FramingError::CodingUnsupported),
            (Some(Coding::Chunked), Version::Http11, None) => Ok(true),
        }
    }

    /// Whether a status that has no body was sent with fields that announce one (RFC 9110 §8.6).
    #[must_use]
    pub fn is_odd(&self, status: u16) -> bool {
        matches!(status, 100..=199 | 204)
            && (self.coding.is_some() || self.length.is_some_and(|length| length != 0))
    }
}

/// The number that the value of a `content-length` field denotes: 1 to 19 digits, which always fit.
pub fn parse_length(value: &[u8]) -> Result<u64, FramingError> {
    if value.is_empty() || value.len() > 19 {
        return Err(FramingError::LengthInvalid);
    }
    let mut length: u64 = 0;
    for byte in value {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(FramingError::LengthInvalid);
        }
        length = length * 10 + u64::from(digit);
    }
    Ok(length)
}

#[cfg(test)]
mod tests;
