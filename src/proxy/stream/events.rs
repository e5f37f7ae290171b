//! A stream as events: each message is one, and leaves at once (SPEC 6.3).

use std::rc::Rc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::gufo::events::{HEARTBEAT, put_event};
use crate::gufo::reply::Reply as Answer;
use crate::io::Io;
use crate::proxy::attempt::LOOK_INTERVAL;
use crate::proxy::exchange::{Exchange, Target};
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::proxy::reply::Reply;
use crate::proxy::respond::Answered;

use super::answers::{Answers, Next, read};
use super::writer::Writer;

/// A service that has said nothing for so long has taken the call: the client is told so.
const BEGIN_AFTER: Duration = Duration::from_secs(1);
/// Without an event for so long, a comment is sent.
const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);

const FIELDS: &[u8] =
    b"content-type: text/event-stream\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n";

/// Delivers events as they come. An error: nothing was said to the client yet.
pub(super) async fn relay<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    answers: &mut Answers<'_, I>,
    record: &mut Record,
) -> Result<Answered, Reason> {
    let mut events = Events { exchange, target, writer: None, moved: exchange.cx.io.now() };
    let result = events.run(answers, record).await;
    match (result, events.writer) {
        (Ok(Some(reply)), _) => Ok(Answered::Here(reply)),
        (Err(reason), None) => Err(reason),
        (Err(reason), Some(writer)) => Ok(Answered::Delivered(writer.delivered(Some(reason)))),
        (Ok(None), Some(writer)) => Ok(Answered::Delivered(writer.delivered(None))),
        (Ok(None), None) => Err(Reason::Bug),
    }
}

struct Events<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    target: &'a Target<'a>,
    /// The answer, once it has begun.
    writer: Option<Writer<'a, I>>,
    /// When something was sent last.
    moved: Instant,
}

impl<'a, I: Io> Events<'a, I> {
    /// Relays to the end; or gives an answer as of any call, if the service refuses.
    async fn run(
        &mut self,
        answers: &mut Answers<'_, I>,
        record: &mut Record,
    ) -> Result<Option<Reply>, Reason> {
        let cx = self.exchange.cx;
        let mut values = Answer::new();
        let mut event = Vec::new();
        let mut deadline = self.moved + self.target.module.stream_timeout;
        loop {
            if self.writer.as_ref().is_some_and(Writer::is_bare) {
                return self.finish().await.map(|()| None); // The head was all that was asked for.
            }
            let Some(next) = answers.next_until(cx.io.now() + LOOK_INTERVAL, deadline).await?
            else {
                if cx.is_draining() {
                    return self.finish().await.map(|()| None);
                }
                self.pause().await?;
                continue;
            };
            let Next::Message(message) = next else {
                return self.finish().await.map(|()| None);
            };
            deadline = cx.io.now() + self.target.module.stream_timeout;
            record.upstream_answered.get_or_insert(cx.io.now());
            let said = read(&message)?;
            values.clear();
            let merged = said.merge(&message, self.target.module.dialect, &mut values);
            merged.map_err(|_| Reason::AnswerMalformed)?;
            match (values.status(), &self.writer) {
                (200, _) => {}
                (_, None) => {
                    let session = self.exchange.session.get().map(Rc::as_ref);
                    return Reply::answer(&values, session, self.exchange.time).map(Some);
                }
                (400.., Some(_)) => return Err(Reason::UpstreamEndedEarly),
                _ => {}
            }
            if said.is_end() {
                return self.finish().await.map(|()| None);
            }
            event.clear();
            let made = put_event(&mut event, &said, &values);
            if made.map_err(|_| Reason::AnswerMalformed)? {
                self.write(&event).await?;
            }
        }
    }

    fn begun(&mut self) -> &mut Writer<'a, I> {
        let exchange = self.exchange;
        self.writer.get_or_insert_with(|| {
            Writer::begin(exchange, 200, None, |own| own.extend_from_slice(FIELDS))
        })
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        let writer = self.begun();
        if !writer.is_bare() {
            writer.write(bytes).await?;
        }
        self.moved = self.exchange.cx.io.now();
        Ok(())
    }

    /// Nothing has come for a while.
    async fn pause(&mut self) -> Result<(), Reason> {
        if self.exchange.down.is_gone() {
            return Err(Reason::ClientLeft);
        }
        let quiet = self.exchange.cx.io.now() - self.moved;
        if self.writer.is_none() && quiet >= BEGIN_AFTER {
            self.begun().send_head().await?;
        } else if self.writer.is_some() && quiet >= HEARTBEAT_AFTER {
            self.write(HEARTBEAT).await?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Reason> {
        self.begun().finish().await
    }
}
