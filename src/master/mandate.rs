//! The mandate to run the scheduled jobs of a service: one holder at a time, and an epoch that
//! tells what one holder does from what an earlier one does late.

use std::time::Duration;

use serde_json::{Value, json};

use super::change::Change;
use super::row::{Row, is_uuid};
use super::rules::{MANDATE_TTL, Now};
use super::table::{Kept, Table};

/// Who runs the jobs of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mandate {
    /// [`Row::service`] of all its instances.
    pub service: String,
    /// The id that the holder was given; another one with each holder.
    pub master_id: String,
    /// The row of the holder.
    pub uuid: String,
    /// Higher than that of every holder before, of any service.
    pub epoch: u64,
    /// Whether it is held by heartbeats, for as long as a row; else for five seconds (SPEC 8.1).
    pub by_heartbeat: bool,
    /// When it was last asked for, as far as it was written, seconds since 1970.
    pub echo: u64,
}

impl Mandate {
    /// As a store keeps it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "service": self.service, "masterid": self.master_id, "uuid": self.uuid,
            "epoch": self.epoch, "heartbeat": self.by_heartbeat, "echo": self.echo,
        })
    }

    /// From what a store kept; `None`: it is no mandate.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
        let number = |key: &str| value.get(key)?.as_u64();
        let mandate = Mandate {
            service: text("service")?,
            master_id: text("masterid")?,
            uuid: text("uuid")?,
            epoch: number("epoch")?,
            by_heartbeat: value.get("heartbeat")?.as_bool()?,
            echo: number("echo")?,
        };
        (is_uuid(&mandate.master_id) && is_uuid(&mandate.uuid)).then_some(mandate)
    }
}

/// What somebody who asks for a mandate shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Claim<'a> {
    /// The id that it was given.
    Id(&'a str),
    /// Nothing: it would like to begin.
    None,
    /// Its place: it is the row that holds it, or would like to be.
    Heartbeat,
}

/// What is said to it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives for one call")]
pub(super) enum Verdict {
    /// It holds the mandate with this id and epoch, and with this change.
    Held { master_id: String, epoch: u64, change: Change },
    /// It does not. The epoch is that of whoever does, or zero.
    Refused { epoch: u64 },
}

impl Table {
    /// Whether the jobs of a row's service are its to run.
    ///
    /// A holder that shows its id keeps the mandate however late it is, unless another has it by
    /// then: nobody has run the jobs in between.
    pub(super) fn claim(
        &self,
        row: &Row,
        claim: Claim<'_>,
        now: Now,
        chance: &mut dyn FnMut(&mut [u8]),
    ) -> Verdict {
        let service = row.service();
        let held = self.mandates.get(&service);
        if let Some(Kept { value: mandate, renewed }) = held {
            let is_own = match claim {
                Claim::Id(id) => id == mandate.master_id,
                Claim::None => false,
                Claim::Heartbeat => mandate.by_heartbeat && mandate.uuid == row.uuid,
            };
            if is_own {
                let renewal = Change::RenewMandate { service, echo: now.unix.seconds() };
                let master_id = mandate.master_id.clone();
                return Verdict::Held { master_id, epoch: mandate.epoch, change: renewal };
            }
            if now.clock.since(*renewed) <= self.mandate_ttl(mandate) {
                return Verdict::Refused { epoch: mandate.epoch };
            }
        }
        if let Claim::Id(_) = claim {
            return Verdict::Refused { epoch: held.map_or(0, |kept| kept.value.epoch) };
        }
        let mandate = Mandate {
            service,
            master_id: super::action::fresh_id(chance),
            uuid: row.uuid.clone(),
            epoch: self.epoch.saturating_add(1),
            by_heartbeat: claim == Claim::Heartbeat,
            echo: now.unix.seconds(),
        };
        let (master_id, epoch) = (mandate.master_id.clone(), mandate.epoch);
        Verdict::Held { master_id, epoch, change: Change::Mandate(mandate) }
    }

    fn mandate_ttl(&self, mandate: &Mandate) -> Duration {
        if mandate.by_heartbeat { self.rules.ttl } else { MANDATE_TTL }
    }
}
