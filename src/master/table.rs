//! All rows and mandates: what a master knows.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::mandate::Mandate;
use super::row::{Identity, Row, fold};
use super::rules::{Now, Rules};
use crate::base::time::Instant;

/// Something with a lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept<T> {
    /// What was written last.
    pub value: T,
    /// When this master last saw that it lives, on its own clock: so a clock that is set, here or
    /// elsewhere, ends no lease.
    pub renewed: Instant,
}

/// What a master knows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub(super) rules: Rules,
    /// By uuid.
    pub(super) rows: BTreeMap<String, Kept<Row>>,
    /// The uuids of each name, `-` read as `_`.
    names: BTreeMap<String, BTreeSet<String>>,
    places: BTreeMap<Identity, String>,
    /// By service.
    pub(super) mandates: BTreeMap<String, Kept<Mandate>>,
    /// How often an instance of each name was picked.
    turns: BTreeMap<String, u64>,
    /// The highest that was ever given.
    pub(super) epoch: u64,
}

/// What a store kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Saved {
    /// All rows, in any order.
    pub rows: Vec<Row>,
    /// All mandates.
    pub mandates: Vec<Mandate>,
    /// The highest epoch that was ever given.
    pub epoch: u64,
}

impl Table {
    /// A table that knows nothing.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Table { rules, ..Table::default() }
    }

    /// Takes over what a store keeps now, which others may have written. A lease goes on where what
    /// is kept has not changed, and else begins anew: nobody here saw it renewed before.
    pub fn replace(&mut self, saved: Saved, now: Instant) {
        let mut old = std::mem::replace(self, Table::new(self.rules.clone()));
        self.turns = std::mem::take(&mut old.turns);
        self.epoch = old.epoch;
        for row in saved.rows {
            let known = old.rows.get(&row.uuid).filter(|kept| kept.value == row);
            let renewed = known.map_or(now, |kept| kept.renewed);
            self.put(row, renewed);
        }
        for mandate in saved.mandates {
            let known = old.mandates.get(&mandate.service).filter(|kept| kept.value == mandate);
            let renewed = known.map_or(now, |kept| kept.renewed);
            self.epoch = self.epoch.max(mandate.epoch);
            self.mandates.insert(mandate.service.clone(), Kept { value: mandate, renewed });
        }
        self.epoch = self.epoch.max(saved.epoch);
    }

    /// Makes changes that were decided for this table, and that a store has kept.
    pub fn apply(&mut self, changes: &[Change], now: Instant) {
        for change in changes {
            self.apply_one(change, now);
        }
    }

    fn apply_one(&mut self, change: &Change, now: Instant) {
        match change {
            Change::Put(row) => {
                // What has ended did not live just now: it is forgotten from its last sign on.
                let before = self.rows.get(&row.uuid).map(|kept| kept.renewed);
                let renewed = if row.is_active { now } else { before.unwrap_or(now) };
                self.put(row.clone(), renewed);
            }
            Change::Renew { uuid, echo } => {
                if let Some(kept) = self.rows.get_mut(uuid) {
                    kept.renewed = now;
                    kept.value.echo = *echo;
                }
            }
            Change::Remove(uuid) => {
                let _ = self.take_out(uuid);
            }
            Change::Mandate(mandate) => {
                self.epoch = self.epoch.max(mandate.epoch);
                let kept = Kept { value: mandate.clone(), renewed: now };
                self.mandates.insert(mandate.service.clone(), kept);
            }
            Change::RenewMandate { service, echo } => {
                if let Some(kept) = self.mandates.get_mut(service) {
                    kept.renewed = now;
                    kept.value.echo = *echo;
                }
            }
            Change::EndMandate(service) => {
                self.mandates.remove(service);
            }
            Change::Turn(name) => {
                let turn = self.turns.entry(name.clone()).or_default();
                *turn = turn.wrapping_add(1);
            }
        }
    }

    fn put(&mut self, row: Row, renewed: Instant) {
        let _ = self.take_out(&row.uuid);
        let uuid = row.uuid.clone();
        self.names.entry(fold(&row.name)).or_default().insert(uuid.clone());
        self.places.insert(row.identity(), uuid.clone());
        self.rows.insert(uuid, Kept { value: row, renewed });
    }

    fn take_out(&mut self, uuid: &str) -> Option<Row> {
        let row = self.rows.remove(uuid)?.value;
        let name = fold(&row.name);
        if let Some(uuids) = self.names.get_mut(&name) {
            uuids.remove(uuid);
            if uuids.is_empty() {
                self.names.remove(&name);
                self.turns.remove(&name);
            }
        }
        let place = row.identity();
        if self.places.get(&place).is_some_and(|own| own == uuid) {
            self.places.remove(&place);
        }
        Some(row)
    }

    /// Whether a row has not ended.
    #[must_use]
    pub fn is_live(&self, kept: &Kept<Row>, now: Instant) -> bool {
        let leased = self.rules.lease_all || kept.value.beats;
        kept.value.is_active && (!leased || now.since(kept.renewed) <= self.rules.ttl)
    }

    /// All rows by uuid.
    pub fn rows(&self) -> impl Iterator<Item = &Kept<Row>> {
        self.rows.values()
    }

    /// The row with this uuid.
    #[must_use]
    pub fn row(&self, uuid: &str) -> Option<&Kept<Row>> {
        self.rows.get(uuid)
    }

    /// The row of an instance at this place.
    pub(super) fn at(&self, place: &Identity) -> Option<&Kept<Row>> {
        self.places.get(place).and_then(|uuid| self.rows.get(uuid))
    }

    /// The rows of a name, in the order of their uuids.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = &Kept<Row>> {
        let uuids = self.names.get(&fold(name)).into_iter().flatten();
        uuids.filter_map(|uuid| self.rows.get(uuid))
    }

    /// How often an instance of this name was picked.
    pub(super) fn turn(&self, name: &str) -> u64 {
        self.turns.get(&fold(name)).copied().unwrap_or(0)
    }

    /// The mandate of a service.
    #[must_use]
    pub fn mandate(&self, service: &str) -> Option<&Mandate> {
        self.mandates.get(service).map(|kept| &kept.value)
    }

    /// The highest epoch that was ever given.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What time alone changes: rows whose lease is over end, those that ended long ago are
    /// removed, and so are mandates of rows that are gone.
    #[must_use]
    pub fn expire(&self, now: Now) -> Vec<Change> {
        let mut changes = Vec::new();
        for kept in self.rows.values().filter(|kept| !self.is_live(kept, now.clock)) {
            let row = &kept.value;
            let ended = now.clock.since(kept.renewed);
            if ended > self.rules.ttl.saturating_add(self.rules.forget) {
                changes.push(Change::Remove(row.uuid.clone()));
            } else if row.is_active {
                changes.push(Change::Put(Row { is_active: false, ..row.clone() }));
            }
        }
        for Kept { value: mandate, renewed } in self.mandates.values() {
            let is_gone = !self.rows.contains_key(&mandate.uuid);
            if is_gone && now.clock.since(*renewed) > self.rules.ttl {
                changes.push(Change::EndMandate(mandate.service.clone()));
            }
        }
        changes
    }
}
