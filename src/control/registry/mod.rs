//! Modules that are found through a masterservice: asked for off the shards, and published as a new
//! generation.
//!
//! [`keeper`] is the thread; what it does when is the business of `gufo::registry::directory`,
//! which is pure; [`ask`] asks one question; [`store`] reads the answers that were kept on disk.

mod ask;
mod keeper;
mod store;

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::gufo::registry::Wanted;

pub(super) use keeper::{Registrar, Registry};

/// Questions of shards that have not been read.
const ASKS_MAX: usize = 1024;

/// Where shards ask for modules, and where that is read.
pub(super) fn asks() -> (Sender<Wanted>, Receiver<Wanted>) {
    bounded(ASKS_MAX)
}
