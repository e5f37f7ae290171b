//! The world: runs tasks, lets time pass, tells what went wrong.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::Io;

use super::core::{Core, Event, Shared};
use super::faults::{FaultKind, Faults};
use super::handle::Sim;
use super::pipe::PipeBook;
use super::tasks::Tasks;
use super::trace::Violation;

/// Turns of tasks between two events: more, and somebody runs in circles.
const BUSY_TURNS_MAX: u64 = 2_000_000;
/// Lines of the trace that a failed test prints.
const LINES_PRINTED: usize = 200;

/// A world from a seed. The same seed and the same calls give the same run, to the byte.
///
/// A task that breaks the contract of [`crate::io`] stops the run with a panic, unless
/// [`tolerate_violations`](World::tolerate_violations) was called. When a test fails, dropping its
/// world prints the seed and the end of the trace.
pub struct World {
    shared: Rc<Shared>,
    tasks: Tasks,
    steps: u64,
    tolerant: bool,
}

/// Why a run came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// The moment was reached.
    Reached,
    /// The moment was reached, and nothing will ever happen again by itself.
    Idle,
}

/// What a future waited for did not come about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stuck {
    /// Why.
    pub why: Why,
    /// When.
    pub at: Instant,
    /// Tasks that had not ended.
    pub tasks: usize,
}

/// Reasons of [`Stuck`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// No task was ready and nothing was due.
    Deadlock,
    /// The time allowed was over.
    Limit,
    /// Tasks woke each other without end, and time stood still.
    Circles,
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Deadlock => "nothing is ready and nothing is due",
            Why::Limit => "it did not end in time",
            Why::Circles => "tasks run in circles",
        };
        write!(f, "{why}; {} tasks wait", self.tasks)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Reached,
    Idle,
    Circles,
}

impl World {
    /// A quiet world; see [`set_faults`](World::set_faults).
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let core = RefCell::new(Core::new(seed));
        let shared = Rc::new(Shared { core, spawned: RefCell::default() });
        World { shared, tasks: Tasks::default(), steps: 0, tolerant: false }
    }

    /// A handle for tasks.
    #[must_use]
    pub fn handle(&self) -> Sim {
        Sim::new(&self.shared)
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.core.borrow().seed
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared.core.borrow().now
    }

    /// Changes how bad the world is, from now on. Connections that are open keep what they drew.
    pub fn set_faults(&mut self, faults: Faults) {
        self.shared.core.borrow_mut().faults = faults;
    }

    /// How bad the world is.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.shared.core.borrow().faults.clone()
    }

    /// From now on nothing passes from or to `host`; what is under way is sent again and again.
    pub fn lose_host(&mut self, host: IpAddr) {
        self.shared.core.borrow_mut().lost_hosts.insert(host);
    }

    /// Connects a lost host again.
    pub fn find_host(&mut self, host: IpAddr) {
        self.shared.core.borrow_mut().lost_hosts.remove(&host);
    }

    /// Moves the calendar forward or back; the clock goes on as it was.
    pub fn move_calendar(&mut self, by: Duration, back: bool) {
        self.shared.core.borrow_mut().move_calendar(by, back);
    }

    /// The clock jumps: as long as `by` nobody ran and nothing was carried, as on a machine that
    /// slept. All that was due meanwhile happens at once.
    pub fn jump(&mut self, by: Duration) {
        let mut core = self.shared.core.borrow_mut();
        core.now = core.now + by;
        core.met(FaultKind::ClockJump, 0);
    }

    /// From now on no task of this crew runs, while all else goes on: its thread is not scheduled.
    /// See [`Sim::in_crew`].
    pub fn suspend(&mut self, crew: u32) {
        self.adopt();
        self.tasks.suspend(crew);
        self.shared.core.borrow_mut().met(FaultKind::Suspended, u64::from(crew));
    }

    /// Lets the tasks of a crew run again.
    pub fn resume(&mut self, crew: u32) {
        self.tasks.resume(crew);
    }

    /// Runs until the clock shows `until` and nothing is ready.
    ///
    /// # Panics
    ///
    /// When a task does, when it breaks the contract, or when tasks run in circles.
    pub fn run_until(&mut self, until: Instant) -> Pause {
        let end = self.drive(until, || false);
        assert!(end != End::Circles, "{}", self.stuck(Why::Circles));
        if end == End::Idle { Pause::Idle } else { Pause::Reached }
    }

    /// Runs for so long.
    ///
    /// # Panics
    ///
    /// As [`run_until`](World::run_until).
    pub fn run_for(&mut self, time: Duration) -> Pause {
        self.run_until(self.now() + time)
    }

    /// Runs until `future` has ended, as one of the tasks; no longer than `limit`.
    ///
    /// # Panics
    ///
    /// When a task does, or when it breaks the contract.
    pub fn block_on<T: 'static>(
        &mut self,
        future: impl Future<Output = T> + 'static,
        limit: Duration,
    ) -> Result<T, Stuck> {
        let slot = Rc::new(RefCell::new(None));
        let result = Rc::clone(&slot);
        self.handle().spawn(async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        });
        let until = self.now() + limit;
        let end = self.drive(until, || result.borrow().is_some());
        if let Some(value) = result.take() {
            return Ok(value);
        }
        let why = match end {
            End::Idle => Why::Deadlock,
            End::Circles => Why::Circles,
            End::Done | End::Reached => Why::Limit,
        };
        Err(self.stuck(why))
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.tasks.len() + self.shared.spawned.borrow().len()
    }

    /// Ends of connections that are open.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.shared.core.borrow().sockets
    }

    /// What became of the pipes.
    #[must_use]
    pub fn pipes(&self) -> PipeBook {
        self.shared.core.borrow().pipes
    }

    /// Turns that tasks had.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// From now on broken rules are only booked.
    pub fn tolerate_violations(&mut self) {
        self.tolerant = true;
    }

    /// Rules of the contract that were broken.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.shared.core.borrow().violations.clone()
    }

    /// The last `lines` things that happened, one a line; a few thousand are kept.
    #[must_use]
    pub fn trace(&self, lines: usize) -> String {
        self.shared.core.borrow().trace.text(lines)
    }

    /// A number that two runs share if the same happened in both, from the start.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.shared.core.borrow().trace.digest()
    }

    /// How often each kind of fault took place.
    #[must_use]
    pub fn faults_met(&self) -> Vec<(FaultKind, u64)> {
        self.shared.core.borrow().met_so_far()
    }

    fn drive(&mut self, until: Instant, done: impl Fn() -> bool) -> End {
        let mut busy = 0;
        loop {
            if self.happen() {
                busy = 0;
            }
            self.adopt();
            if done() {
                return End::Done;
            }
            if let Some(id) = self.pick() {
                busy += 1;
                if busy > BUSY_TURNS_MAX {
                    return End::Circles;
                }
                self.turn(id);
                if self.now() > until {
                    return End::Reached;
                }
                continue;
            }
            if self.next_round() {
                continue;
            }
            let mut core = self.shared.core.borrow_mut();
            match core.next_event() {
                Some(at) if at <= until => core.now = at,
                next => {
                    core.now = core.now.max(until);
                    return if next.is_none() { End::Idle } else { End::Reached };
                }
            }
        }
    }

    /// Lets happen what is due. True: there was something.
    fn happen(&mut self) -> bool {
        self.shared.core.borrow_mut().task = 0;
        let mut any = false;
        loop {
            // The core is free again while the event happens: wakers and connections come back to
            // it.
            let due = self.shared.core.borrow_mut().due();
            let Some(event) = due else { return any };
            any = true;
            match event {
                Event::Wake(waker) => waker.wake(),
                Event::Arrive(link, from, retry) => {
                    if let Some(link) = link.upgrade() {
                        link.arrive(&mut self.shared.core.borrow_mut(), from, retry);
                    }
                }
                Event::Strike(link) => {
                    if let Some(link) = link.upgrade() {
                        link.strike(&mut self.shared.core.borrow_mut());
                    }
                }
                Event::GiveUp(link) => {
                    if let Some(link) = link.upgrade() {
                        link.give_up(&mut self.shared.core.borrow_mut());
                    }
                }
            }
        }
    }

    /// Takes in tasks that are new or were woken.
    fn adopt(&mut self) {
        let mut core = self.shared.core.borrow_mut();
        for body in self.shared.spawned.borrow_mut().drain(..) {
            self.tasks.insert(body, &mut core.prng);
        }
        self.tasks.hear(&mut core.prng);
    }

    fn pick(&mut self) -> Option<u64> {
        let mut core = self.shared.core.borrow_mut();
        let core = &mut *core;
        let id = self.tasks.pick(&mut core.prng)?;
        if core.faults.spurious_wake.happens(&mut core.prng)
            && let Some(other) = self.tasks.any(&mut core.prng)
        {
            core.met(FaultKind::SpuriousWake, 0);
            self.tasks.put_back(id);
            return Some(other);
        }
        Some(id)
    }

    /// Begins a round; those that let others go first come in when those have run. False: nobody
    /// is left.
    fn next_round(&mut self) -> bool {
        let ready = self.tasks.turn_round();
        let mut core = self.shared.core.borrow_mut();
        core.round = self.tasks.round();
        let round = core.round;
        let waiting = !core.yielded.is_empty();
        core.yielded.retain(|yielded| {
            if yielded.round > round {
                return true;
            }
            yielded.released.set(true);
            yielded.waker.wake_by_ref();
            false
        });
        ready || waiting
    }

    /// One turn of one task.
    fn turn(&mut self, id: u64) {
        {
            let mut core = self.shared.core.borrow_mut();
            core.task = id;
            core.trace.mix(id);
            let most = super::faults::nanos(core.faults.turn_max);
            if most > 0 {
                let took = Duration::from_nanos(core.prng.below(most));
                core.now = core.now + took;
            }
        }
        if self.tasks.poll(id) {
            self.steps += 1;
        }
        self.check();
    }

    /// Stops at the first broken rule.
    fn check(&self) {
        if !self.tolerant {
            let core = self.shared.core.borrow();
            let first = core.violations.first();
            assert!(first.is_none(), "the contract of io was broken: {}", text(first));
        }
    }

    fn stuck(&self, why: Why) -> Stuck {
        Stuck { why, at: self.now(), tasks: self.tasks() }
    }
}

fn text(violation: Option<&Violation>) -> String {
    violation.map(ToString::to_string).unwrap_or_default()
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World(seed {:#x}, step {}, {} tasks)", self.seed(), self.steps, self.tasks())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nobody may panic a second time now: no destructor of a task runs.
            self.tasks.forget();
            std::mem::forget(std::mem::take(&mut *self.shared.spawned.borrow_mut()));
            let (seed, step) = (self.seed(), self.steps);
            eprintln!("{}seed {seed:#x}, step {step}", self.trace(LINES_PRINTED));
            return;
        }
        self.shared.core.borrow_mut().ended = true;
        self.tasks.clear();
        let spawned = std::mem::take(&mut *self.shared.spawned.borrow_mut());
        drop(spawned);
        let yielded = std::mem::take(&mut self.shared.core.borrow_mut().yielded);
        drop(yielded);
    }
}
