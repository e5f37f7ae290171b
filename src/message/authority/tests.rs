use super::*;
use AuthorityError as E;

#[test]
fn names_and_addresses_are_taken_with_or_without_a_port() {
    ok("l", "l", None);
    ok("Example.COM", "Example.COM", None);
    ok("example.com:8080", "example.com", Some(8080));
    ok("example.com:", "example.com", None);
    ok("example.com.", "example.com.", None);
    ok("example.com.:88", "example.com.", Some(88));
    ok("a_b-c~d.e:65535", "a_b-c~d.e", Some(65535));
    ok("192.0.2.7:00080", "192.0.2.7", Some(80));
    ok("[2001:db8::1]", "[2001:db8::1]", None);
    ok("[::ffff:192.0.2.7]:443", "[::ffff:192.0.2.7]", Some(443));
    ok("[::]:", "[::]", None);
}

#[test]
fn a_host_must_be_there() {
    err("", E::Empty);
    err(":80", E::Empty);
    err(":", E::Empty);
}

#[test]
fn labels_are_not_empty() {
    for text in [".", "..", ".a", "a..b", "a..", "a..:80", "www.a.com.."] {
        err(text, E::EmptyLabel);
    }
}

#[test]
fn anything_but_one_plain_host_is_refused() {
    for text in [
        "user@host",
        "user:pw@host",
        "a,b",
        "a, b",
        "a b",
        "a\tb",
        "a/b",
        "a/",
        "a?b",
        "a#b",
        "a\\b",
        "a%2eb",
        "%41",
        "a;b",
        "a=b",
        "a\0",
        "a\u{e4}",
        "a[::1]",
        "*",
        "\"a\"",
    ] {
        let bad = parse(text.as_bytes());
        assert!(matches!(bad, Err(E::Byte | E::Port)), "{text} {bad:?}");
    }
    err(&"a".repeat(256), E::TooLong);
    ok(&"a".repeat(255), &"a".repeat(255), None);
}

#[test]
fn a_port_is_a_number_from_1_to_65535() {
    for text in [
        "a:0",
        "a:65536",
        "a:98777",
        "a:123456",
        "a:000080",
        "a:80:80",
        "a:+80",
        "a:-1",
        "a:8 0",
        "a:1.2",
        "a:http",
        "a:80/",
        "a:\u{661}",
        "[::1]:0",
        "[::1]:x",
        "[::1]:80:80",
    ] {
        err(text, E::Port);
    }
}

#[test]
fn brackets_hold_one_ipv6_address() {
    for text in [
        "[",
        "[]",
        "[::1",
        "[::1].",
        "[::1].:98",
        "[::1]a",
        "[::1]]",
        "[1.2.3.4]",
        "[::g]",
        "[v1.a]",
        "[fe80::1%eth0]",
        "[fe80::1%25eth0]",
        "[ab..cd::1]",
        "[a\\::1]",
        "[::1/64]",
        "[::1 ]",
        "[\u{e4}]",
    ] {
        err(text, E::Address);
    }
}

#[track_caller]
fn ok(text: &str, host: &str, port: Option<u16>) {
    let got = parse(text.as_bytes());
    assert_eq!(got, Ok(Authority { host_len: host.len(), port }), "{text}");
    assert!(text.starts_with(host));
}

#[track_caller]
fn err(text: &str, want: AuthorityError) {
    assert_eq!(parse(text.as_bytes()), Err(want), "{text}");
}
