//! What is known of where modules run (SPEC 15.6).

use crate::control::state::State;
use crate::gufo::registry::directory::{Directory, Missing, Row};
use crate::gufo::registry::{Home, MASTER};
use crate::snapshot::Snapshot;

use super::json::Json;
use super::report::count;

/// `/-/registry`
pub(super) fn now(state: &State, snapshot: &Snapshot) -> Vec<u8> {
    let registry = snapshot.gufo.registry.as_deref();
    Json::of(|json| {
        json.key("mode").text(if registry.is_some() { "master" } else { "static" });
        if let Some(registry) = registry {
            state.registry().look(|directory, now| {
                masters(json, snapshot, directory);
                json.key("unknown_names").number(count(directory.unknown()));
                json.key("found").list(|json| {
                    for row in directory.rows(now) {
                        json.object(|json| found(json, &row, directory, &registry.home));
                    }
                });
            });
        }
        json.key("settings").list(|json| {
            for module in snapshot.gufo.modules().iter().filter(|module| !module.found) {
                json.object(|json| {
                    json.key("name").text(&module.name);
                    let upstream = snapshot.upstream(module.upstream);
                    json.key("endpoints").list(|json| {
                        for endpoint in upstream.iter().flat_map(|own| &own.endpoints) {
                            json.text(&endpoint.authority());
                        }
                    });
                });
            }
        });
    })
}

fn masters(json: &mut Json, snapshot: &Snapshot, directory: &Directory) {
    let module = snapshot.gufo.module(MASTER.as_bytes());
    let upstream = module.and_then(|module| snapshot.upstream(module.upstream));
    json.key("masters").list(|json| {
        for endpoint in upstream.iter().flat_map(|own| &own.endpoints) {
            json.text(&endpoint.authority());
        }
    });
    json.key("masters_answer").boolean(!directory.is_lost());
    json.key("ttl_seconds").number(directory.rules().ttl.as_secs());
}

fn found(json: &mut Json, row: &Row<'_>, directory: &Directory, home: &Home) {
    json.key("name").text(row.name);
    let state = match (row.place, row.missing) {
        (Some((_, age)), _) if age > directory.rules().ttl => "stale",
        (Some(_), _) => "fresh",
        (None, Some(Missing::Nowhere)) => "unknown",
        (None, Some(Missing::Incomplete)) => "incomplete",
        (None, Some(Missing::Unreachable)) => "unreachable",
        (None, None) => "asked",
    };
    json.key("state").text(state);
    let Some((place, age)) = row.place else { return };
    json.key("age_seconds").number(age.as_secs());
    json.key("internal").boolean(place.internal);
    json.key("instances").list(|json| {
        for own in &place.instances {
            json.object(|json| {
                json.key("host").text(&own.host);
                json.key("port").number(u64::from(own.port));
                json.key("region").text(&own.region);
                json.key("group").text(&own.group);
                json.key("weight").number(u64::from(own.weight));
                json.key("rank").number(u64::from(home.rank(own)));
            });
        }
    });
}
