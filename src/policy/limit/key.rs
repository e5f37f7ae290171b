//! Keys of buckets: whatever distinguishes clients, hashed with a secret of the process.
//!
//! Without the secret nobody can choose keys that fall into the same set of a table, or that are
//! taken for somebody else's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ring::digest::{Context, SHA256};

/// What keys are hashed with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret([u64; 2]);

/// Nothing of it is shown.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a key was made of. The same bytes of different sorts are different keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sort {
    /// One bucket for all.
    All,
    /// An address of a client, or of its network.
    Address,
    /// Who was authenticated.
    Subject,
    /// The value of a field.
    Field,
    /// The value of a parameter of the query or the path.
    Parameter,
}

/// How many leading bits of a client's address count.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Grouping {
    /// Of an IPv4 address.
    pub v4: u8,
    /// Of an IPv6 address. One subscriber has a /64 at least, and all addresses within.
    pub v6: u8,
}

impl Default for Grouping {
    fn default() -> Self {
        Grouping { v4: 32, v6: 64 }
    }
}

impl Grouping {
    /// The network that an address counts as; an IPv4 address within IPv6 is an IPv4 address.
    #[must_use]
    pub fn network(self, address: IpAddr) -> [u8; 16] {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.v4.min(32))).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).to_ipv6_mapped().octets()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.v6.min(128))).unwrap_or(0);
                (v6.to_bits() & mask).to_be_bytes()
            }
        }
    }
}

impl Secret {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 16]) -> Self {
        let bits = u128::from_le_bytes(bytes);
        let low = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
        Secret([low, u64::try_from(bits >> 64).unwrap_or(0)])
    }

    /// The key of these bytes; never zero.
    #[must_use]
    pub fn key(&self, sort: Sort, bytes: &[u8]) -> u64 {
        sip::<1, 3>(self.of(sort), bytes).max(1)
    }

    /// The key of an address or its network; never zero. It always has two words: neither what
    /// would fill the last one nor their number has to be hashed with them.
    #[must_use]
    pub fn network_key(&self, network: [u8; 16]) -> u64 {
        let (words, _) = network.as_chunks::<8>();
        let words = words.iter().map(|word| u64::from_le_bytes(*word));
        sip_words::<1, 3>(self.of(Sort::Address), words).max(1)
    }

    fn of(&self, sort: Sort) -> [u64; 2] {
        let [low, high] = self.0;
        [low, high ^ u64::from(sort.number())]
    }
}

impl Sort {
    /// What is counted by, as clients are told.
    #[must_use]
    pub const fn scope(self) -> &'static str {
        match self {
            Sort::All => "route",
            Sort::Address => "ip",
            Sort::Subject => "user",
            Sort::Field => "header",
            Sort::Parameter => "param",
        }
    }

    const fn number(self) -> u8 {
        match self {
            Sort::All => 0,
            Sort::Address => 1,
            Sort::Subject => 2,
            Sort::Field => 3,
            Sort::Parameter => 4,
        }
    }
}

/// What these bytes are called where other machines, which have other secrets, know them as well:
/// half of a SHA-256. Who could find two that are called the same could find them for anything.
#[must_use]
pub fn shared_name(sort: Sort, bytes: &[u8]) -> [u8; 16] {
    let mut context = Context::new(&SHA256);
    context.update(&[sort.number()]);
    context.update(bytes);
    let digest = context.finish();
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    name
}

/// `SipHash` with `C` rounds for each word and `D` at the end (J.-P. Aumasson, D. J. Bernstein,
/// "`SipHash`: a fast short-input PRF").
fn sip<const C: usize, const D: usize>(key: [u64; 2], bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    let len = u64::try_from(bytes.len()).unwrap_or(0);
    let last = u64::from_le_bytes(last) | len << 56;
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    sip_words::<C, D>(key, words.chain([last]))
}

/// The same of whole words, whose number is known beforehand or told by the last of them.
fn sip_words<const C: usize, const D: usize>(
    [low, high]: [u64; 2],
    words: impl Iterator<Item = u64>,
) -> u64 {
    let mut v = [
        low ^ 0x736f_6d65_7073_6575,
        high ^ 0x646f_7261_6e64_6f6d,
        low ^ 0x6c79_6765_6e65_7261,
        high ^ 0x7465_6462_7974_6573,
    ];
    words.for_each(|word| {
        v[3] ^= word;
        (0..C).for_each(|_| round(&mut v));
        v[0] ^= word;
    });
    v[2] ^= 0xff;
    (0..D).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn round(v: &mut [u64; 4]) {
    let [v0, v1, v2, v3] = v;
    *v0 = v0.wrapping_add(*v1);
    *v1 = v1.rotate_left(13) ^ *v0;
    *v0 = v0.rotate_left(32);
    *v2 = v2.wrapping_add(*v3);
    *v3 = v3.rotate_left(16) ^ *v2;
    *v0 = v0.wrapping_add(*v3);
    *v3 = v3.rotate_left(21) ^ *v0;
    *v2 = v2.wrapping_add(*v1);
    *v1 = v1.rotate_left(17) ^ *v2;
    *v2 = v2.rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_paper_comes_out() {
        let input: Vec<u8> = (0..15).collect();
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(sip::<2, 4>(key, &input), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn the_same_bytes_of_another_sort_or_secret_are_another_key() {
        let secret = Secret::new([7; 16]);
        let key = secret.key(Sort::Address, b"10.0.0.1");
        assert_ne!(key, secret.key(Sort::Subject, b"10.0.0.1"));
        assert_ne!(key, Secret::new([8; 16]).key(Sort::Address, b"10.0.0.1"));
        assert_eq!(key, Secret::new([7; 16]).key(Sort::Address, b"10.0.0.1"));
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn networks_have_keys_of_their_own() {
        let secret = Secret::new([7; 16]);
        let mut keys = std::collections::BTreeSet::new();
        for bit in 0..128 {
            let network = (1_u128 << bit).to_be_bytes();
            assert!(keys.insert(secret.network_key(network)), "{bit}");
            assert_eq!(secret.network_key(network), Secret::new([7; 16]).network_key(network));
            assert_ne!(secret.network_key(network), Secret::new([8; 16]).network_key(network));
            assert_ne!(secret.network_key(network), secret.key(Sort::Subject, &network));
        }
    }

    /// What chooses the set of a table, and what chooses the lease: neighbours share neither.
    #[test]
    fn keys_of_neighbours_are_spread_evenly() {
        let secret = Secret::new([9; 16]);
        for of in [
            |n: u32| IpAddr::from(n.to_be_bytes()),
            |n| IpAddr::from((u128::from(n) << 64).to_be_bytes()),
        ] {
            let (mut high, mut low) = ([0_u32; 64], [0_u32; 64]);
            for n in 0..64 * 1024 {
                let key = secret.network_key(Grouping::default().network(of(0x0a00_0000 + n)));
                high[usize::try_from(key >> 58).unwrap()] += 1;
                low[usize::try_from(key & 63).unwrap()] += 1;
            }
            let is_even = |count: &u32| count.abs_diff(1024) < 6 * 32;
            assert!(high.iter().chain(&low).all(is_even), "{high:?} {low:?}");
        }
    }

    #[test]
    fn a_subscriber_with_all_of_its_addresses_is_one_client() {
        let of = |text: &str| Grouping::default().network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(of("10.0.0.1"), of("::ffff:10.0.0.1"));
        let wide = Grouping { v4: 24, v6: 128 };
        let of = |text: &str| wide.network(text.parse().unwrap());
        assert_eq!(of("10.0.0.1"), of("10.0.0.2"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:2::2"));
        assert_eq!(Grouping { v4: 0, v6: 0 }.network("1::1".parse().unwrap()), [0; 16]);
    }
}
