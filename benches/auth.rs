//! Cost of knowing who calls: `cargo bench --bench auth`. The best of many rounds.
//!
//! `cargo bench --bench auth -- warm 1000` does nothing but the warm way, so often: for counting
//! instructions, as the difference of two counts.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up has nothing to tell")]

#[path = "shared/clock.rs"]
#[allow(dead_code, reason = "each bench uses its part")]
mod clock;
#[path = "shared/token.rs"]
mod token;

#[allow(dead_code, clippy::indexing_slicing, clippy::unwrap_used, reason = "as in tests")]
#[path = "../tests/support/jwt.rs"]
mod jwt;

use std::hint::black_box;

use otus::policy::auth::algorithm::Algorithm;

use clock::time;
use token::Scene;

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
