//! The mandate: one holder at a time, whoever is killed, paused or wrong about the time.

use super::*;
use crate::master::mandate::Mandate;
use crate::master::rules::MANDATE_TTL;

fn asked(world: &mut World, uuid: &str, id: &str) -> (bool, String, u64) {
    let answer = world.ask("POST", "getcronmandate", json!({ "uuid": uuid, "masterid": id }));
    let id = answer["masterid"].as_str().unwrap_or_default().to_owned();
    (answer["mandate"].as_bool().unwrap(), id, answer["epoch"].as_u64().unwrap_or(0))
}

#[test]
fn a_mandate_is_given_once_renewed_by_its_id_and_given_anew_after_five_seconds() {
    let mut world = World::new(Rules::default());
    let (a, b) = (world.check_in("s", "a", json!({})), world.check_in("s", "b", json!({})));
    let (held, id, epoch) = asked(&mut world, &a, "");
    assert!(held && epoch == 1);
    assert_eq!(asked(&mut world, &a, ""), (false, String::new(), 1), "it is asked for by id only");
    assert_eq!(asked(&mut world, &b, ""), (false, String::new(), 1));
    assert!(!asked(&mut world, &b, &"x".repeat(24)).0);
    world.pass(5);
    assert!(!asked(&mut world, &b, "").0);
    assert!(asked(&mut world, &a, &id).0);
    world.pass(5);
    assert!(!asked(&mut world, &b, "").0, "it was renewed");
    world.pass(1);
    let (held, second, epoch) = asked(&mut world, &b, "");
    assert!(held && second != id && epoch == 2);
    assert_eq!(asked(&mut world, &a, &id), (false, String::new(), 2), "the holder comes back");
    assert!(!asked(&mut world, "x", "").0);
}

#[test]
fn a_late_holder_keeps_what_nobody_took() {
    let mut world = World::new(Rules::default());
    let uuid = world.check_in("s", "a", json!({}));
    let (_, id, _) = asked(&mut world, &uuid, "");
    world.pass(25);
    assert_eq!(asked(&mut world, &uuid, &id), (true, id.clone(), 1));
    world.pass(100);
    world.sweep();
    assert_eq!(asked(&mut world, &uuid, &id), (true, id, 1));
    assert_eq!(world.find("s"), "a:4000", "who asks is alive");
}

#[test]
fn a_checkout_frees_the_mandate_and_epochs_go_on() {
    let mut world = World::new(Rules::default());
    let (a, b) = (world.check_in("s", "a", json!({})), world.check_in("s", "b", json!({})));
    let (_, id, _) = asked(&mut world, &a, "");
    world.ask("POST", "checkout", json!({ "uuid": a }));
    assert_eq!(asked(&mut world, &b, "").2, 2);
    assert!(!asked(&mut world, &a, &id).0);
    // Other services have epochs of the same row.
    let other = world.check_in("t", "a", json!({}));
    assert_eq!(asked(&mut world, &other, "").2, 3);
    assert_eq!(world.table.epoch(), 3);
}

#[test]
fn one_of_those_who_send_heartbeats_leads() {
    let mut world = World::new(Rules::default());
    let beat = |world: &mut World, host: &str| {
        let answer =
            world.ask("POST", "heartbeat", json!({ "name": "s", "host": host, "port": 1 }));
        assert_eq!(answer["leader"], answer["cron"]);
        (answer["cron"] == true, answer["epoch"].as_u64().unwrap())
    };
    assert_eq!(beat(&mut world, "a"), (true, 1));
    assert_eq!(beat(&mut world, "b"), (false, 1));
    for _ in 0..5 {
        world.pass(10);
        assert_eq!((beat(&mut world, "b"), beat(&mut world, "a")), ((false, 1), (true, 1)));
    }
    world.pass(31);
    assert_eq!(beat(&mut world, "b"), (true, 2));
    assert_eq!(beat(&mut world, "a"), (false, 2));
    let mandate = world.table.mandate("/s").unwrap();
    assert_eq!(Mandate::from_json(&mandate.to_json()).as_ref(), Some(mandate));
    assert_eq!(Mandate::from_json(&json!({ "service": "s" })), None);
}

#[test]
fn a_restart_gives_every_holder_its_time_and_no_epoch_twice() {
    let mut world = World::new(Rules::default());
    let (a, b) = (world.check_in("s", "a", json!({})), world.check_in("s", "b", json!({})));
    let (_, id, _) = asked(&mut world, &a, "");
    let saved = Saved {
        rows: world.table.rows().map(|kept| kept.value.clone()).collect(),
        mandates: world.table.mandate("/s").cloned().into_iter().collect(),
        epoch: 9,
    };
    let mut again = World::new(Rules::default());
    again.prng = Prng::new(8);
    again.now = 5_000_000;
    let now = again.time().clock;
    again.table.replace(saved, now);
    again.pass(4);
    assert!(!asked(&mut again, &b, "").0);
    assert!(asked(&mut again, &a, &id).0);
    again.pass(6);
    assert_eq!(asked(&mut again, &b, "").2, 10);
}

/// A replica of a service, with a clock that is off and runs at its own pace.
struct Replica {
    uuid: String,
    host: String,
    /// It holds the mandate, as far as it knows: until when on its own clock, and the epoch.
    believes: Option<(u64, u64)>,
    id: String,
    /// Until when it does nothing, on the true clock.
    paused_until: u64,
    /// Its clock shows this much more than the true one.
    ahead: u64,
    /// A job that it began and has not written yet: the epoch that it goes by.
    begun: Option<u64>,
}

/// The store that the jobs write to: it refuses what is behind the highest epoch it saw.
#[derive(Default)]
struct Sink {
    highest: u64,
    /// Who wrote with which epoch.
    writers: std::collections::BTreeMap<u64, usize>,
    refused: u32,
    written: u32,
}

impl Sink {
    fn write(&mut self, replica: usize, epoch: u64) {
        if epoch < self.highest {
            self.refused += 1;
            return;
        }
        self.highest = epoch;
        self.written += 1;
        let writer = *self.writers.entry(epoch).or_insert(replica);
        assert_eq!(writer, replica, "two replicas wrote with epoch {epoch}");
    }
}

/// One step of one replica: it asks if it is time, begins a job if it may, writes one it has begun.
fn step(
    world: &mut World,
    replica: &mut Replica,
    number: usize,
    by_heartbeat: bool,
    sink: &mut Sink,
    luck: &mut Prng,
) {
    if let Some(epoch) = replica.begun.take() {
        sink.write(number, epoch);
    }
    let asked_at = world.now + replica.ahead;
    let answer = if by_heartbeat {
        let args = json!({ "name": "s", "host": replica.host, "port": 1 });
        world.ask("POST", "heartbeat", args)
    } else {
        let args = json!({ "uuid": replica.uuid, "masterid": replica.id });
        world.ask("POST", "getcronmandate", args)
    };
    if luck.one_in(10) {
        // The answer is lost: the replica knows nothing of it.
        return;
    }
    let held = answer[if by_heartbeat { "cron" } else { "mandate" }] == true;
    let ttl = if by_heartbeat { Rules::default().ttl } else { MANDATE_TTL };
    let ttl = u64::try_from(ttl.as_millis()).unwrap();
    replica.believes = held.then(|| (asked_at + ttl, answer["epoch"].as_u64().unwrap()));
    replica.id = answer["masterid"].as_str().unwrap_or_default().to_owned();
}

/// Lives through a made-up hour, and says how many jobs were written and refused.
fn hour(seed: u64, by_heartbeat: bool) -> (u32, u32) {
    let mut luck = Prng::new(seed);
    let mut world = World::new(Rules::default());
    world.prng = Prng::new(seed ^ 1);
    let mut sink = Sink::default();
    let mut replicas: Vec<Replica> = (0..4)
        .map(|number| Replica {
            uuid: world.check_in("s", &format!("h{number}"), json!({})),
            host: format!("h{number}"),
            believes: None,
            id: String::new(),
            paused_until: 0,
            ahead: luck.below(1_000_000),
            begun: None,
        })
        .collect();
    while world.now < 3_600_000 {
        world.now += 1 + luck.below(400);
        if luck.one_in(50) {
            world.sweep();
        }
        let number = usize::try_from(luck.below(4)).unwrap();
        let replica = &mut replicas[number];
        if world.now < replica.paused_until {
            continue;
        }
        let local = world.now + replica.ahead;
        if let Some((until, epoch)) = replica.believes.filter(|(until, _)| local <= *until) {
            assert!(until >= local);
            replica.begun = Some(epoch);
        }
        match luck.below(100) {
            // Paused with a job begun: for less or far more than its lease.
            0 => replica.paused_until = world.now + luck.below(120_000),
            // Killed, and begun again: it knows nothing, but its place is the same.
            1 => {
                replica.begun = None;
                replica.believes = None;
                replica.id = String::new();
            }
            // A new master, from what is kept.
            2 => restart(&mut world, &mut luck),
            _ => step(&mut world, replica, number, by_heartbeat, &mut sink, &mut luck),
        }
        let now = world.now;
        let holders = replicas.iter().filter(|replica| {
            replica.believes.is_some_and(|(until, _)| now + replica.ahead <= until)
        });
        assert!(holders.count() <= 1, "two believe that they hold the mandate, seed {seed}");
    }
    (sink.written, sink.refused)
}

/// The master is killed: what is not kept is lost, and its clock begins somewhere else.
fn restart(world: &mut World, luck: &mut Prng) {
    if !luck.one_in(20) {
        return;
    }
    let saved = Saved {
        rows: world.table.rows().map(|kept| kept.value.clone()).collect(),
        mandates: world.table.mandate("/s").cloned().into_iter().collect(),
        epoch: world.table.epoch(),
    };
    let now = world.time().clock;
    world.table = Table::new(Rules::default());
    world.table.replace(saved, now);
}

#[test]
fn no_two_replicas_run_a_job_and_a_paused_one_is_refused() {
    let (mut written, mut refused) = (0, 0);
    for seed in 0..10 {
        for by_heartbeat in [false, true] {
            let (ok, late) = hour(seed, by_heartbeat);
            assert!(ok > 0, "nobody ran anything, seed {seed}");
            written += ok;
            refused += late;
        }
    }
    assert!(refused > 0, "no paused holder came back in {written} jobs");
}
