//! Letters that every shard has to get.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::bounded;

use crate::io::Bell;
use crate::shard::Grace;
use crate::shard::mailbox::{Full, Letter, Postbox};
use crate::snapshot::Snapshot;

/// Between two looks at a mailbox that was full.
const POST_AGAIN: Duration = Duration::from_millis(1);

/// Gives `next` to every shard in place of `running`; returns when all run it. If one does not take
/// it in time, all are given back what they had: the letter of one that hangs may still be read.
pub(super) fn publish<B: Bell>(
    postboxes: &[Postbox<B>],
    next: &Arc<Snapshot>,
    running: &Arc<Snapshot>,
    patience: Duration,
) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    let (done, answers) = bounded(postboxes.len());
    let give = |snapshot: &Arc<Snapshot>, by| {
        let letter = || Letter::Publish { snapshot: Arc::clone(snapshot), done: done.clone() };
        postboxes.iter().filter(|postbox| post_by(postbox, letter(), by)).count()
    };
    let fault = if give(next, deadline) < postboxes.len() {
        "a shard does not read its mailbox"
    } else if postboxes.iter().any(|_| answers.recv_deadline(deadline).is_err()) {
        "a shard did not answer"
    } else {
        return Ok(());
    };
    // Nobody waits for these answers, and no shard for room to give them.
    drop(answers);
    give(running, Instant::now());
    Err(fault.to_owned())
}

/// Tells those to stop that were not told yet; the others keep their place in `told`.
pub(super) fn drain<B: Bell>(postboxes: &[Postbox<B>], told: &mut Vec<bool>, grace: Grace) {
    told.resize(postboxes.len(), false);
    for (postbox, told) in postboxes.iter().zip(told) {
        *told = *told || postbox.post(Letter::Drain { grace }).is_ok();
    }
}

/// Posts a letter as soon as there is room; false if there is none by the deadline.
fn post_by<B: Bell>(postbox: &Postbox<B>, mut letter: Letter, deadline: Instant) -> bool {
    while let Err(Full(back)) = postbox.post(letter) {
        if Instant::now() >= deadline {
            return false;
        }
        letter = back;
        thread::sleep(POST_AGAIN);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits;
    use crate::shard::mailbox::{Mailbox, mailbox};

    #[derive(Clone)]
    struct Mute;

    impl Bell for Mute {
        fn ring(&self) {}
    }

    fn shards() -> (Vec<Postbox<Mute>>, Vec<Mailbox>) {
        (0..2).map(|_| mailbox(Mute)).unzip()
    }

    fn fill(postbox: &Postbox<Mute>) {
        for _ in 0..limits::LETTERS_MAX {
            assert!(postbox.post(Letter::Called { number: 0 }).is_ok());
        }
    }

    /// The last generation of those in a mailbox, all of which are answered.
    fn last(mailbox: &Mailbox) -> Option<u64> {
        let mut generation = None;
        while let Some(letter) = mailbox.take() {
            if let Letter::Publish { snapshot, done } = letter {
                generation = Some(snapshot.generation);
                let _ = done.send(());
            }
        }
        generation
    }

    fn generations() -> (Arc<Snapshot>, Arc<Snapshot>) {
        let running = Snapshot { generation: 4, ..Snapshot::minimal() };
        let next = Snapshot { generation: 5, ..running.clone() };
        (Arc::new(next), Arc::new(running))
    }

    #[test]
    fn a_generation_that_one_shard_does_not_take_is_taken_back_from_the_others() {
        let (postboxes, mailboxes) = shards();
        let (next, running) = generations();
        fill(&postboxes[1]);
        let told = publish(&postboxes, &next, &running, Duration::ZERO);
        assert_eq!(told, Err("a shard does not read its mailbox".to_owned()));
        assert_eq!((last(&mailboxes[0]), last(&mailboxes[1])), (Some(4), None));
        // There is room, and nobody reads in time: who reads later has both.
        let told = publish(&postboxes, &next, &running, Duration::ZERO);
        assert_eq!(told, Err("a shard did not answer".to_owned()));
        assert_eq!((last(&mailboxes[0]), last(&mailboxes[1])), (Some(4), Some(4)));
    }

    #[test]
    fn a_mailbox_that_is_full_for_a_moment_is_waited_for() {
        let (postboxes, mailboxes) = shards();
        let (next, running) = generations();
        postboxes.iter().for_each(fill);
        let hour = Duration::from_hours(1);
        let told = thread::scope(|scope| {
            scope.spawn(|| {
                let mut runs = [None; 2];
                while runs != [Some(5); 2] {
                    for (runs, mailbox) in runs.iter_mut().zip(&mailboxes) {
                        *runs = last(mailbox).or(*runs);
                    }
                    thread::yield_now();
                }
            });
            publish(&postboxes, &next, &running, hour)
        });
        assert_eq!(told, Ok(()));
    }

    #[test]
    fn each_shard_is_told_once_to_stop_however_full_its_mailbox_was() {
        let (postboxes, mailboxes) = shards();
        let grace = Grace { exchanges: Duration::ZERO, uploads: Duration::ZERO };
        let drains = |mailbox: &Mailbox| {
            let letters = std::iter::from_fn(|| mailbox.take());
            letters.filter(|letter| matches!(letter, Letter::Drain { .. })).count()
        };
        let mut told = Vec::new();
        fill(&postboxes[1]);
        drain(&postboxes, &mut told, grace);
        assert_eq!((drains(&mailboxes[0]), drains(&mailboxes[1])), (1, 0));
        drain(&postboxes, &mut told, grace);
        drain(&postboxes, &mut told, grace);
        assert_eq!((drains(&mailboxes[0]), drains(&mailboxes[1])), (0, 1));
    }
}
