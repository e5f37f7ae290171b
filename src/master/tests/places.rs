//! Rows: who checks in, moves, ends, and is found.

use super::*;
use crate::master::row::{Row, is_uuid};

fn world() -> World {
    World::new(Rules::default())
}

#[test]
fn who_checks_in_is_found_until_it_checks_out() {
    let mut world = world();
    assert_eq!(world.find("users"), ":");
    let uuid = world.check_in("users", "10.0.0.1", json!({ "description": "who is who" }));
    assert!(is_uuid(&uuid), "{uuid}");
    assert_eq!(world.find("users"), "10.0.0.1:4000");
    let answer = world.ask("GET", "checkbyuuid", json!({ "uuid": uuid }));
    assert_eq!(answer, json!({ "answer": true }));
    let done = world.ask("POST", "checkout", json!({ "uuid": uuid }));
    assert_eq!(done, json!({ "answer": "Done" }));
    assert_eq!(world.find("users"), ":");
    let answer = world.ask("GET", "checkbyuuid", json!({ "uuid": uuid }));
    assert_eq!(answer["answer"], false);
    assert_eq!((&answer["name"], &answer["port"]), (&json!("users"), &json!("4000")));
    let unknown = world.ask("GET", "checkbyuuid", json!({ "uuid": "x" }));
    assert_eq!((&unknown["answer"], &unknown["host"]), (&json!(false), &json!("")));
}

#[test]
fn faults_have_the_codes_of_gufo() {
    let mut world = world();
    let uuid = world.check_in("users", "a", json!({}));
    let place = json!({ "name": "users", "host": "a", "port": "4000" });
    for (method, param, args, want) in [
        ("POST", "checkin", json!({ "name": "users" }), (406, "000012")),
        ("POST", "checkin", json!({ "name": "", "host": "a", "port": 1 }), (406, "000012")),
        ("POST", "checkin", place, (500, "000013")),
        ("POST", "checkin", json!({ "name": "a/b", "host": "a", "port": 1 }), (400, "000007")),
        ("POST", "checkin", json!({ "name": "a", "host": "a:1", "port": 1 }), (400, "000007")),
        ("POST", "checkin", json!({ "name": "a", "host": "a", "port": 70_000 }), (400, "000007")),
        ("POST", "checkin", json!({ "name": "a", "host": "a", "port": 0 }), (400, "000007")),
        ("POST", "checkin", json!({ "name": "a".repeat(65), "host": "a" }), (400, "000007")),
        ("POST", "checkin", json!({ "name": ["a"], "host": "a" }), (400, "000007")),
        ("POST", "checkout", json!({}), (406, "000012")),
        ("POST", "getcronmandate", json!({}), (406, "000012")),
        ("GET", "checkbyuuid", json!({}), (406, "000012")),
        ("PATCH", "checkin", json!({ "port": 1 }), (406, "000012")),
        ("PATCH", "checkin", json!({ "uuid": uuid }), (400, "000007")),
        ("PATCH", "checkin", json!({ "uuid": "a".repeat(24), "port": 1 }), (404, "000012")),
        ("GET", "checkin", json!({}), (404, "000012")),
        ("DELETE", "list", json!({}), (404, "000012")),
        ("GET", "list", json!({ "offset": -1 }), (400, "000007")),
        ("POST", "heartbeat", json!({ "name": "users" }), (406, "000012")),
    ] {
        let got = world.fault(method, param, args.clone());
        assert_eq!(got, want, "{method} {param} {args}");
    }
}

#[test]
fn the_module_is_what_a_call_is_about_unless_it_is_the_master() {
    let mut world = world();
    world.check_in("users", "a", json!({}));
    assert_eq!(world.find("users"), "a:4000");
    // Dialect C has no inner request; a gateway may fill it and leave the outer one as it was.
    let call = Call { inner: None, ..about("users", "GET", "getmicroservicebypath") };
    assert_eq!(world.call(&call).unwrap()["host"], "a");
    let mut call = about("masterservice", "POST", "heartbeat");
    call.param = "send".to_owned();
    call.args = json!({ "payload": { "name": "b", "host": "b", "port": 1.0 }, "ts": 5 })
        .as_object()
        .unwrap()
        .clone();
    assert_eq!(world.call(&call).unwrap()["leader"], true);
    assert_eq!(world.find("b"), "b:1");
    // An empty method is GET.
    assert_eq!(world.ask("", "health", json!({})), json!({ "health": "OK" }));
    assert_eq!(world.ask("GET", "info", json!({}))["name"], "masterservice");
}

#[test]
fn names_are_found_with_either_dash() {
    let mut world = world();
    world.check_in("api-users", "a", json!({}));
    assert_eq!(world.find("api_users"), "a:4000");
}

#[test]
fn a_path_prefers_the_row_of_its_group() {
    let mut world = world();
    world.check_in("shop", "outer", json!({}));
    world.check_in("cart", "inner", json!({ "group": "shop" }));
    let mut call = about("shop", "GET", "getmicroservicebypath");
    call.param = "cart".to_owned();
    assert_eq!(world.call(&call).unwrap()["host"], "outer", "without an id there is no path");
    call.param_id = "7".to_owned();
    assert_eq!(world.call(&call).unwrap()["host"], "inner");
    call.param = "list".to_owned();
    assert_eq!(world.call(&call).unwrap()["host"], "outer");
}

#[test]
fn instances_take_turns_by_their_weight() {
    let mut world = world();
    for (host, weight) in [("a", 2), ("b", 4), ("idle", 0)] {
        world.check_in("users", host, json!({ "weight": weight }));
    }
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..30 {
        *counts.entry(world.find("users")).or_insert(0) += 1;
    }
    let want = [("a:4000".to_owned(), 10), ("b:4000".to_owned(), 20)];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), want);
    let all = world.call(&about("users", "GET", "getmicroservicebypath")).unwrap();
    let all = all["instances"].as_array().unwrap().clone();
    let mut hosts: Vec<_> = all.iter().map(|one| one["host"].as_str().unwrap()).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, ["a", "b"]);
    assert_eq!(all[0]["port"], "4000");
}

#[test]
fn the_same_region_is_preferred_then_the_group_then_any() {
    let mut world = world();
    world.check_in("users", "eu", json!({ "region": "eu" }));
    world.check_in("users", "us", json!({ "region": "us", "group": "b" }));
    for (args, want) in [
        (json!({ "region": "eu" }), "eu"),
        (json!({ "region": "us" }), "us"),
        (json!({ "group": "b" }), "us"),
        (json!({ "region": "eu", "group": "b" }), "eu"),
        (json!({ "region": "ap", "group": "b" }), "us"),
    ] {
        let mut call = about("users", "GET", "getmicroservicebypath");
        call.inner.as_mut().unwrap().args = args.as_object().unwrap().clone();
        for _ in 0..3 {
            assert_eq!(world.call(&call).unwrap()["host"], want, "{args}");
        }
    }
}

#[test]
fn the_session_host_is_an_active_row_that_keeps_sessions() {
    let mut world = world();
    assert_eq!(world.ask("GET", "getsessionhost", json!({}))["host"], "");
    world.check_in("users", "u", json!({}));
    let uuid = world.check_in("session", "s", json!({ "issession": true, "isinternal": "1" }));
    let answer = world.ask("GET", "getsessionhost", json!({}));
    assert_eq!((&answer["host"], &answer["port"]), (&json!("s"), &json!("4000")));
    assert_eq!((&answer["name"], &answer["isinternal"]), (&json!("session"), &json!(true)));
    world.ask("POST", "checkout", json!({ "uuid": uuid }));
    assert_eq!(world.ask("GET", "getsessionhost", json!({}))["name"], "");
}

#[test]
fn rows_are_listed_in_pages_with_all_that_they_said() {
    let mut world = world();
    for n in 0..30 {
        world.check_in(&format!("s{n:02}"), "h", json!({}));
    }
    let said = json!({
        "group": "g", "region": "eu", "issession": true, "isinternal": true, "description": "d",
        "author": "a", "version": "1.2", "entrypointversion": "v3", "weight": "9",
    });
    let uuid = world.check_in("zz", "last", said.clone());
    let page = world.ask("GET", "list", json!({}));
    assert_eq!(page["microservices"].as_array().unwrap().len(), 25);
    assert_eq!(page["mccount"], 31);
    let page = world.ask("GET", "list", json!({ "offset": "30", "limit": 5 }));
    let rows = page["microservices"].as_array().unwrap();
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    for (key, value) in said.as_object().unwrap() {
        let want = if key == "weight" { &json!(9) } else { value };
        assert_eq!(&row[key], want, "{key}");
    }
    assert_eq!(row["uuid"], json!(uuid));
    assert_eq!((&row["isactive"], &row["echo"]), (&json!(true), &json!(1_700_000_000)));
    assert_eq!((&row["host"], &row["port"]), (&json!("last"), &json!("4000")));
}

#[test]
fn a_row_moves_and_none_moves_onto_another() {
    let mut world = world();
    let uuid = world.check_in("users", "a", json!({}));
    world.check_in("users", "b", json!({}));
    let moved = world.ask("PATCH", "checkin", json!({ "uuid": uuid, "port": "5000" }));
    assert_eq!(moved["uuid"], json!(uuid));
    world.ask("PATCH", "checkin", json!({ "uuid": uuid, "host": "c", "name": "other" }));
    let onto = json!({ "uuid": uuid, "host": "b", "port": 4000 });
    assert_eq!(world.fault("PATCH", "checkin", onto), (500, "000013"));
    assert!([world.find("users"), world.find("users")].contains(&"c:5000".to_owned()));
}

#[test]
fn a_row_without_a_sign_of_life_ends_and_is_removed_later() {
    let mut world = world();
    let uuid = world.check_in("users", "a", json!({}));
    world.pass(30);
    assert_eq!(world.find("users"), "a:4000");
    world.pass(1);
    assert_eq!(world.find("users"), ":", "it has ended before anybody swept");
    world.sweep();
    let listed = world.ask("GET", "list", json!({}));
    assert_eq!(listed["microservices"][0]["isactive"], false);
    // The place is free for a new instance, whose uuid is another.
    let second = world.check_in("users", "a", json!({}));
    assert_ne!(uuid, second);
    world.pass(31 + 3600);
    world.sweep();
    assert_eq!(world.ask("GET", "list", json!({}))["mccount"], 0);
}

#[test]
fn rows_that_never_beat_may_be_let_live() {
    let mut world = World::new(Rules { lease_all: false, ..Rules::default() });
    world.check_in("old", "a", json!({}));
    world.ask("POST", "heartbeat", json!({ "name": "new", "host": "b", "port": 1 }));
    world.pass(100_000);
    world.sweep();
    assert_eq!((world.find("old"), world.find("new")), ("a:4000".to_owned(), ":".to_owned()));
}

#[test]
fn heartbeats_register_renew_and_change() {
    let mut world = world();
    let beat =
        |version: &str| json!({ "name": "users", "host": "a", "port": "4000", "version": version });
    let first = world.ask("POST", "heartbeat", beat("1"));
    assert_eq!((&first["ttl"], &first["ts"]), (&json!(30), &json!(1_700_000_000)));
    assert_eq!((&first["cron"], &first["epoch"]), (&json!(true), &json!(1)));
    for _ in 0..10 {
        world.pass(20);
        let next = world.ask("POST", "heartbeat", beat("2"));
        assert_eq!((&next["uuid"], &next["epoch"]), (&first["uuid"], &json!(1)));
    }
    let listed = world.ask("GET", "list", json!({}));
    assert_eq!(listed["mccount"], 1);
    assert_eq!(listed["microservices"][0]["version"], "2");
    assert_eq!(listed["microservices"][0]["echo"], 1_700_000_200);
    // It moves with its uuid, and lives again after its end.
    world.pass(100);
    world.sweep();
    let moved = json!({ "uuid": first["uuid"], "name": "users", "host": "b", "port": 4001 });
    assert_eq!(world.ask("POST", "heartbeat", moved)["uuid"], first["uuid"]);
    assert_eq!(world.find("users"), "b:4001");
}

#[test]
fn everything_is_bounded() {
    let mut world = World::new(Rules { rows_max: 70, ..Rules::default() });
    let place = |name: &str, n: usize| json!({ "name": name, "host": format!("h{n}"), "port": 1 });
    for n in 0..INSTANCES_MAX {
        world.ask("POST", "checkin", place("many", n));
    }
    for param in ["checkin", "heartbeat"] {
        assert_eq!(world.fault("POST", param, place("many", 99)), (500, "000013"));
    }
    for n in 0..6 {
        world.ask("POST", "heartbeat", place("few", n));
    }
    assert_eq!(world.fault("POST", "checkin", place("few", 99)), (500, "000013"));
    // Whoever is known already goes on.
    world.ask("POST", "heartbeat", place("few", 5));
    world.pass(31);
    world.ask("POST", "checkin", place("few", 5));
    let long = json!({ "name": "x", "host": "h", "port": 1, "description": "d".repeat(1025) });
    assert_eq!(world.fault("POST", "checkin", long), (400, "000007"));
}

#[test]
fn groups_may_be_limited_to_some() {
    let rules = Rules { groups: vec!["shop-eu".to_owned()], ..Rules::default() };
    let mut world = World::new(rules);
    world.check_in("a", "h", json!({ "group": "shop_eu" }));
    world.check_in("b", "h", json!({}));
    let other = json!({ "name": "c", "host": "h", "port": 1, "group": "else" });
    assert_eq!(world.fault("POST", "checkin", other.clone()), (500, "000013"));
    assert_eq!(world.fault("POST", "heartbeat", other), (500, "000013"));
}

#[test]
fn rows_are_read_as_they_were_written() {
    let mut world = world();
    world.check_in("a-b", "::1", json!({ "group": "g", "region": "eu", "weight": 3 }));
    world.ask("POST", "heartbeat", json!({ "name": "c", "host": "h", "port": 1 }));
    for kept in world.table.rows() {
        assert_eq!(Row::from_json(&kept.value.to_json()).as_ref(), Some(&kept.value));
    }
    for text in ["{}", "[]", r#"{"uuid":"x","name":"a","port":1,"isactive":true,"echo":1}"#] {
        assert_eq!(Row::from_json(&serde_json::from_str(text).unwrap()), None, "{text}");
    }
}
