//! Tasks in their order, and wakers that outlive them.

use super::*;
use crate::base::prng::Prng;
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

/// A task that counts its turns, keeps its last waker, and ends when it is told to.
#[derive(Default)]
struct Watched {
    turns: Cell<u32>,
    waker: RefCell<Option<Waker>>,
    ends: Cell<bool>,
}

impl Watched {
    fn spawn() -> Rc<Self> {
        let watched = Rc::new(Watched::default());
        let own = Rc::clone(&watched);
        spawn(poll_fn(move |cx| {
            own.turns.set(own.turns.get() + 1);
            *own.waker.borrow_mut() = Some(cx.waker().clone());
            if own.ends.get() { Poll::Ready(()) } else { Poll::Pending }
        }));
        watched
    }
}

/// Wakers are cloned, dropped, used twice, used by other threads and kept beyond their tasks, whose
/// places others have by then: who was woken has one turn, and nobody else has any.
#[test]
fn whatever_is_done_with_wakers_exactly_those_who_were_woken_run() {
    for seed in 0..40 {
        let mut prng = Prng::new(seed);
        drive(async move {
            let mut live: Vec<Rc<Watched>> = Vec::new();
            let mut stale: Vec<Waker> = Vec::new();
            for _ in 0..30 {
                if live.len() < 8 {
                    live.push(Watched::spawn());
                    turn().await;
                }
                let before: Vec<u32> = live.iter().map(|task| task.turns.get()).collect();
                let mut woken = vec![false; live.len()];
                for _ in 0..prng.below(6) {
                    let at = usize::try_from(prng.below(live.len() as u64)).unwrap();
                    let waker = live[at].waker.borrow().clone().unwrap();
                    let kind = prng.below(4);
                    woken[at] |= kind < 2;
                    match kind {
                        0 => waker.wake(),
                        1 => waker.clone().wake_by_ref(),
                        // Another thread has no tasks, or others: it wakes nobody here.
                        2 => std::thread::spawn(|| waker.wake()).join().unwrap(),
                        _ => drop(waker),
                    }
                }
                stale.iter().for_each(Waker::wake_by_ref);
                turn().await;
                for ((task, before), woken) in live.iter().zip(&before).zip(&woken) {
                    assert_eq!(task.turns.get() - before, u32::from(*woken), "seed {seed}");
                }
                if prng.one_in(3) {
                    let last =
                        live.swap_remove(usize::try_from(prng.below(live.len() as u64)).unwrap());
                    last.ends.set(true);
                    stale.push(last.waker.borrow().clone().unwrap());
                    last.waker.borrow().as_ref().unwrap().wake_by_ref();
                    turn().await;
                }
            }
        });
    }
}
