//! What must hold of every decoder, whatever bytes it is given: one function for each target.
//!
//! The fuzzer (`tests/fuzz/fuzz.rs`, nightly) and the replay of the corpora
//! (`tests/fuzz_corpus.rs`, part of `cargo test`) both run these; a property that does not hold
//! panics.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at its first fault")]
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test stops at its first fault")]
#![allow(unreachable_pub, reason = "the modules of one test are nobody else's")]

mod body;
mod config;
mod connection;
mod cuts;
mod frames;
mod grpc;
mod h2_crate;
mod heads;
mod hpack;
mod json;
mod jwt;
mod multipart;
mod path;
mod protobuf;
mod proxy_protocol;
mod request;
mod response;
mod world;

/// A decoder with what must hold of it.
#[derive(Clone, Copy)]
pub struct Target {
    /// As it is named on the command line, and the folder of its corpus.
    pub name: &'static str,
    /// Panics if something does not hold.
    pub run: fn(&[u8]),
    /// Changed inputs that one replay tries; fewer where one takes long.
    #[allow(dead_code, reason = "the fuzzer makes its own")]
    pub mutations: u32,
}

const fn target(name: &'static str, run: fn(&[u8]), mutations: u32) -> Target {
    Target { name, run, mutations }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target("h1_request", request::run, 4000),
    target("h1_response", response::run, 4000),
    target("h1_body", body::run, 4000),
    target("path", path::run, 10_000),
    target("multipart", multipart::run, 2000),
    target("hpack", hpack::run, 4000),
    target("h2_blocks", frames::blocks, 1000),
    target("h2_frames", frames::run, 1000),
    target("grpc", grpc::run, 4000),
    target("protobuf", protobuf::run, 6000),
    target("json", json::run, 10_000),
    target("config", config::run, 200),
    target("http1", connection::http1, 150),
    target("http2", connection::http2, 150),
    target("jwt", jwt::run, 300),
    target("proxy_protocol", proxy_protocol::run, 10_000),
];

/// Runs the target of this name.
#[allow(dead_code, reason = "the fuzzer knows its target")]
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
    (target.run)(data);
}
