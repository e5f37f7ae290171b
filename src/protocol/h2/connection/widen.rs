//! Windows beyond those of [`Config`](super::config::Config), for peers that are far away.

use super::engine::Connection;
use crate::protocol::h2::flow::WINDOW_MAX;
use crate::protocol::h2::frame;
use crate::protocol::h2::stream::{Half, Stream};

/// The part of its window that a stream gets more at once, at least: not many small updates.
const GROWTH: u32 = 4;

impl Connection {
    /// Bodies that the peer is sending.
    #[must_use]
    pub fn bodies(&self) -> u32 {
        u32::try_from(self.body_streams().count()).unwrap_or(u32::MAX)
    }

    /// Bytes that those bodies still have to bring; all there are if one does not say.
    #[must_use]
    pub fn rest(&self) -> u32 {
        let mut lengths = self.body_streams().map(|stream| stream.length_left);
        let rest = lengths.try_fold(0_u64, |sum, left| Some(sum.saturating_add(left?)));
        rest.map_or(u32::MAX, |rest| u32::try_from(rest).unwrap_or(u32::MAX))
    }

    /// What the peer was promised beyond the connection's window of `Config`. It cannot be taken
    /// back: the peer uses it up, or leaves.
    #[must_use]
    pub fn promised_extra(&self) -> u32 {
        self.recv_window.promised().saturating_sub(self.config.connection_window)
    }

    /// Lets the peer have `extra` bytes under way, or unreleased, beyond what `Config` says; all
    /// streams together, and `extra_stream` of them on any one. They are shared out evenly among
    /// the bodies that come. Less than before comes into force as bytes are released.
    ///
    /// Bodies whose length is known get no more than is left of them: a promise that is not used
    /// would last as long as the connection.
    pub fn widen(&mut self, extra: u32, extra_stream: u32) {
        if self.failed.is_some() {
            return;
        }
        let extra = extra.min(self.rest());
        let size = self.config.connection_window.saturating_add(extra).min(WINDOW_MAX);
        if let Some(increment) = self.recv_window.resize(size) {
            frame::write_window_update(self.queue(), 0, increment);
        }
        let base = self.ours.initial_window;
        let beyond = |stream: &Stream| stream.recv_window.promised().saturating_sub(base);
        let lent =
            self.body_streams().fold(0_u32, |sum, stream| sum.saturating_add(beyond(stream)));
        let share = extra.checked_div(self.bodies()).unwrap_or(0).min(extra_stream);
        let mut free = extra.saturating_sub(lent);
        let ids: Vec<u32> = self.streams.ids().collect();
        for id in ids {
            let Some(stream) = self.streams.get_mut(id).filter(|stream| is_body(stream)) else {
                continue;
            };
            let has = beyond(stream);
            let window = &mut stream.recv_window;
            let more = share.saturating_sub(has).min(free);
            let size = base.saturating_add(share.min(has + more)).min(WINDOW_MAX);
            if size > window.size() && size - window.size() < window.size() / GROWTH {
                continue;
            }
            free -= more;
            if let Some(increment) = window.resize(size) {
                frame::write_window_update(self.queue(), id, increment);
            }
        }
    }

    fn body_streams(&self) -> impl Iterator<Item = &Stream> {
        self.streams.ids().filter_map(|id| self.streams.get(id)).filter(|stream| is_body(stream))
    }
}

fn is_body(stream: &Stream) -> bool {
    stream.recv == Half::Body
}
