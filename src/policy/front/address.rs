//! Which client addresses a route is for: lists of ranges, allowed and denied.
//!
//! A list is kept as ranges that do not touch each other, sorted, so that the time of a look-up
//! grows with the logarithm of their number alone.

use std::net::IpAddr;

/// A set of addresses. `::ffff:a.b.c.d` is the address `a.b.c.d`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Addresses {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

/// Ranges that are sorted and do not touch: where each begins, and its last member. Of many there
/// is an index by the first 16 bits, so that a look-up touches a few words and not a dozen lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Ranges<N> {
    starts: Vec<N>,
    ends: Vec<N>,
    /// How many begin with less than each number of 16 bits; empty if there are few.
    index: Vec<u32>,
}

/// So many ranges get an index.
const INDEXED: usize = 1024;

/// A number of bits that addresses have.
trait Bits: Copy + Ord {
    /// One more; itself if it is the last.
    fn next(self) -> Self;
    /// The first 16 bits.
    fn front(self) -> usize;
}

impl Bits for u32 {
    fn next(self) -> Self {
        self.saturating_add(1)
    }

    fn front(self) -> usize {
        usize::try_from(self >> 16).unwrap_or(0)
    }
}

impl Bits for u128 {
    fn next(self) -> Self {
        self.saturating_add(1)
    }

    fn front(self) -> usize {
        usize::try_from(self >> 112).unwrap_or(0)
    }
}

impl Addresses {
    /// The set of all addresses that begin as one of these does, in so many bits. More bits than an
    /// address has mean all of them.
    #[must_use]
    pub fn new(prefixes: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (address, bits) in prefixes {
            match address {
                IpAddr::V4(address) => {
                    let rest = u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
                    v4.push((address.to_bits() & !rest, address.to_bits() | rest));
                }
                IpAddr::V6(address) => {
                    let rest = u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0);
                    let (first, last) = (address.to_bits() & !rest, address.to_bits() | rest);
                    v6.push((first, last));
                    v4.extend(mapped(first, last));
                }
            }
        }
        Addresses { v4: Ranges::new(v4), v6: Ranges::new(v6) }
    }

    /// Whether no address is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.starts.is_empty() && self.v6.starts.is_empty()
    }

    /// How many ranges are left of those that were given.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.starts.len() + self.v6.starts.len()
    }

    /// Whether the address is in the set.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4.contain(address.to_bits()),
            IpAddr::V6(address) => self.v6.contain(address.to_bits()),
        }
    }
}

/// The addresses of version 4 that a range of version 6 holds in their mapped form
/// (RFC 4291 §2.5.5.2): a client that comes so is asked for as the one that it is.
fn mapped(first: u128, last: u128) -> Option<(u32, u32)> {
    const BASE: u128 = 0xffff_0000_0000;
    let end = BASE | u128::from(u32::MAX);
    let (first, last) = (first.max(BASE), last.min(end));
    if first > last {
        return None;
    }
    Some((u32::try_from(first - BASE).ok()?, u32::try_from(last - BASE).ok()?))
}

impl<N: Bits> Ranges<N> {
    fn new(mut ranges: Vec<(N, N)>) -> Self {
        ranges.sort_unstable();
        let (mut starts, mut ends): (Vec<N>, Vec<N>) = (Vec::new(), Vec::new());
        for (start, end) in ranges {
            match ends.last_mut() {
                Some(last) if start <= last.next() => *last = end.max(*last),
                _ => {
                    starts.push(start);
                    ends.push(end);
                }
            }
        }
        let mut index = Vec::new();
        if starts.len() >= INDEXED {
            let before = |front| starts.partition_point(|start| start.front() < front);
            index = (0..=1 << 16).filter_map(|front| u32::try_from(before(front)).ok()).collect();
        }
        Ranges { starts, ends, index }
    }

    fn contain(&self, address: N) -> bool {
        let place = |front: usize| {
            let place = self.index.get(front).copied();
            place.and_then(|place| usize::try_from(place).ok())
        };
        let front = address.front();
        let (from, to) = match (place(front), place(front + 1)) {
            (Some(from), Some(to)) => (from, to),
            _ => (0, self.starts.len()),
        };
        let some = self.starts.get(from..to).unwrap_or_default();
        let behind = from + some.partition_point(|start| *start <= address);
        let last = behind.checked_sub(1).and_then(|index| self.ends.get(index));
        last.is_some_and(|end| address <= *end)
    }
}

/// Which clients a route is for. Denied wins over allowed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AddressRule {
    /// Only these; `None`: all.
    pub allow: Option<Addresses>,
    /// None of these.
    pub deny: Addresses,
}

impl AddressRule {
    /// Whether a client with this address may ask.
    #[must_use]
    pub fn admits(&self, client: IpAddr) -> bool {
        !self.deny.contain(client) && self.allow.as_ref().is_none_or(|allow| allow.contain(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(prefixes: &[(&str, u8)]) -> Addresses {
        Addresses::new(prefixes.iter().map(|(text, bits)| (text.parse().unwrap(), *bits)))
    }

    fn holds(set: &Addresses, address: &str) -> bool {
        set.contain(address.parse().unwrap())
    }

    #[test]
    fn a_set_holds_its_ranges_and_nothing_beside_them() {
        let set = set(&[("10.0.0.0", 8), ("192.0.2.7", 32), ("2001:db8::", 32), ("::1", 128)]);
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:ffff::1", "::1"] {
            assert!(holds(&set, inside), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.0.2.6", "192.0.2.8", "2001:db9::", "::"] {
            assert!(!holds(&set, outside), "{outside}");
        }
        assert_eq!(set.len(), 4);
    }

    #[test]
    fn a_mapped_address_is_the_one_that_it_maps() {
        let four = set(&[("10.0.0.0", 8)]);
        assert!(holds(&four, "::ffff:10.1.2.3") && !holds(&four, "::ffff:11.1.2.3"));
        let six = set(&[("::ffff:10.0.0.0", 104)]);
        assert!(holds(&six, "10.1.2.3") && holds(&six, "::ffff:10.1.2.3"));
        assert!(!holds(&six, "11.1.2.3"));
        let all = set(&[("::", 0)]);
        assert!(holds(&all, "203.0.113.9") && holds(&all, "fe80::1"));
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        let merged =
            set(&[("10.0.1.0", 24), ("10.0.0.0", 24), ("10.0.0.128", 25), ("10.0.3.0", 24)]);
        assert_eq!(merged.len(), 2);
        assert!(holds(&merged, "10.0.1.255") && !holds(&merged, "10.0.2.0"));
        let edges = set(&[("0.0.0.0", 32), ("255.255.255.255", 32), ("0.0.0.0", 0)]);
        assert_eq!(edges.len(), 1);
        assert!(holds(&edges, "255.255.255.255") && holds(&edges, "0.0.0.0"));
        assert!(!holds(&Addresses::default(), "0.0.0.0") && Addresses::default().is_empty());
    }

    #[test]
    fn many_ranges_answer_as_a_scan_of_them_does() {
        let mut prng = crate::base::prng::Prng::new(7);
        let mut next = || u32::try_from(prng.next_u64() >> 32).unwrap();
        let list: Vec<(u32, u8)> =
            (0..2000).map(|_| (next(), u8::try_from(16 + next() % 17).unwrap())).collect();
        let set =
            Addresses::new(list.iter().map(|(bits, len)| (IpAddr::from(bits.to_be_bytes()), *len)));
        for index in 0..20_000 {
            // Half of them lie near a range, where mistakes would be.
            let near = list[index % list.len()].0;
            let address = if index % 2 == 0 { next() } else { near.wrapping_add(next() % 70_000) };
            let want = list.iter().any(|(bits, len)| {
                (bits ^ address).checked_shr(32 - u32::from(*len)).unwrap_or(0) == 0
            });
            assert_eq!(set.contain(IpAddr::from(address.to_be_bytes())), want, "{address:x}");
        }
    }

    #[test]
    fn denied_wins_over_allowed_and_nobody_is_allowed_by_an_empty_list() {
        let client = |text: &str| text.parse().unwrap();
        let rule =
            AddressRule { allow: Some(set(&[("10.0.0.0", 8)])), deny: set(&[("10.6.6.6", 32)]) };
        assert!(rule.admits(client("10.1.1.1")));
        assert!(!rule.admits(client("10.6.6.6")) && !rule.admits(client("::ffff:10.6.6.6")));
        assert!(!rule.admits(client("11.0.0.1")));
        let nobody = AddressRule { allow: Some(Addresses::default()), deny: Addresses::default() };
        assert!(!nobody.admits(client("10.1.1.1")));
        assert!(AddressRule::default().admits(client("10.1.1.1")));
    }
}
