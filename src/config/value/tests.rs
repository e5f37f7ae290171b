//! Facts about values of each kind.

use super::*;
use crate::config::schema::find;

const SECONDS: Kind = Kind::Duration(Span {
    min: Duration::from_millis(1),
    max: Duration::from_hours(24),
    bare_seconds: true,
    off: false,
});

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the wanted value is made where it is named")]
fn check(kind: &Kind, raw: &Raw<'_>, want: Result<Value, Code>) {
    let got = read(kind, raw).map_err(|complaint| complaint.code);
    assert!(got == want, "{raw:?}: {got:?} instead of {want:?}");
}

#[track_caller]
fn check_key(path: &str, raw: &Raw<'_>, want: &str) {
    let complaint = read(&find(path).unwrap().kind, raw).unwrap_err();
    assert_eq!(format!("{}; {}", complaint.what, complaint.way_out), want, "{path} {raw:?}");
}

#[test]
fn lengths_of_time_are_read_with_their_unit() {
    let ok = |ms| Ok(Value::Duration(Some(Duration::from_millis(ms))));
    for (text, want) in [
        ("30s", ok(30_000)),
        ("500ms", ok(500)),
        ("2m", ok(120_000)),
        ("1m30s", ok(90_000)),
        ("1h", ok(3_600_000)),
        ("30", Err(Code::NoUnit)),
        ("", Err(Code::Malformed)),
        ("s", Err(Code::Malformed)),
        ("1.5s", Err(Code::Malformed)),
        ("-1s", Err(Code::Malformed)),
        ("30 s", Err(Code::Malformed)),
        ("30x", Err(Code::Malformed)),
        ("0s", Err(Code::OutOfRange)),
        ("2d", Err(Code::OutOfRange)),
        ("off", Err(Code::Malformed)),
        ("99999999999999999999s", Err(Code::Malformed)),
        ("18446744073709551615d", Err(Code::Malformed)),
    ] {
        check(&SECONDS, &Raw::Text(text), want);
    }
}

#[test]
fn a_number_without_unit_means_seconds_where_gufo_says_so() {
    let ok = Ok(Value::Duration(Some(Duration::from_secs(5))));
    check(&SECONDS, &Raw::Integer(5), ok.clone());
    check(&SECONDS, &Raw::Untyped("5"), ok);
    check(&SECONDS, &Raw::Integer(-5), Err(Code::OutOfRange));
    check(&SECONDS, &Raw::Bool(true), Err(Code::WrongType));
    let idle = &find("timeouts.idle").unwrap().kind;
    check(idle, &Raw::Integer(5), Err(Code::NoUnit));
    check(idle, &Raw::Untyped("5"), Err(Code::NoUnit));
}

#[test]
fn a_complaint_names_the_way_out() {
    check_key("timeouts.idle", &Raw::Text("30"), "has no unit; write \"30s\" or \"30ms\"");
    check_key("timeouts.idle", &Raw::Text("9d"), "is out of range; write \"10ms\" to \"1d\"");
    check_key("limits.head", &Raw::Integer(16), "has no unit; write \"16B\" or \"16KiB\"");
    check_key("limits.head", &Raw::Text("1MiB"), "is out of range; write \"1KiB\" to \"16KiB\"");
    check_key(
        "server.port",
        &Raw::Text("http"),
        "is not a whole number; write a port from 0 to 65535",
    );
    check_key("server.port", &Raw::Integer(65_536), "is not a port; write a port from 0 to 65535");
    check_key(
        "server.io",
        &Raw::Text("uring"),
        "is not one of its words; write \"auto\" or \"io_uring\" or \"epoll\"",
    );
    check_key("server.sign", &Raw::Integer(1), "is a whole number; write text in quotes");
}

#[test]
fn ports_are_numbers_with_or_without_quotes() {
    let kind = Kind::Port { zero: false };
    for raw in [Raw::Integer(8090), Raw::Text("8090"), Raw::Untyped("8090")] {
        check(&kind, &raw, Ok(Value::Integer(8090)));
    }
    check(&kind, &Raw::Integer(0), Err(Code::OutOfRange));
    check(&Kind::Port { zero: true }, &Raw::Integer(0), Ok(Value::Integer(0)));
    check(&kind, &Raw::Integer(-1), Err(Code::OutOfRange));
    check(&kind, &Raw::Text("+80"), Err(Code::Malformed));
    check(&kind, &Raw::Text(""), Err(Code::Malformed));
    check(&kind, &Raw::Float(80.0), Err(Code::WrongType));
}

#[test]
fn sizes_have_units_and_sometimes_a_word_for_none() {
    let kind = Kind::Size { min: 10, max: 1 << 20, none: Some("system") };
    check(&kind, &Raw::Text("64KiB"), Ok(Value::Size(Some(65_536))));
    check(&kind, &Raw::Text("system"), Ok(Value::Size(None)));
    check(&kind, &Raw::Text("off"), Err(Code::Malformed));
    check(&kind, &Raw::Text("64"), Err(Code::NoUnit));
    check(&kind, &Raw::Integer(64), Err(Code::NoUnit));
    check(&kind, &Raw::Text("9B"), Err(Code::OutOfRange));
    check(&kind, &Raw::Text("99999999999999999999B"), Err(Code::OutOfRange));
    check(&kind, &Raw::Text("64KB/s"), Err(Code::Malformed));
}

#[test]
fn switches_are_true_or_false() {
    for raw in [Raw::Bool(true), Raw::Text("true"), Raw::Untyped("TRUE"), Raw::Untyped("1")] {
        check(&Kind::Bool, &raw, Ok(Value::Bool(true)));
    }
    check(&Kind::Bool, &Raw::Untyped("0"), Ok(Value::Bool(false)));
    let switch = Kind::Switch(&["embedded"]);
    check(&switch, &Raw::Untyped("1"), Ok(Value::Bool(true)));
    check(&switch, &Raw::Text("Embedded"), Ok(Value::Text("embedded".to_owned())));
    check(&switch, &Raw::Text("external"), Err(Code::Malformed));
    check(&switch, &Raw::Integer(1), Err(Code::WrongType));
    check(&Kind::Bool, &Raw::Text("1"), Err(Code::Malformed));
    check(&Kind::Bool, &Raw::Text("yes"), Err(Code::Malformed));
    check(&Kind::Bool, &Raw::Integer(1), Err(Code::WrongType));
}

#[test]
fn workers_are_auto_a_number_or_cores() {
    let ok = |workers| Ok(Value::Workers(workers));
    check(&Kind::Workers, &Raw::Text("auto"), ok(Workers::Auto));
    check(&Kind::Workers, &Raw::Integer(4), ok(Workers::Count(4)));
    check(&Kind::Workers, &Raw::Untyped("4"), ok(Workers::Count(4)));
    check(&Kind::Workers, &Raw::Untyped("2, 0"), ok(Workers::Cores(vec![2, 0])));
    let list = |items: &[i64]| Raw::List(items.iter().map(|n| Raw::Integer(*n)).collect());
    check(&Kind::Workers, &list(&[0, 2]), ok(Workers::Cores(vec![0, 2])));
    check(&Kind::Workers, &list(&[]), Err(Code::Malformed));
    check(&Kind::Workers, &list(&[1, 1]), Err(Code::Malformed));
    check(&Kind::Workers, &list(&[-1]), Err(Code::OutOfRange));
    check(&Kind::Workers, &Raw::Integer(0), Err(Code::OutOfRange));
    check(&Kind::Workers, &Raw::Text("many"), Err(Code::Malformed));
    check(&Kind::Workers, &Raw::Bool(true), Err(Code::WrongType));
}

#[test]
fn hosts_are_names_or_addresses_and_no_urls() {
    for (text, want) in [
        ("storage", "storage"),
        ("storage.svc_1.example.", "storage.svc_1.example."),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
    ] {
        check(&Kind::Host, &Raw::Text(text), Ok(Value::Text(want.to_owned())));
    }
    for text in ["", "http://a", "a:80", "a/b", "a b", "a..b", "ä", "[a]", "-\n"] {
        check(&Kind::Host, &Raw::Text(text), Err(Code::Malformed));
    }
}

#[test]
fn paths_have_one_reading() {
    check(&Kind::Path, &Raw::Text("/"), Ok(Value::Text("/".to_owned())));
    check(&Kind::Path, &Raw::Text("/a/b-c"), Ok(Value::Text("/a/b-c".to_owned())));
    for text in ["", "a", "//", "/a/", "/a//b", "/a/../b", "/./a", "/a?b", "/a%2f", "/ä", "/a b"] {
        check(&Kind::Path, &Raw::Text(text), Err(Code::Malformed));
    }
}

#[test]
fn lists_come_with_brackets_or_in_a_variable_with_commas() {
    let want = Ok(Value::Paths(vec!["/a".to_owned(), "/b".to_owned()]));
    check(&Kind::Paths, &Raw::List(vec![Raw::Text("/a"), Raw::Text("/b")]), want.clone());
    check(&Kind::Paths, &Raw::Untyped("/a, /b"), want);
    check(&Kind::Paths, &Raw::Text("/a"), Err(Code::WrongType));
    check(&Kind::Cidrs, &Raw::List(vec![Raw::Integer(1)]), Err(Code::WrongType));
    check(&Kind::Cidrs, &Raw::Untyped("10.0.0.1/8"), Err(Code::Malformed));
    check(&Kind::Cidrs, &Raw::Untyped(""), Ok(Value::Cidrs(Vec::new())));
}

#[test]
fn numbers_stay_in_their_range() {
    let kind = Kind::Float(0.0, 1.0);
    check(&kind, &Raw::Float(0.2), Ok(Value::Float(0.2)));
    check(&kind, &Raw::Integer(1), Ok(Value::Float(1.0)));
    check(&kind, &Raw::Untyped("0.5"), Ok(Value::Float(0.5)));
    for raw in [Raw::Float(1.1), Raw::Float(f64::NAN), Raw::Integer(i64::MAX), Raw::Untyped("inf")]
    {
        check(&kind, &raw, Err(Code::OutOfRange));
    }
    check(&kind, &Raw::Text("x"), Err(Code::Malformed));
    check(&kind, &Raw::Other("a date"), Err(Code::WrongType));
}

#[test]
fn logs_and_congestion_controls_have_words_of_their_own() {
    check(&Kind::Log, &Raw::Text("off"), Ok(Value::Log(None)));
    check(
        &Kind::Log,
        &Raw::Text("./a.log"),
        Ok(Value::Log(Some(LogTarget::File("./a.log".into())))),
    );
    check(&Kind::Log, &Raw::Text("stdot"), Err(Code::Malformed));
    check(&Kind::Congestion, &Raw::Text("auto"), Ok(Value::Congestion(Congestion::Auto)));
    check(&Kind::Congestion, &Raw::Text("system"), Ok(Value::Congestion(Congestion::System)));
    check(
        &Kind::Congestion,
        &Raw::Text("bbr"),
        Ok(Value::Congestion(Congestion::Named(Text::new(b"bbr")))),
    );
    check(&Kind::Congestion, &Raw::Text("a_name_of_16_byt"), Err(Code::Malformed));
    check(&Kind::Congestion, &Raw::Text("b b"), Err(Code::Malformed));
    check(&Kind::AddressOrOff, &Raw::Text("off"), Ok(Value::Address(None)));
    check(&Kind::AddressOrOff, &Raw::Text("9100"), Err(Code::Malformed));
    check(&Kind::Ip, &Raw::Text("localhost"), Err(Code::Malformed));
}

#[test]
fn control_characters_are_in_no_text() {
    check(&Kind::Text, &Raw::Text("a\nb"), Err(Code::Malformed));
    check(&Kind::Secret, &Raw::Untyped("a\u{0}"), Err(Code::Malformed));
}

#[test]
fn a_length_of_time_is_written_as_it_would_be_read() {
    for (ms, want) in [(0, "0s"), (1, "1ms"), (1500, "1500ms"), (90_000, "90s"), (120_000, "2m")] {
        let text = duration_text(Duration::from_millis(ms));
        assert_eq!(text, want);
        assert_eq!(parse_duration(&text), Some(Duration::from_millis(ms)));
    }
    for us in [1, 1500] {
        let text = duration_text(Duration::from_micros(us));
        assert_eq!(text, format!("{us}us"));
        assert_eq!(parse_duration(&text), Some(Duration::from_micros(us)));
    }
}
