//! The answer to a call that is passed through: its head, its DATA and its trailers as they come,
//! none of it looked into.

use crate::io::Io;
use crate::io::buffer::{Buffer, BufferPool};
use crate::protocol::h2::hpack::fields::Fields;
use crate::protocol::h2::{request, response};
use crate::proxy::context::AnswerText;
use crate::proxy::h2::inbox::Inbox;
use crate::proxy::reason::Reason;

use super::stream::{Call, End, GrpcStream};

/// What came and was not taken yet. The windows bound it.
#[derive(Debug, Default)]
pub(super) struct Raw {
    head: Option<Box<AnswerText>>,
    begun: bool,
    inbox: Inbox,
}

impl Raw {
    /// Takes a head, or trailers behind it. False: nobody could read it.
    pub(super) fn fields(&mut self, fields: &Fields, end_stream: bool) -> bool {
        self.inbox.ended |= end_stream;
        if self.begun {
            request::trailers(fields, &mut self.inbox.trailers);
            return true;
        }
        self.begun = true;
        let mut says = Box::<AnswerText>::default();
        let AnswerText { head, text, .. } = &mut *says;
        let made = response::head(fields, end_stream, head, text);
        self.head = Some(says);
        made
    }

    pub(super) fn data(&mut self, data: &[u8], end_stream: bool, buffers: &BufferPool) {
        self.inbox.ended |= end_stream;
        self.inbox.unreleased += u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.inbox.copy(data, buffers);
    }

    /// Bytes that were not released yet.
    pub(super) fn close(&mut self) -> u32 {
        self.inbox.close()
    }

    fn is_ready(&self) -> bool {
        self.head.is_some() || self.inbox.is_ready()
    }
}

impl<I: Io> GrpcStream<I> {
    /// The answer is passed through. To be said before anything else, and before any wait.
    pub(in crate::proxy) fn pass_through(&self) {
        self.call.raw.replace(Some(Raw::default()));
    }

    fn with_raw<T: Default>(&self, look: impl FnOnce(&mut Raw) -> T) -> T {
        self.call.raw.borrow_mut().as_mut().map(look).unwrap_or_default()
    }

    /// The head of the answer, once.
    pub(in crate::proxy) fn take_head(&self) -> Option<Box<AnswerText>> {
        self.with_raw(|raw| raw.head.take())
    }

    /// The next content: a buffer, and that all of what is filled of it is content.
    pub(in crate::proxy) fn take_content(&self) -> Option<Buffer> {
        self.with_raw(|raw| raw.inbox.take()).map(|chunk| chunk.buffer)
    }

    /// The trailers, as lines, once all content was taken and the answer is whole.
    pub(in crate::proxy) fn take_end(&self) -> Option<Vec<u8>> {
        self.with_raw(|raw| raw.inbox.is_over().then(|| std::mem::take(&mut raw.inbox.trailers)))
    }

    /// So many bytes of content have left: the endpoint may send as many again.
    pub(in crate::proxy) fn release(&self, len: usize) {
        let released = self.with_raw(|raw| {
            let len = u32::try_from(len).unwrap_or(u32::MAX).min(raw.inbox.unreleased);
            raw.inbox.unreleased -= len;
            len
        });
        self.connection.release(self.call.id, released);
    }

    /// Whether there is something to take.
    pub(in crate::proxy) fn has_said_more(&self) -> bool {
        self.with_raw(|raw| raw.is_ready())
    }

    /// Nothing more is sent, nor waited for.
    pub(in crate::proxy) fn abandon(&self, reason: Reason) {
        self.call.end(End::Broken(reason));
    }

    /// Why the call is over that was not ended by its answer.
    pub(in crate::proxy) fn why_over(&self) -> Reason {
        self.end_reason()
    }

    /// Waits until there is something to take, or the call is over. May be dropped.
    pub(in crate::proxy) async fn said_more(&self) {
        self.until_call(|call: &Call| {
            call.is_over() || call.raw.borrow().as_ref().is_some_and(Raw::is_ready)
        })
        .await;
    }
}
