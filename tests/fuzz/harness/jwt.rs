//! Tokens: none is believed that our keys have not signed, however little it differs from one that
//! they have.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use otus::base::base64url::{decode, encode};
use otus::policy::auth::algorithm::Algorithm;
use otus::policy::auth::claims::ClaimRules;
use otus::policy::auth::jws::Jws;
use otus::policy::auth::keys::{KeyBy, KeySet};
use otus::policy::auth::verify::{Denied, TokenRules, Verified, verify};
use serde_json::Value;

use super::cuts;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

struct Keys {
    secret: hmac::Key,
    pair: Ed25519KeyPair,
    set: KeySet,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let (k, x) = (encode(SECRET), encode(pair.public_key().as_ref()));
    let set = format!(
        r#"{{"keys":[{{"kty":"oct","kid":"s","alg":"HS256","k":"{k}"}},
           {{"kty":"OKP","crv":"Ed25519","kid":"e","alg":"EdDSA","x":"{x}"}}]}}"#
    );
    let (set, skipped) = KeySet::parse(set.as_bytes(), true).unwrap();
    assert!(skipped.is_empty());
    Keys { secret: hmac::Key::new(hmac::HMAC_SHA256, SECRET), pair, set }
});

/// The first byte chooses: a token as it is, claims or a header to be signed, changes of a token, a
/// set of keys.
pub fn run(data: &[u8]) {
    let (mode, data) = cuts::choice(data, 6);
    match mode {
        0 | 1 => judge(data),
        2 => signed(br#"{"alg":"HS256","kid":"s"}"#, data, false),
        3 => signed(br#"{"alg":"EdDSA","kid":"e"}"#, data, true),
        4 => header(data),
        _ => key_set(data),
    }
    changed(data);
}

fn rules() -> TokenRules {
    TokenRules {
        algorithms: vec![Algorithm::Hs256, Algorithm::EdDsa],
        key_by: KeyBy::Kid,
        key_name_needed: true,
        claims: ClaimRules::default(),
        propagated: Vec::new(),
        iam: None,
    }
}

/// Believes a token only if its signature is made again here, or holds by its public key.
fn judge(token: &[u8]) {
    let Ok(verified) = verify(token, &rules(), &KEYS.set, NOW) else { return };
    let jws = Jws::parse(token).expect("what is believed is a token");
    assert!(genuine(&jws), "a forgery is believed");
    check(&verified);
}

fn genuine(jws: &Jws<'_>) -> bool {
    match jws.algorithm {
        Algorithm::Hs256 => {
            hmac::sign(&KEYS.secret, jws.signed).as_ref() == jws.signature.as_slice()
        }
        Algorithm::EdDsa => KEYS.pair.sign(jws.signed).as_ref() == jws.signature.as_slice(),
        _ => false,
    }
}

/// What claims must say that are believed.
fn check(verified: &Verified) {
    let number = |name: &str| verified.claims.get(name).and_then(Value::as_f64);
    let (now, leeway) = (1_800_000_000.0, 30.0);
    assert!(number("exp").expect("an end") + leeway > now - 1.0);
    assert!(number("nbf").unwrap_or(0.0) <= now + leeway);
    assert!(verified.until > NOW);
    let subject = verified.claims.get("sub").and_then(Value::as_str);
    assert_eq!(subject, Some(verified.identity.subject.as_str()));
    assert!(!verified.identity.subject.chars().any(char::is_control), "it is told in fields");
}

fn sign(header: &[u8], claims: &[u8], by_pair: bool) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = if by_pair {
        encode(KEYS.pair.sign(signed.as_bytes()).as_ref())
    } else {
        encode(hmac::sign(&KEYS.secret, signed.as_bytes()).as_ref())
    };
    format!("{signed}.{signature}")
}

/// Claims that are signed: read once, and never those of a name twice.
fn signed(header: &[u8], claims: &[u8], by_pair: bool) {
    let token = sign(header, claims, by_pair);
    match verify(token.as_bytes(), &rules(), &KEYS.set, NOW) {
        Ok(verified) => {
            let theirs: Value = serde_json::from_slice(claims).expect("claims are JSON");
            assert_eq!(Value::Object(verified.claims.clone()), theirs);
            check(&verified);
        }
        Err(Denied::Signature | Denied::KeyUnknown | Denied::Algorithm) => {
            panic!("our own signature")
        }
        Err(_) => {}
    }
}

/// A header of the client's choice, signed with the secret: believed only as what it is.
fn header(header: &[u8]) {
    let claims = format!(r#"{{"sub":"a","exp":{}}}"#, NOW + 60);
    let token = sign(header, claims.as_bytes(), false);
    if verify(token.as_bytes(), &rules(), &KEYS.set, NOW).is_ok() {
        let theirs: Value = serde_json::from_slice(header).expect("headers are JSON");
        assert_eq!((theirs["alg"].as_str(), theirs["kid"].as_str()), (Some("HS256"), Some("s")));
        for critical in ["crit", "b64", "zip", "enc"] {
            assert!(theirs.get(critical).is_none());
        }
    }
}

/// Bytes of a good token, changed at the places that the data names, make a bad one.
fn changed(data: &[u8]) {
    let claims = format!(r#"{{"sub":"a","exp":{}}}"#, NOW + 60);
    for (header, by_pair) in
        [(r#"{"alg":"HS256","kid":"s"}"#, false), (r#"{"alg":"EdDSA","kid":"e"}"#, true)]
    {
        let token = sign(header.as_bytes(), claims.as_bytes(), by_pair).into_bytes();
        assert!(verify(&token, &rules(), &KEYS.set, NOW).is_ok());
        let mut other = token.clone();
        for pair in data.chunks_exact(2).take(4) {
            let at = (usize::from(pair[0]) * 7) % other.len();
            other[at] = match pair[1] {
                byte @ 0..=63 => other[at] ^ (1 << (byte % 8)),
                byte => byte,
            };
        }
        if other != token {
            assert!(verify(&other, &rules(), &KEYS.set, NOW).is_err(), "a changed token");
        }
    }
}

/// Any text is a set of keys or is none; no key of it has signed what ours have.
fn key_set(data: &[u8]) {
    let Ok((set, skipped)) = KeySet::parse(data, false) else { return };
    assert!(!set.is_empty() && set.len() <= 64);
    assert!(skipped.iter().all(|skipped| !skipped.why.is_empty()));
    assert!(serde_json::from_slice::<Value>(data).is_ok());
    let claims = format!(r#"{{"sub":"a","exp":{}}}"#, NOW + 60);
    let token = sign(br#"{"alg":"HS256","kid":"s"}"#, claims.as_bytes(), false);
    let believed = verify(token.as_bytes(), &rules(), &set, NOW).is_ok();
    assert!(!believed, "a shared secret among published keys");
    assert!(decode(b"A===").is_none());
}
