//! What befalls a connection that was born under a bad star.

use std::rc::Rc;

use crate::base::limits;
use crate::io::sim::core::{Core, Event};
use crate::io::sim::faults::{FaultKind, log_uniform};
use crate::io::sim::trace::{Act, End};

use super::{Link, Load, Sides};

/// What will happen, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trouble {
    pub(super) kind: FaultKind,
    /// The end whose sending it hits.
    pub(super) end: End,
    /// It comes when this end has sent so many bytes; otherwise by time.
    pub(super) at_bytes: Option<u64>,
}

pub(super) fn draw(core: &mut Core) -> Option<Trouble> {
    let faults = &core.faults;
    let kinds = [
        (faults.link_reset, FaultKind::LinkReset),
        (faults.link_lost, FaultKind::LinkLost),
        (faults.link_half_lost, FaultKind::LinkHalfLost),
    ];
    let bytes_max = faults.trouble_bytes_max;
    let prng = &mut core.prng;
    let (_, kind) = kinds.into_iter().find(|(chance, _)| chance.happens(prng))?;
    let end = if prng.one_in(2) { End::Client } else { End::Server };
    let at_bytes = if prng.one_in(2) { Some(log_uniform(prng, 1, bytes_max)) } else { None };
    Some(Trouble { kind, end, at_bytes })
}

impl Link {
    /// The moment of the trouble has come.
    pub(in crate::io::sim) fn strike(self: &Rc<Self>, core: &mut Core) {
        self.befall(core, &mut self.sides.borrow_mut());
    }

    pub(super) fn befall(self: &Rc<Self>, core: &mut Core, sides: &mut Sides) {
        let Some(trouble) = sides.trouble.take() else { return };
        core.met(trouble.kind, self.id);
        match trouble.kind {
            FaultKind::LinkReset => {
                for end in [End::Client, End::Server] {
                    let (own, _) = sides.pair(end);
                    core.act(self.id, end, Act::SentReset, 0);
                    self.post(core, end, &mut own.out, Load::Reset);
                }
            }
            FaultKind::LinkHalfLost => sides.pair(trouble.end).0.out.lost = true,
            _ => {
                sides.client.out.lost = true;
                sides.server.out.lost = true;
            }
        }
        if trouble.kind != FaultKind::LinkReset {
            // Either its probes or their answers are lost.
            let at = core.now + limits::CLIENT_LOST_AFTER;
            core.schedule(at, Event::GiveUp(Rc::downgrade(self)));
        }
    }

    /// The end that accepted the connection is told that its peer is lost.
    pub(in crate::io::sim) fn give_up(&self, core: &mut Core) {
        let mut sides = self.sides.borrow_mut();
        let (own, peer) = sides.pair(End::Server);
        if own.open && !own.is_reset() {
            core.act(self.id, End::Server, Act::GotReset, 0);
            self.hit_by_reset(core, own, &mut peer.out);
        }
    }
}
