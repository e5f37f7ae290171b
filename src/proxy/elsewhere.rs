//! What another thread does for an exchange, because it may wait, or belongs to all shards.

use std::time::Duration;

use crossbeam::channel::bounded;

use crate::io::race::race;
use crate::io::{Bell, Ear, Io};

use super::attempt::LOOK_INTERVAL;
use super::exchange::Exchange;
use super::reason::Reason;

/// Where an exchange is told what it has asked for: one thing after the other.
pub(super) struct Desk<'a, I: Io> {
    pub(super) exchange: &'a Exchange<'a, I>,
    bell: I::Bell,
    ear: I::Ear,
}

impl<'a, I: Io> Desk<'a, I> {
    pub(super) fn new(exchange: &'a Exchange<'a, I>) -> Result<Self, Reason> {
        let (bell, ear) = exchange.cx.io.bell().map_err(|_| Reason::Overloaded)?;
        Ok(Desk { exchange, bell, ear })
    }

    /// Hands `send` what tells the answer, and waits for that. `false`: there is too much to do.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        patience: Duration,
        send: impl FnOnce(Box<dyn FnOnce(T) + Send>) -> bool,
    ) -> Result<T, Reason> {
        let io = &self.exchange.cx.io;
        let (tell, told) = bounded(1);
        let bell = self.bell.clone();
        let answer = Box::new(move |done| {
            // Nobody hears it who has left.
            let _ = tell.try_send(done);
            bell.ring();
        });
        if !send(answer) {
            return Err(Reason::Overloaded);
        }
        let deadline = io.now() + patience;
        loop {
            race(self.ear.listen(), io.sleep_until(io.now() + LOOK_INTERVAL)).await;
            if let Ok(done) = told.try_recv() {
                return Ok(done);
            }
            if io.now() >= deadline {
                return Err(Reason::Overloaded);
            }
            if self.exchange.down.is_gone() {
                return Err(Reason::ClientLeft);
            }
        }
    }
}
