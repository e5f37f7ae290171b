//! `host[:port]`, as in `host`, in absolute targets and in `:authority` (RFC 3986 §3.2, RFC 9110
//! §7.2).

use std::net::Ipv6Addr;

/// Bytes of a host name (RFC 1035 §2.3.4, with the final dot).
pub const HOST_NAME_BYTES_MAX: usize = 255;

/// An authority that names one host beyond doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authority {
    /// Bytes of the host, from the start of the text, with the brackets of an IPv6 address.
    pub host_len: usize,
    /// The port, if the text names one. `host:` names none (RFC 3986 §3.2.3).
    pub port: Option<u16>,
}

/// Why a text is not an [`Authority`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthorityError {
    /// No host.
    Empty,
    /// A byte that no host name has. User information, lists, paths and escapes end here.
    Byte,
    /// Two dots without a label between them, or a dot at the start.
    EmptyLabel,
    /// Longer than [`HOST_NAME_BYTES_MAX`].
    TooLong,
    /// Brackets without an IPv6 address in them, or with something behind them.
    Address,
    /// A port that is not 1 to 65535 in at most 5 digits.
    Port,
}

/// Reads a whole authority.
///
/// Stricter than RFC 3986: no user information, no percent escapes and no sub-delims, because no
/// name that resolves has them and back ends disagree about them.
pub fn parse(text: &[u8]) -> Result<Authority, AuthorityError> {
    let host_len = match text.first() {
        None => return Err(AuthorityError::Empty),
        Some(b'[') => address_len(text)?,
        Some(_) => name_len(text)?,
    };
    let port = match text.get(host_len..) {
        None | Some([] | [b':']) => None,
        Some([b':', digits @ ..]) => Some(parse_port(digits)?),
        Some(_) => return Err(AuthorityError::Address),
    };
    Ok(Authority { host_len, port })
}

/// The length of the IPv6 address at the start, with its brackets.
fn address_len(text: &[u8]) -> Result<usize, AuthorityError> {
    let close = text.iter().position(|byte| *byte == b']').ok_or(AuthorityError::Address)?;
    let inner = text.get(1..close).and_then(|inner| str::from_utf8(inner).ok());
    match inner.map(str::parse::<Ipv6Addr>) {
        Some(Ok(_)) => Ok(close + 1),
        Some(Err(_)) | None => Err(AuthorityError::Address),
    }
}

/// The length of the host name or IPv4 address at the start. One final dot is allowed.
fn name_len(text: &[u8]) -> Result<usize, AuthorityError> {
    let (mut seen, mut len, mut previous) = (0, 0, DOT);
    for byte in text {
        if *byte == b':' {
            break;
        }
        let class = class_of(*byte);
        seen |= (class & BAD) | (class & previous & DOT);
        previous = class;
        len += 1;
    }
    match len {
        0 => Err(AuthorityError::Empty),
        _ if seen & BAD != 0 => Err(AuthorityError::Byte),
        _ if seen & DOT != 0 => Err(AuthorityError::EmptyLabel),
        1..=HOST_NAME_BYTES_MAX => Ok(len),
        _ => Err(AuthorityError::TooLong),
    }
}

const BAD: u8 = 1;
const DOT: u8 = 2;

/// What each byte is in a host name: [`BAD`], [`DOT`], or zero for letters, digits, `-`, `_` and
/// `~`.
#[expect(clippy::indexing_slicing, clippy::as_conversions, reason = "const; 256 is in range")]
static CLASSES: [u8; 256] = {
    let mut out = [BAD; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            out[byte as usize] = 0;
        }
        byte += 1;
    }
    out[b'.' as usize] = DOT;
    out
};

#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
fn class_of(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

fn parse_port(digits: &[u8]) -> Result<u16, AuthorityError> {
    if digits.len() > 5 {
        return Err(AuthorityError::Port);
    }
    let mut port: u32 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(AuthorityError::Port);
        }
        port = port * 10 + u32::from(digit);
    }
    match u16::try_from(port) {
        Ok(0) | Err(_) => Err(AuthorityError::Port),
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests;
