//! The store of several masters: etcd, through its gateway of JSON over HTTP (`/v3/kv/...`).
//!
//! Each instance, each mandate and the epoch is a key. A call's changes are one transaction that
//! goes through only if none of its keys has another revision than this master has seen: so of two
//! masters that grant a mandate at once one is refused, looks again, and refuses its own caller.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::Member;
use super::store::{Store, StoreError};
use crate::base::base64url;
use crate::master::change::Change;
use crate::master::mandate::Mandate;
use crate::master::row::Row;
use crate::master::table::Saved;

/// After a failure nobody is asked for so long: callers are told at once.
const PAUSE: Duration = Duration::from_secs(1);
const EPOCH: &str = "epoch";

/// The part of etcd below a prefix, as this master has seen it last.
pub(super) struct Etcd {
    members: Vec<Member>,
    prefix: String,
    /// By key without the prefix.
    seen: BTreeMap<String, Seen>,
    /// Up to which revision all changes were seen; `None`: nothing was.
    revision: Option<u64>,
    paused: Option<(Instant, String)>,
}

#[derive(Clone, PartialEq, Debug)]
struct Seen {
    /// When the key was last written.
    revision: u64,
    value: Value,
}

impl Etcd {
    /// The keys below `prefix` in the cluster with these members. Asks nobody yet.
    pub(super) fn new(urls: &[String], prefix: &str) -> Result<Self, String> {
        let members = urls.iter().map(|url| Member::parse(url)).collect::<Result<Vec<_>, _>>()?;
        if members.is_empty() || prefix.is_empty() {
            return Err("etcd needs a member, and a prefix for its keys".to_owned());
        }
        let prefix = prefix.to_owned();
        Ok(Etcd { members, prefix, seen: BTreeMap::new(), revision: None, paused: None })
    }

    /// Asks the members in turn, from the one that answered last on.
    fn post(&mut self, path: &str, question: &Value) -> Result<Value, StoreError> {
        if let Some((since, what)) = &self.paused
            && since.elapsed() < PAUSE
        {
            return Err(StoreError::Broken(what.clone()));
        }
        let mut failures = Vec::new();
        for _ in 0..self.members.len() {
            let Some(member) = self.members.first_mut() else { break };
            match member.post(path, question) {
                Ok(answer) => {
                    self.paused = None;
                    return Ok(answer);
                }
                Err(what) => failures.push(what),
            }
            self.members.rotate_left(1);
        }
        let what = format!("etcd: {}", failures.join("; "));
        self.paused = Some((Instant::now(), what.clone()));
        Err(StoreError::Broken(what))
    }

    /// Reads what has changed since the last look. True: something has.
    fn look(&mut self) -> Result<bool, StoreError> {
        let since = self.revision;
        let mut question =
            json!({ "key": base64(&self.prefix), "range_end": base64(&after(&self.prefix)) });
        if let (Some(since), Value::Object(members)) = (since, &mut question) {
            members.insert("min_mod_revision".to_owned(), (since + 1).to_string().into());
        }
        let answer = self.post("/v3/kv/range", &question)?;
        let found = self.read(&answer)?;
        let mut seen = if since.is_some() { self.seen.clone() } else { BTreeMap::new() };
        seen.extend(found);
        // The count is that of all keys: if it is another one, some were deleted.
        let count = number(answer.get("count")).unwrap_or(0);
        if since.is_some() && u64::try_from(seen.len()).ok() != Some(count) {
            self.revision = None;
            return self.look();
        }
        self.revision = number(answer.pointer("/header/revision"));
        let changed = since.is_none() || seen != self.seen;
        self.seen = seen;
        Ok(changed)
    }

    fn read(&self, answer: &Value) -> Result<BTreeMap<String, Seen>, StoreError> {
        let entries = answer.get("kvs").and_then(Value::as_array);
        let entries = entries.into_iter().flatten().map(|entry| {
            let key = text(entry.get("key"))?.strip_prefix(&self.prefix)?.to_owned();
            let value = serde_json::from_str(&text(entry.get("value"))?).ok()?;
            Some((key, Seen { revision: number(entry.get("mod_revision"))?, value }))
        });
        entries.collect::<Option<_>>().ok_or_else(|| self.foreign())
    }

    fn foreign(&self) -> StoreError {
        let prefix = &self.prefix;
        StoreError::Broken(format!("etcd: what is below {prefix} was not written by a master"))
    }

    fn saved(&self) -> Result<Saved, StoreError> {
        let mut saved = Saved::default();
        for (key, Seen { value, .. }) in &self.seen {
            let is_known = match key.split_once('/') {
                Some(("rows", _)) => Row::from_json(value).map(|row| saved.rows.push(row)),
                Some(("mandates", _)) => {
                    Mandate::from_json(value).map(|mandate| saved.mandates.push(mandate))
                }
                _ if key == EPOCH => value.as_u64().map(|epoch| saved.epoch = epoch),
                _ => None,
            };
            is_known.ok_or_else(|| self.foreign())?;
        }
        Ok(saved)
    }

    /// The key of the row with this uuid.
    fn key_of(&self, uuid: &str) -> Option<String> {
        let is_it = |seen: &Seen| seen.value.get("uuid").and_then(Value::as_str) == Some(uuid);
        let mut rows = self.seen.iter().filter(|(key, _)| key.starts_with("rows/"));
        rows.find(|(_, seen)| is_it(seen)).map(|(key, _)| key.clone())
    }

    /// What each key is to be; `None`: to be gone. `Conflict` if the changes do not fit what is
    /// seen.
    fn wanted(&self, changes: &[Change]) -> Result<BTreeMap<String, Option<Value>>, StoreError> {
        let mut wanted = BTreeMap::new();
        for change in changes {
            match change {
                Change::Put(row) => {
                    let key = row_key(row);
                    if let Some(old) = self.key_of(&row.uuid).filter(|old| *old != key) {
                        wanted.insert(old, None);
                    }
                    wanted.insert(key, Some(row.to_json()));
                }
                Change::Renew { uuid, echo } => {
                    let key = self.key_of(uuid).ok_or(StoreError::Conflict)?;
                    let renewed = self.renewed(&key, *echo)?;
                    wanted.insert(key, Some(renewed));
                }
                Change::Remove(uuid) => {
                    wanted.insert(self.key_of(uuid).ok_or(StoreError::Conflict)?, None);
                }
                Change::Mandate(mandate) => {
                    let key = format!("mandates/{}", mandate.service);
                    wanted.insert(key, Some(mandate.to_json()));
                    wanted.insert(EPOCH.to_owned(), Some(mandate.epoch.into()));
                }
                Change::RenewMandate { service, echo } => {
                    let key = format!("mandates/{service}");
                    let renewed = self.renewed(&key, *echo)?;
                    wanted.insert(key, Some(renewed));
                }
                Change::EndMandate(service) => {
                    wanted.insert(format!("mandates/{service}"), None);
                }
                Change::Turn(_) => {}
            }
        }
        Ok(wanted)
    }

    fn renewed(&self, key: &str, echo: u64) -> Result<Value, StoreError> {
        let mut value = self.seen.get(key).ok_or(StoreError::Conflict)?.value.clone();
        if let Value::Object(members) = &mut value {
            members.insert("echo".to_owned(), echo.into());
        }
        Ok(value)
    }
}

impl Store for Etcd {
    fn is_remote(&self) -> bool {
        true
    }

    fn load(&mut self) -> Result<Option<Saved>, StoreError> {
        if self.look()? { self.saved().map(Some) } else { Ok(None) }
    }

    fn keep(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let mut wanted = self.wanted(changes)?;
        // Two signs of life within one second are one.
        wanted.retain(|key, value| self.seen.get(key).map(|seen| &seen.value) != value.as_ref());
        if wanted.is_empty() {
            return Ok(());
        }
        let (mut compare, mut success) = (Vec::new(), Vec::new());
        for (key, value) in &wanted {
            let seen = self.seen.get(key).map_or(0, |seen| seen.revision);
            let key = base64(&format!("{}{key}", self.prefix));
            compare.push(json!({
                "key": key, "target": "MOD", "result": "EQUAL", "mod_revision": seen.to_string(),
            }));
            success.push(match value {
                Some(value) => {
                    json!({ "request_put": { "key": key, "value": base64(&value.to_string()) } })
                }
                None => json!({ "request_delete_range": { "key": key } }),
            });
        }
        let answer = self.post("/v3/kv/txn", &json!({ "compare": compare, "success": success }))?;
        if answer.get("succeeded").and_then(Value::as_bool) != Some(true) {
            return Err(StoreError::Conflict);
        }
        let revision = number(answer.pointer("/header/revision")).unwrap_or(0);
        for (key, value) in wanted {
            match value {
                Some(value) => self.seen.insert(key, Seen { revision, value }),
                None => self.seen.remove(&key),
            };
        }
        Ok(())
    }
}

/// One key for each place: two masters cannot make two rows of it.
fn row_key(row: &Row) -> String {
    let (name, group, host, port) = row.identity();
    format!("rows/{group}/{name}/{host}/{port}")
}

/// The first key that does not begin with `prefix`.
fn after(prefix: &str) -> String {
    let mut characters: Vec<char> = prefix.chars().collect();
    let last = characters.pop().map_or(1, u32::from);
    characters.push(char::from_u32(last + 1).unwrap_or('\u{10ffff}'));
    characters.into_iter().collect()
}

/// Base64 with padding (RFC 4648 §4), as the JSON form of protobuf has bytes.
fn base64(text: &str) -> String {
    let mut out = base64url::encode(text.as_bytes()).replace('-', "+").replace('_', "/");
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

fn text(value: Option<&Value>) -> Option<String> {
    String::from_utf8(base64url::decode_standard(value?.as_str()?.as_bytes())?).ok()
}

/// Numbers of 64 bits are texts in the JSON form of protobuf.
fn number(value: Option<&Value>) -> Option<u64> {
    value?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests;
