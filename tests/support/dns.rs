//! A name server on loopback, over UDP and TCP, that says what a test tells it to.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};

use simple_dns::rdata::{A, AAAA, RData, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

/// A record, but for its name.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    V4([u8; 4]),
    V6(u128),
    /// Priority, port and target.
    Service(u16, u16, String),
}

#[derive(Default)]
struct World {
    zone: BTreeMap<String, Vec<Data>>,
    ttl: u32,
    broken: bool,
    udp: usize,
    tcp: usize,
}

/// The server. Its threads end with the test.
#[derive(Clone)]
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    world: Arc<Mutex<World>>,
}

impl NameServer {
    /// Starts one whose records live for `ttl` seconds.
    pub(crate) fn start(ttl: u32) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            // Another test may have the same port for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let world = Arc::new(Mutex::new(World { ttl, ..World::default() }));
        let server = NameServer { address, world };
        let own = server.clone();
        std::thread::spawn(move || own.serve_udp(&udp));
        let own = server.clone();
        std::thread::spawn(move || own.serve_tcp(&tcp));
        server
    }

    /// From now on a name has these records.
    pub(crate) fn set(&self, name: &str, data: &[Data]) {
        self.world().zone.insert(name.to_owned(), data.to_vec());
    }

    /// From now on there is no such name.
    pub(crate) fn remove(&self, name: &str) {
        self.world().zone.remove(name);
    }

    /// From now on every answer is SERVFAIL, or not.
    pub(crate) fn set_broken(&self, broken: bool) {
        self.world().broken = broken;
    }

    /// Questions that came over UDP, and over TCP.
    pub(crate) fn asked(&self) -> (usize, usize) {
        let world = self.world();
        (world.udp, world.tcp)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut bytes = [0; 512];
        loop {
            let (len, peer) = socket.recv_from(&mut bytes).unwrap();
            self.world().udp += 1;
            let answer = self.answer(&bytes[..len]);
            let answer = if answer.len() > 512 { truncated(&answer) } else { answer };
            // Noise first: an answer to a question that nobody has asked.
            let mut noise = answer.clone();
            noise[0] ^= 0xff;
            let _ = socket.send_to(&noise, peer);
            let _ = socket.send_to(&answer, peer);
        }
    }

    fn serve_tcp(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut len = [0; 2];
            if stream.read_exact(&mut len).is_err() {
                continue;
            }
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut bytes).unwrap();
            self.world().tcp += 1;
            let answer = self.answer(&bytes);
            let len = u16::try_from(answer.len()).unwrap().to_be_bytes();
            let _ = stream.write_all(&len).and_then(|()| stream.write_all(&answer));
        }
    }

    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let query = Packet::parse(bytes).unwrap();
        let question = query.questions[0].clone();
        let name = question.qname.to_string();
        let mut packet = Packet::new_reply(query.id());
        packet.questions.push(question.clone());
        let world = self.world();
        match world.zone.get(&name) {
            _ if world.broken => *packet.rcode_mut() = RCODE::ServerFailure,
            None => *packet.rcode_mut() = RCODE::NameError,
            Some(list) => {
                for data in list.iter().map(rdata) {
                    if question.qtype == QTYPE::TYPE(type_of(&data)) {
                        let name = Name::new(&name).unwrap().into_owned();
                        let record = ResourceRecord::new(name, CLASS::IN, world.ttl, data);
                        packet.answers.push(record);
                    }
                }
            }
        }
        packet.build_bytes_vec_compressed().unwrap()
    }
}

/// The head and the question of an answer, and that there is more.
fn truncated(answer: &[u8]) -> Vec<u8> {
    let mut packet = Packet::parse(answer).unwrap();
    packet.answers.clear();
    packet.set_flags(PacketFlag::TRUNCATION);
    packet.build_bytes_vec_compressed().unwrap()
}

fn rdata(data: &Data) -> RData<'static> {
    match data {
        Data::V4(ip) => RData::A(A::from(Ipv4Addr::from(*ip))),
        Data::V6(ip) => RData::AAAA(AAAA::from(Ipv6Addr::from(*ip))),
        Data::Service(priority, port, target) => {
            let target = Name::new(target).unwrap().into_owned();
            RData::SRV(SRV { priority: *priority, weight: 0, port: *port, target })
        }
    }
}

fn type_of(data: &RData<'_>) -> TYPE {
    match data {
        RData::A(_) => TYPE::A,
        RData::AAAA(_) => TYPE::AAAA,
        _ => TYPE::SRV,
    }
}
