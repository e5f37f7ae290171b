//! Changes of inputs: what libFuzzer does, in little, and the same each time.

use otus::base::prng::Prng;

/// What decoders stumble over.
const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"0",
    b"\r\n\r\n",
    b"%",
    b"%2e",
    b"..",
    b"/",
    b"--",
    b"\"",
    b"\\",
    b";",
    b"=",
    b"\xff",
    b"\x80",
    b"\x7f",
    b"ffffffff",
    b"chunked",
    b"content-length: 1\r\n",
];

/// One of `inputs`, changed in one to four ways.
pub(crate) fn change(inputs: &[&[u8]], prng: &mut Prng, bytes_max: usize) -> Vec<u8> {
    let pick = |prng: &mut Prng| inputs[below(prng, inputs.len())];
    let mut bytes = pick(prng).to_vec();
    for _ in 0..=below(prng, 4) {
        let at = below(prng, bytes.len() + 1);
        let end = (at + below(prng, 9)).min(bytes.len());
        match prng.below(8) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << prng.below(8),
            2 if at < bytes.len() => bytes[at] = prng.next_u64().to_le_bytes()[0],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let copy = bytes[at..end].to_vec();
                let to = below(prng, bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
            5 => bytes.truncate(at),
            6 => {
                let other = pick(prng);
                let from = below(prng, other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => drop(bytes.splice(at..at, WORDS[below(prng, WORDS.len())].iter().copied())),
        }
    }
    bytes.truncate(bytes_max);
    bytes
}

fn below(prng: &mut Prng, bound: usize) -> usize {
    usize::try_from(prng.below(u64::try_from(bound).unwrap())).unwrap()
}
