//! Which cores the shards run on.

use crate::snapshot::server::Workers;

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
