//! What the helpers of `otus dev` make can be used.

use super::*;
use crate::base::base64url::decode;
use crate::policy::auth::jws::Jws;
use crate::policy::auth::keys::{KeyBy, KeySet};

fn parts(token: &str) -> Vec<String> {
    let text = |part: &str| String::from_utf8_lossy(&decode(part.as_bytes()).unwrap()).into_owned();
    token.split('.').map(text).collect()
}

#[test]
fn a_token_says_what_it_was_asked_to_and_is_signed() {
    let args = TokenArgs {
        secret: Some("s3cret".to_owned()),
        key: None,
        kid: None,
        sub: "al\"ice".to_owned(),
        iss: Some("https://id.test".to_owned()),
        aud: None,
        seconds: 60,
    };
    let token = token(&args).unwrap();
    let parts = parts(&token);
    assert_eq!(parts[0], r#"{"alg":"HS256","typ":"JWT"}"#);
    let claims: serde_json::Value = serde_json::from_str(&parts[1]).unwrap();
    assert_eq!((&claims["sub"], &claims["iss"]), (&json!("al\"ice"), &json!("https://id.test")));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret");
    hmac::verify(&key, signed.as_bytes(), &decode(signature.as_bytes()).unwrap()).unwrap();
    assert!(super::token(&TokenArgs { secret: None, ..args }).is_err());
}

#[test]
fn the_issuer_publishes_the_key_that_it_signs_with() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let set = jwks(&pair).unwrap();
    let (keys, skipped) = KeySet::parse(set.as_bytes(), false).unwrap();
    assert_eq!((keys.len(), skipped.len()), (1, 0), "{set}");
    let signer = Signer::Rsa(Box::new(pair));
    let token = signer.sign(Some(KID), &claims("a", None, None, 60)).unwrap();
    let jws = Jws::parse(token.as_bytes()).unwrap();
    assert!(keys.verify(&jws, KeyBy::Kid, true).is_ok());
}
