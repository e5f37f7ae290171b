//! Numbers in decimal digits, without the machinery of `fmt`.

/// Appends the digits of a number.
pub fn push<N: itoa::Integer + Copy + TryInto<u8>>(out: &mut Vec<u8>, number: N) {
    // Flags and counts, most of the time: no digits have to be found, and none copied.
    if let Ok(digit @ 0..=9) = number.try_into() {
        return out.push(b'0' + digit);
    }
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 7, 10, 99, 100, 12_345, 1_000_000, u64::MAX] {
            let mut out = b"a".to_vec();
            push(&mut out, number);
            assert_eq!(out, format!("a{number}").into_bytes());
        }
        let mut out = Vec::new();
        push(&mut out, i64::MIN);
        assert_eq!(out, i64::MIN.to_string().into_bytes());
    }
}
