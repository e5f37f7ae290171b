//! Bells of a world without threads.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use crate::io::{Bell, Ear};

/// Rung and not heard, and who waits.
#[derive(Debug, Default)]
struct State {
    rung: bool,
    listener: Option<Waker>,
}

/// Implements [`Bell`]. `Send`, because the contract asks for it.
#[derive(Clone, Debug)]
pub struct SimBell {
    state: Arc<Mutex<State>>,
}

/// Implements [`Ear`].
#[derive(Debug)]
pub struct SimEar {
    state: Arc<Mutex<State>>,
}

pub(super) fn pair() -> (SimBell, SimEar) {
    let state = Arc::new(Mutex::new(State::default()));
    (SimBell { state: Arc::clone(&state) }, SimEar { state })
}

impl Bell for SimBell {
    fn ring(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.rung = true;
        if let Some(waker) = state.listener.take() {
            waker.wake();
        }
    }
}

impl Ear for SimEar {
    async fn listen(&self) {
        poll_fn(|cx| {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::take(&mut state.rung) {
                return Poll::Ready(());
            }
            state.listener = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
