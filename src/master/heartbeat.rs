//! `POST heartbeat`: an instance lives, and is told whether the jobs are its to run (SPEC 8.4).

use serde_json::json;

use super::action::Decision;
use super::call::Question;
use super::change::Change;
use super::fault::Fault;
use super::mandate::{Claim, Verdict};
use super::row::{Row, UUID_CHARACTERS, text};
use super::rules::Now;
use super::table::Table;

impl Table {
    /// The first one of an instance makes its row: who sends heartbeats need not check in. Replicas
    /// are told apart by host and port, or by the `uuid` that the answer brings.
    pub(super) fn heartbeat(
        &self,
        question: &Question<'_>,
        now: Now,
        chance: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Decision, Fault> {
        let mut changes = Vec::new();
        let row = self.beating(question, now, chance, &mut changes)?;
        let verdict = self.claim(&row, Claim::Heartbeat, now, chance);
        let (leads, epoch) = match verdict {
            Verdict::Held { epoch, change, .. } => {
                changes.push(change);
                (true, epoch)
            }
            Verdict::Refused { epoch } => (false, epoch),
        };
        let answer = json!({
            "leader": leads,
            "cron": leads,
            "ttl": self.rules.ttl.as_secs(),
            "epoch": epoch,
            "ts": now.unix.seconds(),
            "uuid": row.uuid,
        });
        Ok(Decision::new(answer, changes))
    }

    /// The row of who sent a heartbeat, as it is from now on.
    fn beating(
        &self,
        question: &Question<'_>,
        now: Now,
        chance: &mut dyn FnMut(&mut [u8]),
        changes: &mut Vec<Change>,
    ) -> Result<Row, Fault> {
        let mut fresh = self.fresh(question, now, chance)?;
        fresh.beats = true;
        let named = text(&question.args, "uuid", UUID_CHARACTERS)?.unwrap_or_default();
        let by_uuid = self.row(&named).filter(|kept| kept.value.service() == fresh.service());
        let at_place = self.at(&fresh.identity());
        let Some(kept) = by_uuid.or(at_place) else {
            self.has_room_for(&fresh, 0)?;
            changes.push(Change::Put(fresh.clone()));
            return Ok(fresh);
        };
        let uuid = &kept.value.uuid;
        if at_place.is_some_and(|other| other.value.uuid != *uuid) {
            return Err(Fault::refused("another instance has this host and port"));
        }
        let mut row = kept.value.clone();
        row.take(&question.args)?;
        row.is_active = true;
        row.beats = true;
        if row == kept.value {
            changes.push(Change::Renew { uuid: uuid.clone(), echo: now.unix.seconds() });
        } else {
            row.echo = now.unix.seconds();
            changes.push(Change::Put(row.clone()));
        }
        Ok(row)
    }
}
