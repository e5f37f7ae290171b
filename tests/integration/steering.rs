//! Which shard gets a connection, and when a shard sleeps.

use std::fs;
use std::time::Duration;

use otus::snapshot::server::IoDriver;

use crate::support::journal::eventually;
use crate::support::process::{Launch, Process};

/// Connections: that a hash sends all of them to one of two shards happens once in 2^39 runs.
const CONNECTIONS: u64 = 40;
const HELLO: &str = "[[route]]\nid = \"hello\"\nreply = 204\n";

/// The cores that this test may use.
fn cores() -> Vec<core_affinity::CoreId> {
    core_affinity::get_core_ids().unwrap_or_default()
}

/// How many requests each of two shards has answered.
fn counts(process: &Process) -> [u64; 2] {
    [0, 1].map(|shard| process.metric(&format!("otus_shard_requests_total{{shard=\"{shard}\"}}")))
}

/// Since Linux 6.2 the kernel looks at the core when it chooses among sockets of one address.
fn kernel_steers() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
}

#[test]
fn a_connection_goes_to_the_shard_on_the_core_that_takes_its_packets() {
    if cores().len() < 2 || !kernel_steers() {
        eprintln!("skipped: wants two cores and Linux 6.2");
        return;
    }
    let text = format!("[server]\nsteering = \"core\"\n{HELLO}");
    for io in [IoDriver::Epoll, IoDriver::IoUring] {
        let launch = Launch { workers: 2, ..Launch::new(io, &text) };
        let process = launch.start().unwrap();
        for shard in [0, 1] {
            let before = counts(&process);
            // Packets over loopback are taken on the core that sends them.
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(core_affinity::set_for_current(cores()[shard]));
                    for _ in 0..CONNECTIONS {
                        assert_eq!(process.client().get("/").status, 204);
                    }
                });
            });
            let after = counts(&process);
            assert_eq!(after[shard] - before[shard], CONNECTIONS, "{before:?} {after:?}");
            assert_eq!(after[1 - shard], before[1 - shard], "{before:?} {after:?}");
        }
    }
}

/// CPU time that the only shard of the process has used.
fn used(process: &Process) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.pid())).unwrap();
    let shard = tasks
        .map(|task| task.unwrap().path())
        .find(|task| fs::read_to_string(task.join("comm")).unwrap().starts_with("otus-shard-0"));
    let times = fs::read_to_string(shard.unwrap().join("schedstat")).unwrap();
    Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn a_shard_looks_for_more_after_a_request_and_sleeps_in_the_end() {
    let text = format!("[server]\nbusy_poll = \"10ms\"\n{HELLO}");
    for io in [IoDriver::Epoll, IoDriver::IoUring] {
        let process = Launch::new(io, &text).start().unwrap();
        let mut client = process.client();
        // On a busy machine it may not come to look, or the next request may come too late for it.
        eventually("it is awake though nobody asks for anything", || {
            for _ in 0..10 {
                assert_eq!(client.get("/").status, 204);
            }
            let before = used(&process);
            std::thread::sleep(Duration::from_millis(20));
            (used(&process) > before + Duration::from_millis(4)).then_some(())
        });
        eventually("it sleeps", || {
            let before = used(&process);
            std::thread::sleep(Duration::from_millis(20));
            (used(&process) == before).then_some(())
        });
    }
}
