//! The vectors of Project Wycheproof for JSON Web Signatures, where they lie beside the tree.

use std::path::PathBuf;

use otus::policy::auth::algorithm::Algorithm;
use otus::policy::auth::jws::Jws;
use otus::policy::auth::keys::{KeyBy, KeySet};
use serde_json::{Value, json};

const FILE: &str = "json_web_signature_test.json";

/// Where the vectors are, if they are.
fn vectors() -> Option<Value> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/conformance/data/wycheproof");
    let named = std::env::var_os("OTUS_WYCHEPROOF").map(PathBuf::from);
    let mut folders = named.into_iter().chain([PathBuf::from(beside)]);
    let text = folders.find_map(|folder| std::fs::read(folder.join(FILE)).ok())?;
    Some(serde_json::from_slice(&text).unwrap())
}

/// Whether our verifier believes a token of this key. The names of keys are not what is looked at.
fn believes(key: &Value, token: &str) -> bool {
    let set = json!({"keys": [key]}).to_string();
    let Ok((keys, _)) = KeySet::parse(set.as_bytes(), true) else { return false };
    let verdict = Jws::parse(token.as_bytes()).and_then(|jws| {
        assert!(Algorithm::ALL.contains(&jws.algorithm));
        keys.verify(&jws, KeyBy::Kid, false)?;
        jws.content()
    });
    verdict.is_ok()
}

/// Where we differ from what the vectors say, what we say, and why.
const OTHERWISE: [(u64, bool, &str); 8] = [
    (346, false, "the token says PS384, and its key says that it is for PS256 and nothing else"),
    (347, false, "the key is for `ES521`; there is no algorithm of this name, but ES512"),
    (350, false, "as 346, with `key_ops` in place of `use`"),
    (351, false, "as 347, with `key_ops` in place of `use`"),
    (367, true, "its comment speaks of wrong padding, but its text has none: it is that of 357"),
    (370, true, "as 367"),
    (372, false, "there is a `?` in its header: said to be valid, but no base64url (RFC 7515 §2)"),
    (373, false, "as 372, in the payload"),
];

#[test]
fn our_verdicts_are_those_of_wycheproof() {
    let Some(vectors) = vectors() else {
        println!("skipped: no {FILE} (name its folder in OTUS_WYCHEPROOF)");
        return;
    };
    let (mut count, mut differing) = (0, Vec::new());
    for group in vectors["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            count += 1;
            let ours = believes(key, test["jws"].as_str().unwrap());
            let theirs = match test["result"].as_str().unwrap() {
                "valid" => true,
                "invalid" => false,
                _ => continue,
            };
            if ours != theirs {
                differing.push((test["tcId"].as_u64().unwrap(), ours));
            }
        }
    }
    println!("{count} vectors, {} of them otherwise", differing.len());
    assert_eq!(differing, OTHERWISE.map(|(number, ours, _)| (number, ours)));
}
