use prost::Message;

use super::*;
use crate::gufo::dialect::Dialect;
use crate::proto::reverse_a::Request;
use crate::protocol::grpc::frame;

fn reply(values: &[(&str, &str)]) -> Reply {
    let mut reply = Reply::new();
    for (key, json) in values {
        reply.set(key, json);
    }
    reply
}

fn read(values: &[(&str, &str)]) -> Result<Said, String> {
    Said::read(&reply(values))
}

fn at(host: &str, port: u16) -> Instance {
    let none = String::new;
    Instance { host: host.to_owned(), port, region: none(), group: none(), weight: 1 }
}

#[expect(clippy::unnecessary_wraps, reason = "as an answer comes")]
fn here(instances: Vec<Instance>) -> Result<Said, String> {
    Ok(Said::Here(Place { instances, internal: false }))
}

#[test]
fn a_master_is_asked_in_the_words_that_it_looks_at() {
    let asked = |wanted: &Wanted| {
        let mut message = Vec::new();
        wanted.call().encode(Dialect::A, &mut message).unwrap();
        Request::decode(&message[frame::PREFIX_BYTES..]).unwrap()
    };
    let request = asked(&Wanted::module("user-data").unwrap());
    assert_eq!(request.module.as_deref(), Some("user-data"));
    assert_eq!(request.param.as_deref(), Some("getmicroservicebypath"));
    assert_eq!(request.method.as_deref(), Some("GET"));
    let ir = request.ir.unwrap();
    assert_eq!(ir.param.as_deref(), Some("getmicroservicebypath"));
    assert_eq!(ir.method.as_deref(), Some("GET"));

    let request = asked(&Wanted::Session);
    assert_eq!(request.module.as_deref(), Some("masterservice"));
    assert_eq!(request.param.as_deref(), Some("getsessionhost"));
    assert_eq!(request.ir.unwrap().param.as_deref(), Some("getsessionhost"));
}

#[test]
fn only_what_can_be_a_name_is_asked_for() {
    for name in ["a", "user-data", "user_data", "v1.users", &"x".repeat(64)] {
        assert_eq!(Wanted::module(name).unwrap().name(), name);
    }
    for name in ["", "a b", "a:b", "a/b", "ä", "a\"", &"x".repeat(65)] {
        assert_eq!(Wanted::module(name), None, "{name}");
    }
    assert!(Wanted::module(SESSION_HOST).is_none());
}

#[test]
fn an_address_is_read_in_all_the_ways_masters_write_one() {
    for (host, port) in [("\"h\"", "\"80\""), ("\"h\"", "80"), ("\" h \"", "\"80 \"")] {
        assert_eq!(read(&[("host", host), ("port", port)]), here(vec![at("h", 80)]));
    }
    let six = read(&[("host", "\"[::1]\""), ("port", "1")]);
    assert_eq!(six, here(vec![at("::1", 1)]));
    let said = read(&[("host", "\"h\""), ("port", "1"), ("isinternal", "true")]);
    assert!(matches!(said, Ok(Said::Here(Place { internal: true, .. }))));
}

#[test]
fn what_is_not_there_is_told_from_what_is_wrong() {
    assert_eq!(read(&[]), Ok(Said::Nowhere));
    assert_eq!(read(&[("host", "\"\""), ("port", "\"\"")]), Ok(Said::Nowhere));
    assert_eq!(read(&[("httpcode", "404"), ("host", "\"h\"")]), Ok(Said::Nowhere));
    assert_eq!(read(&[("host", "\"h\""), ("port", "\"\"")]), Ok(Said::Incomplete));
    assert_eq!(read(&[("port", "7")]), Ok(Said::Incomplete));
    assert!(read(&[("httpcode", "401")]).is_err());
    for (host, port) in [("h", "0"), ("h", "70000"), ("h", "x"), ("h\\r\\nx: y", "1"), ("a/b", "1")]
    {
        let said = read(&[("host", &format!("\"{host}\"")), ("port", &format!("\"{port}\""))]);
        assert!(said.is_err(), "{host} {port}");
    }
}

#[test]
fn several_instances_are_read_and_those_without_an_address_left_out() {
    let list = r#"[{"host":"a","port":1,"region":"eu","group":"g","weight":7},
        {"host":"b","port":"2"},{"host":"","port":3},{"port":4},5]"#;
    let first = Instance { region: "eu".into(), group: "g".into(), weight: 7, ..at("a", 1) };
    let values = [("instances", list), ("host", "\"c\""), ("port", "9")];
    assert_eq!(read(&values), here(vec![first, at("b", 2)]));
    // Without any that can be used, host and port say it.
    let values = [("instances", "[{}]"), ("host", "\"c\""), ("port", "9")];
    assert_eq!(read(&values), here(vec![at("c", 9)]));
    let many: Vec<_> = (1..200).map(|n| format!("{{\"host\":\"h{n}\",\"port\":{n}}}")).collect();
    let many = format!("[{}]", many.join(","));
    let Ok(Said::Here(place)) = read(&[("instances", &many)]) else { panic!("nothing") };
    assert_eq!(place.instances.len(), INSTANCES_MAX);
}

#[test]
fn the_same_region_is_nearer_than_the_same_group_and_that_than_others() {
    let home = Home { region: "eu".into(), group: "g".into() };
    let of = |region: &str, group: &str| Instance {
        region: region.into(),
        group: group.into(),
        ..at("h", 1)
    };
    assert_eq!(home.rank(&of("eu", "")), 0);
    assert_eq!(home.rank(&of("us", "g")), 1);
    assert_eq!(home.rank(&of("us", "x")), 2);
    // Who says nothing is near nobody.
    assert_eq!(Home::default().rank(&of("", "")), 2);
}
