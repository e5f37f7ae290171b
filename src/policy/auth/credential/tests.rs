use super::*;
use crate::message::head::{Field, Span};

/// The head of these lines.
fn head(lines: &str) -> (RequestHead, Vec<u8>) {
    let mut head = RequestHead::default();
    let mut start = 0;
    for line in lines.split_inclusive('\n') {
        let colon = line.find(": ").unwrap();
        let name = Span::between(start, start + colon);
        let value = Span::between(start + colon + 2, start + line.trim_end_matches('\n').len());
        let known = Known::of(name.of(lines.as_bytes()));
        head.fields.push(Field { name, value, known });
        start += line.len();
    }
    (head, lines.as_bytes().to_vec())
}

/// The token that is found, or what is found instead.
fn find(places: &Places, lines: &str) -> String {
    let (head, text) = head(lines);
    match places.find(&head, &text) {
        Brought::Nothing => "nothing".into(),
        Brought::Malformed => "malformed".into(),
        found => String::from_utf8_lossy(found.token().unwrap()).into_owned(),
    }
}

#[test]
fn what_is_no_bearer_token_is_never_taken_for_nothing() {
    for (lines, found) in [
        ("host: a", "nothing"),
        ("Authorization: Bearer a.b-c_d~+/==", "a.b-c_d~+/=="),
        ("AUTHORIZATION: bEARER   abc", "abc"),
        ("authorization: Bearer", "malformed"),
        ("authorization: Bearer ", "malformed"),
        ("authorization: abc", "malformed"),
        ("authorization: ", "malformed"),
        ("authorization: Basic YTpi", "malformed"),
        ("authorization: Bearer\ta", "malformed"),
        ("authorization: Bearer a\nAuthorization: Bearer a", "malformed"),
        ("authorization: Bearer a\nauthorization: Basic b", "malformed"),
    ] {
        assert_eq!(find(&Places::default(), lines), found, "{lines:?}");
    }
}

#[test]
fn other_fields_and_cookies_are_looked_at_in_order() {
    let places = Places {
        fields: vec!["authorization".into(), "x-token".into()],
        cookies: vec!["token".into(), "old".into()],
        basic: true,
    };
    for (lines, found) in [
        ("x-token: abc", "abc"),
        ("x-token: Bearer abc", "abc"),
        ("x-token: a b", "malformed"),
        ("x-token: a\nauthorization: Bearer b", "b"),
        ("x-token: a\nauthorization: b", "malformed"),
        ("x-token: a\nx-token: a", "malformed"),
        ("cookie: a=b; token=abc; c", "abc"),
        ("cookie: old=x; token=; atoken=y", "x"),
        ("cookie: token=a; token=b", "malformed"),
        ("cookie: token=a\ncookie: token=a", "malformed"),
        ("cookie: tokens=a", "nothing"),
        ("authorization: Basic dXNlcjphYmM=", "abc"),
        ("authorization: basic OmFiYw==", "abc"),
        ("authorization: Basic dXNlcg==", "malformed"),
        ("authorization: Basic dXNlcjphYmM", "malformed"),
    ] {
        assert_eq!(find(&places, lines), found, "{lines:?}");
    }
}

#[test]
fn only_who_brings_nothing_is_anonymous() {
    let places = Places { fields: vec!["x-token".into()], ..Places::default() };
    for (lines, expected) in [
        ("host: a", true),
        ("authorization: Digest x", false),
        ("authorization: ", false),
        ("x-token: ", false),
    ] {
        let (head, text) = head(lines);
        assert_eq!(is_anonymous(&head, &text, &[&places]), expected, "{lines}");
    }
}

#[test]
fn what_passes_unseen_is_at_least_a_token() {
    for text in ["a b", "a,b", "==", "a=b", "", "a\tb", "\u{e9}"] {
        assert!(!is_token(text.as_bytes()), "{text}");
    }
    assert!(is_token(b"sk-1.b_c~+/=="));
}
