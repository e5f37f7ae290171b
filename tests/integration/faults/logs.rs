//! Disks that are full: requests go on, and what could not be logged is counted.

use std::fs;
use std::path::PathBuf;

use crate::support::client::head;
use crate::support::gateway::on_both_drivers;
use crate::support::journal::eventually;
use crate::support::process::{Launch, Process, runs};

const HELLO: &str = "[[route]]\nid = \"hello\"\nreply = 204\n";
/// More than what one shard's ring and the lines in hand hold.
const REQUESTS: usize = 12_000;
/// Requests that are sent before their answers are read.
const AT_ONCE: usize = 100;

/// Every request is answered.
#[track_caller]
fn ask_many(gateway: &Process) {
    let mut client = gateway.client();
    let requests = head("GET", "/", &[]).repeat(AT_ONCE);
    for _ in 0..REQUESTS / AT_ONCE {
        client.send(&requests);
        for _ in 0..AT_ONCE {
            assert_eq!(client.reply().status, 204);
        }
    }
}

/// Lines of a file; each of them must be whole.
#[track_caller]
fn lines(path: &PathBuf) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "the last line is not whole");
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["http.response.status_code"], 204);
    }
    u64::try_from(text.lines().count()).unwrap()
}

/// Fills the log, makes room with `mend`, and looks whether each line was written or counted.
#[track_caller]
fn goes_on(gateway: &Process, log: &PathBuf, mend: impl FnOnce()) {
    ask_many(gateway);
    gateway.says("log_stuck");
    gateway.wait_metric("otus_log_dropped_total", 1);
    mend();
    gateway.says("log_goes_on");
    assert_eq!(gateway.client().get("/").status, 204);
    let asked = u64::try_from(REQUESTS).unwrap() + 1;
    let lost = gateway.metric("otus_log_dropped_total");
    assert!(lost < asked);
    eventually("what was not lost is written", || {
        (gateway.metric("otus_log_records_total") + lost == asked).then_some(())
    });
    assert_eq!(lines(log) + lost, asked);
    gateway.is_clean();
}

#[test]
fn a_log_that_may_not_grow_stops_no_request() {
    on_both_drivers(|io| {
        // In a shell, whose unit are blocks: some hundred lines.
        let by = ["sh", "-c", "ulimit -S -f 64; exec \"$0\" \"$@\""];
        let launch = Launch { log: "./access.log", by: &by, ..Launch::new(io, HELLO) };
        let gateway = launch.start().unwrap();
        let log = gateway.folder().join("access.log");
        goes_on(&gateway, &log, || gateway.limit("--fsize=unlimited:unlimited"));
    });
}

#[test]
fn a_disk_that_is_full_stops_no_request() {
    let mount = "mkdir disk && mount -t tmpfs -o size=128k tmpfs disk && exec \"$0\" \"$@\"";
    let by = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount];
    if !runs("unshare", &["--mount", "--map-root-user", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]) {
        return println!("left out: no file system may be mounted here, not even in a namespace");
    }
    on_both_drivers(|io| {
        let launch = Launch { log: "disk/access.log", by: &by, ..Launch::new(io, HELLO) };
        let gateway = launch.start().unwrap();
        // As it is seen in there.
        let log = PathBuf::from(format!("/proc/{}/cwd/disk/access.log", gateway.pid()));
        goes_on(&gateway, &log, || {
            let (pid, disk) = (gateway.pid().to_string(), gateway.folder().join("disk"));
            let into = ["--target", &pid, "--user", "--mount"];
            let mount = ["mount", "-o", "remount,size=64m", disk.to_str().unwrap()];
            assert!(runs("nsenter", &[into, mount].concat()), "the disk does not grow");
        });
    });
}
