//! One case after the other: warmed up, then counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs of a case before it is counted: tables and pools have their size then.
const WARM_RUNS: u32 = 50;
/// Runs that are counted together.
pub(crate) const RUNS: u64 = 20;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, which counts. Memory that grows is counted as memory that is asked for.
pub(crate) struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: every call goes to the system's allocator as it came; counting touches nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as our caller promises.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Runs cases, and prints a line for each: allocations of [`RUNS`] runs, and its name.
pub(crate) struct Ledger {
    only: Option<String>,
}

impl Ledger {
    /// Runs the cases whose names hold `only`.
    pub(crate) fn new(only: Option<String>) -> Self {
        // What is zeroed are the counts of this thread. The first dump has those of the thread that
        // started it as well, so it is nobody's.
        counted_by_callgrind(&mut || {});
        Ledger { only }
    }

    /// Counts one case.
    pub(crate) fn case(&mut self, name: &str, mut work: impl FnMut()) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            return;
        }
        for _ in 0..WARM_RUNS {
            work();
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        counted_by_callgrind(&mut work);
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        println!("{allocations} {name}");
    }
}

/// Callgrind knows this function by its name, see [`COUNTED_NAME`].
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    for _ in 0..RUNS {
        work();
    }
}

/// The number of the first dump that is of a case.
pub(crate) const FIRST_DUMP: u32 = 2;

/// What valgrind finds that function by: it undoes the decoration of names, and takes one asterisk.
pub(crate) const COUNTED_NAME: &str = "*counted_by_callgrind";
