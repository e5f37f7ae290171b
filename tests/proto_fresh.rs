//! The committed code in `src/proto/` is what the sources in `proto/` give today.
//!
//! `OTUS_PROTO_WRITE=1 cargo test --test proto_fresh` (or `scripts/proto`) writes it anew. The
//! compiler of the sources is written in Rust, so no `protoc` has to be installed.

#![expect(clippy::expect_used, reason = "a test says what it needs")]

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Source in `proto/`, committed code in `src/proto/`, and the name that its package gives.
const SOURCES: [(&str, &str, &str); 4] = [
    ("reverse.proto", "reverse.rs", "_.rs"),
    ("reverse_ab.proto", "reverse_ab.rs", "_.rs"),
    ("reverse_a.proto", "reverse_a.rs", "_.rs"),
    ("reverse_c.proto", "reverse_c.rs", "gufo.rs"),
];

#[test]
fn committed_code_is_what_the_sources_give() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = env::var_os("OTUS_PROTO_WRITE").is_some_and(|value| value == "1");
    for (source, generated, package) in SOURCES {
        let fresh = generate(&root.join("proto"), source, package);
        let path = root.join("src/proto").join(generated);
        if write {
            fs::write(&path, &fresh).expect("src/proto can be written");
        }
        let committed = fs::read_to_string(&path).expect("generated code is committed");
        assert!(committed == fresh, "{} is stale: run scripts/proto", path.display());
    }
}

/// The Rust text that `source` gives. Maps are ordered: what is encoded twice is the same twice.
fn generate(include: &Path, source: &str, package: &str) -> String {
    let descriptors = protox::compile([source], [include]).expect("the source is valid");
    let out = scratch(source);
    tonic_prost_build::configure()
        .out_dir(&out)
        .btree_map(".")
        .build_server(true)
        .build_client(true)
        .build_transport(false)
        .compile_fds(descriptors)
        .expect("code is generated");
    let text = fs::read_to_string(out.join(package)).expect("the file of its package");
    fs::remove_dir_all(&out).expect("the scratch directory can be removed");
    format!("// Generated from proto/{source} by scripts/proto. Do not edit.\n{text}")
}

/// A directory of this process alone.
fn scratch(source: &str) -> PathBuf {
    let name = format!("otus-proto-{}-{source}", std::process::id());
    let path = env::temp_dir().join(name);
    fs::create_dir_all(&path).expect("the temporary directory can be written");
    path
}
