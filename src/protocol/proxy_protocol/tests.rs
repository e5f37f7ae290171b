use super::*;
use crate::base::prng::Prng;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn client_of(source: &str, destination: &str) -> Said {
    Said::Client { source: address(source), destination: address(destination) }
}

/// Reads a header that is followed by other bytes, cut at every byte.
#[track_caller]
fn check(header: &[u8], said: Said) {
    let mut all = header.to_vec();
    all.extend_from_slice(b"GET / HTTP/1.1\r\n");
    for len in 0..all.len() {
        let want = if len < header.len() {
            Progress::NeedMore
        } else {
            Progress::Done { said, len: header.len() }
        };
        assert_eq!(parse(&all[..len]), Ok(want), "{len} bytes");
    }
}

#[track_caller]
fn refuse(header: &[u8], error: HeaderError) {
    assert_eq!(parse(header), Err(error), "{}", header.escape_ascii());
}

#[test]
fn version_1_is_read_at_any_cut() {
    let said = client_of("192.0.2.1:56324", "198.51.100.7:443");
    check(b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", said);
    let said = client_of("[2001:db8::1]:0", "[::1]:65535");
    check(b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", said);
    check(b"PROXY UNKNOWN\r\n", Said::Nobody);
    let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'f'; 91], b"\r\n"].concat();
    assert_eq!(longest.len(), V1_BYTES_MAX);
    check(&longest, Said::Nobody);
}

#[test]
fn version_1_is_strict() {
    for line in [
        "PROXY",
        "PROXY ",
        "PROXY TCP4",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ",
        "PROXY TCP4 ::1 ::1 1 2",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536",
        "PROXY TCP4 1.2.3.256 1.2.3.4 1 2",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2",
        "PROXY UNKNOWNS",
        "PROXYTCP4 1.2.3.4 1.2.3.4 1 2",
        "PROXY TCP4 1.2.3.4 1.2.3.\u{664} 1 2",
    ] {
        refuse(format!("{line}\r\n").as_bytes(), HeaderError::Malformed);
    }
    refuse(b"PROXY UNKNOWN\n", HeaderError::Malformed);
    refuse(b"POST / HTTP/1.1\r\n", HeaderError::NoHeader);
    refuse(b"PU", HeaderError::NoHeader);
    refuse(b"GET / HTTP/1.1\r\n", HeaderError::NoHeader);
    let long = [b"PROXY UNKNOWN ".as_slice(), &[b'f'; 92], b"\r\n"].concat();
    refuse(&long, HeaderError::TooLong);
    refuse(&[b"PROXY ".as_slice(), &[b'f'; 1000]].concat(), HeaderError::TooLong);
}

/// A header of version 2 with the length that its rest has.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = V2_SIGNATURE.to_vec();
    out.extend_from_slice(&[command, family]);
    out.extend_from_slice(&u16::try_from(rest.len()).unwrap().to_be_bytes());
    out.extend_from_slice(rest);
    out
}

const PAIR: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 4, 1, 0xbb];

#[test]
fn version_2_is_read_at_any_cut() {
    let said = client_of("192.0.2.1:56324", "198.51.100.7:443");
    check(&v2(0x21, 0x11, &PAIR), said);
    let extended = [PAIR.as_slice(), b"\x04\0\0", b"\x02\0\x03a.b", b"\xea\0\x02xy"].concat();
    check(&v2(0x21, 0x11, &extended), said);
    check(&v2(0x20, 0x00, b""), Said::Nobody);
    check(&v2(0x20, 0x11, b""), Said::Nobody);
    check(&v2(0x20, 0x11, &PAIR), Said::Nobody);
    check(&v2(0x21, 0x00, b"whatever"), Said::Nobody);
    check(&v2(0x21, 0x12, &PAIR), Said::Nobody);
    check(&v2(0x21, 0x31, &[7; 216]), Said::Nobody);
    let longest = [PAIR.as_slice(), b"\x04\x02\xc9", &[0; 713]].concat();
    assert_eq!(longest.len() + V2_HEAD_BYTES, HEADER_BYTES_MAX);
    check(&v2(0x21, 0x11, &longest), said);
}

#[test]
fn version_2_is_strict() {
    let malformed = [
        v2(0x11, 0x11, &PAIR),
        v2(0x22, 0x11, &PAIR),
        v2(0x31, 0x11, &PAIR),
        v2(0x21, 0x13, &PAIR),
        v2(0x21, 0x41, &PAIR),
        v2(0x21, 0x10, &PAIR),
        v2(0x21, 0x11, &PAIR[..11]),
        v2(0x21, 0x21, &PAIR),
        v2(0x21, 0x31, &PAIR),
        v2(0x21, 0x11, &[PAIR.as_slice(), b"\x04"].concat()),
        v2(0x21, 0x11, &[PAIR.as_slice(), b"\x04\0\x02a"].concat()),
        v2(0x21, 0x11, &[PAIR.as_slice(), b"\x03\0\x03abc"].concat()),
    ];
    for header in malformed {
        refuse(&header, HeaderError::Malformed);
    }
    refuse(b"\r\n\r\n\0\r\nQUIT\r", HeaderError::NoHeader);
    refuse(b"\x16\x03\x01", HeaderError::NoHeader);
    refuse(&v2(0x21, 0x11, &[0; 729]), HeaderError::TooLong);
    // What is wrong is told as soon as it is there.
    refuse(&v2(0x31, 0x11, &PAIR)[..13], HeaderError::Malformed);
    refuse(&v2(0x21, 0x41, &PAIR)[..14], HeaderError::Malformed);
}

#[test]
fn a_checksum_is_checked() {
    assert_eq!(crc32c_without(b"123456789", 0..0), 0xe306_9283);
    let mut header =
        v2(0x21, 0x11, &[PAIR.as_slice(), b"\x03\0\x04\0\0\0\0", b"\x04\0\x01x"].concat());
    let sum = crc32c_without(&header, 0..0);
    header[31..35].copy_from_slice(&sum.to_be_bytes());
    check(&header, client_of("192.0.2.1:56324", "198.51.100.7:443"));
    // Byte 28 says that there is a checksum at all.
    for at in (16..header.len()).filter(|at| *at != 28) {
        let mut broken = header.clone();
        broken[at] ^= 1;
        assert!(parse(&broken).is_err(), "{at}");
    }
}

#[test]
fn what_is_written_is_read() {
    for (source, destination, len) in [
        ("192.0.2.1:1", "198.51.100.7:2", 28),
        ("[2001:db8::1]:1", "[::1]:2", 52),
        ("[2001:db8::1]:1", "[::ffff:198.51.100.7]:2", 52),
    ] {
        let mut out = Vec::new();
        encode_v2(&mut out, address(source), address(destination));
        assert_eq!(out.len(), len);
        check(&out, client_of(source, destination));
    }
    let mut mapped = Vec::new();
    encode_v2(&mut mapped, address("[::ffff:192.0.2.1]:1"), address("10.0.0.1:2"));
    check(&mapped, client_of("192.0.2.1:1", "10.0.0.1:2"));
    let mut local = Vec::new();
    encode_v2_local(&mut local);
    check(&local, Said::Nobody);
}

#[test]
fn no_bytes_make_the_reader_fail_or_read_beyond_its_bound() {
    let mut prng = Prng::new(6);
    let headers = [
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n".to_vec(),
        v2(0x21, 0x11, &[PAIR.as_slice(), b"\x03\0\x04\0\0\0\0"].concat()),
    ];
    for round in 0..20_000 {
        let mut bytes = headers[round % 2].clone();
        bytes.resize(HEADER_BYTES_MAX, b' ');
        for _ in 0..=prng.below(3) {
            let at = usize::try_from(prng.below(64)).unwrap();
            bytes[at] = u8::try_from(prng.below(256)).unwrap();
        }
        assert_ne!(parse(&bytes), Ok(Progress::NeedMore), "{}", bytes.escape_ascii());
    }
}
