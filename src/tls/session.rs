//! A connection whose bytes are sealed, with the calls of one whose bytes are not.
//!
//! Nothing is held while it waits but the beginning of a record that has not come whole. What is
//! read is read without waiting, so that a wait may be dropped, and a buffer is taken only for
//! bytes that are there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use crate::base::limits::RECORD_BUFFER_BYTES;
use crate::base::time::Instant;
use crate::io::buffer::{Buffer, BufferPool};
use crate::io::gather::Gather;
use crate::io::{IoError, Socket};

use super::engine::{Broken, Engine, Opened};
use super::handshake::Protocol;

/// See the head of this file.
pub struct Session<S: Socket> {
    pub(super) socket: S,
    engine: RefCell<Engine>,
    pool: BufferPool,
    /// A write is under way: no other bytes may come between its records.
    writing: Cell<bool>,
    /// What was sent ends within a record, or must not look complete.
    cut: Cell<bool>,
    said_goodbye: Cell<bool>,
}

/// A write that is under way.
struct Writing<'a>(&'a Cell<bool>);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

impl<S: Socket> Session<S> {
    pub(super) fn new(socket: S, engine: Engine, pool: BufferPool) -> Rc<Self> {
        Rc::new(Session {
            socket,
            engine: RefCell::new(engine),
            pool,
            writing: Cell::new(false),
            cut: Cell::new(false),
            said_goodbye: Cell::new(false),
        })
    }

    pub(super) fn protocol(&self) -> Option<Protocol> {
        self.engine.borrow().facts(|facts| Protocol::of(facts.alpn_protocol()))
    }

    pub(super) fn peer_certificate(&self) -> Option<Vec<u8>> {
        let engine = self.engine.borrow();
        engine.facts(|facts| Some(facts.peer_certificates()?.first()?.as_ref().to_vec()))
    }

    pub(super) fn is_resumed(&self) -> bool {
        let kind = self.engine.borrow().facts(rustls::CommonState::handshake_kind);
        kind == Some(rustls::HandshakeKind::Resumed)
    }

    /// Goes on with the handshake as far as what has come allows.
    pub(super) fn advance(&self) -> Result<Opened, Broken> {
        self.engine.borrow_mut().open()
    }

    /// Whether the peer's certificate was what ended the handshake.
    pub(super) fn is_distrusted(&self) -> bool {
        self.engine.borrow().is_distrusted()
    }

    /// Whether the peer has ended the connection with an alert.
    pub(super) fn is_alerted(&self) -> bool {
        self.engine.borrow().is_alerted()
    }

    /// Whether the handshake is over.
    pub(super) fn is_ready(&self) -> bool {
        !self.engine.borrow().is_handshaking()
    }

    /// Waits for more of a handshake. Nothing but the beginning of a message is held meanwhile.
    pub(super) async fn receive_handshake(&self, deadline: Instant) -> Result<(), IoError> {
        loop {
            match self.receive(false) {
                Some(result) => return result,
                None => self.socket.stirred(deadline).await?,
            }
        }
    }

    /// Takes what has come; `Some` once there is something to say to a reader.
    fn receive(&self, large: bool) -> Option<Result<(), IoError>> {
        let buffer = if large { self.pool.body() } else { self.pool.record() };
        let mut engine = self.engine.borrow_mut();
        let (came, buffer) = self.read_sealed(&mut engine, buffer);
        if came == Some(Ok(())) {
            engine.feed(buffer);
        }
        came
    }

    /// Takes what has come behind what `buffer` holds, which has room for more than a record, and
    /// opens it there.
    fn receive_behind(&self, buffer: Buffer) -> (Option<Result<(), IoError>>, Buffer) {
        let kept = buffer.len();
        let mut engine = self.engine.borrow_mut();
        let (came, mut buffer) = self.read_sealed(&mut engine, buffer);
        if came != Some(Ok(())) {
            buffer.truncate(kept);
            return (came, buffer);
        }
        let Some(buffer) = engine.open_behind(buffer, kept, &self.pool) else {
            engine.break_off();
            return (Some(Err(IoError::Reset)), self.pool.record());
        };
        (came, buffer)
    }

    /// Reads behind what `buffer` holds and what is left of what came before. Nothing but the end
    /// of the buffer is changed.
    fn read_sealed(
        &self,
        engine: &mut Engine,
        mut buffer: Buffer,
    ) -> (Option<Result<(), IoError>>, Buffer) {
        if !engine.lead(&mut buffer) {
            engine.break_off();
            return (Some(Err(IoError::Reset)), buffer);
        }
        let came = match self.socket.try_read(&mut buffer) {
            // An end that the peer did not seal may be anybody's: what came may be a part.
            Some(Ok(0)) => {
                engine.break_off();
                Some(Err(IoError::Reset))
            }
            other => other.map(|read| read.map(drop)),
        };
        (came, buffer)
    }

    /// Whether a read would not wait. Opens what has come.
    fn is_readable(&self) -> bool {
        loop {
            let opened = self.engine.borrow_mut().open();
            match opened {
                Ok(Opened::NeedMore) => {}
                Ok(_) | Err(_) => return true,
            }
            match self.receive(false) {
                None => {
                    self.answer();
                    return false;
                }
                Some(Ok(())) => {}
                Some(Err(_)) => return true,
            }
        }
    }

    pub(super) async fn readable(&self, deadline: Instant) -> Result<(), IoError> {
        loop {
            let opened = self.engine.borrow_mut().open();
            if opened != Ok(Opened::NeedMore) {
                return Ok(());
            }
            self.socket.stirred(deadline).await?;
            if self.is_readable() {
                return Ok(());
            }
        }
    }

    /// The same for who takes a body: what comes is received in large pieces, and waits in the
    /// buffer that it was received into.
    pub(super) async fn body_readable(&self, deadline: Instant) -> Result<(), IoError> {
        loop {
            let opened = self.engine.borrow_mut().open();
            if opened != Ok(Opened::NeedMore) {
                return Ok(());
            }
            // More may have come: to find out by taking it costs a call less than to ask first.
            match self.receive(true) {
                None => {
                    self.answer();
                    self.engine.borrow_mut().shed(&self.pool);
                    self.socket.stirred(deadline).await?;
                }
                Some(Ok(())) => {}
                Some(Err(_)) => return Ok(()),
            }
        }
    }

    /// Gives the buffer away that payload lies in, and appends where in it; `None`: there is none.
    pub(super) fn take_opened(&self, ranges: &mut VecDeque<Range<usize>>) -> Option<Buffer> {
        self.engine.borrow_mut().take(ranges, &self.pool)
    }

    pub(super) async fn read(
        &self,
        mut buffer: Buffer,
        deadline: Instant,
    ) -> (Result<usize, IoError>, Buffer) {
        let before = buffer.len();
        let mut cause = IoError::Reset;
        loop {
            let opened = self.open_into(&mut buffer);
            match opened {
                Ok(Opened::Bytes(_)) => break,
                Ok(Opened::End) => return (Ok(0), buffer),
                Ok(Opened::NeedMore) => {}
                Err(_) => {
                    self.answer();
                    return (Err(cause), buffer);
                }
            }
            let came;
            (came, buffer) = if buffer.room() > RECORD_BUFFER_BYTES {
                self.receive_behind(buffer)
            } else {
                (self.receive(false), buffer)
            };
            match came {
                Some(Ok(())) if buffer.len() > before => {
                    return (Ok(buffer.len() - before), buffer);
                }
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    cause = error;
                    self.engine.borrow_mut().break_off();
                }
                None => {
                    self.answer();
                    if let Err(error) = self.socket.stirred(deadline).await {
                        return (Err(error), buffer);
                    }
                }
            }
        }
        // A body is read in large pieces; what comes first is often the rest of one record.
        if buffer.room() > RECORD_BUFFER_BYTES && buffer.len() - before >= RECORD_BUFFER_BYTES / 2 {
            (_, buffer) = self.receive_behind(buffer);
        }
        self.engine.borrow_mut().shed(&self.pool);
        (Ok(buffer.len() - before), buffer)
    }

    /// Opens what has come, and copies what lies ready into `buffer`.
    fn open_into(&self, buffer: &mut Buffer) -> Result<Opened, Broken> {
        let mut engine = self.engine.borrow_mut();
        match engine.open()? {
            Opened::Bytes(_) => Ok(Opened::Bytes(engine.fetch(buffer))),
            other => Ok(other),
        }
    }

    pub(super) fn try_read(&self, buffer: &mut Buffer) -> Option<Result<usize, IoError>> {
        if !self.is_readable() {
            return None;
        }
        match self.open_into(buffer) {
            Ok(Opened::Bytes(len)) => Some(Ok(len)),
            Ok(Opened::End) => Some(Ok(0)),
            Ok(Opened::NeedMore) => None,
            Err(_) => Some(Err(IoError::Reset)),
        }
    }

    pub(super) async fn write(
        &self,
        out: Gather,
        deadline: Instant,
    ) -> (Result<(), IoError>, Gather) {
        if self.cut.get() || self.said_goodbye.get() {
            return (Err(IoError::Closed), out);
        }
        self.writing.set(true);
        let _writing = Writing(&self.writing);
        let mut done = 0;
        let large = out.len() > RECORD_BUFFER_BYTES / 2;
        while done < out.len() {
            let mut records = if large { self.pool.large() } else { self.pool.record() };
            let sealed = self.engine.borrow_mut().seal(&out, &mut done, &mut records, &self.pool);
            if sealed.is_err() || records.is_empty() {
                self.cut.set(true);
                return (Err(IoError::Closed), out);
            }
            if let Err(error) = self.send(records, deadline).await {
                return (Err(error), out);
            }
        }
        (Ok(()), out)
    }

    /// Sends what waits: the end of a handshake.
    pub(super) async fn flush(&self, deadline: Instant) -> Result<(), IoError> {
        while self.engine.borrow().has_queued() {
            let mut records = self.pool.record();
            self.engine.borrow_mut().unqueue(&mut records);
            self.send(records, deadline).await?;
        }
        Ok(())
    }

    async fn send(&self, records: Buffer, deadline: Instant) -> Result<(), IoError> {
        let range = records.position()..records.position() + records.len();
        let mut sealed = Gather::new();
        sealed.set_payload(records);
        sealed.push_payload(range);
        let (result, _) = self.socket.write(sealed, deadline).await;
        if result.is_err() {
            self.cut.set(true);
        }
        result
    }

    /// Sends what is owed to the peer (alerts, answers to messages about keys) if that can be done
    /// without waiting. What cannot leaves with the next write.
    fn answer(&self) {
        let mut engine = self.engine.borrow_mut();
        if !engine.has_queued() || self.writing.get() || self.cut.get() {
            return;
        }
        let mut records = self.pool.record();
        engine.unqueue(&mut records);
        match self.socket.try_write(records.filled()) {
            Ok(len) if len == records.len() => {}
            // It has no room for a few bytes: this connection is beyond politeness.
            _ => self.cut.set(true),
        }
    }

    /// Says that nothing more comes, if that can still be said.
    fn say_goodbye(&self) {
        if self.cut.get() || self.writing.get() || self.said_goodbye.replace(true) {
            return;
        }
        self.engine.borrow_mut().say_goodbye();
        self.answer();
    }

    pub(super) fn shutdown_write(&self) {
        self.say_goodbye();
        self.socket.shutdown_write();
    }

    pub(super) fn reset_on_close(&self) {
        self.cut.set(true);
        self.socket.reset_on_close();
    }

    pub(super) fn is_quiet(&self) -> bool {
        let opened = self.engine.borrow_mut().open();
        if opened != Ok(Opened::NeedMore) {
            return false;
        }
        // Tickets for later connections may come at any time, and mean nothing to a reader.
        self.socket.is_quiet() || (!self.is_readable() && self.socket.is_quiet())
    }
}

impl<S: Socket> Drop for Session<S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // A second panic would end the process.
        }
        // Without it the last bytes could have been cut off by anybody.
        self.say_goodbye();
    }
}
