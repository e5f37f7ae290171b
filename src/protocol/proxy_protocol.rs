//! The PROXY protocol, versions 1 and 2: what a proxy before us says of its client, and what we say
//! to endpoints behind us. ("The PROXY protocol", 2020-03-05.)
//!
//! A header comes once, before anything else, and only from peers that are trusted: whoever may
//! send one may claim any address. [`parse`] is therefore strict, and bounded by
//! [`HEADER_BYTES_MAX`]; called again with more bytes it needs no state.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header that is taken: version 2 with 512 bytes of extensions.
pub const HEADER_BYTES_MAX: usize = 16 + 216 + 512;
/// The longest header of version 1, its end included.
const V1_BYTES_MAX: usize = 107;
const V1_PREFIX: &[u8] = b"PROXY";
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD_BYTES: usize = 16;
/// An extension with the checksum of the header.
const TYPE_CRC32C: u8 = 0x03;

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// The proxy forwards a connection of this client.
    Client {
        /// Where it comes from.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
    /// Nothing of a client: the proxy itself connects (LOCAL), or does not know (UNKNOWN).
    Nobody,
}

/// What the bytes so far are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The beginning of a header.
    NeedMore,
    /// A header of so many bytes.
    Done {
        /// What it says.
        said: Said,
        /// How long it is.
        len: usize,
    },
}

/// Why the bytes are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderError {
    /// Neither version 1 nor version 2 begins so.
    NoHeader,
    /// It is longer than is taken.
    TooLong,
    /// Something in it is not as the protocol has it.
    Malformed,
    /// The checksum is wrong.
    Checksum,
}

/// Reads the header at the front of `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Progress, HeaderError> {
    match bytes.first() {
        None => Ok(Progress::NeedMore),
        Some(b'P') => parse_v1(bytes),
        Some(_) => parse_v2(bytes),
    }
}

fn begins(bytes: &[u8], with: &[u8]) -> bool {
    bytes.iter().zip(with).all(|(own, other)| own == other)
}

fn parse_v1(bytes: &[u8]) -> Result<Progress, HeaderError> {
    if !begins(bytes, V1_PREFIX) {
        return Err(HeaderError::NoHeader);
    }
    let window = bytes.get(..V1_BYTES_MAX).unwrap_or(bytes);
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return match window.len() {
            V1_BYTES_MAX => Err(HeaderError::TooLong),
            _ => Ok(Progress::NeedMore),
        };
    };
    let line = window.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let line = line.and_then(|line| str::from_utf8(line).ok()).ok_or(HeaderError::Malformed)?;
    let said = said_v1(line).ok_or(HeaderError::Malformed)?;
    Ok(Progress::Done { said, len: end + 1 })
}

fn said_v1(line: &str) -> Option<Said> {
    let rest = line.strip_prefix("PROXY ")?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        return Some(Said::Nobody); // What follows is not to be looked at.
    }
    let words: Vec<&str> = rest.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = words.as_slice() else {
        return None;
    };
    let ip = |text: &str| -> Option<IpAddr> {
        match *family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let source = SocketAddr::new(ip(source)?, port(source_port)?);
    let destination = SocketAddr::new(ip(destination)?, port(destination_port)?);
    Some(Said::Client { source, destination })
}

/// Digits without a sign or a leading zero.
fn port(text: &str) -> Option<u16> {
    let proper = text.bytes().all(|byte| byte.is_ascii_digit());
    let zero = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| proper && !zero)
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, HeaderError> {
    if !begins(bytes, V2_SIGNATURE) {
        return Err(HeaderError::NoHeader);
    }
    // Each byte is looked at as soon as it is there, so that what is wrong is not waited for.
    let command = match bytes.get(12) {
        None => return Ok(Progress::NeedMore),
        Some(byte @ (0x20 | 0x21)) => byte & 1,
        Some(_) => return Err(HeaderError::Malformed),
    };
    let addresses = match bytes.get(13) {
        None => return Ok(Progress::NeedMore),
        Some(0x00) => 0,
        Some(0x11 | 0x12) => 12,
        Some(0x21 | 0x22) => 36,
        Some(0x31 | 0x32) => 216,
        Some(_) => return Err(HeaderError::Malformed),
    };
    let Some([high, low]) = bytes.get(14..V2_HEAD_BYTES) else { return Ok(Progress::NeedMore) };
    let len = V2_HEAD_BYTES + usize::from(u16::from_be_bytes([*high, *low]));
    if len > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLong);
    }
    // Without a family, and for LOCAL, there may be no addresses, or any.
    let is_local = command == 0;
    if len < V2_HEAD_BYTES + addresses && !is_local {
        return Err(HeaderError::Malformed);
    }
    let Some(header) = bytes.get(..len) else { return Ok(Progress::NeedMore) };
    let body = header.get(V2_HEAD_BYTES..).unwrap_or_default();
    let said = match bytes.get(13) {
        _ if is_local => Said::Nobody,
        // Of TCP only: a datagram's client is no peer of a connection.
        Some(0x11) => client(v4_pair(body)?),
        Some(0x21) => client(v6_pair(body)?),
        _ => Said::Nobody,
    };
    let has_addresses = !(is_local && body.len() < addresses);
    if has_addresses && bytes.get(13) != Some(&0) {
        check_extensions(header, V2_HEAD_BYTES + addresses)?;
    }
    Ok(Progress::Done { said, len })
}

fn client((source, destination): (SocketAddr, SocketAddr)) -> Said {
    Said::Client { source, destination }
}

fn v4_pair(body: &[u8]) -> Result<(SocketAddr, SocketAddr), HeaderError> {
    let (source, body) = body.split_first_chunk::<4>().ok_or(HeaderError::Malformed)?;
    let (destination, body) = body.split_first_chunk::<4>().ok_or(HeaderError::Malformed)?;
    ports(Ipv4Addr::from(*source).into(), Ipv4Addr::from(*destination).into(), body)
}

fn v6_pair(body: &[u8]) -> Result<(SocketAddr, SocketAddr), HeaderError> {
    let (source, body) = body.split_first_chunk::<16>().ok_or(HeaderError::Malformed)?;
    let (destination, body) = body.split_first_chunk::<16>().ok_or(HeaderError::Malformed)?;
    ports(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), body)
}

fn ports(
    source: IpAddr,
    destination: IpAddr,
    body: &[u8],
) -> Result<(SocketAddr, SocketAddr), HeaderError> {
    let (first, body) = body.split_first_chunk::<2>().ok_or(HeaderError::Malformed)?;
    let (second, _) = body.split_first_chunk::<2>().ok_or(HeaderError::Malformed)?;
    let source = SocketAddr::new(source, u16::from_be_bytes(*first));
    Ok((source, SocketAddr::new(destination, u16::from_be_bytes(*second))))
}

/// Extensions are skipped, but for the checksum; they must fill the header exactly.
fn check_extensions(header: &[u8], mut at: usize) -> Result<(), HeaderError> {
    while at < header.len() {
        let Some([kind, high, low]) = header.get(at..at + 3) else {
            return Err(HeaderError::Malformed);
        };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(value) = header.get(at + 3..at + 3 + len) else {
            return Err(HeaderError::Malformed);
        };
        if *kind == TYPE_CRC32C {
            let told = <[u8; 4]>::try_from(value).map_err(|_| HeaderError::Malformed)?;
            if crc32c_without(header, at + 3..at + 7) != u32::from_be_bytes(told) {
                return Err(HeaderError::Checksum);
            }
        }
        at += 3 + len;
    }
    Ok(())
}

/// The checksum of bytes of which those in `hole` count as zero (RFC 3720 appendix B.4).
fn crc32c_without(bytes: &[u8], hole: std::ops::Range<usize>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for (at, byte) in bytes.iter().enumerate() {
        crc ^= if hole.contains(&at) { 0 } else { u32::from(*byte) };
        for _ in 0..8 {
            crc = (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

/// Writes a header of version 2 for a connection of this client. Addresses of different families
/// are both written as IPv6.
pub fn encode_v2(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) {
    out.extend_from_slice(V2_SIGNATURE);
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            for ip in [from, to] {
                let ip = match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                    IpAddr::V6(ip) => ip,
                };
                out.extend_from_slice(&ip.octets());
            }
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

/// Writes a header of version 2 for a connection of our own, such as a health check.
pub fn encode_v2_local(out: &mut Vec<u8>) {
    out.extend_from_slice(V2_SIGNATURE);
    out.extend_from_slice(&[0x20, 0x00, 0, 0]);
}

#[cfg(test)]
mod tests;
