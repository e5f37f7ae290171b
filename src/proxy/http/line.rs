//! The client's connection while its request and its answer are under way at once: what is written
//! to it comes one after the other, and nothing stands within an answer.

use std::cell::Cell;

use crate::io::Io;
use crate::proxy::body::RequestBody;
use crate::proxy::reason::Reason;
use crate::proxy::turn::{Held, Turn};

/// Who may write to the client. Each direction has something to say: one asks for the body, the
/// other answers.
#[derive(Debug, Default)]
pub(super) struct Line {
    turn: Turn,
    is_answered: Cell<bool>,
}

impl Line {
    /// Asks the client for its body, if it waits for that. Once its answer has begun it is too
    /// late.
    pub(super) async fn ask<I: Io>(&self, body: &mut RequestBody<'_, I>) -> Result<(), Reason> {
        if !body.is_awaited() {
            return Ok(());
        }
        let _turn = self.turn.take().await;
        if self.is_answered.get() {
            body.forgo();
        }
        body.ask().await
    }

    /// Waits until nothing else is being written, and keeps it so.
    pub(super) async fn interrupt(&self) -> Held<'_> {
        self.turn.take().await
    }

    /// The answer begins as soon as nothing else is being written; from now on only it is.
    pub(super) async fn begin_answer(&self) {
        self.is_answered.set(true);
        drop(self.turn.take().await);
    }
}
