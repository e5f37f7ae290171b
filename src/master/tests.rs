//! What the master answers, and what holds whatever happens.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::action::Decision;
use super::call::{Call, Inner};
use super::fault::Fault;
use super::rules::{INSTANCES_MAX, Now, Rules};
use super::table::{Saved, Table};
use crate::base::prng::Prng;
use crate::base::time::{Instant, UnixTime};

mod mandates;
mod places;
mod stories;

/// A master whose clock and chance the test holds.
struct World {
    table: Table,
    /// Milliseconds since the start.
    now: u64,
    prng: Prng,
}

impl World {
    fn new(rules: Rules) -> Self {
        World { table: Table::new(rules), now: 0, prng: Prng::new(7) }
    }

    fn time(&self) -> Now {
        let since = Duration::from_millis(self.now);
        Now {
            clock: Instant::START + since,
            unix: UnixTime(Duration::from_secs(1_700_000_000) + since),
        }
    }

    fn call(&mut self, call: &Call) -> Result<Map<String, Value>, Fault> {
        let now = self.time();
        let prng = &mut self.prng;
        let Decision { answer, changes } =
            self.table.decide(call, now, &mut |bytes| prng.fill(bytes));
        assert!(answer.is_ok() || changes.is_empty(), "a fault changes nothing: {changes:?}");
        self.table.apply(&changes, now.clock);
        answer
    }

    /// Asks the master itself.
    fn ask(&mut self, method: &str, param: &str, args: Value) -> Value {
        Value::Object(self.call(&own(method, param, args)).unwrap())
    }

    fn fault(&mut self, method: &str, param: &str, args: Value) -> (u16, &'static str) {
        let fault = self.call(&own(method, param, args)).unwrap_err();
        (fault.status, fault.code)
    }

    /// Host and port of a module, as a gateway asks.
    fn find(&mut self, module: &str) -> String {
        let answer = self.call(&about(module, "GET", "getmicroservicebypath")).unwrap();
        format!("{}:{}", answer["host"].as_str().unwrap(), answer["port"].as_str().unwrap())
    }

    fn check_in(&mut self, name: &str, host: &str, more: Value) -> String {
        let mut args = json!({ "name": name, "host": host, "port": 4000 });
        args.as_object_mut().unwrap().extend(object(more));
        self.ask("POST", "checkin", args)["uuid"].as_str().unwrap().to_owned()
    }

    fn pass(&mut self, seconds: u64) {
        self.now += seconds * 1000;
    }

    /// What time alone brings about.
    fn sweep(&mut self) {
        let now = self.time();
        let changes = self.table.expire(now);
        self.table.apply(&changes, now.clock);
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value} is no object") };
    members
}

fn own(method: &str, param: &str, args: Value) -> Call {
    Call {
        module: "masterservice".to_owned(),
        param: param.to_owned(),
        method: method.to_owned(),
        args: object(args),
        ..Call::default()
    }
}

/// As one service asks about another (SPEC 8.2).
fn about(module: &str, method: &str, param: &str) -> Call {
    Call {
        module: module.to_owned(),
        param: param.to_owned(),
        method: method.to_owned(),
        inner: Some(Inner {
            param: param.to_owned(),
            method: method.to_owned(),
            ..Inner::default()
        }),
        ..Call::default()
    }
}
