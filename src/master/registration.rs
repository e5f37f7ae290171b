//! Who begins, moves and ends: the actions that change rows.

use serde_json::json;

use super::action::{Decision, fresh_id, uuid};
use super::call::Question;
use super::change::Change;
use super::fault::Fault;
use super::mandate::{Claim, Verdict};
use super::row::{Row, UUID_CHARACTERS, fold, text};
use super::rules::{INSTANCES_MAX, Now};
use super::table::Table;

impl Table {
    /// `POST checkin`: a new row. One that has ended at the same place is replaced, so that who
    /// knows only its uuid speaks for nobody any more.
    pub(super) fn check_in(
        &self,
        question: &Question<'_>,
        now: Now,
        chance: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Decision, Fault> {
        let mut row = self.fresh(question, now, chance)?;
        row.beats = false;
        let mut changes = Vec::new();
        if let Some(old) = self.at(&row.identity()) {
            if self.is_live(old, now.clock) {
                return Err(Fault::refused("an instance at this host and port is already active"));
            }
            changes.push(Change::Remove(old.value.uuid.clone()));
        }
        self.has_room_for(&row, changes.len())?;
        let answer = json!({ "uuid": row.uuid });
        changes.push(Change::Put(row));
        Ok(Decision::new(answer, changes))
    }

    /// A row from arguments that must have a name, a host and a port.
    pub(super) fn fresh(
        &self,
        question: &Question<'_>,
        now: Now,
        chance: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Row, Fault> {
        let mut row = Row { weight: 1, is_active: true, ..Row::default() };
        row.take(&question.args)?;
        let lacks =
            [("name", row.name.is_empty()), ("host", row.host.is_empty()), ("port", row.port == 0)];
        let missing: Vec<&str> =
            lacks.iter().filter(|(_, lacks)| *lacks).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            return Err(Fault::missing(&missing.join(", ")));
        }
        self.may_have_group(&row)?;
        row.uuid = fresh_id(chance);
        row.echo = now.unix.seconds();
        Ok(row)
    }

    pub(super) fn may_have_group(&self, row: &Row) -> Result<(), Fault> {
        let own = fold(&row.group);
        let groups = &self.rules.groups;
        if own.is_empty() || groups.is_empty() || groups.iter().any(|group| fold(group) == own) {
            return Ok(());
        }
        Err(Fault::refused("there is no such group"))
    }

    /// Whether one more row fits, when `removed` of the same name go.
    pub(super) fn has_room_for(&self, row: &Row, removed: usize) -> Result<(), Fault> {
        if self.rows().count() >= self.rules.rows_max.saturating_add(removed) {
            let max = self.rules.rows_max;
            return Err(Fault::refused(format!("there is no room for more than {max} rows")));
        }
        if self.named(&row.name).count() >= INSTANCES_MAX.saturating_add(removed) {
            let message = format!("a name has no more than {INSTANCES_MAX} instances");
            return Err(Fault::refused(message));
        }
        Ok(())
    }

    /// `PATCH checkin`: the instance is somewhere else now.
    pub(super) fn move_to(&self, question: &Question<'_>, now: Now) -> Result<Decision, Fault> {
        let uuid = uuid(question)?;
        let args = &question.args;
        let place = |key: &str| {
            args.get(key).filter(|value| !value.is_null() && value.as_str() != Some(""))
        };
        if place("host").is_none() && place("port").is_none() {
            return Err(Fault::malformed("neither port nor host is given"));
        }
        let kept = self.row(&uuid).ok_or_else(|| Fault::unknown("there is no such row"))?;
        let mut row = kept.value.clone();
        let place = ["host", "port"]
            .into_iter()
            .filter_map(|key| place(key).map(|value| (key.to_owned(), value.clone())));
        row.take(&place.collect())?;
        if self.at(&row.identity()).is_some_and(|other| other.value.uuid != uuid) {
            return Err(Fault::refused("another instance has this host and port"));
        }
        row.is_active = true;
        row.echo = now.unix.seconds();
        Ok(Decision::new(json!({ "uuid": uuid }), vec![Change::Put(row)]))
    }

    /// `POST checkout`: the instance has ended, and whatever it alone was to run is free.
    pub(super) fn check_out(&self, question: &Question<'_>) -> Result<Decision, Fault> {
        let uuid = uuid(question)?;
        let mut changes = Vec::new();
        if let Some(kept) = self.row(&uuid) {
            let row = &kept.value;
            if self.mandate(&row.service()).is_some_and(|mandate| mandate.uuid == uuid) {
                changes.push(Change::EndMandate(row.service()));
            }
            if row.is_active {
                changes.push(Change::Put(Row { is_active: false, ..row.clone() }));
            }
        }
        Ok(Decision::new(json!({ "answer": "Done" }), changes))
    }

    /// `POST getcronmandate`.
    pub(super) fn cron_mandate(
        &self,
        question: &Question<'_>,
        now: Now,
        chance: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Decision, Fault> {
        let uuid = uuid(question)?;
        let id = text(&question.args, "masterid", UUID_CHARACTERS)?.unwrap_or_default();
        let Some(kept) = self.row(&uuid) else {
            return Ok(Decision::new(json!({ "mandate": false }), Vec::new()));
        };
        // Who asks for work is alive, however late.
        let echo = now.unix.seconds();
        let mut changes = vec![if kept.value.is_active {
            Change::Renew { uuid, echo }
        } else {
            Change::Put(Row { is_active: true, echo, ..kept.value.clone() })
        }];
        let claim = if id.is_empty() { Claim::None } else { Claim::Id(&id) };
        let answer = match self.claim(&kept.value, claim, now, chance) {
            Verdict::Held { master_id, epoch, change } => {
                changes.push(change);
                json!({ "mandate": true, "masterid": master_id, "epoch": epoch })
            }
            Verdict::Refused { epoch } => json!({ "mandate": false, "epoch": epoch }),
        };
        Ok(Decision::new(answer, changes))
    }
}
