//! Modules that a shard does not know: control is told, and the request waits for an answer.
//!
//! An answer is a new generation that has the module, or a letter that says that there is none. A
//! module that is known costs nothing here.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crossbeam::channel::Sender;

use crate::base::time::Instant;
use crate::gufo::registry::Wanted;
use crate::gufo::registry::directory::{Missing, News, Throttle};
use crate::io::Io;
use crate::io::race::race;

use super::attempt::LOOK_INTERVAL;
use super::event::Crowd;
use super::exchange::Exchange;
use super::reason::Reason;

/// How long control asks for a module (SPEC 8.2), and somewhat more for the way to it and back.
const PATIENCE: Duration = Duration::from_millis(3500);
/// Names that one shard waits for at once.
const NAMES_MAX: usize = 256;
/// Requests of one shard that wait at once.
const WAITING_MAX: u32 = 1024;
/// Names that one shard remembers not to be there.
const GONE_MAX: usize = 1024;
/// Control is told of names by one shard so often ...
const ASK_INTERVAL: Duration = Duration::from_millis(20);
/// ... and of so many at once.
const ASK_BURST: u32 = 128;

/// What one shard waits for.
#[derive(Debug)]
pub struct Seekers {
    /// Where control is told; empty where there is none.
    pub asks: OnceCell<Sender<Wanted>>,
    waits: RefCell<HashMap<Wanted, Rc<Wait>>>,
    /// Why there is no such module, and until when that is believed.
    gone: RefCell<HashMap<Wanted, (Reason, Instant)>>,
    throttle: Cell<Throttle>,
    waiting: Cell<u32>,
}

/// Those who wait for one name.
#[derive(Debug, Default)]
struct Wait {
    /// Why there is none, once that was told.
    said: Cell<Option<Reason>>,
    waiting: Cell<u32>,
    crowd: Crowd,
}

impl Default for Seekers {
    fn default() -> Self {
        Seekers {
            asks: OnceCell::new(),
            waits: RefCell::default(),
            gone: RefCell::default(),
            throttle: Cell::new(Throttle::new(ASK_INTERVAL, ASK_BURST)),
            waiting: Cell::new(0),
        }
    }
}

impl Seekers {
    /// Control tells of names for which there is no module.
    pub fn tell(&self, news: &[News], now: Instant) {
        let mut gone = self.gone.borrow_mut();
        for News { wanted, missing, quiet } in news {
            let reason = reason(*missing);
            if gone.len() >= GONE_MAX {
                gone.retain(|_, (_, until)| now < *until);
            }
            if gone.len() < GONE_MAX && !quiet.is_zero() {
                gone.insert(wanted.clone(), (reason, now + *quiet));
            }
            if let Some(wait) = self.waits.borrow().get(wanted) {
                wait.said.set(Some(reason));
                wait.crowd.wake();
            }
        }
    }

    /// A new generation runs: what is waited for may be in it.
    pub(super) fn published(&self) {
        for wait in self.waits.borrow().values() {
            wait.crowd.wake();
        }
    }

    /// Takes a place among those who wait, and tells control if nobody waits for this yet.
    fn enter(&self, wanted: &Wanted, now: Instant) -> Result<Place<'_>, Reason> {
        let known = self.gone.borrow().get(wanted).copied();
        if let Some((reason, _)) = known.filter(|(_, until)| now < *until) {
            return Err(reason);
        }
        if self.waiting.get() >= WAITING_MAX {
            return Err(Reason::RegistryUnavailable);
        }
        let mut waits = self.waits.borrow_mut();
        let known = waits.get(wanted).map(Rc::clone);
        let wait = if let Some(wait) = known {
            wait
        } else {
            let mut throttle = self.throttle.get();
            let may_ask = waits.len() < NAMES_MAX && throttle.pass(now);
            self.throttle.set(throttle);
            let told = |asks: &Sender<Wanted>| asks.try_send(wanted.clone()).is_ok();
            if !may_ask || !self.asks.get().is_some_and(told) {
                return Err(Reason::RegistryUnavailable);
            }
            let wait = Rc::new(Wait::default());
            waits.insert(wanted.clone(), Rc::clone(&wait));
            wait
        };
        wait.waiting.set(wait.waiting.get() + 1);
        self.waiting.set(self.waiting.get() + 1);
        Ok(Place { seekers: self, wanted: wanted.clone(), wait })
    }
}

/// One of those who wait. The last one to leave closes the door.
struct Place<'a> {
    seekers: &'a Seekers,
    wanted: Wanted,
    wait: Rc<Wait>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Place { seekers, wanted, wait } = self;
        seekers.waiting.set(seekers.waiting.get().saturating_sub(1));
        wait.waiting.set(wait.waiting.get().saturating_sub(1));
        if wait.waiting.get() == 0 {
            seekers.waits.borrow_mut().remove(wanted);
        }
    }
}

fn reason(missing: Missing) -> Reason {
    match missing {
        Missing::Nowhere => Reason::ModuleUnknown,
        Missing::Incomplete => Reason::AddressMissing,
        Missing::Unreachable => Reason::RegistryUnavailable,
    }
}

/// Waits until the shard's generation has the module; the exchange keeps its own.
pub(super) async fn seek<I: Io>(exchange: &Exchange<'_, I>, wanted: &Wanted) -> Result<(), Reason> {
    let cx = exchange.cx;
    let is_here = || match wanted {
        Wanted::Module(name) => cx.tables().snapshot.gufo.find(name.as_bytes()).is_some(),
        Wanted::Session => cx.tables().snapshot.gufo.session_module().is_some(),
    };
    if is_here() {
        return Ok(());
    }
    let begun = cx.io.now();
    let deadline = begun + PATIENCE;
    let place = cx.seekers.enter(wanted, begun)?;
    loop {
        let look = deadline.min(cx.io.lately() + LOOK_INTERVAL);
        race(place.wait.crowd.wait(), cx.io.sleep_until(look)).await;
        if is_here() {
            return Ok(());
        }
        if let Some(reason) = place.wait.said.get() {
            return Err(reason);
        }
        if cx.io.now() >= deadline {
            return Err(Reason::RegistryUnavailable);
        }
        if exchange.down.is_gone() {
            return Err(Reason::ClientLeft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str) -> Wanted {
        Wanted::module(name).unwrap()
    }

    fn at(millis: u64) -> Instant {
        Instant::START + Duration::from_millis(millis)
    }

    #[test]
    fn control_is_told_once_for_all_who_wait_and_of_few_names() {
        let seekers = Seekers::default();
        assert_eq!(seekers.enter(&wanted("a"), at(0)).err(), Some(Reason::RegistryUnavailable));
        let (asks, asked) = crossbeam::channel::unbounded();
        seekers.asks.set(asks).unwrap();
        let places: Vec<_> = (0..5).map(|_| seekers.enter(&wanted("a"), at(1))).collect();
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(asked.len(), 1);
        let names = 0..500;
        let more = names.map(|n| seekers.enter(&wanted(&format!("n{n}")), at(1)));
        let passed = more.flatten().count();
        assert!(passed < 130, "{passed}");
        drop(places);
        assert!(seekers.waits.borrow().is_empty() && seekers.waiting.get() == 0);
    }

    #[test]
    fn what_is_not_there_is_not_asked_for_until_it_may_be() {
        let seekers = Seekers::default();
        let (asks, asked) = crossbeam::channel::unbounded();
        seekers.asks.set(asks).unwrap();
        let place = seekers.enter(&wanted("a"), at(0)).ok().unwrap();
        let (quiet, missing) = (Duration::from_secs(5), Missing::Nowhere);
        seekers.tell(&[News { wanted: wanted("a"), missing, quiet }], at(10));
        assert_eq!(place.wait.said.get(), Some(Reason::ModuleUnknown));
        drop(place);
        assert_eq!(seekers.enter(&wanted("a"), at(20)).err(), Some(Reason::ModuleUnknown));
        assert_eq!(asked.len(), 1);
        assert!(seekers.enter(&wanted("a"), at(6000)).is_ok());
        assert_eq!(asked.len(), 2);
        for n in 0..3000 {
            let wanted = wanted(&format!("n{n}"));
            seekers.tell(&[News { wanted, missing, quiet }], at(6000));
        }
        assert_eq!(seekers.gone.borrow().len(), GONE_MAX);
    }
}
