//! The corpora of the fuzzer, replayed on stable Rust, each file also changed in some thousand ways
//! that follow from a seed. `tests/fuzz/README.md` says how they are made.
//!
//! `FUZZ_TARGET=name` runs one target alone, `FUZZ_INPUT=file` one input of it; `FUZZ_CHANGES=n` makes
//! so many changes, and `FUZZ_SEED=n` others.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first fault")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first fault")]

#[path = "fuzz/harness/mod.rs"]
mod harness;
#[path = "fuzz/llhttp.rs"]
mod llhttp;
#[path = "fuzz/mutate.rs"]
mod mutate;

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use harness::{TARGETS, Target};
use otus::base::prng::Prng;

/// Bytes of an input; the fuzzer is told the same.
const BYTES_MAX: usize = 4096;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn replay(target: Target) {
    if let Ok(file) = std::env::var("FUZZ_INPUT") {
        return (target.run)(&fs::read(file).unwrap());
    }
    let files = corpus(target.name);
    assert!(files.len() >= 4, "{}: a corpus of {}", target.name, files.len());
    for (path, bytes) in &files {
        assert!(bytes.len() <= BYTES_MAX, "{} is too long", path.display());
        try_one(target, bytes, &path.display().to_string());
    }
    // The same changes each time: a failure can be repeated.
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let mut prng = Prng::new(number("FUZZ_SEED").unwrap_or(0x0705));
    let changes = number("FUZZ_CHANGES").unwrap_or(u64::from(target.mutations));
    let inputs: Vec<&[u8]> = files.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    for round in 0..changes {
        let bytes = mutate::change(&inputs, &mut prng, BYTES_MAX);
        try_one(target, &bytes, &format!("change {round}"));
    }
}

fn try_one(target: Target, bytes: &[u8], what: &str) {
    if catch_unwind(|| (target.run)(bytes)).is_err() {
        let file = std::env::temp_dir().join(format!("fuzz-{}", target.name));
        fs::write(&file, bytes).unwrap();
        let (name, file) = (target.name, file.display());
        panic!("{what}: {}; FUZZ_TARGET={name} FUZZ_INPUT={file}", bytes.escape_ascii());
    }
}

#[test]
fn every_corpus_holds_and_so_do_its_changes() {
    let wanted = std::env::var("FUZZ_TARGET").ok();
    for target in TARGETS {
        if wanted.as_deref().is_none_or(|wanted| wanted == target.name) {
            let start = std::time::Instant::now();
            replay(*target);
            println!("{:>8} ms {}", start.elapsed().as_millis(), target.name);
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name();
        let is_known = TARGETS.iter().any(|target| name.to_str() == Some(target.name));
        assert!(is_known, "nobody reads {}", name.display());
    }
}
