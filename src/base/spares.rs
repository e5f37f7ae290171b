//! What is kept for its next use, so that nobody has to make it anew.
//!
//! How many are worth it differs: a shard with a hundred thousand requests a second before a fast
//! service has few of them under way, one before a slow service thousands. So more are kept while
//! they are needed, and those that nobody wanted for a while go.

/// After so many came back it is seen which of them nobody needed ...
const LOOK_EVERY: u32 = 1024;
/// ... of which so many go at most: what frees them takes time, too.
const GO_AT_ONCE: usize = 64;

/// The one that came back last goes out first, while it is still in the cache.
#[derive(Debug)]
pub struct Spares<T> {
    kept: Vec<T>,
    /// So many stay, whether they are needed or not.
    few: usize,
    most: usize,
    /// The fewest that were here since the last look: nobody needed them.
    idle: usize,
    returned: u32,
}

impl<T> Spares<T> {
    /// Keeps up to `most`, of which up to `few` stay for ever.
    #[must_use]
    pub const fn new(few: usize, most: usize) -> Self {
        Spares { kept: Vec::new(), few, most, idle: 0, returned: 0 }
    }

    /// One that is here.
    pub fn take(&mut self) -> Option<T> {
        let spare = self.kept.pop();
        self.idle = self.idle.min(self.kept.len());
        spare
    }

    /// Gives one back, or a first one.
    pub fn put(&mut self, spare: T) {
        if self.kept.len() < self.most {
            self.kept.push(spare);
        }
        self.returned += 1;
        if self.returned == LOOK_EVERY {
            self.look();
        }
    }

    #[cold]
    fn look(&mut self) {
        let beyond = self.kept.len().saturating_sub(self.few);
        let gone = self.idle.min(beyond).min(GO_AT_ONCE);
        self.kept.truncate(self.kept.len() - gone);
        self.returned = 0;
        self.idle = self.kept.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: usize = 4;
    const MOST: usize = 1000;

    /// So many are out at once, again and again, until `returns` have come back. How many had to be
    /// made.
    fn use_at_once(spares: &mut Spares<u32>, count: u32, returns: u32) -> u32 {
        let mut made = 0;
        for _ in 0..returns / count {
            let out: Vec<u32> = (0..count)
                .map(|number| {
                    spares.take().unwrap_or_else(|| {
                        made += 1;
                        number
                    })
                })
                .collect();
            for spare in out {
                spares.put(spare);
            }
        }
        made
    }

    #[test]
    fn what_is_needed_is_made_once() {
        let mut spares = Spares::new(FEW, MOST);
        assert_eq!(use_at_once(&mut spares, 500, 500), 500);
        assert_eq!(use_at_once(&mut spares, 500, 1_000_000), 0);
    }

    #[test]
    fn no_more_are_kept_than_may_be() {
        let mut spares = Spares::new(FEW, MOST);
        use_at_once(&mut spares, 3000, 3000);
        assert_eq!(spares.kept.len(), MOST);
    }

    #[test]
    fn what_nobody_needs_goes_bit_by_bit_down_to_a_few() {
        let mut spares = Spares::new(FEW, MOST);
        use_at_once(&mut spares, 500, 1000);
        let before = spares.kept.len();
        use_at_once(&mut spares, 10, 2 * LOOK_EVERY);
        let after = spares.kept.len();
        assert!(before - 2 * GO_AT_ONCE <= after && after < before, "{before} {after}");
        use_at_once(&mut spares, 10, 30 * LOOK_EVERY);
        assert_eq!(spares.kept.len(), 10, "as many as are needed");
        use_at_once(&mut spares, 1, 5 * LOOK_EVERY);
        assert_eq!(spares.kept.len(), FEW, "a few stay");
        assert_eq!(use_at_once(&mut spares, 4, 5 * LOOK_EVERY), 0);
    }

    #[test]
    fn the_last_one_that_came_back_goes_out_first() {
        let mut spares = Spares::new(FEW, MOST);
        for number in 0..10 {
            spares.put(number);
        }
        assert_eq!(spares.take(), Some(9));
        spares.put(10);
        assert_eq!(spares.take(), Some(10));
        assert_eq!(spares.take(), Some(8));
    }
}
