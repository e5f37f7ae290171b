use super::*;
use crate::message::head::Span;

#[test]
fn options_are_read_in_any_case_from_any_number_of_fields() {
    let read = |values: &[&str]| {
        let mut options = ConnectionOptions::default();
        for value in values {
            options.add(value.as_bytes()).unwrap();
        }
        (options.close, options.keep_alive, options.upgrade)
    };
    assert_eq!(read(&[]), (false, false, false));
    assert_eq!(read(&["Keep-Alive"]), (false, true, false));
    assert_eq!(read(&["CLOSE"]), (true, false, false));
    assert_eq!(read(&["keep-alive, Upgrade, HTTP2-Settings"]), (false, true, true));
    assert_eq!(read(&["close", "keep-alive"]), (true, true, false));
    assert_eq!(read(&[",\t, close ,"]), (true, false, false));
    assert_eq!(read(&["closed, xclose"]), (false, false, false));
    assert_eq!(read(&[""]), (false, false, false));
}

#[test]
fn options_that_are_no_tokens_are_refused() {
    for value in ["keep alive", "\"close\"", "close;a", "a/b", "cl\u{f6}se", "close, b c"] {
        let mut options = ConnectionOptions::default();
        assert_eq!(options.add(value.as_bytes()), Err(ConnectionError::NotAToken), "{value}");
    }
}

#[test]
fn options_are_few() {
    let mut options = ConnectionOptions::default();
    assert_eq!(options.add(b",,,,,,,,,,,,,,,"), Ok(()));
    assert_eq!(options.add(b"a"), Err(ConnectionError::TooMany));
}

#[test]
fn connection_fields_and_those_they_name_end_here() {
    stripped(
        &[("Host", "h"), ("Connection", "x-a, close"), ("X-A", "1"), ("X-B", "2"), ("x-a", "3")],
        &["Connection", "X-A", "x-a"],
    );
    stripped(
        &[("TE", "trailers"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "close")],
        &["TE", "Keep-Alive", "Proxy-Connection"],
    );
    stripped(&[("X-A", "1"), ("Connection", "X-a")], &["X-A", "Connection"]);
}

#[test]
fn nobody_can_have_identity_framing_or_forwarding_stripped() {
    let names = "host, content-length, authorization, x-forwarded-for, cookie, traceparent";
    stripped(
        &[
            ("Connection", names),
            ("Host", "h"),
            ("Content-Length", "1"),
            ("Authorization", "x"),
            ("X-Forwarded-For", "y"),
            ("Cookie", "z"),
            ("traceparent", "t"),
        ],
        &["Connection"],
    );
}

#[test]
fn a_set_holds_128_positions() {
    let mut set = FieldSet::default();
    for index in [0, 127, 128, usize::MAX] {
        set.insert(index);
    }
    assert!(set.contains(0) && set.contains(127));
    assert!(!set.contains(1) && !set.contains(128) && !set.contains(usize::MAX));
}

#[track_caller]
fn stripped(lines: &[(&str, &str)], want: &[&str]) {
    let mut bytes = Vec::new();
    let mut fields = Vec::new();
    for (name, value) in lines {
        let start = bytes.len();
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(value.as_bytes());
        fields.push(Field {
            name: Span::between(start, start + name.len()),
            value: Span::between(start + name.len(), bytes.len()),
            known: Known::of(name.as_bytes()),
        });
    }
    let set = hop_by_hop(&fields, &bytes);
    let got: Vec<&str> =
        (0..lines.len()).filter(|i| set.contains(*i)).map(|i| lines[i].0).collect();
    assert_eq!(got, want);
}
