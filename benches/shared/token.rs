//! A request with a token, and who believes it.

use std::hint::black_box;

use otus::message::head::RequestHead;
use otus::policy::auth::algorithm::Algorithm;
use otus::policy::auth::cache::{Bounds, Cache};
use otus::policy::auth::claims::ClaimRules;
use otus::policy::auth::credential::Places;
use otus::policy::auth::keys::{KeyBy, KeySet};
use otus::policy::auth::verify::{TokenRules, verify};
use otus::protocol::h1::request::{HeadLimits, RequestParser};
use serde_json::json;

use crate::jwt::{Signer, jwks};

/// When it is, in Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// A request with a token, everything that is needed to believe it, and what remembers that.
pub(crate) struct Scene {
    pub(crate) head: RequestHead,
    pub(crate) text: Vec<u8>,
    pub(crate) places: Places,
    pub(crate) rules: TokenRules,
    pub(crate) keys: KeySet,
    pub(crate) cache: Cache,
}

impl Scene {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let signer = Signer::new(algorithm, "2026-11");
        let token = signer.token(&json!({
            "iss": "https://id.example", "aud": ["api"], "sub": "5f1c0a9e-6d4b-4c0e-9a51",
            "exp": NOW + 3600, "iat": NOW, "jti": "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
            "scope": "openid profile email", "email": "alice@example.com", "roles": ["user"],
        }));
        let text = format!(
            "GET /api/orders/4711 HTTP/1.1\r\nhost: api.example\r\nuser-agent: bench/1.0\r\n\
             accept: application/json\r\nauthorization: Bearer {token}\r\n\r\n"
        )
        .into_bytes();
        let mut head = RequestHead::default();
        RequestParser::new(HeadLimits::default()).parse(&text, &mut head).expect("a request");
        let rules = TokenRules {
            algorithms: vec![algorithm],
            key_by: KeyBy::Kid,
            key_name_needed: true,
            claims: ClaimRules {
                issuers: vec!["https://id.example".to_owned()],
                audiences: vec!["api".to_owned()],
                ..ClaimRules::default()
            },
            propagated: Vec::new(),
            iam: None,
        };
        let (keys, _) = KeySet::parse(jwks(&[&signer]).as_bytes(), true).expect("keys");
        let cache = Cache::new(Bounds::default());
        Scene { head, text, places: Places::default(), rules, keys, cache }
    }

    /// The whole way of a request whose token is not known.
    pub(crate) fn cold(&self) {
        let brought = self.places.find(&self.head, &self.text);
        let token = brought.token().expect("a token");
        black_box(verify(token, &self.rules, &self.keys, NOW).expect("it is good"));
    }

    /// Of one whose token was verified before.
    pub(crate) fn warm(&mut self) {
        let brought = self.places.find(black_box(&self.head), &self.text);
        let token = brought.token().expect("a token");
        if let Some(verified) = self.cache.get(0, token, NOW) {
            black_box(verified);
            return;
        }
        let verified = verify(token, &self.rules, &self.keys, NOW).expect("it is good");
        self.cache.put(0, token, &verified.into(), NOW);
    }
}
