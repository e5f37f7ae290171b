//! Tokens that are not what they seem.

use super::jwt::{Signer, jwks};
use super::{NOW, check, claims, rules};
use otus::base::base64url;
use otus::policy::auth::algorithm::{Algorithm, Family};
use otus::policy::auth::claims::ClaimRules;
use otus::policy::auth::jwk::Key;
use otus::policy::auth::keys::KeySet;
use otus::policy::auth::path::ClaimPath;
use otus::policy::auth::propagate::Propagated;
use otus::policy::auth::verify::{Denied, TokenRules, verify};
use serde_json::json;

#[test]
fn a_token_of_each_algorithm_is_believed_and_a_changed_one_is_not() {
    for algorithm in Algorithm::ALL {
        let signer = Signer::new(algorithm, "k");
        let token = signer.token(&claims());
        let keys = jwks(&[&signer]);
        let verified = check(&token, &[algorithm], &keys).unwrap();
        assert_eq!(verified.identity.subject, "alice", "{algorithm}");
        assert_eq!(verified.claims["sub"], "alice");
        let (front, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = base64url::decode(signature.as_bytes()).unwrap();
        let last = bytes.len() - 1;
        for place in [0, last / 2, last] {
            bytes[place] ^= 1;
            let changed = format!("{front}.{}", base64url::encode(&bytes));
            assert_eq!(check(&changed, &[algorithm], &keys), Err(Denied::Signature));
            bytes[place] ^= 1;
        }
        for bytes in [&bytes[..last], &[&bytes[..], &[0]].concat(), &vec![0; last + 1]] {
            let changed = format!("{front}.{}", base64url::encode(bytes));
            assert_eq!(check(&changed, &[algorithm], &keys), Err(Denied::Signature));
        }
        let (header, _) = front.split_once('.').unwrap();
        let other = base64url::encode(json!({"sub": "eve", "exp": NOW + 60}).to_string().as_ref());
        let changed = format!("{header}.{other}.{signature}");
        assert_eq!(check(&changed, &[algorithm], &keys), Err(Denied::Signature));
    }
}

#[test]
fn what_is_not_on_the_list_is_refused_before_any_key_is_looked_for() {
    let signer = Signer::new(Algorithm::Es256, "k");
    let (token, keys) = (signer.token(&claims()), jwks(&[&signer]));
    assert_eq!(check(&token, &[Algorithm::Rs256], &keys), Err(Denied::Algorithm));
    assert_eq!(check(&token, &[], &keys), Err(Denied::Algorithm));
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let signer = Signer::new(algorithm, "k");
        let keys = jwks(&[&signer]);
        let published = [
            signer.public_bytes(),
            keys.clone().into_bytes(),
            signer.jwk().to_string().into_bytes(),
        ];
        for secret in published {
            let forger = Signer::of_secret(Algorithm::Hs256, &secret);
            let forger = forger.renamed(Algorithm::Hs256, "k");
            let token = forger.token(&claims());
            let all = Algorithm::ALL;
            assert_eq!(check(&token, &all, &keys), Err(Denied::Algorithm), "{algorithm}");
        }
    }
}

#[test]
fn a_key_verifies_nothing_but_its_own_algorithms() {
    let rsa = Signer::new(Algorithm::Rs256, "k");
    let mut bound = rsa.jwk();
    bound["alg"] = json!("RS256");
    let keys = json!({"keys": [bound]}).to_string();
    assert!(check(&rsa.token(&claims()), &Algorithm::ALL, &keys).is_ok());
    for other in [Algorithm::Ps256, Algorithm::Rs512, Algorithm::Es256, Algorithm::Hs256] {
        let other = Signer::new(other, "k");
        let denied = check(&other.token(&claims()), &Algorithm::ALL, &keys);
        assert_eq!(denied, Err(Denied::Algorithm));
    }
    let free = jwks(&[&rsa]);
    let pss = rsa.renamed(Algorithm::Ps384, "k");
    assert!(check(&pss.token(&claims()), &Algorithm::ALL, &free).is_ok());
    assert_eq!(check(&pss.token(&claims()), &[Algorithm::Rs256], &free), Err(Denied::Algorithm));
}

#[test]
fn keys_and_places_that_a_token_brings_are_not_used() {
    let (ours, forger) = (Signer::new(Algorithm::Es256, "k"), Signer::new(Algorithm::Es256, "k"));
    let keys = jwks(&[&ours]);
    for header in [
        json!({"alg": "ES256", "kid": "k", "jwk": forger.jwk()}),
        json!({"alg": "ES256", "kid": "k", "jku": "https://forger.example/keys"}),
        json!({"alg": "ES256", "kid": "k", "x5u": "https://forger.example/cert"}),
        json!({"alg": "ES256", "kid": "k", "x5c": ["AAAA"], "jwk": forger.jwk()}),
    ] {
        let token = forger.token_with(&header.to_string(), &claims().to_string());
        assert_eq!(check(&token, &[Algorithm::Es256], &keys), Err(Denied::Signature));
        let honest = ours.token_with(&header.to_string(), &claims().to_string());
        assert!(check(&honest, &[Algorithm::Es256], &keys).is_ok());
    }
}

#[test]
fn the_name_of_a_key_is_a_name_and_nothing_else() {
    let ours = Signer::new(Algorithm::Es256, "k");
    let keys = jwks(&[&ours]);
    for kid in [
        "",
        "../../../../dev/null",
        "/dev/null",
        "k' OR '1'='1",
        "k\u{0}",
        "K",
        "https://forger.example/k",
        "| whoami",
    ] {
        let header = json!({"alg": "ES256", "kid": kid}).to_string();
        let token = ours.token_with(&header, &claims().to_string());
        let denied = if kid.is_empty() { Denied::KeyUnnamed } else { Denied::KeyUnknown };
        assert_eq!(check(&token, &[Algorithm::Es256], &keys), Err(denied), "{kid}");
    }
    // With an empty secret, as of /dev/null.
    let forger = Signer::of_secret(Algorithm::Hs256, b"");
    let token = forger.renamed(Algorithm::Hs256, "k").token(&claims());
    assert_eq!(check(&token, &Algorithm::ALL, &keys), Err(Denied::Algorithm));
}

#[test]
fn claims_that_say_a_name_twice_are_refused() {
    let ours = Signer::new(Algorithm::Es256, "k");
    let header = r#"{"alg":"ES256","kid":"k"}"#;
    let twice = format!(r#"{{"sub":"alice","exp":{0},"sub":"root"}}"#, NOW + 60);
    for payload in [twice.as_str(), "[]", "null", "", "{\"sub\":\"a\"", "\u{feff}{}"] {
        let token = ours.token_with(header, payload);
        let denied = check(&token, &[Algorithm::Es256], &jwks(&[&ours]));
        assert_eq!(denied, Err(Denied::Malformed), "{payload}");
    }
}

#[test]
fn a_secret_of_the_operator_needs_no_name_and_no_short_one_is_taken() {
    let signer = Signer::new(Algorithm::Hs256, "whatever");
    let key = Key::shared(Algorithm::Hs256, &signer.public_bytes()).unwrap();
    let keys = KeySet::single(key);
    let token = signer.token(&claims());
    assert!(verify(token.as_bytes(), &rules(&[Algorithm::Hs256]), &keys, NOW).is_ok());
    assert_eq!(Algorithm::Hs256.family(), Family::Secret);
    assert!(Key::shared(Algorithm::Hs256, &[7; 31]).is_err());
    assert!(Key::shared(Algorithm::Hs512, &[7; 63]).is_err());
    assert!(Key::shared(Algorithm::Rs256, &[7; 64]).is_err());
    assert!(Key::of_secret(&[Algorithm::Hs256], b"").is_err());
    assert!(!format!("{keys:?}").contains("whatever"));
}

#[test]
fn claims_that_endpoints_are_told_come_with_the_verdict() {
    let signer = Signer::new(Algorithm::EdDsa, "k");
    let keys = jwks(&[&signer]);
    let (keys, _) = KeySet::parse(keys.as_bytes(), false).unwrap();
    let told =
        |claim: &str, field: &str| Propagated { claim: ClaimPath::new(claim), field: field.into() };
    let rules = TokenRules {
        propagated: vec![told("sub", "x-sub"), told("org.ids", "x-ids"), told("no", "x-no")],
        claims: ClaimRules { issuers: vec!["i".into()], ..ClaimRules::default() },
        ..rules(&[Algorithm::EdDsa])
    };
    let claims = json!({"sub": "a", "exp": NOW + 1, "iss": "i", "org": {"ids": [1, "b"]}});
    let verified = verify(signer.token(&claims).as_bytes(), &rules, &keys, NOW).unwrap();
    let fields = [("x-sub".to_owned(), "a".to_owned()), ("x-ids".to_owned(), "1,b".to_owned())];
    assert_eq!(verified.fields, fields);
    assert!(verified.weight() > 200);
    assert_eq!(verified.until, NOW + 31);
}

#[test]
fn any_bytes_are_refused_without_harm() {
    let signer = Signer::new(Algorithm::Es256, "k");
    let token = signer.token(&claims()).into_bytes();
    let (keys, _) = KeySet::parse(jwks(&[&signer]).as_bytes(), false).unwrap();
    let mut prng = otus::base::prng::Prng::new(11);
    for _ in 0..20_000 {
        let mut bytes = token.clone();
        for _ in 0..=prng.below(3) {
            let place = usize::try_from(prng.below(u64::try_from(bytes.len()).unwrap())).unwrap();
            match prng.below(3) {
                0 => bytes[place] = u8::try_from(prng.below(256)).unwrap(),
                1 => drop(bytes.remove(place)),
                _ => bytes.insert(place, b".=A{"[usize::try_from(prng.below(4)).unwrap()]),
            }
        }
        if bytes != token {
            assert!(verify(&bytes, &rules(&[Algorithm::Es256]), &keys, NOW).is_err());
        }
    }
}
