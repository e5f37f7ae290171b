//! What befalls the machine under test, not its network: threads that are not scheduled, clocks that
//! jump, hosts that are cut off, mailboxes that are full.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use otus::base::time::Instant;
use otus::io::sim::World;

use crate::dice::Dice;
use crate::gateway::Gateway;
use crate::town::Town;

/// On a calm day nobody may notice more than this.
const BLINK_MAX: u64 = 200;

/// What may happen in a run, and what has happened.
pub struct Trouble {
    dice: Dice,
    town: Rc<Town>,
    /// Hosts that may be cut off.
    hosts: [IpAddr; 2],
    suspends: bool,
    jumps: bool,
    fills: bool,
    lost: Option<IpAddr>,
    /// The shard that does not run, and until when.
    asleep: Option<(usize, Instant)>,
}

impl Trouble {
    pub fn draw(town: &Rc<Town>, mut dice: Dice, hosts: [IpAddr; 2]) -> Trouble {
        let is_calm = town.weather.is_calm;
        Trouble {
            town: Rc::clone(town),
            hosts,
            suspends: dice.one_in(3),
            jumps: !is_calm && dice.one_in(4),
            fills: dice.one_in(3),
            lost: None,
            asleep: None,
            dice,
        }
    }

    /// Lets happen what may happen now.
    pub fn strike(&mut self, world: &mut World, gateway: &mut Gateway) {
        if self.fills && self.dice.one_in(40) {
            self.town.met("mailboxes that were full");
            gateway.fill(&mut self.dice, self.town.weather.is_quiet());
        }
        self.hosts(world);
        if self.jumps && self.dice.one_in(80) {
            let by = self.dice.millis(1, 10_000);
            gateway.excuse(by);
            world.jump(by);
        }
        if self.dice.one_in(50) && !self.town.weather.is_calm {
            let by = Duration::from_secs(self.dice.between(1, 3 * 86_400));
            let back = self.dice.one_in(2);
            world.move_calendar(by, back);
            self.town.met("calendars that were set");
        }
        self.shards(world, gateway);
    }

    fn hosts(&mut self, world: &mut World) {
        if let Some(host) = self.lost.filter(|_| self.dice.one_in(20)) {
            world.find_host(host);
            self.lost = None;
        } else if !self.town.weather.is_calm && self.lost.is_none() && self.dice.one_in(100) {
            let host = self.dice.pick(&self.hosts);
            world.lose_host(host);
            self.lost = Some(host);
        }
    }

    fn shards(&mut self, world: &mut World, gateway: &mut Gateway) {
        match self.asleep {
            Some((shard, until)) if world.now() >= until => {
                gateway.resume(world, shard);
                self.asleep = None;
            }
            None if self.suspends && self.dice.one_in(30) => {
                let shard = self.dice.count(0, gateway.shards.len() - 1);
                let most = if self.town.weather.is_calm { BLINK_MAX } else { 10_000 };
                let time = self.dice.millis(1, most);
                gateway.suspend(world, shard, time);
                if self.town.weather.is_calm {
                    world.run_for(time);
                    gateway.resume(world, shard);
                } else {
                    self.asleep = Some((shard, world.now() + time));
                }
            }
            _ => {}
        }
    }

    /// Nothing of it lasts.
    pub fn end(&mut self, world: &mut World, gateway: &mut Gateway) {
        if let Some(host) = self.lost.take() {
            world.find_host(host);
        }
        if let Some((shard, _)) = self.asleep.take() {
            gateway.resume(world, shard);
        }
    }
}
