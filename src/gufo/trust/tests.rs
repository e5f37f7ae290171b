use std::borrow::Cow;

use super::*;

const NOW: UnixTime = UnixTime(Duration::from_secs(1_700_000_000));
const MAX_AGE: Duration = Duration::from_mins(2);
const NONCE: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn key() -> SigningKey {
    SigningKey::new(b"hmac-secret-of-the-test")
}

fn subject() -> Subject<'static> {
    let digest = request_digest(b"a=1", b"{}");
    Subject { module: "users", path: "find/7", method: "POST", digest }
}

#[test]
fn version_1_is_what_existing_services_check() {
    // Made with another implementation.
    let want = "7fd710ae0c4ab1c1977fb08f28a4e123e9999fd9ee58e6ee3ab9c5c3bb970c78:1700000000";
    assert_eq!(key().sign_1("users", NOW).as_str(), want);
    let token = Token::parse(want.as_bytes()).unwrap();
    assert!(key().holds_1(&token, "users"));
    assert!(!key().holds_1(&token, "user"));
    assert!(!SigningKey::new(b"another").holds_1(&token, "users"));
    assert!(!key().holds_2(&token, &subject()), "nothing is both");
}

#[test]
fn version_2_covers_all_that_it_names() {
    let want = "v2:1700000000:AAECAwQFBgcICQoLDA0ODw:\
                1b2e7f615f9f2f5486559dd4fd8c9a31e8df5272dbe5563e477690cca35664df";
    let signature = key().sign_2(&subject(), NONCE, NOW);
    assert_eq!(signature.as_str(), want);
    let token = Token::parse(signature.as_bytes()).unwrap();
    assert!(key().holds_2(&token, &subject()));
    for other in [
        Subject { module: "user", ..subject() },
        Subject { path: "find", ..subject() },
        Subject { method: "GET", ..subject() },
        Subject { digest: request_digest(b"a=1\0", b"{}"), ..subject() },
    ] {
        assert!(!key().holds_2(&token, &other), "{other:?}");
    }
    assert!(!key().holds_1(&token, "users"), "nothing is both");
}

#[test]
fn arguments_have_one_digest_in_any_order() {
    let a = Argument { name: Cow::Borrowed("a"), value: ArgumentValue::Text(Cow::Borrowed("x")) };
    let b = Argument { name: Cow::Borrowed("b"), value: ArgumentValue::Json("1") };
    let digest = arguments_digest(&[b.clone(), a.clone()], Some("{}"));
    let mut text = Signature::EMPTY;
    put_hex(&mut text, &digest);
    assert_eq!(text.as_str(), "0d07d3993281f59296eaa87b5525251f4c3284655e5956b781b1481b4a93dd1f");
    assert_eq!(digest, arguments_digest(&[a.clone(), b], Some("{}")));
    assert_ne!(digest, arguments_digest(&[a], Some("{}")));
}

#[test]
fn signatures_hold_for_a_while_and_not_in_advance() {
    let at = |seconds: u64| UnixTime(Duration::from_secs(seconds));
    let token = |time: u64| Token { time, nonce: None, mac: [0; 32] };
    let token = token(1000);
    for (now, want) in [(969, false), (970, true), (1000, true), (1120, true), (1121, false)] {
        assert_eq!(token.is_fresh(at(now), MAX_AGE), want, "at {now}");
    }
}

#[test]
fn what_is_no_signature_is_refused() {
    let mac = "7fd710ae0c4ab1c1977fb08f28a4e123e9999fd9ee58e6ee3ab9c5c3bb970c78";
    let nonce = "AAECAwQFBgcICQoLDA0ODw";
    for text in [
        String::new(),
        mac.to_owned(),
        format!("{mac}:"),
        format!("{mac}:017"),
        format!("{mac}:-17"),
        format!("{mac}:17:"),
        format!("{mac}:1700000000000"),
        format!("{}:17", mac.to_ascii_uppercase()),
        format!("{}:17", &mac[1..]),
        format!("v2:17:{nonce}:{mac}:"),
        format!("v2:17:{nonce}"),
        format!("v2:17:{}:{mac}", &nonce[1..]),
        format!("v2:17:{}+:{mac}", &nonce[1..]),
        format!("v3:17:{nonce}:{mac}"),
    ] {
        assert_eq!(Token::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(Token::parse(b"\xff"), None);
}
