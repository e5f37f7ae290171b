use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use simple_dns::rdata::{A, AAAA, CNAME, RData, SOA, SRV};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

use super::message::{Answer, answer, question};
use super::names::{Change, Kind, Names, Question, Records, Reply, Service};
use super::system::{Setup, find_host};
use crate::base::prng::Prng;
use crate::base::time::Instant;
use crate::snapshot::Snapshot;
use crate::snapshot::dns::{Dns, Family, Origin};
use crate::snapshot::upstream::Endpoint;
use crate::upstream::balance::Share;

const ID: u16 = 0x1234;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn at(n: u64) -> Instant {
    Instant::START + seconds(n)
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

fn record<'a>(name: &'a str, ttl: u32, data: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(Name::new(name).unwrap(), CLASS::IN, ttl, data)
}

fn a(ip: [u8; 4]) -> RData<'static> {
    RData::A(A { address: u32::from_be_bytes(ip) })
}

fn reply(name: &str, kind: TYPE, change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
    let mut packet = Packet::new_reply(ID);
    let (kind, class) = (QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN));
    let question = simple_dns::Question::new(Name::new(name).unwrap(), kind, class, false);
    packet.questions.push(question.into_owned());
    change(&mut packet);
    packet.build_bytes_vec_compressed().unwrap()
}

#[test]
fn a_question_is_one_of_the_standard() {
    let bytes = question(ID, "a.b.", Kind::Aaaa).unwrap();
    assert_eq!(bytes, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x01b\0\0\x1c\0\x01");
    assert_eq!(question(ID, &"x".repeat(64), Kind::A), None);
}

#[test]
fn aliases_are_followed_and_the_shortest_time_counts() {
    let bytes = reply("Www.x", TYPE::A, |packet| {
        packet.answers.push(record("b.x", 9, a([10, 0, 0, 2])));
        packet.answers.push(record("www.X", 7, RData::CNAME(CNAME(Name::new("b.x").unwrap()))));
        packet.answers.push(record("B.x", 8, a([10, 0, 0, 1])));
        packet.answers.push(record("other.x", 1, a([10, 0, 0, 3])));
        let v6 = RData::AAAA(AAAA { address: 1 });
        packet.answers.push(record("b.x", 1, v6));
    });
    let found = answer(&bytes, ID, "www.x", Kind::A);
    let want = Records::Addresses(ips(&["10.0.0.1", "10.0.0.2"]));
    assert_eq!(found, Some(Answer::Found(want, seconds(7))));
    // The end of a loop of aliases has no addresses.
    let loops = reply("a.x", TYPE::A, |packet| {
        for (from, to) in [("a.x", "b.x"), ("b.x", "a.x")] {
            let alias = RData::CNAME(CNAME(Name::new(to).unwrap()));
            packet.answers.push(record(from, 5, alias));
        }
    });
    assert!(matches!(answer(&loops, ID, "a.x", Kind::A), Some(Answer::NoRecords(_))));
}

#[test]
fn services_are_found_by_their_priority() {
    let bytes = reply("_http._tcp.x", TYPE::SRV, |packet| {
        for (priority, port, target) in [(2, 80, "c.x"), (1, 82, "b.x"), (1, 81, "a.x")] {
            let target = Name::new(target).unwrap();
            let srv = RData::SRV(SRV { priority, weight: priority, port, target });
            packet.answers.push(record("_http._tcp.x", 60, srv));
        }
    });
    let of = |priority, host: &str, port| {
        let host = host.to_owned();
        Service { priority, host, port, weight: priority }
    };
    let service = |host: &str, port| of(1, host, port);
    let want = vec![service("a.x", 81), service("b.x", 82), of(2, "c.x", 80)];
    let want = Records::Services(want);
    let got = answer(&bytes, ID, "_http._tcp.x", Kind::Srv);
    assert_eq!(got, Some(Answer::Found(want, seconds(60))));
    let odd = ["a b", "a\r\nx: y", "a:1"].map(|host| service(host, 80));
    assert_eq!(Records::services(odd.to_vec()), Records::Services(Vec::new()), "no host names");
    let blocked = Records::addresses(ips(&["0.0.0.0", "::", "224.0.0.1", "10.0.0.1"]));
    assert_eq!(blocked, Records::Addresses(ips(&["10.0.0.1"])));
    let none = Records::services(vec![of(0, "", 0)]);
    assert_eq!(none, Records::Services(Vec::new()), "a lone dot: no such service");
}

#[test]
fn nothing_is_told_from_failure_and_lasts_as_long_as_the_zone_says() {
    let soa = || {
        let (mname, rname) = (Name::new("ns.x").unwrap(), Name::new("me.x").unwrap());
        let soa = SOA { mname, rname, serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 20 };
        record("x", 60, RData::SOA(soa))
    };
    let with = |code: RCODE| {
        reply("n.x", TYPE::A, |packet| {
            *packet.rcode_mut() = code;
            packet.name_servers.push(soa());
        })
    };
    let read = |bytes: &[u8]| answer(bytes, ID, "n.x", Kind::A);
    assert_eq!(read(&with(RCODE::NameError)), Some(Answer::NoName(seconds(20))));
    assert_eq!(read(&with(RCODE::NoError)), Some(Answer::NoRecords(seconds(20))));
    for code in [RCODE::ServerFailure, RCODE::Refused, RCODE::NotImplemented] {
        assert!(matches!(read(&with(code)), Some(Answer::Failed(_))), "{code:?}");
    }
}

#[test]
fn what_is_no_answer_to_the_question_is_passed_over() {
    let good = reply("n.x", TYPE::A, |packet| packet.answers.push(record("n.x", 5, a([1; 4]))));
    assert!(matches!(answer(&good, ID, "n.x", Kind::A), Some(Answer::Found(..))));
    assert_eq!(answer(&good, ID + 1, "n.x", Kind::A), None, "another id");
    assert_eq!(answer(&good, ID, "m.x", Kind::A), None, "another name");
    assert_eq!(answer(&good, ID, "n.x", Kind::Aaaa), None, "another kind");
    let query = question(ID, "n.x", Kind::A).unwrap();
    assert_eq!(answer(&query, ID, "n.x", Kind::A), None, "a question");
    // Cut anywhere it is nothing, or says itself that it was cut.
    let cut = reply("n.x", TYPE::A, |packet| {
        packet.set_flags(PacketFlag::TRUNCATION);
        packet.answers.push(record("n.x", 5, a([1; 4])));
    });
    for len in 0..good.len() {
        assert!(!matches!(answer(&good[..len], ID, "n.x", Kind::A), Some(Answer::Found(..))));
        let read = answer(&cut[..len], ID, "n.x", Kind::A);
        assert_eq!(read, (len > 2).then_some(Answer::Truncated), "{len}");
    }
}

#[test]
fn no_bytes_make_the_reader_fail() {
    let good = reply("n.x", TYPE::A, |packet| {
        for n in 0..4 {
            packet.answers.push(record("n.x", 5, a([n; 4])));
        }
    });
    let mut prng = Prng::new(5);
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..=prng.below(6) {
            let place = usize::try_from(prng.below(u64::try_from(bytes.len()).unwrap())).unwrap();
            bytes[place] = u8::try_from(prng.below(256)).unwrap();
        }
        let _ = answer(&bytes, ID, "n.x", Kind::A);
    }
}

#[test]
fn the_files_of_the_system_are_read() {
    let setup = Setup::parse(
        "# c\nnameserver 10.0.0.2\nnameserver fe80::1%eth0\nnameserver ::1\nsearch a.x. b.x\n\
         options ndots:2 rotate\n",
    );
    let want: Vec<SocketAddr> = vec!["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
    assert_eq!(setup.servers, want);
    assert_eq!(setup.candidates("s"), ["s.a.x", "s.b.x", "s"]);
    assert_eq!(setup.candidates("s.t.u"), ["s.t.u", "s.t.u.a.x", "s.t.u.b.x"]);
    assert_eq!(setup.candidates("s."), ["s."]);
    assert_eq!(Setup::parse("").servers, ["127.0.0.1:53".parse().unwrap()]);
    let hosts = "127.0.0.1 localhost # db\n::1\tlocalhost ip6\n10.0.0.9 DB db.x\nbad line\n";
    assert_eq!(find_host(hosts, "localhost"), Some(ips(&["127.0.0.1", "::1"])));
    assert_eq!(find_host(hosts, "db"), Some(ips(&["10.0.0.9"])));
    assert_eq!(find_host(hosts, "line"), None);
    assert_eq!(find_host("", "LocalHost"), Some(ips(&["127.0.0.1"])));
}

fn rules() -> Dns {
    let (min_ttl, max_ttl) = (seconds(10), seconds(100));
    Dns { min_ttl, max_ttl, keep_gone: seconds(60), family: Family::Ipv4, ..Dns::default() }
}

/// A configuration with these origins, and its names.
fn names(origins: &[Origin]) -> (Snapshot, Names) {
    let mut snapshot = Snapshot::minimal();
    snapshot.add_http_upstream("u", &[]);
    snapshot.upstreams[0].origins = origins.to_vec();
    snapshot.dns = rules();
    let mut names = Names::new(Prng::new(8));
    names.follow(&snapshot, at(0));
    (snapshot, names)
}

fn host(name: &str) -> Origin {
    Origin::Host { name: name.to_owned(), port: 80 }
}

fn found(list: &[&str], ttl: u64) -> Reply {
    Reply::Found { records: Records::addresses(ips(list)), ttl: seconds(ttl) }
}

/// The addresses of the one upstream.
fn filled(snapshot: &mut Snapshot, names: &Names) -> Vec<String> {
    names.fill(&mut snapshot.upstreams);
    snapshot.upstreams[0].endpoints.iter().map(|e| e.address.to_string()).collect()
}

/// The question that is due, and nothing else.
#[track_caller]
fn ask(names: &mut Names, now: Instant) -> Question {
    let due = names.begin(9, now);
    assert_eq!(due.len(), 1, "{due:?}");
    assert_eq!((names.begin(9, now).len(), names.next_due()), (0, Instant::NEVER));
    due.into_iter().next().unwrap()
}

#[test]
fn an_answer_is_refreshed_before_it_expires_within_bounds() {
    let (mut snapshot, mut names) = names(&[host("a.x")]);
    assert!(!names.is_settled());
    let question = ask(&mut names, at(0));
    let mut now = at(0);
    for (ttl, least, most) in [(40, 30, 40), (1, 7, 10), (9999, 75, 100)] {
        names.replied(&question, found(&["10.0.0.2", "10.0.0.1"], ttl), now);
        let wait = names.next_due() - now;
        assert!((seconds(least)..seconds(most)).contains(&wait), "{ttl}: {wait:?}");
        now = names.next_due();
        assert_eq!(ask(&mut names, now), question);
    }
    assert!(names.is_settled());
    assert_eq!(filled(&mut snapshot, &names), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert!(!names.fill(&mut snapshot.upstreams), "the second time it changes nothing");
}

#[test]
fn failures_keep_the_last_good_answer_and_are_told_once() {
    let (mut snapshot, mut names) = names(&[host("a.x")]);
    let question = ask(&mut names, at(0));
    assert_eq!(names.replied(&question, found(&["10.0.0.1"], 20), at(0)), Change::Records);
    let fail = || Reply::Failed("why".to_owned());
    let told = names.replied(&question, fail(), at(20));
    assert_eq!(told, Change::Failing("why".to_owned()));
    for _ in 0..40 {
        assert_eq!(names.replied(&question, fail(), at(500)), Change::None);
        assert!(names.next_due() - at(500) <= seconds(30));
    }
    assert_eq!(filled(&mut snapshot, &names), ["10.0.0.1:80"]);
    let again = names.replied(&question, found(&["10.0.0.1"], 20), at(600));
    assert_eq!(again, Change::Recovered { with_other_records: false });
    assert_eq!(names.replied(&question, found(&["10.0.0.1"], 20), at(700)), Change::None);
}

#[test]
fn a_name_that_is_gone_keeps_its_addresses_for_a_time() {
    let (mut snapshot, mut names) = names(&[host("a.x")]);
    let question = ask(&mut names, at(0));
    names.replied(&question, found(&["10.0.0.1"], 20), at(0));
    let gone = || Reply::Nothing { ttl: seconds(900) };
    assert_eq!(names.replied(&question, gone(), at(100)), Change::None);
    assert!(names.next_due() <= at(105), "it is asked for often meanwhile");
    assert_eq!(names.replied(&question, gone(), at(159)), Change::None);
    assert!(names.next_due() <= at(160));
    // It was a mistake, and the time begins anew.
    assert_eq!(names.replied(&question, found(&["10.0.0.1"], 20), at(159)), Change::None);
    assert_eq!(names.replied(&question, gone(), at(200)), Change::None);
    assert_eq!(names.replied(&question, gone(), at(259)), Change::None);
    assert_eq!(filled(&mut snapshot, &names), ["10.0.0.1:80"]);
    assert_eq!(names.replied(&question, gone(), at(260)), Change::Records);
    assert!(filled(&mut snapshot, &names).is_empty());
}

#[test]
fn a_service_leads_to_hosts_and_they_leave_with_it() {
    let origins =
        [Origin::Address("10.9.9.9:1".parse().unwrap()), Origin::Service("_a._b.x".into())];
    let (mut snapshot, mut names) = names(&origins);
    let service = ask(&mut names, at(0));
    assert_eq!(service.kind, Kind::Srv);
    let srv = |list: &[(&str, u16)]| {
        let service = |(host, port): &(&str, u16)| Service {
            priority: 0,
            host: (*host).to_owned(),
            port: *port,
            weight: 0,
        };
        let records = Records::services(list.iter().map(service).collect());
        Reply::Found { records, ttl: seconds(50) }
    };
    names.replied(&service, srv(&[("h.x", 81), ("10.0.0.8", 82)]), at(0));
    assert!(!names.is_settled(), "the host of the service is asked for first");
    let due = names.begin(9, at(0));
    assert_eq!(due, [Question { name: "h.x".to_owned(), kind: Kind::A }]);
    names.replied(&due[0], found(&["10.0.0.7"], 50), at(0));
    let want = ["10.9.9.9:1", "10.0.0.8:82", "10.0.0.7:81"];
    assert_eq!(filled(&mut snapshot, &names), want);
    assert_eq!(names.replied(&service, srv(&[("10.0.0.8", 82)]), at(1)), Change::Records);
    assert_eq!(filled(&mut snapshot, &names), want[..2]);
    let late = names.replied(&due[0], found(&["10.0.0.6"], 50), at(2));
    assert_eq!(late, Change::None, "nobody asks for it any more");
}

#[test]
fn priorities_are_ranks_and_weights_are_shared_by_the_addresses_of_a_host() {
    let (mut snapshot, mut names) = names(&[Origin::Service("_a._b.x".into())]);
    let service = ask(&mut names, at(0));
    let one = |(priority, host, weight): (u16, &str, u16)| {
        let host = host.to_owned();
        Service { priority, host, port: 80, weight }
    };
    let list = [(10, "10.0.0.1", 3), (30, "10.0.0.4", 7), (10, "h.x", 4), (20, "10.0.0.3", 0)];
    let records = Records::services(list.map(one).to_vec());
    names.replied(&service, Reply::Found { records, ttl: seconds(50) }, at(0));
    let due = names.begin(9, at(0));
    names.replied(&due[0], found(&["10.0.0.2", "10.0.0.5"], 50), at(0));
    names.fill(&mut snapshot.upstreams);
    let share = |endpoint: &Endpoint| {
        let Share { rank, weight } = endpoint.share;
        (endpoint.address.ip().to_string(), rank, weight / (Share::ONE / 10))
    };
    let got: Vec<_> = snapshot.upstreams[0].endpoints.iter().map(share).collect();
    let want = [
        ("10.0.0.1", 0, 30),
        ("10.0.0.2", 0, 20),
        ("10.0.0.5", 0, 20),
        ("10.0.0.3", 1, 10),
        ("10.0.0.4", 2, 70),
    ];
    assert_eq!(got, want.map(|(ip, rank, weight)| (ip.to_owned(), rank, weight)));
}

#[test]
fn a_reload_keeps_what_is_known_and_other_rules_ask_again() {
    let (mut snapshot, mut names) = names(&[host("a.x")]);
    let question = ask(&mut names, at(0));
    names.replied(&question, found(&["10.0.0.1"], 100), at(0));
    snapshot.upstreams[0].origins.push(host("b.x"));
    names.follow(&snapshot, at(1));
    assert_eq!(ask_name(&mut names, at(1)), ["b.x"]);
    assert_eq!(filled(&mut snapshot, &names), ["10.0.0.1:80"]);
    snapshot.dns.servers = vec!["127.0.0.1:5353".parse().unwrap()];
    names.follow(&snapshot, at(2));
    assert_eq!(ask_name(&mut names, at(2)), ["a.x"], "the other is being asked for");
    snapshot.upstreams[0].origins.clear();
    names.follow(&snapshot, at(3));
    assert_eq!(names.next_due(), Instant::NEVER);
}

#[test]
fn who_has_waited_longest_is_asked_for_first() {
    let (_, mut names) = names(&[host("a.x"), host("b.x"), host("c.x")]);
    let first = names.begin(2, at(0));
    assert_eq!(first.len(), 2);
    for question in &first {
        names.replied(question, Reply::Failed(String::new()), at(0));
    }
    assert_eq!(names.begin(1, at(90))[0].name, "c.x", "it is due since the beginning");
}

fn ask_name(names: &mut Names, now: Instant) -> Vec<String> {
    names.begin(9, now).into_iter().map(|question| question.name).collect()
}
