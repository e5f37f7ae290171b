//! One attempt: a request and its answer on one connection, each in its own direction.

use std::cell::Cell;

use crate::base::limits;
use crate::base::time::Instant;
use crate::io::gather::Gather;
use crate::io::race::join;
use crate::io::{Io, Socket};
use crate::protocol::upgrade::Upgrade;
use crate::proxy::body::RequestBody;
use crate::proxy::context::SocketOf;
use crate::proxy::event::Event;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;

use super::body::{self, Sent};
use super::line::Line;
use super::patience::Patience;
use super::response::{self, Delivered};

/// What both directions know.
pub(super) struct Flow<'a, I: Io> {
    pub(super) exchange: &'a Exchange<'a, I>,
    pub(super) endpoint: &'a SocketOf<I>,
    pub(super) patience: Patience,
    /// What the connection may become.
    pub(super) upgrade: Option<Upgrade<'a>>,
    /// When some of the request left last.
    pub(super) moved: Cell<Instant>,
    /// When the request had left whole.
    sent: Cell<Option<Instant>>,
    /// When the endpoint took no more of the request. Perhaps it has said why.
    refused: Cell<Option<Instant>>,
    /// Why the request will never be whole.
    failed: Cell<Option<Reason>>,
    /// Raised when nothing more of the request is wanted.
    pub(super) stop: Event,
    /// Who may write to the client.
    pub(super) line: Line,
}

/// Nothing of an answer has reached the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    /// Not one byte came from the endpoint.
    pub(super) silent: bool,
}

impl<'a, I: Io> Flow<'a, I> {
    pub(super) fn new(
        exchange: &'a Exchange<'a, I>,
        endpoint: &'a SocketOf<I>,
        patience: Patience,
        upgrade: Option<Upgrade<'a>>,
    ) -> Self {
        Flow {
            exchange,
            endpoint,
            patience,
            upgrade,
            moved: Cell::new(Instant::START),
            sent: Cell::new(None),
            refused: Cell::new(None),
            failed: Cell::new(None),
            stop: Event::default(),
            line: Line::default(),
        }
    }

    /// Whether the endpoint has all of the request.
    pub(super) fn is_sent(&self) -> bool {
        self.sent.get().is_some()
    }

    /// When the endpoint had all of the request.
    pub(super) fn sent_at(&self) -> Option<Instant> {
        self.sent.get()
    }

    /// By when the head of the answer has to be there.
    pub(super) fn answer_deadline(&self) -> Instant {
        match (self.sent.get(), self.refused.get()) {
            (Some(sent), _) => self.patience.first_byte(sent),
            (None, Some(refused)) => self.patience.end().min(refused + limits::ENDING_TIMEOUT),
            (None, None) => self.patience.end(),
        }
    }

    /// Sends `out` and the body, and delivers the answer.
    pub(super) async fn run(
        &self,
        body: &mut RequestBody<'_, I>,
        out: Gather,
        record: &mut Record,
    ) -> Result<Delivered, Failure> {
        if body.is_here() {
            // The usual case: all leaves at once, and then there is only the answer to wait for.
            self.send(body, out).await;
            let answered = self.answer(record).await;
            return self.settle(answered);
        }
        // Boxed: its state is large, and most requests have no body that is still on its way.
        Box::pin(self.run_both(body, out, record)).await
    }

    /// Both directions at once: an endpoint may answer at any time, and go on reading or not.
    async fn run_both(
        &self,
        body: &mut RequestBody<'_, I>,
        out: Gather,
        record: &mut Record,
    ) -> Result<Delivered, Failure> {
        let down = async {
            let answered = self.answer(record).await;
            self.stop.raise();
            if !self.is_sent() {
                self.endpoint.cancel(); // Ends a write that the endpoint does not take.
            }
            answered
        };
        let ((), answered) = join(self.send(body, out), down).await;
        self.settle(answered)
    }

    async fn send(&self, body: &mut RequestBody<'_, I>, out: Gather) {
        let sent = body::send(self, body, out).await;
        let now = self.exchange.cx.io.now();
        match sent {
            Ok(Sent::Whole) => self.sent.set(Some(now)),
            Ok(Sent::Stopped) => {}
            Err(Reason::UpstreamReset) => self.refused.set(Some(now)),
            Err(reason) => {
                self.failed.set(Some(reason));
                self.endpoint.cancel();
            }
        }
    }

    async fn answer(&self, record: &mut Record) -> Result<Delivered, Failure> {
        let answer = response::read_head(self).await?;
        record.upstream_answered = Some(self.exchange.cx.io.now());
        if answer.is_refusal() && !self.is_sent() {
            self.stop.raise();
        }
        response::deliver(self, answer).await
    }

    /// What went wrong with the request explains what went wrong with the answer.
    fn settle(&self, answered: Result<Delivered, Failure>) -> Result<Delivered, Failure> {
        let Some(reason) = self.failed.get() else { return answered };
        match answered {
            Ok(delivered) if delivered.cut.is_some() => {
                Ok(Delivered { cut: Some(reason), ..delivered })
            }
            Ok(delivered) => Ok(delivered),
            Err(failure) => Err(Failure { reason, ..failure }),
        }
    }
}
