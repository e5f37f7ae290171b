//! The keys that tokens are verified with: looked for before they are needed, off the shards.
//!
//! [`keeper`] is the thread; what it does when is [`schedule`]'s business, which is pure; [`fetch`]
//! asks for one set.

mod board;
mod fetch;
mod keeper;
mod schedule;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::proxy::policy::keys::KeyAsk;

pub(super) use board::{KeyBoard, Row};
pub(super) use keeper::Keeper;

/// Questions of shards that have not been read. Each shard asks once and waits for the answer, so
/// more than a few for each source is a storm.
const ASKS_MAX: usize = 1024;

/// Where shards ask for the keys of a source, and where that is read.
pub(super) fn asks() -> (Sender<KeyAsk>, Receiver<KeyAsk>) {
    bounded(ASKS_MAX)
}
