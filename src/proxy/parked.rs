//! Connections that wait for their next request, so that a drain can end their wait.

use std::cell::RefCell;

use crate::io::Socket;

/// The sockets of idle connections.
#[derive(Debug)]
pub struct Parked<S> {
    slots: RefCell<Slots<S>>,
}

#[derive(Debug)]
struct Slots<S> {
    sockets: Vec<Option<S>>,
    free: Vec<usize>,
}

impl<S> Default for Parked<S> {
    fn default() -> Self {
        Parked { slots: RefCell::new(Slots { sockets: Vec::new(), free: Vec::new() }) }
    }
}

/// A place among the parked; dropping it leaves.
#[derive(Debug)]
pub struct Place<'a, S> {
    parked: &'a Parked<S>,
    index: usize,
}

impl<S: Clone> Parked<S> {
    /// Parks a connection for as long as the place is held.
    pub fn enter(&self, socket: &S) -> Place<'_, S> {
        let mut slots = self.slots.borrow_mut();
        let index = slots.free.pop().unwrap_or(slots.sockets.len());
        let socket = Some(socket.clone());
        match slots.sockets.get_mut(index) {
            Some(slot) => *slot = socket,
            None => slots.sockets.push(socket),
        }
        Place { parked: self, index }
    }

    /// How many are parked now.
    pub fn len(&self) -> usize {
        let slots = self.slots.borrow();
        slots.sockets.len() - slots.free.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that are parked now.
    pub fn all(&self) -> Vec<S> {
        self.slots.borrow().sockets.iter().flatten().cloned().collect()
    }
}

impl<S: Socket> Parked<S> {
    /// Ends all that are there now, so that nothing of theirs looks whole; how many there were.
    pub fn break_all(&self) -> u32 {
        self.all().iter().for_each(Socket::reset_on_close);
        self.cancel_all()
    }

    /// Ends the wait of all that are parked now; how many there were.
    pub fn cancel_all(&self) -> u32 {
        let sockets = self.all();
        for socket in &sockets {
            socket.cancel();
        }
        u32::try_from(sockets.len()).unwrap_or(u32::MAX)
    }
}

impl<S> Drop for Place<'_, S> {
    fn drop(&mut self) {
        let mut slots = self.parked.slots.borrow_mut();
        if let Some(slot) = slots.sockets.get_mut(self.index) {
            *slot = None;
            slots.free.push(self.index);
        }
    }
}
