//! What services saw, in order, for tests that wait for it.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use otus::proto::reverse::Request;

/// Longer than anything that is waited for takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What a test must show to come of itself comes within this: far longer than any time-out that a
/// test sets, on a machine that has much else to do, and far shorter than those that it leaves.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// Something that happened at a service.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A unary call came.
    Do(Box<Request>),
    /// The first message of an upload came.
    Begun(Box<Request>),
    /// An upload came to its end.
    Stored(Upload),
    /// A call ended before the service was done with it; so many bytes of files had come.
    Left(u64),
    /// A misbehaving peer has done what it does.
    Rude,
}

/// An upload as the service received it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Upload {
    pub(crate) files: Vec<File>,
    /// Markers in their order: `start`, `end`, and `empty` for a chunk without data.
    pub(crate) marks: Vec<String>,
    /// Bytes of the largest chunk.
    pub(crate) chunk_max: usize,
}

/// One file of an upload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) bytes: usize,
    pub(crate) sha256: String,
}

/// Events of one service; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal {
    shared: Arc<(Mutex<Vec<Event>>, Condvar)>,
}

impl Journal {
    /// Writes an event down.
    pub(crate) fn push(&self, event: Event) {
        let (events, changed) = &*self.shared;
        events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        changed.notify_all();
    }

    /// How many events there are: those before it are the past.
    pub(crate) fn mark(&self) -> usize {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All events from `mark` on.
    pub(crate) fn since(&self, mark: usize) -> Vec<Event> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)[mark..].to_vec()
    }

    /// Waits for `count` events from `mark` on of which `pick` makes something.
    #[track_caller]
    pub(crate) fn wait_for<T>(
        &self,
        mark: usize,
        count: usize,
        pick: impl Fn(&Event) -> Option<T>,
    ) -> Vec<T> {
        let (events, changed) = &*self.shared;
        let end = Instant::now() + PATIENCE;
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let found: Vec<T> = events[mark..].iter().filter_map(&pick).collect();
            if found.len() >= count {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain; events: {}", brief(&events[mark..]));
            events = changed.wait_timeout(events, left).unwrap().0;
        }
    }

    /// Waits for the first message of an upload.
    #[track_caller]
    pub(crate) fn begun(&self, mark: usize) -> Request {
        let pick = |event: &Event| match event {
            Event::Begun(request) => Some((**request).clone()),
            _ => None,
        };
        self.wait_for(mark, 1, pick).swap_remove(0)
    }

    /// Waits for a unary call.
    #[track_caller]
    pub(crate) fn called(&self, mark: usize) -> Request {
        let pick = |event: &Event| match event {
            Event::Do(request) => Some((**request).clone()),
            _ => None,
        };
        self.wait_for(mark, 1, pick).swap_remove(0)
    }

    /// Waits for an upload that was stored.
    #[track_caller]
    pub(crate) fn stored(&self, mark: usize) -> Upload {
        let pick = |event: &Event| match event {
            Event::Stored(upload) => Some(upload.clone()),
            _ => None,
        };
        self.wait_for(mark, 1, pick).swap_remove(0)
    }

    /// Waits until a call was cancelled; how many bytes had come.
    #[track_caller]
    pub(crate) fn left(&self, mark: usize) -> u64 {
        let pick = |event: &Event| match event {
            Event::Left(bytes) => Some(*bytes),
            _ => None,
        };
        self.wait_for(mark, 1, pick).swap_remove(0)
    }
}

fn brief(events: &[Event]) -> String {
    let text = events.iter().map(|event| match event {
        Event::Do(_) => "do".to_owned(),
        Event::Begun(_) => "begun".to_owned(),
        other => format!("{other:?}"),
    });
    text.collect::<Vec<_>>().join(", ")
}

/// Asks until `what` gives something.
#[track_caller]
pub(crate) fn eventually<T>(wanted: &str, mut what: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain: {wanted}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
