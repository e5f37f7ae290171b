//! Cost of knowing who calls: `cargo bench --bench auth`. The best of many rounds.
//!
//! `cargo bench --bench auth -- warm 1000` does nothing but the warm way, so often: for counting
//! instructions, as the difference of two counts.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to tell")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use otus::message::head::RequestHead;
use otus::policy::auth::algorithm::Algorithm;
use otus::policy::auth::cache::{Bounds, Cache};
use otus::policy::auth::claims::ClaimRules;
use otus::policy::auth::credential::Places;
use otus::policy::auth::keys::{KeyBy, KeySet};
use otus::policy::auth::verify::{TokenRules, verify};
use otus::protocol::h1::request::{HeadLimits, RequestParser};
use serde_json::json;

#[allow(dead_code, clippy::indexing_slicing, clippy::unwrap_used, reason = "as in tests")]
#[path = "../tests/support/jwt.rs"]
mod jwt;

use jwt::{Signer, jwks};

const NOW: u64 = 1_800_000_000;

/// A request with a token, everything that is needed to believe it, and what remembers that.
struct Scene {
    head: RequestHead,
    text: Vec<u8>,
    places: Places,
    rules: TokenRules,
    keys: KeySet,
    cache: Cache,
}

impl Scene {
    fn new(algorithm: Algorithm) -> Self {
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
    fn cold(&self) {
        let brought = self.places.find(&self.head, &self.text);
        let token = brought.token().expect("a token");
        black_box(verify(token, &self.rules, &self.keys, NOW).expect("it is good"));
    }

    /// Of one whose token was verified before.
    fn warm(&mut self) {
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

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(place) = words.iter().position(|word| word == "warm") {
        let count = words.get(place + 1).and_then(|count| count.parse().ok()).unwrap_or(1000);
        let mut scene = Scene::new(Algorithm::Es256);
        (0..count).for_each(|_: u32| scene.warm());
        return;
    }
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let mut scene = Scene::new(algorithm);
        let brought = scene.places.find(&scene.head, &scene.text);
        let token = brought.token().expect("a token").to_vec();
        println!("{algorithm}: a token of {} bytes", token.len());
        time("  found in its field", || {
            black_box(scene.places.find(black_box(&scene.head), &scene.text));
        });
        time("  the whole way, verified before", || scene.warm());
    }
    for algorithm in Algorithm::ALL {
        let scene = Scene::new(algorithm);
        time(&format!("{algorithm}: verified anew"), || scene.cold());
    }
}

fn time(name: &str, mut work: impl FnMut()) {
    let mut calls = 1u32;
    let mut best = f64::INFINITY;
    for _ in 0..100 {
        let start = Instant::now();
        for _ in 0..calls {
            work();
        }
        let took = start.elapsed();
        best = best.min(took.as_secs_f64() / f64::from(calls));
        if took < Duration::from_millis(2) {
            calls = calls.saturating_mul(2);
        }
    }
    println!("{name:36} {:9.1} ns", best * 1e9);
}
