//! The thread that makes the metrics page which is open to all at the clients' port.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::observe::latency::Batch;
use crate::snapshot::Snapshot;
use crate::snapshot::observe::PageAsk;

use super::state::State;

/// Clients that wait; more are told that there is too much to do.
const ASKS_MAX: usize = 64;
/// Whoever asks in between gets the same page: what anybody may ask for is not made for each.
const KEPT: Duration = Duration::from_secs(1);

/// Where the page is asked for; nowhere unless the first configuration has it open.
pub(super) struct Pages {
    ends: Option<(Sender<PageAsk>, Receiver<PageAsk>)>,
}

impl Pages {
    /// Those of the first generation.
    pub(super) fn of(snapshot: &mut Snapshot) -> Self {
        let is_open = snapshot.observe.open_metrics.is_some();
        Pages { ends: is_open.then(|| bounded(ASKS_MAX)) }
    }

    /// Gives a generation that has the page open somebody to ask.
    pub(super) fn attend(&self, snapshot: &mut Snapshot) {
        if let Some(open) = &mut snapshot.observe.open_metrics {
            open.asks = self.ends.as_ref().map(|(asks, _)| asks.clone());
        }
    }

    /// Starts the thread.
    pub(super) fn start(
        &self,
        state: &Arc<State>,
        latency: impl Fn() -> Vec<Batch> + Send + 'static,
    ) -> Result<(), String> {
        let Some((_, asked)) = self.ends.clone() else { return Ok(()) };
        let state = Arc::clone(state);
        let run = move || {
            let mut kept: Option<(Instant, Arc<str>)> = None;
            while let Ok(PageAsk { answer }) = asked.recv() {
                let fresh = kept.take().filter(|(made, _)| made.elapsed() < KEPT);
                let (made, page) = fresh
                    .unwrap_or_else(|| (Instant::now(), state.open_metrics(&latency()).into()));
                answer(Arc::clone(&page));
                kept = Some((made, page));
            }
        };
        let spawned = std::thread::Builder::new().name("otus-pages".to_owned()).spawn(run);
        spawned.map(|_| ()).map_err(|error| format!("no thread for metrics: {error}"))
    }
}
