//! The engine as a server, and rustls as a client, without a wire between them.

use std::io::Write;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    SupportedProtocolVersion,
};

use super::*;
use crate::base::limits::{LARGE_BUFFER_BYTES, RECORD_BUFFER_BYTES};
use crate::tls::server::provider;

/// What both offer.
struct Offer {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Offer {
    fn new(version: &'static SupportedProtocolVersion, of_server: CryptoProvider) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let client = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let server = ServerConfig::builder_with_provider(of_server.into())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Offer { client: client.into(), server: server.into() }
    }

    fn client(&self) -> ClientConnection {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        client.set_buffer_limit(None);
        client
    }
}

/// A connection behind its handshake.
struct Pair {
    pool: BufferPool,
    client: ClientConnection,
    engine: Engine,
}

impl Pair {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        Pair::with(&Offer::new(version, provider()))
    }

    fn with(offer: &Offer) -> Self {
        let server = UnbufferedServerConnection::new(Arc::clone(&offer.server)).unwrap();
        let engine = Engine::new(Machine::Server(Box::new(server)));
        let mut pair = Pair { pool: BufferPool::default(), client: offer.client(), engine };
        while pair.client.is_handshaking() || pair.engine.is_handshaking() {
            let sealed = pair.sent();
            pair.feed(&sealed);
            assert_eq!(pair.engine.open(), Ok(Opened::NeedMore));
            pair.answer();
        }
        pair
    }

    /// What the client has to send.
    fn sent(&mut self) -> Vec<u8> {
        let mut sealed = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut sealed).unwrap();
        }
        sealed
    }

    /// Payload of the client in records of these lengths.
    fn sealed(&mut self, lens: &[usize]) -> (Vec<u8>, Vec<u8>) {
        let (mut plain, mut sealed) = (Vec::new(), Vec::new());
        for len in lens {
            let start = plain.len();
            plain.extend((0..*len).map(|at| u8::try_from((start + at * 7) % 251).unwrap()));
            self.client.writer().write_all(&plain[start..]).unwrap();
            sealed.extend(self.sent());
        }
        (plain, sealed)
    }

    fn feed(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let large = bytes.len() > RECORD_BUFFER_BYTES / 2;
        let mut buffer = if large { self.pool.large() } else { self.pool.record() };
        assert!(self.engine.lead(&mut buffer));
        assert_eq!(buffer.append(bytes), bytes.len());
        self.engine.feed(buffer);
    }

    /// Hands the client what is queued for it.
    fn answer(&mut self) {
        let mut out = self.pool.large();
        self.engine.unqueue(&mut out);
        let mut bytes = out.filled();
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets().unwrap();
        }
    }

    /// What is ready, copied.
    fn fetched(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(Opened::Bytes(ready)) = self.engine.open() {
            let mut small = self.pool.small();
            assert_eq!(self.engine.fetch(&mut small), ready.min(small.size()));
            all.extend_from_slice(small.filled());
        }
        all
    }

    /// What is ready, where it lies.
    fn taken(&mut self) -> (Vec<u8>, Vec<Range<usize>>) {
        let (mut all, mut ranges) = (Vec::new(), VecDeque::new());
        let _ = self.engine.open();
        if let Some(buffer) = self.engine.take(&mut ranges, &self.pool) {
            for range in &ranges {
                all.extend_from_slice(buffer.range(range.clone()));
            }
            assert!(buffer.is_empty());
        }
        (all, ranges.into())
    }

    /// Reads as a session does that has a large buffer, with `kept` in it.
    fn read_behind(&mut self, bytes: &[u8], kept: &[u8]) -> Vec<u8> {
        let mut buffer = self.pool.large();
        buffer.append(b"consumed");
        buffer.consume(8);
        buffer.append(kept);
        assert!(self.engine.lead(&mut buffer));
        buffer.append(bytes);
        let buffer = self.engine.open_behind(buffer, kept.len(), &self.pool).unwrap();
        assert_eq!(buffer.position(), 8, "as if it had been read into");
        buffer.filled().strip_prefix(kept).unwrap().to_vec()
    }
}

#[test]
fn payload_comes_whole_wherever_its_records_are_cut() {
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::new(version);
        let lens = [1, 17, 0, 90];
        let whole = pair.sealed(&lens).1;
        assert_eq!(pair.engine.open(), Ok(Opened::NeedMore));
        pair.feed(&whole);
        assert_eq!(pair.fetched().len(), 108);
        for cut in 0..=whole.len() {
            let (plain, sealed) = pair.sealed(&lens);
            let (front, back) = sealed.split_at(cut);
            pair.feed(front);
            let mut came = pair.fetched();
            pair.feed(back);
            came.extend(pair.fetched());
            assert_eq!(came, plain, "copied, cut at {cut}");

            let (plain, sealed) = pair.sealed(&lens);
            let (front, back) = sealed.split_at(cut);
            pair.feed(front);
            let mut came = pair.taken().0;
            pair.feed(back);
            came.extend(pair.taken().0);
            assert_eq!(came, plain, "where it lies, cut at {cut}");

            let (plain, sealed) = pair.sealed(&lens);
            let (front, back) = sealed.split_at(cut);
            let mut came = pair.read_behind(front, b"");
            came.extend(pair.read_behind(back, b"kept"));
            assert_eq!(came, plain, "read behind what was kept, cut at {cut}");
        }
        drop(pair.engine);
        assert_eq!(pair.pool.out(), 0);
    }
}

#[test]
fn large_records_stay_where_they_were_received() {
    let mut pair = Pair::new(&TLS13);
    let (plain, sealed) = pair.sealed(&[16_384, 16_384, 10_000]);
    pair.feed(&sealed[..sealed.len() - 1]);
    let (came, ranges) = pair.taken();
    assert_eq!(came, plain[..32_768]);
    let lens: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
    assert_eq!(lens, [16_384, 16_384]);
    assert_eq!(ranges[1].start - ranges[0].end, 5 + 1 + 16, "a header, a type and a tag");
    assert_eq!(pair.pool.out(), 1, "what is left lies in one buffer ...");
    let mut rest = pair.pool.record();
    assert!(pair.engine.lead(&mut rest));
    assert_eq!(rest.len(), 10_000 + 5 + 1 + 16 - 1);
    drop(rest);
    pair.feed(&sealed[sealed.len() - 1..]);
    assert_eq!(pair.taken().0, plain[32_768..]);
    assert_eq!(pair.pool.out(), 0, "... and an idle connection has none");
}

#[test]
fn a_flood_of_tiny_records_makes_few_pieces() {
    let mut pair = Pair::new(&TLS13);
    let mut lens = vec![1; 4_000];
    lens.extend([5_000, 1, 1, 16_384, 3, 16_384, 16_384, 2]);
    let (plain, sealed) = pair.sealed(&lens);
    assert!(sealed.len() < LARGE_BUFFER_BYTES);
    pair.feed(&sealed);
    let (came, ranges) = pair.taken();
    assert_eq!(came, plain);
    assert!(ranges.len() <= 4, "{ranges:?}");
}

#[test]
fn keys_change_between_records() {
    let mut pair = Pair::new(&TLS13);
    for _ in 0..3 {
        let (mut plain, mut sealed) = pair.sealed(&[5_000, 10]);
        pair.client.refresh_traffic_keys().unwrap();
        let more = pair.sealed(&[20, 6_000]);
        plain.extend(more.0);
        sealed.extend(more.1);
        pair.feed(&sealed);
        assert_eq!(pair.taken().0, plain);
        // The answer is a change of ours; the client reads what is sealed with the next key.
        pair.answer();
    }
}

#[test]
fn what_came_before_a_forged_record_is_delivered_and_nothing_behind_it() {
    for flip in [5, 3_000] {
        let mut pair = Pair::new(&TLS13);
        let (plain, mut sealed) = pair.sealed(&[100, 4_000, 50]);
        sealed[100 + 22 + flip] ^= 1;
        pair.feed(&sealed);
        assert_eq!(pair.fetched(), plain[..100]);
        assert_eq!(pair.engine.open(), Err(Broken));
        assert!(pair.engine.has_queued(), "the peer is told");
    }
}

#[test]
fn nothing_behind_the_end_is_kept() {
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::new(version);
        let (plain, mut sealed) = pair.sealed(&[100]);
        pair.client.send_close_notify();
        sealed.extend(pair.sent());
        sealed.extend(vec![23; 100_000]);
        pair.feed(&sealed);
        assert_eq!(pair.taken().0, plain);
        assert_eq!(pair.engine.open(), Ok(Opened::End));
        assert_eq!(pair.pool.out(), 0);
    }
}

#[test]
fn other_ciphers_break_the_connection_instead_of_losing_bytes() {
    let mut pair = Pair::with(&Offer::new(&TLS13, aws_lc_rs::default_provider()));
    let (_, sealed) = pair.sealed(&[100]);
    pair.feed(&sealed);
    assert_eq!(pair.engine.open(), Err(Broken));
}

#[test]
fn who_does_not_ask_gets_payload_from_rustls_itself() {
    let offer = Offer::new(&TLS13, provider());
    let mut client = offer.client();
    let mut server = ServerConnection::new(Arc::clone(&offer.server)).unwrap();
    client.writer().write_all(b"some payload").unwrap();
    while client.is_handshaking() || client.wants_write() {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.write_tls(&mut up).unwrap();
        server.read_tls(&mut up.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        while server.wants_write() {
            server.write_tls(&mut down).unwrap();
        }
        let mut down = down.as_slice();
        while !down.is_empty() {
            client.read_tls(&mut down).unwrap();
            client.process_new_packets().unwrap();
        }
    }
    let mut came = [0; 12];
    std::io::Read::read_exact(&mut server.reader(), &mut came).unwrap();
    assert_eq!(&came, b"some payload");
}
