//! A task that panics. No request is known that makes one panic, so the gate itself is tested, in every
//! world that it runs in.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use otus::io::sim::World;
use otus::io::uring::{self, Driver};
use otus::io::{Io, sim};
use otus::proxy::gate::Gate;
use otus::snapshot::server::IoDriver;

use crate::support::gateway::on_both_drivers;

/// Two tasks that panic, at once and after a wait, beside two that do not.
async fn check<I: Io>(io: I) {
    let gate = Gate::default();
    let ended = Rc::new(Cell::new(0));
    for number in 0..4 {
        let (io_of_task, ended) = (io.clone(), Rc::clone(&ended));
        gate.spawn(&io, async move {
            if number % 2 == 0 {
                io_of_task.sleep_until(io_of_task.now() + Duration::from_millis(5)).await;
            }
            assert!(number >= 2, "as the test wants");
            ended.set(ended.get() + 1);
        });
    }
    assert_eq!(gate.inside(), 4);
    gate.empty().await;
    assert_eq!((gate.inside(), gate.panics(), ended.get()), (0, 2, 2));
}

#[test]
fn a_panic_costs_its_task_alone_in_a_simulated_world() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let io: sim::Sim = world.handle();
        world.block_on(check(io), Duration::from_secs(10)).unwrap();
    }
}

#[test]
fn a_panic_costs_its_task_alone_on_the_kernel() {
    on_both_drivers(|io| {
        let driver = if io == IoDriver::Epoll { Driver::Epoll } else { Driver::IoUring };
        uring::run(driver, check).unwrap();
    });
}
