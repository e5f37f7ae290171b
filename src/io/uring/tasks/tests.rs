//! Tasks in their order, and wakers that outlive them.

use super::*;
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;

/// Runs rounds until `main` ends; at most a hundred.
fn drive<F: Future>(main: F) -> F::Output {
    let running = Running::enter().unwrap();
    let mut main = pin!(main);
    for _ in 0..100 {
        if let Poll::Ready(output) = running.round(main.as_mut()) {
            return output;
        }
    }
    panic!("the main future never ended");
}

async fn turn() {
    let mut told = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut told, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn a_task_that_wakes_itself_lets_the_others_run() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let outer = Rc::clone(&order);
    drive(async move {
        for name in ["a", "b"] {
            let order = Rc::clone(&order);
            spawn(async move {
                for step in 0..3 {
                    order.borrow_mut().push((name, step));
                    turn().await;
                }
            });
        }
        for _ in 0..6 {
            turn().await;
        }
    });
    let order = outer.take();
    assert_eq!(order, [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]);
}

#[test]
fn a_waker_that_outlived_its_task_wakes_at_most_the_next_in_vain() {
    let polls = Rc::new(Cell::new(0));
    let seen = Rc::clone(&polls);
    drive(async move {
        let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
        let keep = Rc::clone(&kept);
        spawn(poll_fn(move |cx| {
            cx.waker().wake_by_ref();
            *keep.borrow_mut() = Some(cx.waker().clone());
            Poll::Ready(())
        }));
        turn().await;
        // The place of the first is free, and its own wake is still queued.
        spawn(poll_fn(move |_| {
            polls.set(polls.get() + 1);
            Poll::<()>::Pending
        }));
        for _ in 0..4 {
            turn().await;
            kept.borrow().as_ref().unwrap().wake_by_ref();
        }
    });
    assert_eq!(seen.get(), 1);
}

#[test]
fn what_is_left_ends_with_the_thread_s_run_and_may_start_nothing_then() {
    struct Last(Rc<Cell<bool>>);
    impl Drop for Last {
        fn drop(&mut self) {
            let dropped = Rc::clone(&self.0);
            spawn(async move { dropped.set(false) });
            self.0.set(true);
        }
    }
    let dropped = Rc::new(Cell::new(false));
    let last = Last(Rc::clone(&dropped));
    drive(async move {
        spawn(async move {
            let _last = last;
            pending::<()>().await;
        });
        turn().await;
    });
    assert!(dropped.get());
}

#[test]
fn tasks_run_on_one_runtime_of_a_thread() {
    drive(async { assert!(Running::enter().is_none()) });
    drive(async {});
}
