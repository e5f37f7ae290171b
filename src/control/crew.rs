//! Threads that wait for peers, as many as were ever needed at once, within a bound.

use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded};

/// Of one of these threads: address space, of which it touches little.
const STACK_BYTES: usize = 512 * 1024;

/// Runs jobs, each of which ends with an event. Its threads end when it is dropped.
pub(super) struct Crew<J, E> {
    name: &'static str,
    max: usize,
    jobs: Sender<J>,
    queue: Receiver<J>,
    events: Sender<E>,
    work: Arc<dyn Fn(J) -> E + Send + Sync>,
    running: usize,
    threads: usize,
}

impl<J: Send + 'static, E: Send + 'static> Crew<J, E> {
    /// At most `max` threads. `work` must not panic: its event would be missed.
    pub(super) fn new(
        name: &'static str,
        max: usize,
        events: Sender<E>,
        work: impl Fn(J) -> E + Send + Sync + 'static,
    ) -> Self {
        let (jobs, queue) = bounded(max);
        Crew { name, max, jobs, queue, events, work: Arc::new(work), running: 0, threads: 0 }
    }

    /// How many more jobs may begin.
    pub(super) fn room(&self) -> usize {
        self.max.saturating_sub(self.running)
    }

    /// Begins a job, for which there must be room. Gives it back if not one thread can be had.
    pub(super) fn give(&mut self, job: J) -> Result<(), J> {
        self.running += 1;
        if self.running > self.threads && self.hire().is_ok() {
            self.threads += 1;
        }
        if self.threads == 0 {
            return Err(job);
        }
        self.jobs.try_send(job).map_err(crossbeam::channel::TrySendError::into_inner)
    }

    /// The event of a job has come, or the job was given back.
    pub(super) fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    fn hire(&self) -> std::io::Result<()> {
        let (queue, events, work) =
            (self.queue.clone(), self.events.clone(), Arc::clone(&self.work));
        let run = move || {
            while let Ok(job) = queue.recv() {
                if events.send(work(job)).is_err() {
                    return;
                }
            }
        };
        let builder = std::thread::Builder::new().name(self.name.to_owned());
        builder.stack_size(STACK_BYTES).spawn(run).map(|_| ())
    }
}
