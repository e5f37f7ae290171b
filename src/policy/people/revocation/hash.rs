//! The hashes that choose the bits of an element.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::md5::md5;

/// FNV-1 of 64 bits.
fn fnv64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte)
    })
}

/// FNV-1 of 128 bits.
fn fnv128(bytes: &[u8]) -> u128 {
    const PRIME: u128 = (1 << 88) + 0x13b;
    bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash: u128, byte| {
        hash.wrapping_mul(PRIME) ^ u128::from(*byte)
    })
}

/// CRC-64 with the polynomial of ECMA-182, reflected.
fn crc64(bytes: &[u8]) -> u64 {
    const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;
    !bytes.iter().fold(u64::MAX, |crc, byte| {
        (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

/// The two halves of FNV-128, from which all others are made by addition.
pub(super) fn pair(element: &[u8]) -> (u64, u64) {
    let bytes = fnv128(element).to_be_bytes();
    match bytes.as_chunks::<8>().0 {
        [first, second] => (u64::from_le_bytes(*first), u64::from_le_bytes(*second)),
        _ => (0, 0),
    }
}

/// What the first `count` of the five hashes give, in pieces of eight bytes.
pub(super) fn five(element: &[u8], count: u32, mut each: impl FnMut(u64)) {
    let mut pieces = |bytes: &[u8]| {
        for piece in bytes.as_chunks::<8>().0 {
            each(u64::from_le_bytes(*piece));
        }
    };
    for number in 0..count.min(5) {
        match number {
            0 => pieces(&md5(element)),
            1 => pieces(&crc64(element).to_be_bytes()),
            2 => pieces(digest(&SHA1_FOR_LEGACY_USE_ONLY, element).as_ref()),
            3 => pieces(&fnv64(element).to_be_bytes()),
            _ => pieces(&fnv128(element).to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_values_agree() {
        assert_eq!(crc64(b"123456789"), 0x995d_c9bb_df19_39fa); // CRC-64/XZ
        assert_eq!(fnv64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv64(b"a"), 0xaf63_bd4c_8601_b7be);
        assert_eq!(fnv128(b"a"), 0xd228_cb69_101a_8caf_7891_2b70_4e4a_141e);
    }

    #[test]
    fn hashes_come_in_pieces_of_eight_bytes() {
        for (count, want) in [(0, 0), (1, 2), (2, 3), (3, 5), (4, 6), (5, 8), (23, 8)] {
            let mut pieces = 0;
            five(b"jti-1", count, |_| pieces += 1);
            assert_eq!(pieces, want, "{count}");
        }
    }
}
