//! Frames about the connection and its streams: SETTINGS, PING, GOAWAY, `WINDOW_UPDATE`,
//! `RST_STREAM` and PRIORITY (RFC 9113 §6.3 to §6.9).

use super::config::Role;
use super::engine::{Absent, Connection, TableUpdate, broken, count, wrong_size};
use super::event::{ConnectionError, Event, Fault};
use super::headers::depends_on;
use crate::base::time::Instant;
use crate::protocol::h2::flood::Flood;
use crate::protocol::h2::frame::{self, ACK, ErrorCode, FrameHead, StreamId, be_u32};
use crate::protocol::h2::settings::SettingsError;
use crate::protocol::h2::stream::{Ended, Half};

/// Window updates below this count as small: a peer that reads in such steps makes us write in
/// them.
const SMALL_WINDOW: u32 = 1024;

impl Connection {
    /// The peer's SETTINGS (§6.5).
    pub(super) fn settings(&mut self, payload: &[u8], now: Instant) -> Result<(), ConnectionError> {
        count(&mut self.counters.settings, self.config.floods.settings, now, Flood::Settings)?;
        let before = self.theirs;
        self.theirs.apply(payload).map_err(|error| match error {
            SettingsError::Length => wrong_size(),
            SettingsError::Window => flow_error(),
            SettingsError::Value => broken(Fault::SettingsValue),
        })?;
        // §6.5.2: a server must not ask for pushes.
        if self.role == Role::Client && asks_for_push(payload) {
            return Err(broken(Fault::SettingsValue));
        }
        if self.theirs.header_table < 4096 && self.table_update == TableUpdate::NotNeeded {
            self.table_update = TableUpdate::Due;
        }
        let delta = i64::from(self.theirs.initial_window) - i64::from(before.initial_window);
        if delta != 0 {
            for stream in self.streams.each_mut() {
                // §6.9.2: a window that becomes too large is an error of the connection.
                stream.send_window.adjust(delta).map_err(|_| flow_error())?;
            }
        }
        self.theirs_seen = true;
        self.reply(frame::write_settings_ack);
        self.pending.push_back(Event::SettingsApplied);
        if delta > 0 {
            self.pending.push_back(Event::Writable { id: None });
        }
        Ok(())
    }

    /// The peer acknowledged our SETTINGS (§6.5.3).
    pub(super) fn settings_acknowledged(&mut self) -> Result<(), ConnectionError> {
        let Some(before) = self.unacknowledged.take() else {
            return Err(broken(Fault::SettingsAck));
        };
        self.decoder.set_limit(self.ours.header_table);
        let delta = i64::from(self.ours.initial_window) - i64::from(before);
        // Larger windows were granted at once, and so were those of the first SETTINGS.
        if delta < 0 {
            self.adjust_windows(delta);
        }
        self.pending.push_back(Event::SettingsAcknowledged);
        Ok(())
    }

    /// PING, or the echo of ours (§6.7).
    pub(super) fn ping_received(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let payload = *payload.first_chunk::<8>().ok_or(wrong_size())?;
        if head.has(ACK) {
            if !self.echo(payload) {
                self.pending.push_back(Event::Pong { payload });
            }
            return Ok(());
        }
        self.heard_more();
        count(&mut self.counters.pings, self.config.floods.pings, now, Flood::Pings)?;
        self.reply(|out| frame::write_ping(out, payload, true));
        Ok(())
    }

    /// GOAWAY (§6.8). Streams above its last one were not acted on: they can be tried elsewhere.
    pub(super) fn go_away_received(&mut self, payload: &[u8]) {
        let last = be_u32(payload).unwrap_or(0) & StreamId::MAX.0;
        let code = ErrorCode(payload.get(4..).and_then(be_u32).unwrap_or(0));
        // It may come again with a smaller number, never with a larger one.
        let last = self.going_away.map_or(last, |before| before.min(last));
        self.going_away = Some(last);
        self.pending.push_back(Event::GoAway { last: StreamId(last), code });
        if self.role == Role::Server {
            return;
        }
        while let Some(id) = self.streams.first_above(last) {
            self.streams.end(id, Ended::ByPeer);
            let code = ErrorCode::REFUSED_STREAM;
            self.pending.push_back(Event::Reset { id: StreamId(id), code, by_peer: true });
        }
    }

    /// `WINDOW_UPDATE` (§6.9).
    pub(super) fn window_update(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let increment = be_u32(payload).unwrap_or(0) & 0x7fff_ffff;
        if increment < SMALL_WINDOW {
            let rule = self.config.floods.small_windows;
            count(&mut self.counters.small_windows, rule, now, Flood::SmallWindows)?;
        }
        if head.stream == 0 {
            if increment == 0 {
                return Err(broken(Fault::WindowZero));
            }
            self.send_window.credit(increment).map_err(|_| flow_error())?;
            self.pending.push_back(Event::Writable { id: None });
            return Ok(());
        }
        let Some(stream) = self.streams.get_mut(head.stream) else {
            // After its end a stream may still be given room (§5.1).
            return self.not_idle(head.stream);
        };
        if increment == 0 {
            return self.stream_fault(head.stream, ErrorCode::PROTOCOL_ERROR, now);
        }
        if stream.send_window.credit(increment).is_err() {
            return self.stream_fault(head.stream, ErrorCode::FLOW_CONTROL_ERROR, now);
        }
        if stream.send != Half::Ended {
            self.pending.push_back(Event::Writable { id: Some(StreamId(head.stream)) });
        }
        Ok(())
    }

    /// `RST_STREAM` (§6.4).
    pub(super) fn reset_received(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let id = head.stream;
        if self.streams.get(id).is_none() {
            self.not_idle(id)?;
            return self.late(now);
        }
        let code = ErrorCode(be_u32(payload).unwrap_or(0));
        self.streams.end(id, Ended::ByPeer);
        self.pending.push_back(Event::Reset { id: StreamId(id), code, by_peer: true });
        if self.role == Role::Client {
            return Ok(());
        }
        count(&mut self.counters.resets, self.config.floods.resets, now, Flood::Resets)
    }

    /// PRIORITY (§6.3), which means nothing any more; but a stream cannot depend on itself.
    pub(super) fn priority(
        &mut self,
        head: FrameHead,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), ConnectionError> {
        if depends_on(payload) != head.stream {
            return Ok(());
        }
        if self.streams.get(head.stream).is_some() {
            return self.stream_fault(head.stream, ErrorCode::PROTOCOL_ERROR, now);
        }
        match self.absent(head.stream) {
            Absent::Idle => Err(broken(Fault::StreamIdle)),
            _ => Ok(()),
        }
    }

    /// PRIORITY of a wrong size (§6.3): an error of its stream, or of the connection if that is
    /// idle.
    pub(super) fn priority_size(
        &mut self,
        head: FrameHead,
        now: Instant,
    ) -> Result<(), ConnectionError> {
        let living = self.streams.get(head.stream).is_some();
        match self.absent(head.stream) {
            Absent::Idle if !living => Err(wrong_size()),
            Absent::Late if !living => self.late(now),
            _ => self.stream_fault(head.stream, ErrorCode::FRAME_SIZE_ERROR, now),
        }
    }

    /// A frame for a stream that has ended is no fault; for an idle one it is (§5.1).
    fn not_idle(&self, id: u32) -> Result<(), ConnectionError> {
        match self.absent(id) {
            Absent::Idle => Err(broken(Fault::StreamIdle)),
            _ => Ok(()),
        }
    }
}

/// Whether a SETTINGS payload sets `ENABLE_PUSH` to 1.
fn asks_for_push(payload: &[u8]) -> bool {
    payload.as_chunks::<6>().0.contains(&[0, 2, 0, 0, 0, 1])
}

fn flow_error() -> ConnectionError {
    ConnectionError { code: ErrorCode::FLOW_CONTROL_ERROR, fault: Fault::FlowControl }
}
