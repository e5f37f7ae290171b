//! `io_uring` that is denied, or runs out of memory, at a start or in the middle of a rollout.

use otus::io::uring;
use otus::snapshot::server::IoDriver;

use crate::support::process::{DENY, Launch, Process, runs};

/// Its number on every architecture.
const IO_URING_SETUP: &str = "425";
const EPERM: &str = "1";
const ENOMEM: &str = "12";
const HELLO: &str = "[[route]]\nid = \"hello\"\nreply = 204\n";

/// Starts on what `server.io` says, in a process that gets this error for a ring.
fn denied(io: &str, error: &str) -> Result<Process, String> {
    let by = ["python3", "-c", DENY, IO_URING_SETUP, error];
    Launch { io, by: &by, ..Launch::new(IoDriver::Epoll, HELLO) }.start()
}

#[track_caller]
fn serves(gateway: &Process) {
    assert_eq!(gateway.client().get("/").status, 204);
}

#[test]
fn automatic_mode_goes_on_with_epoll_and_says_why() {
    for (error, why) in [
        (EPERM, "Operation not permitted"),
        (ENOMEM, "Cannot allocate memory"),
        ("38", "this kernel has no io_uring"),
    ] {
        let gateway = denied("auto", error).unwrap();
        gateway.says("io_uring_denied");
        gateway.says("running on epoll");
        gateway.says(why);
        assert!(gateway.said().contains("· epoll"), "{}", gateway.said());
        serves(&gateway);
        // A reload needs nothing that was denied.
        gateway.signal("-HUP");
        gateway.wait_metric("otus_config_generation", 2);
        serves(&gateway);
        assert!(gateway.stopped().success());
    }
}

#[test]
fn a_driver_that_was_asked_for_by_name_is_refused_precisely() {
    for (error, why) in [(EPERM, "seccomp profile forbids it"), (ENOMEM, "raise LimitMEMLOCK")] {
        let said = denied("io_uring", error).err().unwrap();
        assert!(said.contains("server.io = \"io_uring\", but io_uring_setup failed"), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(!said.contains("epoll"), "{said}");
    }
}

#[test]
fn a_rollout_that_meets_a_denial_leaves_those_before_it_alone() {
    if let Err(error) = uring::probe() {
        return println!("left out: the kernel refuses io_uring to all: {error}");
    }
    let before = Launch::new(IoDriver::IoUring, HELLO).start().unwrap();
    let mut client = before.client();
    assert_eq!(client.get("/").status, 204);
    // The next of the same settings cannot run; and one in automatic mode does, on epoll.
    assert!(denied("io_uring", EPERM).is_err());
    let after = denied("auto", EPERM).unwrap();
    serves(&after);
    assert_eq!(client.get("/").status, 204);
    before.signal("-HUP");
    before.wait_metric("otus_config_generation", 2);
    assert_eq!(client.get("/").status, 204);
    assert_eq!(before.metric("otus_panics_total"), 0);
}

#[test]
fn memory_for_some_of_the_rings_is_not_enough() {
    if let Err(error) = uring::probe() {
        return println!("left out: the kernel refuses io_uring to all: {error}");
    }
    let inject = "inject=io_uring_setup:error=ENOMEM:when=2+";
    let by = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=io_uring_setup", "-e"];
    let by: Vec<&str> = by.into_iter().chain([inject]).collect();
    if !runs(by[0], &[&by[1..], &["true"]].concat()) {
        return println!("left out: strace is not there or not allowed");
    }
    let launch = |io| Launch { io, workers: 2, by: &by, ..Launch::new(IoDriver::Epoll, HELLO) };
    let gateway = launch("auto").start().unwrap();
    gateway.says("running on epoll");
    serves(&gateway);
    let said = launch("io_uring").start().err().unwrap();
    assert!(said.contains("but io_uring_setup failed"), "{said}");
}
