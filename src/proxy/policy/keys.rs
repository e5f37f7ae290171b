//! Keys of tokens, as a shard has them, and the wait for those that it does not have yet.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::Io;
use crate::io::race::race;
use crate::policy::auth::keys::KeySet;
use crate::proxy::context::Context;
use crate::proxy::event::Crowd;
use crate::snapshot::auth::KeySource;

/// Requests of one shard that wait for the keys of one source. Others are told at once that their
/// token is not believed.
const WAITING_MAX: u32 = 1024;

/// What control tells shards of a source.
#[derive(Clone, Debug)]
pub struct KeyNews {
    /// The source.
    pub source: Arc<KeySource>,
    /// Its keys; `None`: there have never been any.
    pub keys: Option<Arc<KeySet>>,
    /// For so long nobody looks again because of a token.
    pub quiet: Duration,
}

/// A shard asks for keys because of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyAsk {
    /// The name of the source.
    pub source: Arc<str>,
    /// Whether it has none at all: then what control has answers it, and no look is needed.
    pub has_none: bool,
}

/// The keys of one source.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) source: KeySource,
    keys: RefCell<Option<Arc<KeySet>>>,
    /// Control was asked, and has not answered yet.
    asked: Cell<bool>,
    /// Until then control would not look.
    quiet_until: Cell<Instant>,
    waiting: Cell<u32>,
    crowd: Crowd,
}

impl Slot {
    pub(super) fn new(source: &KeySource) -> Self {
        Slot {
            keys: RefCell::new(source.place.initial().cloned()),
            source: source.clone(),
            asked: Cell::new(false),
            quiet_until: Cell::new(Instant::START),
            waiting: Cell::new(0),
            crowd: Crowd::default(),
        }
    }

    /// The keys as they are now, for a moment: their count is shared with other shards.
    pub(super) fn with_keys<T>(&self, look: impl FnOnce(Option<&KeySet>) -> T) -> T {
        look(self.keys.borrow().as_deref())
    }

    /// Takes what control tells; says whether the keys are others.
    pub(super) fn set(&self, news: &KeyNews, now: Instant) -> bool {
        self.asked.set(false);
        self.quiet_until.set(now + news.quiet);
        let mut keys = self.keys.borrow_mut();
        let changed = match (&*keys, &news.keys) {
            (Some(old), Some(new)) => !Arc::ptr_eq(old, new),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if changed {
            keys.clone_from(&news.keys);
        }
        drop(keys);
        self.crowd.wake();
        changed
    }

    /// Waits until control has looked for keys because of us; false if that cannot be before the
    /// deadline.
    pub(super) async fn look_again<I: Io>(&self, cx: &Context<I>, deadline: Instant) -> bool {
        let Some(asks) = cx.key_asks.get() else { return false };
        if self.source.place.initial().is_some() || self.waiting.get() >= WAITING_MAX {
            return false;
        }
        let _place = Place::take(&self.waiting);
        let quiet_until = self.quiet_until.get();
        if quiet_until > deadline || cx.io.now() >= deadline {
            return false;
        }
        if quiet_until > cx.io.now() {
            race(self.crowd.wait(), cx.io.sleep_until(quiet_until)).await;
            return true;
        }
        if !self.asked.get() {
            // A full channel is one that control will read soon: the next request asks again.
            let has_none = self.keys.borrow().is_none();
            let ask = KeyAsk { source: Arc::clone(&self.source.name), has_none };
            self.asked.set(asks.try_send(ask).is_ok());
        }
        race(self.crowd.wait(), cx.io.sleep_until(deadline)).await;
        true
    }
}

/// One of those that wait.
struct Place<'a>(&'a Cell<u32>);

impl<'a> Place<'a> {
    fn take(count: &'a Cell<u32>) -> Self {
        count.set(count.get() + 1);
        Place(count)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
