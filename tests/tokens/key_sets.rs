//! Which keys of a set are used, and which of them for a token.

use super::jwt::{Signer, jwks};
use super::{NOW, check, claims, rules};
use otus::base::base64url::encode;
use otus::policy::auth::algorithm::Algorithm;
use otus::policy::auth::keys::{KEYS_MAX, KeyBy, KeySet};
use otus::policy::auth::verify::{Denied, TokenRules, verify};
use serde_json::{Value, json};

#[test]
fn keys_that_are_not_for_signatures_are_passed_over() {
    let (good, other) = (Signer::new(Algorithm::Es256, "good"), Signer::new(Algorithm::Rs256, "x"));
    let with = |signer: &Signer, name: &str, value: Value| {
        let mut jwk = signer.jwk();
        jwk[name] = value;
        jwk
    };
    let rsa = |n: &[u8], e: &[u8]| json!({"kty": "RSA", "n": encode(n), "e": encode(e)});
    let odd = |bytes: usize| vec![0xff; bytes];
    let faulty = [
        with(&good, "use", json!("enc")),
        with(&good, "use", json!(1)),
        with(&good, "key_ops", json!(["sign"])),
        with(&good, "key_ops", json!("verify")),
        with(&good, "alg", json!("RS256")),
        with(&good, "alg", json!("ES384")),
        with(&good, "alg", json!("none")),
        with(&good, "alg", json!(["ES256"])),
        with(&good, "kty", json!("oct")),
        with(&good, "kty", json!("PBES2")),
        with(&good, "crv", json!("P-384")),
        with(&good, "crv", json!("secp256k1")),
        with(&good, "x", json!(encode(&[0; 32]))),
        with(&good, "x", json!(encode(&[1; 33]))),
        with(&good, "d", json!("AAAA")),
        with(&good, "kid", json!(7)),
        with(&other, "n", json!("AQAB")),
        with(&other, "n", json!("====")),
        with(&other, "e", json!("AQ")),
        with(&other, "e", json!("Ag")),
        with(&other, "e", json!("AQAAAAE")),
        rsa(&odd(255), &[1, 0, 1]),
        rsa(&[&[0x7f][..], &odd(255)].concat(), &[1, 0, 1]),
        rsa(&odd(1025), &[1, 0, 1]),
        rsa(&[0xfe; 256], &[1, 0, 1]),
        json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&[1; 31])}),
        json!({"kty": "OKP", "crv": "X25519", "x": encode(&[1; 32])}),
        json!({"kty": "oct", "k": encode(&[1; 31]), "alg": "HS256"}),
        json!({"kty": "oct", "k": ""}),
        json!({}),
        json!([]),
    ];
    let count = faulty.len();
    let mut keys: Vec<Value> = faulty.into();
    keys.push(good.jwk());
    let (set, skipped) = KeySet::parse(json!({"keys": keys}).to_string().as_ref(), true).unwrap();
    assert_eq!(set.len(), 1, "{skipped:?}");
    assert_eq!(skipped.len(), count);
    assert!(skipped.iter().enumerate().all(|(place, skipped)| skipped.place == place));
}

#[test]
fn secrets_that_were_published_are_none() {
    let secret = Signer::new(Algorithm::Hs256, "k");
    assert!(KeySet::parse(jwks(&[&secret]).as_bytes(), false).is_err());
    assert!(KeySet::parse(jwks(&[&secret]).as_bytes(), true).is_ok());
}

#[test]
fn what_is_no_set_of_keys_is_an_error() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[{"kty":"RSA"}]}"#,
        "<html>",
    ] {
        assert!(KeySet::parse(text.as_bytes(), true).is_err(), "{text}");
    }
}

#[test]
fn a_set_is_bounded() {
    let good = Signer::new(Algorithm::Es256, "k").jwk();
    let keys = json!({"keys": vec![good; KEYS_MAX + 9]}).to_string();
    let (set, skipped) = KeySet::parse(keys.as_bytes(), false).unwrap();
    assert_eq!((set.len(), skipped.len()), (KEYS_MAX, 9));
    let bad = json!({"keys": vec![json!({}); 10_000]}).to_string();
    assert!(KeySet::parse(bad.as_bytes(), false).is_err());
}

#[test]
fn keys_are_found_by_the_name_that_the_profile_says() {
    let signers: Vec<_> =
        ["a", "b"].into_iter().map(|kid| Signer::new(Algorithm::Es256, kid)).collect();
    let mut keys: Vec<Value> = signers.iter().map(Signer::jwk).collect();
    for (key, print) in keys.iter_mut().zip(["ta", "tb"]) {
        key["x5t"] = json!(print);
        key["x5t#S256"] = json!(format!("{print}256"));
    }
    let (set, _) = KeySet::parse(json!({"keys": keys}).to_string().as_ref(), false).unwrap();
    let verdict = |by: KeyBy, header: Value| {
        let token = signers[1].token_with(&header.to_string(), &claims().to_string());
        let rules = TokenRules { key_by: by, ..rules(&[Algorithm::Es256]) };
        verify(token.as_bytes(), &rules, &set, NOW).err()
    };
    let alg = "ES256";
    assert_eq!(verdict(KeyBy::Kid, json!({"alg": alg, "kid": "b"})), None);
    assert_eq!(verdict(KeyBy::Kid, json!({"alg": alg, "kid": "a"})), Some(Denied::Signature));
    assert_eq!(verdict(KeyBy::Kid, json!({"alg": alg, "x5t": "tb"})), Some(Denied::KeyUnnamed));
    assert_eq!(verdict(KeyBy::X5t, json!({"alg": alg, "x5t": "tb"})), None);
    assert_eq!(verdict(KeyBy::X5t, json!({"alg": alg, "x5t": "b"})), Some(Denied::KeyUnknown));
    assert_eq!(verdict(KeyBy::X5tS256, json!({"alg": alg, "x5t#S256": "tb256"})), None);
    let both = |kid, x5t| json!({"alg": alg, "kid": kid, "x5t": x5t});
    assert_eq!(verdict(KeyBy::KidX5t, both("b", "tb")), None);
    assert_eq!(verdict(KeyBy::KidX5t, both("b", "ta")), Some(Denied::KeyUnknown));
    assert_eq!(verdict(KeyBy::KidX5t, both("b", "")), Some(Denied::KeyUnnamed));
}

#[test]
fn a_token_without_a_name_is_tried_with_a_few_keys_if_it_may() {
    let signers: Vec<_> =
        (0..10).map(|n| Signer::new(Algorithm::Es256, &format!("k{n}"))).collect();
    let keys = jwks(&signers.iter().collect::<Vec<_>>());
    let (set, _) = KeySet::parse(keys.as_bytes(), false).unwrap();
    let rules = TokenRules { key_name_needed: false, ..rules(&[Algorithm::Es256]) };
    let unnamed = |signer: &Signer| {
        let token = signer.token_with(r#"{"alg":"ES256"}"#, &claims().to_string());
        verify(token.as_bytes(), &rules, &set, NOW).err()
    };
    assert_eq!(unnamed(&signers[7]), None);
    assert_eq!(unnamed(&signers[8]), Some(Denied::KeyUnknown), "more than eight keys were tried");
    let stranger = Signer::new(Algorithm::Es256, "k0");
    assert_eq!(unnamed(&stranger), Some(Denied::KeyUnknown), "it may be of a newer key");
    assert_eq!(
        check(&stranger.token(&claims()), &[Algorithm::Es256], &keys),
        Err(Denied::Signature)
    );
}
