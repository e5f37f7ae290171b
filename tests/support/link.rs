//! A test on a network of its own, with an emulated link in it: `scripts/link` starts this test binary
//! once more in a namespace, and there the test runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

/// Where a server listens that is to be reached over the link.
pub(crate) const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2)), 0);
/// Set in the process that runs in the namespace.
const INSIDE: &str = "OTUS_TEST_LINK";
/// How `scripts/link` says that namespaces or devices are denied.
const DENIED: i32 = 77;

/// The address over the link of a server that listens at [`LISTEN`].
pub(crate) fn far(near: SocketAddr) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 77, 1, 2), near.port()))
}

/// Runs a test over a link with these options of `scripts/link`; `name` is what the harness calls the
/// test, `module::path::function`. Where a link cannot be made the test is left out, and said.
#[track_caller]
pub(crate) fn over(options: &[&str], name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/link");
    let ended = Command::new("python3")
        .args([script, "--limit", "120"])
        .args(options)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1")
        .output();
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => return println!("link: left out, python3 does not start: {error}"),
    };
    let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    println!("{said}");
    match ended.status.code() {
        Some(DENIED) => {}
        Some(0) => assert!(said.contains("1 passed"), "no test is called {name}"),
        status => panic!("over the link the test ended with {status:?}:\n{said}"),
    }
}
