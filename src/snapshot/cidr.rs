//! Ranges of addresses: `10.0.0.0/8`, `fc00::/7`, `192.0.2.7`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// All addresses whose first `prefix` bits are those of `address` (RFC 4632 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a [`Cidr`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CidrError {
    /// What stands before the slash is no address.
    Address,
    /// What stands after the slash is no number, or more bits than the address has.
    Prefix,
    /// Bits after the prefix are set: `10.0.0.1/8` may mean one address or sixteen million.
    HostBits,
}

impl Cidr {
    /// The address that it begins with, and how many bits of that count.
    #[must_use]
    pub fn parts(&self) -> (IpAddr, u8) {
        (self.address, self.prefix)
    }

    /// Whether the address lies in the range. An IPv4 address may come as `::ffff:a.b.c.d`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same_prefix(u128::from(own.to_bits()), u128::from(other.to_bits()), 32, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                same_prefix(own.to_bits(), other.to_bits(), 128, self.prefix)
            }
            _ => false,
        }
    }
}

/// Whether two numbers of `width` bits agree in their first `prefix` bits.
fn same_prefix(a: u128, b: u128, width: u32, prefix: u8) -> bool {
    let rest = width.saturating_sub(u32::from(prefix));
    // A shift by all 128 bits gives `None`: nothing is left that could differ.
    (a ^ b).checked_shr(rest).unwrap_or(0) == 0
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| CidrError::Prefix)?
            }
            Some(_) => return Err(CidrError::Prefix),
        };
        if prefix > width {
            return Err(CidrError::Prefix);
        }
        let bits = match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let host_bits = u32::from(width - prefix);
        let mask = 1u128.checked_shl(host_bits).map_or(u128::MAX, |bit| bit.wrapping_sub(1));
        if bits & mask != 0 { Err(CidrError::HostBits) } else { Ok(Cidr { address, prefix }) }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("10.0.0.0/8", "a00::", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("192.0.2.7", "192.0.2.7", true);
        check("192.0.2.7", "192.0.2.6", false);
        check("fc00::/7", "fd12::1", true);
        check("fc00::/7", "fe80::1", false);
        check("::/0", "::1", true);
        check("::1", "::1", true);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (text, want) in [
            ("", CidrError::Address),
            ("ten/8", CidrError::Address),
            ("10.0.0/8", CidrError::Address),
            ("10.0.0.0/", CidrError::Prefix),
            ("10.0.0.0/33", CidrError::Prefix),
            ("10.0.0.0/+8", CidrError::Prefix),
            ("10.0.0.0/8/8", CidrError::Prefix),
            ("10.0.0.1/8", CidrError::HostBits),
            ("::1/0", CidrError::HostBits),
        ] {
            assert_eq!(text.parse::<Cidr>(), Err(want), "{text}");
        }
    }

    #[track_caller]
    fn check(range: &str, address: &str, want: bool) {
        let range: Cidr = range.parse().unwrap();
        assert_eq!(range.contains(address.parse().unwrap()), want, "{address} in {range}");
    }
}
