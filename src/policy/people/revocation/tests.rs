use serde_json::json;

use super::*;

fn rule() -> RevocationRule {
    RevocationRule {
        shape: Shape::new(1000, 1e-6, Scheme::Optimal).unwrap(),
        ttl: Duration::from_mins(1),
        token_keys: vec!["jti".to_owned(), "sid".to_owned()],
        headers: vec!["X-Device".to_owned()],
    }
}

fn at(seconds: u64) -> Instant {
    Instant::START + Duration::from_secs(seconds)
}

fn is_revoked(revocations: &Revocations, claims: &Value) -> bool {
    revocations.is_token_revoked(claims.as_object().unwrap())
}

#[test]
fn a_token_is_revoked_by_any_of_its_watched_claims() {
    let revocations = Revocations::new(rule());
    assert!(!is_revoked(&revocations, &json!({"jti": "a"})));
    revocations.revoke([&b"jti-a"[..], b"sid-7", b"sub-x"]);
    for (claims, want) in [
        (json!({"jti": "a"}), true),
        (json!({"jti": "b"}), false),
        (json!({"jti": "b", "sid": 7}), true),
        (json!({"sid": "7"}), true),
        (json!({"sub": "x"}), false),
        (json!({"jti": ["a"]}), false),
        (json!({}), false),
    ] {
        assert_eq!(is_revoked(&revocations, &claims), want, "{claims}");
    }
    revocations.revoke([&b"X-Device-42"[..]]);
    assert!(revocations.is_revoked("X-Device", b"42"));
    assert!(!revocations.is_revoked("X-Device", b"43"));
}

#[test]
fn revocations_last_for_two_turns_at_least_and_are_forgotten() {
    let revocations = Revocations::new(rule());
    assert_eq!(revocations.turn(at(0)), at(60));
    revocations.revoke([&b"jti-a"[..]]);
    for (now, want) in [(59, true), (60, true), (120, true), (179, true), (180, false)] {
        revocations.turn(at(now));
        assert_eq!(revocations.check(b"jti-a"), want, "{now}");
    }
    revocations.revoke([&b"jti-b"[..]]);
    assert!(revocations.check(b"jti-b"));
    assert_eq!(revocations.turn(at(100_000)), at(100_060));
    assert!(!revocations.check(b"jti-b"), "it slept through all turns");
}

#[test]
fn another_process_takes_over_what_is_revoked() {
    let first = Revocations::new(rule());
    first.revoke([&b"jti-old"[..]]);
    first.turn(at(0));
    first.turn(at(60));
    first.revoke([&b"jti-new"[..]]);
    let bytes = first.export();

    let second = Revocations::new(rule());
    second.turn(at(1000));
    second.revoke([&b"jti-own"[..]]);
    second.import(&bytes).unwrap();
    for element in [&b"jti-old"[..], b"jti-new", b"jti-own"] {
        assert!(second.check(element), "{element:?}");
    }
    assert!(!second.check(b"jti-other"));
    second.turn(at(1060));
    second.turn(at(1120));
    assert!(second.check(b"jti-new"));
}

#[test]
fn exports_that_do_not_fit_are_refused() {
    let revocations = Revocations::new(rule());
    let whole = revocations.export();
    for len in 0..whole.len().min(64) {
        assert_eq!(revocations.import(&whole[..len]), Err(ImportError::Malformed), "{len}");
    }
    assert_eq!(revocations.import(&whole[..whole.len() - 8]), Err(ImportError::Malformed));
    let shape = Shape { scheme: Scheme::Default, ..rule().shape };
    let other = Revocations::new(RevocationRule { shape, ..rule() });
    assert_eq!(other.import(&whole), Err(ImportError::OtherShape));
}

#[test]
fn a_reload_lets_nobody_in_again() {
    let first = Arc::new(Revocations::new(rule()));
    first.turn(at(0));
    first.revoke([&b"jti-a"[..]]);
    assert!(Arc::ptr_eq(&first.follow(rule()), &first));
    let shape = Shape::new(5000, 1e-6, Scheme::Default).unwrap();
    let second = first.follow(RevocationRule { shape, ..rule() });
    assert!(second.check(b"jti-a"));
    second.revoke([&b"jti-b"[..]]);
    assert!(second.check(b"jti-b"));
    // Those from before are turned as well: they are forgotten in their time.
    for minute in 1..6 {
        second.turn(at(minute * 60));
    }
    assert!(!second.check(b"jti-a") && !second.check(b"jti-b"));
}

#[test]
fn readers_never_miss_what_was_revoked_before_they_looked() {
    let revocations = Arc::new(Revocations::new(rule()));
    let reader = Arc::clone(&revocations);
    revocations.revoke([&b"jti-a"[..]]);
    let thread = std::thread::spawn(move || (0..20_000).all(|_| reader.check(b"jti-a")));
    for number in 0..200u32 {
        revocations.turn(at(u64::from(number) * 60));
        revocations.revoke([&b"jti-a"[..], number.to_string().as_bytes()]);
    }
    assert!(thread.join().unwrap());
}
