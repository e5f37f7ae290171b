//! Made-up calls in any order: the table stays whole, bounded, and equal to one that is kept.

use super::*;
use crate::master::change::Change;

/// A store of changes, as one that lasts keeps them.
#[derive(Default)]
struct Shelf {
    rows: std::collections::BTreeMap<String, super::super::row::Row>,
    mandates: std::collections::BTreeMap<String, super::super::mandate::Mandate>,
    epoch: u64,
}

impl Shelf {
    fn keep(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(row) => {
                    self.rows.insert(row.uuid.clone(), row.clone());
                }
                Change::Remove(uuid) => {
                    self.rows.remove(uuid);
                }
                Change::Mandate(mandate) => {
                    assert!(mandate.epoch > self.epoch, "epochs only grow");
                    self.epoch = mandate.epoch;
                    self.mandates.insert(mandate.service.clone(), mandate.clone());
                }
                Change::EndMandate(service) => {
                    self.mandates.remove(service);
                }
                other => assert!(!other.is_kept()),
            }
        }
    }

    fn saved(&self) -> Saved {
        Saved {
            rows: self.rows.values().cloned().collect(),
            mandates: self.mandates.values().cloned().collect(),
            epoch: self.epoch,
        }
    }
}

fn any_call(luck: &mut Prng, uuids: &[String]) -> Call {
    let name = ["a", "b-c", "b_c", "", "x/y"][usize::try_from(luck.below(5)).unwrap()];
    let host = format!("h{}", luck.below(6));
    let uuid = match uuids.len() {
        0 => String::new(),
        len => uuids[usize::try_from(luck.below(len.try_into().unwrap())).unwrap()].clone(),
    };
    let (method, param) = [
        ("POST", "checkin"),
        ("POST", "heartbeat"),
        ("POST", "checkout"),
        ("POST", "getcronmandate"),
        ("PATCH", "checkin"),
        ("GET", "list"),
        ("GET", "getmicroservicebypath"),
        ("GET", "getsessionhost"),
        ("GET", "nothing"),
    ][usize::try_from(luck.below(9)).unwrap()];
    let args = json!({
        "name": name, "host": host, "port": luck.below(4), "uuid": uuid,
        "group": (if luck.one_in(4) { "g" } else { "" }), "weight": luck.below(3),
        "issession": luck.one_in(3), "version": luck.below(3).to_string(),
    });
    let module = if luck.one_in(3) { name } else { "masterservice" };
    Call { module: module.to_owned(), ..own(method, param, args) }
}

#[test]
fn whatever_is_asked_the_table_is_whole_and_what_is_kept_is_the_same() {
    for seed in 0..12 {
        let mut luck = Prng::new(seed);
        let mut world = World::new(Rules { rows_max: 20, ..Rules::default() });
        let mut shelf = Shelf::default();
        let mut uuids = Vec::new();
        for _ in 0..2000 {
            world.now += luck.below(3000);
            let call = any_call(&mut luck, &uuids);
            let now = world.time();
            let prng = &mut world.prng;
            let decision = world.table.decide(&call, now, &mut |bytes| prng.fill(bytes));
            let mut changes = decision.changes;
            world.table.apply(&changes, now.clock);
            shelf.keep(&changes);
            if luck.one_in(5) {
                changes = world.table.expire(now);
                world.table.apply(&changes, now.clock);
                shelf.keep(&changes);
            }
            uuids = world.table.rows().map(|kept| kept.value.uuid.clone()).collect();
            assert!(uuids.len() <= 20);
            let mut places: Vec<_> = world.table.rows().map(|kept| kept.value.identity()).collect();
            places.sort();
            let count = places.len();
            places.dedup();
            assert_eq!(places.len(), count, "two rows are in one place, seed {seed}");
        }
        let mut again = Table::new(Rules::default());
        again.replace(shelf.saved(), Instant::START);
        let plain = |table: &Table| {
            let strip =
                |row: &super::super::row::Row| super::super::row::Row { echo: 0, ..row.clone() };
            table.rows().map(|kept| strip(&kept.value)).collect::<Vec<_>>()
        };
        assert_eq!(plain(&again), plain(&world.table), "seed {seed}");
        assert_eq!(again.epoch(), world.table.epoch());
    }
}

#[test]
fn what_others_wrote_goes_on_and_what_they_did_not_renew_ends() {
    let mut world = World::new(Rules::default());
    world.check_in("a", "x", json!({}));
    world.check_in("b", "y", json!({}));
    world.pass(20);
    let mut rows: Vec<_> = world.table.rows().map(|kept| kept.value.clone()).collect();
    // Another master saw a sign of life of one of them.
    for row in rows.iter_mut().filter(|row| row.name == "a") {
        row.echo += 20;
    }
    let now = world.time().clock;
    world.table.replace(Saved { rows, ..Saved::default() }, now);
    world.pass(20);
    assert_eq!((world.find("a"), world.find("b")), ("x:4000".to_owned(), ":".to_owned()));
}
