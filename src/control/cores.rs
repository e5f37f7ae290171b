//! Which cores the shards run on.

use crate::snapshot::server::Workers;

/// Descriptors of the process beside those of connections: listeners, rings, logs, and what control
/// asks.
const DESCRIPTORS_KEPT: u64 = 64;
/// Connections of clients for which there is room in any case.
const ROOM_MIN: u64 = 16;

/// Connections of clients that each shard may have with so many descriptors of the process: half of
/// them are for endpoints, or who was let in could not be served.
#[must_use]
pub fn room(descriptors: u64, shards: usize) -> u32 {
    let shards = u64::try_from(shards).unwrap_or(u64::MAX).max(1);
    let own = descriptors.saturating_sub(DESCRIPTORS_KEPT) / shards / 2;
    u32::try_from(own.max(ROOM_MIN)).unwrap_or(u32::MAX)
}

/// The core of each shard. The cores that this process may use are those of its affinity mask, so
/// that `taskset` and container limits are obeyed.
pub fn choose(workers: &Workers) -> Result<Vec<Option<usize>>, String> {
    let mut allowed: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    allowed.sort_unstable();
    match workers {
        Workers::Auto if allowed.is_empty() => Ok(vec![None]),
        Workers::Auto => Ok(allowed.into_iter().map(Some).collect()),
        Workers::Count(count) => {
            // More shards than cores share cores: useful only for tests.
            Ok((0..*count)
                .map(|number| allowed.get(number % allowed.len().max(1)).copied())
                .collect())
        }
        Workers::Cores(cores) => match cores.iter().find(|core| !allowed.contains(core)) {
            Some(core) => Err(format!(
                "server.workers names core {core}, which this process may not use \
                 (allowed: {allowed:?})"
            )),
            None => Ok(cores.iter().copied().map(Some).collect()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_all_descriptors_are_for_endpoints() {
        assert_eq!(room(1024, 1), 480);
        assert_eq!(room(1024, 4), 120);
        assert_eq!(room(64, 8), 16);
        assert_eq!(room(u64::MAX, 1), u32::MAX);
    }
}
