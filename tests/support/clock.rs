//! A calendar that jumps: the program's own, while the machine's and its monotonic clock go on.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use otus::base::time::UnixTime;
use otus::snapshot::server::IoDriver;

use super::gateway::on_both_drivers;
use super::process::{Folder, Launch, Process, runs};

const SOURCE: &str = include_str!("clock.c");

/// What is told to programs that [`Clock::start`] starts.
pub(crate) struct Clock {
    folder: Folder,
    ahead: File,
}

impl Clock {
    /// `None`: there is no compiler here that makes what is preloaded.
    pub(crate) fn build() -> Option<Self> {
        let folder = Folder::new();
        let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
        std::fs::write(path("clock.c"), SOURCE).unwrap();
        let words = ["-shared", "-fPIC", "-o", &path("clock.so"), &path("clock.c")];
        let ahead = File::create(path("ahead")).unwrap();
        let clock = runs("cc", &words).then(|| Clock { folder, ahead })?;
        clock.jump(0);
        Some(clock)
    }

    /// From now on the calendar is so many seconds ahead of the machine's.
    pub(crate) fn jump(&self, seconds: i64) {
        self.ahead.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    }

    /// What the calendar shows when it is so many seconds ahead.
    pub(crate) fn shows(seconds: i64) -> UnixTime {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let shown = i64::try_from(now.as_secs()).unwrap() + seconds;
        UnixTime(Duration::from_secs(shown.try_into().unwrap()))
    }

    /// Starts the program with this calendar.
    #[track_caller]
    pub(crate) fn start(&self, launch: &Launch<'_>) -> Process {
        let file = |name| self.folder.0.join(name).display().to_string();
        let preload = format!("LD_PRELOAD={}", file("clock.so"));
        let clock = format!("OTUS_TEST_CLOCK={}", file("ahead"));
        Launch { by: &["env", &preload, &clock], ..*launch }.start().unwrap()
    }
}

/// Runs a test on each driver, with a calendar that is right at first.
pub(crate) fn on_a_clock(test: impl Fn(IoDriver, &Clock)) {
    let Some(clock) = Clock::build() else {
        return println!("left out: there is no C compiler");
    };
    on_both_drivers(|io| {
        clock.jump(0);
        test(io, &clock);
    });
}
