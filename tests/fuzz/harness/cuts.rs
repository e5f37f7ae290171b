//! Where inputs are cut: what comes in pieces must mean what it means as a whole.

/// Up to how many bytes an input is cut at each of them.
const EVERYWHERE: usize = 40;
/// Places at which a longer one is cut in two.
const PLACES: u64 = 6;

/// Pieces of `data`, in several ways: byte by byte, and in two at some places that follow from the
/// data (all of them, if it is short).
pub fn ways(data: &[u8]) -> Vec<Vec<&[u8]>> {
    let places: Vec<usize> = if data.len() <= EVERYWHERE {
        (0..=data.len()).collect()
    } else {
        let hash = data.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let len = u64::try_from(data.len()).unwrap() + 1;
        let place = |n| hash.rotate_left(11 * n) % len;
        (0..u32::try_from(PLACES).unwrap()).map(|n| usize::try_from(place(n)).unwrap()).collect()
    };
    let mut ways: Vec<Vec<&[u8]>> = vec![data.chunks(1).collect()];
    for place in places {
        let (front, back) = data.split_at(place);
        ways.push(vec![front, back]);
    }
    ways
}

/// Takes the first byte as a choice between `count` things.
pub fn choice(data: &[u8], count: u8) -> (usize, &[u8]) {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    (usize::from(first % count), rest)
}
