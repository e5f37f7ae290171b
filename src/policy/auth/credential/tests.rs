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

fn find(places: &Places, lines: &str) -> Option<Option<String>> {
    let (head, text) = head(lines);
    match places.find(&head, &text) {
        Brought::Nothing => None,
        Brought::Malformed => Some(None),
        found => Some(found.token().map(|token| String::from_utf8_lossy(token).into_owned())),
    }
}

#[test]
fn what_is_no_bearer_token_is_never_taken_for_nothing() {
    let token = |text: &str| Some(Some(text.to_owned()));
    for (lines, found) in [
        ("host: a", None),
        ("Authorization: Bearer a.b-c_d~+/==", token("a.b-c_d~+/==")),
        ("AUTHORIZATION: bEARER   abc", token("abc")),
        ("authorization: Bearer", Some(None)),
        ("authorization: Bearer ", Some(None)),
        ("authorization: abc", Some(None)),
        ("authorization: ", Some(None)),
        ("authorization: Basic YTpi", Some(None)),
        ("authorization: Bearer\ta", Some(None)),
        ("authorization: Bearer a\nAuthorization: Bearer a", Some(None)),
        ("authorization: Bearer a\nauthorization: Basic b", Some(None)),
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
    let token = |text: &str| Some(Some(text.to_owned()));
    for (lines, found) in [
        ("x-token: abc", token("abc")),
        ("x-token: Bearer abc", token("abc")),
        ("x-token: a b", Some(None)),
        ("x-token: a\nauthorization: Bearer b", token("b")),
        ("x-token: a\nauthorization: b", Some(None)),
        ("x-token: a\nx-token: a", Some(None)),
        ("cookie: a=b; token=abc; c", token("abc")),
        ("cookie: old=x; token=; atoken=y", token("x")),
        ("cookie: token=a; token=b", Some(None)),
        ("cookie: token=a\ncookie: token=a", Some(None)),
        ("cookie: tokens=a", None),
        ("authorization: Basic dXNlcjphYmM=", token("abc")),
        ("authorization: basic OmFiYw==", token("abc")),
        ("authorization: Basic dXNlcg==", Some(None)),
        ("authorization: Basic dXNlcjphYmM", Some(None)),
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
