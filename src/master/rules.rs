//! By which rules a master works, and the bounds of what it keeps.

use std::time::Duration;

use crate::base::time::{Instant, UnixTime};

/// Instances of one name.
pub const INSTANCES_MAX: usize = 64;
/// Rows of one answer to `list`.
pub const LIST_MAX: u64 = 500;
/// Rows of one answer to `list`, if nothing is said (SPEC 8.1).
pub const LIST_DEFAULT: u64 = 25;
/// How long who asked for the mandate alone holds it without asking again (SPEC 8.1).
pub const MANDATE_TTL: Duration = Duration::from_secs(5);

/// By which rules a master works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How long a row holds without a sign of life: three heartbeats.
    pub ttl: Duration,
    /// A row that has ended is removed after so long.
    pub forget: Duration,
    /// Whether all rows end so; else those alone that ever sent a heartbeat.
    pub lease_all: bool,
    /// Rows at most.
    pub rows_max: usize,
    /// Groups that rows may have; none: any.
    pub groups: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            ttl: Duration::from_secs(30),
            forget: Duration::from_hours(1),
            lease_all: true,
            rows_max: 4096,
            groups: Vec::new(),
        }
    }
}

/// The moment of a call, on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Leases are measured with this one. It never goes back, and means nothing elsewhere.
    pub clock: Instant,
    /// What is told and shown.
    pub unix: UnixTime,
}
