//! Headers of the PROXY protocol: bounded, decided by the same byte however they come, and what we
//! write is what we read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use otus::protocol::proxy_protocol::{HEADER_BYTES_MAX, Progress, Said, encode_v2, parse};

pub fn run(data: &[u8]) {
    let whole = parse(data);
    let mut decided = None;
    for end in 0..=data.len().min(HEADER_BYTES_MAX + 8) {
        let now = parse(&data[..end]);
        if now == Ok(Progress::NeedMore) {
            assert!(decided.is_none(), "what was decided stays decided");
            assert!(end < HEADER_BYTES_MAX, "no header is longer");
            continue;
        }
        if let Ok(Progress::Done { len, .. }) = now {
            assert!(len <= end && len <= HEADER_BYTES_MAX && len > 0);
        }
        match decided {
            None => decided = Some(now),
            Some(before) => assert_eq!(now, before, "more bytes change nothing"),
        }
    }
    assert_eq!(decided.unwrap_or(Ok(Progress::NeedMore)), whole);
    if let Ok(Progress::Done { said: said @ Said::Client { source, destination }, len }) = whole {
        assert_eq!(source.is_ipv4(), destination.is_ipv4());
        written(said, source, destination);
        plainly(&data[..len], said);
    }
    if let Some((source, destination)) = addresses(data) {
        written(Said::Client { source, destination }, source, destination);
    }
}

fn written(said: Said, source: SocketAddr, destination: SocketAddr) {
    let mut out = Vec::new();
    encode_v2(&mut out, source, destination);
    let len = out.len();
    out.extend_from_slice(b"GET");
    let Said::Client { source, destination } = said else { return };
    let canonical = |address: SocketAddr| {
        let ip = address.ip().to_canonical();
        SocketAddr::new(ip, address.port())
    };
    let Ok(Progress::Done { said: Said::Client { source: from, destination: to }, len: read }) =
        parse(&out)
    else {
        panic!("what we write we do not read")
    };
    assert_eq!(read, len);
    assert_eq!((canonical(from), canonical(to)), (canonical(source), canonical(destination)));
}

/// A header of version 1 read word by word.
fn plainly(header: &[u8], said: Said) {
    let Some(line) = header.strip_prefix(b"PROXY ") else { return };
    let text = str::from_utf8(line).unwrap().strip_suffix("\r\n").unwrap();
    let words: Vec<&str> = text.split(' ').collect();
    let address = |ip: &str, port: &str| -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), port.parse().unwrap())
    };
    let (source, destination) = (address(words[1], words[3]), address(words[2], words[4]));
    assert_eq!((said, words.len()), (Said::Client { source, destination }, 5));
}

/// Two addresses made of the bytes themselves.
fn addresses(data: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (kind, rest) = data.split_first()?;
    let address = |bytes: &[u8], v6: bool| -> Option<SocketAddr> {
        let port = u16::from_be_bytes(*bytes.first_chunk()?);
        let ip: IpAddr = if v6 {
            Ipv6Addr::from(*bytes.get(2..)?.first_chunk::<16>()?).into()
        } else {
            Ipv4Addr::from(*bytes.get(2..)?.first_chunk::<4>()?).into()
        };
        Some(SocketAddr::new(ip, port))
    };
    Some((address(rest, kind & 1 == 1)?, address(rest.get(4..)?, kind & 2 == 2)?))
}
