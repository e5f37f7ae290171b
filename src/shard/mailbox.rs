//! Letters from control to a shard.

use std::net::SocketAddr;
use std::sync::Arc;

use crossbeam::channel::Sender;
use crossbeam::queue::ArrayQueue;

use crate::base::limits;
use crate::base::time::Instant;
use crate::gufo::registry::directory::News;
use crate::io::Bell;
use crate::observe::latency::Batch;
use crate::snapshot::Snapshot;
use crate::upstream::health::Health;

use super::Grace;

/// One message. A shard answers on the channel that comes with it, which never makes it wait.
pub enum Letter {
    /// Run this generation from the next exchange on.
    Publish {
        /// The generation.
        snapshot: Arc<Snapshot>,
        /// Told when the shard runs it.
        done: Sender<()>,
    },
    /// Say what time it is: control has no such clock of its own.
    Clock {
        /// Told the time.
        done: Sender<Instant>,
    },
    /// Give away the latencies measured since the last time.
    Latency {
        /// Told the latencies.
        done: Sender<Batch>,
    },
    /// The active checks found that endpoints are in another state.
    Health {
        /// Which, and in what state.
        changes: Vec<HealthChange>,
    },
    /// Keys of tokens were looked for.
    Keys {
        /// What was found.
        news: Vec<KeyNews>,
    },
    /// Modules were asked for that are not there.
    Modules {
        /// Which, and why.
        news: Vec<News>,
    },
    /// The transport of the program has answered.
    Called {
        /// Which call of the shard.
        number: u64,
    },
    /// Stop: finish what is in flight.
    Drain {
        /// How long to wait for it.
        grace: Grace,
    },
}

/// The new state of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthChange {
    /// The name of its upstream.
    pub upstream: String,
    /// Its address.
    pub address: SocketAddr,
    /// Whether it is used.
    pub health: Health,
}

pub use crate::proxy::policy::keys::KeyNews;

/// The shard's end.
pub struct Mailbox {
    letters: Arc<ArrayQueue<Letter>>,
}

/// Control's end.
pub struct Postbox<B> {
    letters: Arc<ArrayQueue<Letter>>,
    bell: B,
}

/// The mailbox is full: the shard has not read it for a while. The letter comes back.
pub struct Full(pub Letter);

/// Both ends of a mailbox for [`limits::LETTERS_MAX`] letters. `bell` wakes the shard.
pub fn mailbox<B: Bell>(bell: B) -> (Postbox<B>, Mailbox) {
    let letters = Arc::new(ArrayQueue::new(limits::LETTERS_MAX));
    (Postbox { letters: Arc::clone(&letters), bell }, Mailbox { letters })
}

impl Mailbox {
    /// The oldest letter.
    pub fn take(&self) -> Option<Letter> {
        self.letters.pop()
    }
}

impl<B: Bell> Postbox<B> {
    /// Posts a letter and wakes the shard.
    pub fn post(&self, letter: Letter) -> Result<(), Full> {
        self.letters.push(letter).map_err(Full)?;
        self.bell.ring();
        Ok(())
    }
}
