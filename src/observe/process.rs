//! What the kernel says of our process, for the `process_*` metrics that every dashboard knows.

use std::fs;
use std::io;
use std::time::Duration;

/// Ticks a second in `/proc/*/stat`. The kernel shows all times to programs in this unit
/// (proc(5), `USER_HZ`), which is 100 on every architecture that Rust runs Linux on but Alpha.
const TICKS_PER_SECOND: u64 = 100;

/// The process at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProcessStats {
    /// Bytes of memory that are in use and present.
    pub resident_bytes: u64,
    /// Bytes of address space.
    pub virtual_bytes: u64,
    /// Time spent on processors, for the program and by the kernel for it.
    pub cpu: Duration,
    /// File descriptors that are open, sockets included.
    pub open_fds: u64,
    /// How many there may be.
    pub max_fds: u64,
    /// Threads.
    pub threads: u64,
    /// When it was started, since 1970.
    pub start: Duration,
}

impl ProcessStats {
    /// Asks the kernel. Fails where `/proc` is not mounted.
    pub fn read() -> io::Result<ProcessStats> {
        let status = fs::read_to_string("/proc/self/status")?;
        let process = fs::read_to_string("/proc/self/stat")?;
        let limits = fs::read_to_string("/proc/self/limits")?;
        let system = fs::read_to_string("/proc/stat")?;
        let fds = fs::read_dir("/proc/self/fd")?.count();
        Ok(ProcessStats {
            // The directory was itself open while it was counted.
            open_fds: u64::try_from(fds.saturating_sub(1)).unwrap_or(u64::MAX),
            ..parse(&status, &process, &limits, &system)
        })
    }
}

/// All but the open descriptors. What is not found is zero.
fn parse(status: &str, process: &str, limits: &str, system: &str) -> ProcessStats {
    // The name in parentheses may hold anything, so that fields are counted behind its end:
    // "state" is field 3 of proc(5) and the first one here.
    let fields = process.rsplit_once(')').map_or("", |(_, fields)| fields);
    let field = |number: usize| {
        fields.split_ascii_whitespace().nth(number - 3).and_then(|f| f.parse().ok()).unwrap_or(0)
    };
    let boot_time = Duration::from_secs(number_after(system, "btime"));
    ProcessStats {
        resident_bytes: number_after(status, "VmRSS:") * 1024,
        virtual_bytes: number_after(status, "VmSize:") * 1024,
        cpu: ticks(field(14)) + ticks(field(15)),
        open_fds: 0,
        max_fds: number_after(limits, "Max open files"),
        threads: number_after(status, "Threads:"),
        start: boot_time + ticks(field(22)),
    }
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_secs(ticks / TICKS_PER_SECOND)
        + Duration::from_millis(ticks % TICKS_PER_SECOND * (1000 / TICKS_PER_SECOND))
}

/// The number that follows `name` at the start of a line.
fn number_after(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_program_name() {
        let process = "77 (a) b (c) S 1 77 77 0 -1 4194560 1 0 0 0 250 51 0 0 20 0 4 0 12345 1 1";
        let status = "Name:\ta\nVmSize:\t  2048 kB\nVmRSS:\t    100 kB\nThreads:\t4\n";
        let limits = "Max open files            1024                 524288               files\n";
        let system = "cpu 1 2\nbtime 1700000000\n";
        let want = ProcessStats {
            resident_bytes: 102_400,
            virtual_bytes: 2 * 1024 * 1024,
            cpu: Duration::from_millis(3010),
            open_fds: 0,
            max_fds: 1024,
            threads: 4,
            start: Duration::from_millis(1_700_000_123_450),
        };
        assert_eq!(parse(status, process, limits, system), want);
    }

    #[test]
    fn nonsense_is_zero() {
        assert_eq!(parse("", "", "", ""), ProcessStats::default());
        let limits = "Max open files            unlimited  unlimited  files";
        assert_eq!(parse("VmRSS:", ")", limits, "btime x"), ProcessStats::default());
    }

    #[test]
    fn the_kernel_knows_us() {
        let stats = ProcessStats::read().unwrap();
        assert!(stats.resident_bytes > 100_000 && stats.resident_bytes <= stats.virtual_bytes);
        assert!(stats.open_fds >= 3 && stats.threads >= 1);
        assert!(stats.start > Duration::from_secs(1_600_000_000));
    }
}
