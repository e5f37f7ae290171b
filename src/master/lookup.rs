//! Who serves what: the actions that only look.

use serde_json::{Map, Value, json};

use super::action::{Decision, uuid};
use super::call::Question;
use super::change::Change;
use super::fault::Fault;
use super::row::{Row, fold, number, text};
use super::rules::{INSTANCES_MAX, LIST_DEFAULT, LIST_MAX, Now};
use super::table::{Kept, Table};

impl Table {
    pub(super) fn list(&self, question: &Question<'_>, now: Now) -> Result<Decision, Fault> {
        let offset = number(&question.args, "offset")?.unwrap_or(0);
        let limit = number(&question.args, "limit")?.unwrap_or(LIST_DEFAULT).min(LIST_MAX);
        let mut rows: Vec<&Kept<Row>> = self.rows().collect();
        rows.sort_by(|a, b| {
            let key = |kept: &'_ Kept<Row>| (kept.value.identity(), kept.value.uuid.clone());
            key(a).cmp(&key(b))
        });
        let count = rows.len();
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        let taken = usize::try_from(limit).unwrap_or(usize::MAX);
        let shown = rows.into_iter().skip(skipped).take(taken).map(|kept| self.shown(kept, now));
        let shown: Vec<Value> = shown.collect();
        Ok(Decision::new(json!({ "microservices": shown, "mccount": count }), Vec::new()))
    }

    /// A row as it is listed.
    fn shown(&self, kept: &Kept<Row>, now: Now) -> Value {
        let row = &kept.value;
        let mandate = self.mandate(&row.service()).filter(|mandate| mandate.uuid == row.uuid);
        json!({
            "uuid": row.uuid, "name": row.name, "host": row.host, "port": row.port.to_string(),
            "group": row.group, "region": row.region, "isinternal": row.is_internal,
            "issession": row.is_session, "isactive": self.is_live(kept, now.clock),
            "masterid": mandate.map_or("", |mandate| mandate.master_id.as_str()),
            "epoch": mandate.map_or(0, |mandate| mandate.epoch),
            "echo": row.echo, "description": row.description, "author": row.author,
            "version": row.version, "entrypointversion": row.entrypoint_version,
            "weight": row.weight,
        })
    }

    /// Host and port of an instance of the module, and all of them.
    pub(super) fn by_path(&self, question: &Question<'_>, now: Now) -> Result<Decision, Fault> {
        if question.is_path {
            let group = fold(question.module);
            let in_group: Vec<&Row> =
                self.live(question.param, now).filter(|row| fold(&row.group) == group).collect();
            if !in_group.is_empty() {
                return self.picked(question, &in_group, question.param, false);
            }
        }
        let rows: Vec<&Row> = self.live(question.module, now).collect();
        self.picked(question, &rows, question.module, false)
    }

    pub(super) fn session_host(
        &self,
        question: &Question<'_>,
        now: Now,
    ) -> Result<Decision, Fault> {
        let live = self.rows().filter(|kept| self.is_live(kept, now.clock));
        let rows: Vec<&Row> =
            live.map(|kept| &kept.value).filter(|row| row.is_session).take(INSTANCES_MAX).collect();
        // No name has a slash: turns among sessions are counted apart.
        self.picked(question, &rows, "/session", true)
    }

    fn live(&self, name: &str, now: Now) -> impl Iterator<Item = &Row> {
        self.named(name).filter(move |kept| self.is_live(kept, now.clock)).map(|kept| &kept.value)
    }

    /// One of these rows, by what is preferred and in turn, beside all of them.
    fn picked(
        &self,
        question: &Question<'_>,
        rows: &[&Row],
        turns: &str,
        named: bool,
    ) -> Result<Decision, Fault> {
        let wanted = |key| text(&question.args, key, 64).map(Option::unwrap_or_default);
        let (region, group) = (wanted("region")?, wanted("group")?);
        // Those without weight wait until there is no other.
        let shared: Vec<&Row> = rows.iter().copied().filter(|row| row.weight > 0).collect();
        let rows = if shared.is_empty() { rows } else { &shared };
        let preferred = preferred(rows, &region, &group);
        let picked = in_turn(&preferred, self.turn(turns));
        let instances: Vec<Value> = rows.iter().map(|row| instance(row)).collect();
        let mut answer = Map::new();
        let mut put = |key: &str, value: Value| answer.insert(key.to_owned(), value);
        put("host", picked.map_or("", |row| row.host.as_str()).into());
        put("port", picked.map_or(String::new(), |row| row.port.to_string()).into());
        put("isinternal", rows.iter().any(|row| row.is_internal).into());
        if named {
            put("name", picked.map_or("", |row| row.name.as_str()).into());
        }
        put("instances", instances.into());
        let changes =
            if preferred.len() > 1 { vec![Change::Turn(fold(turns))] } else { Vec::new() };
        Ok(Decision::new(Value::Object(answer), changes))
    }

    pub(super) fn check_by_uuid(&self, question: &Question<'_>, now: Now) -> Decision {
        let uuid = match uuid(question) {
            Ok(uuid) => uuid,
            Err(fault) => return fault.into(),
        };
        let kept = self.row(&uuid);
        if kept.is_some_and(|kept| self.is_live(kept, now.clock)) {
            return Decision::new(json!({ "answer": true }), Vec::new());
        }
        let row = kept.map(|kept| &kept.value);
        let answer = json!({
            "answer": false,
            "name": row.map_or("", |row| row.name.as_str()),
            "host": row.map_or("", |row| row.host.as_str()),
            "port": row.map_or(String::new(), |row| row.port.to_string()),
            "isinternal": row.is_some_and(|row| row.is_internal),
        });
        Decision::new(answer, Vec::new())
    }
}

fn instance(row: &Row) -> Value {
    json!({
        "host": row.host, "port": row.port.to_string(), "region": row.region, "group": row.group,
        "weight": row.weight, "isinternal": row.is_internal,
    })
}

/// Those of the same region, or else of the same group, or else all (SPEC 8.6).
fn preferred<'a>(rows: &[&'a Row], region: &str, group: &str) -> Vec<&'a Row> {
    let group = fold(group);
    let same_region: Vec<&Row> =
        rows.iter().copied().filter(|row| !region.is_empty() && row.region == region).collect();
    let pool = if same_region.is_empty() { rows.to_vec() } else { same_region };
    let same_group: Vec<&Row> =
        pool.iter().copied().filter(|row| !group.is_empty() && fold(&row.group) == group).collect();
    if same_group.is_empty() { pool } else { same_group }
}

/// Each in turn, as often as its weight says; all alike if none has any.
fn in_turn<'a>(rows: &[&'a Row], turn: u64) -> Option<&'a Row> {
    let divisor = rows.iter().fold(0, |so_far, row| gcd(so_far, row.weight));
    if divisor == 0 {
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX).max(1);
        return rows.get(usize::try_from(turn % count).unwrap_or(0)).copied();
    }
    let sum: u64 = rows.iter().map(|row| row.weight / divisor).sum();
    let mut left = turn % sum.max(1);
    for row in rows {
        let share = row.weight / divisor;
        if left < share {
            return Some(row);
        }
        left -= share;
    }
    None
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
