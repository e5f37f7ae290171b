use std::time::Duration;

use flate2::read::GzDecoder;

use super::*;

/// 2026-11-21T12:00:00Z
const NOON: u64 = 20_778 * 86_400 + 43_200;

fn at(seconds: u64) -> UnixTime {
    UnixTime(Duration::from_secs(seconds))
}

/// A directory that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("otus-daily-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn unpacked(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        GzDecoder::new(File::open(self.0.join(name)).unwrap()).read_to_end(&mut out).unwrap();
        out
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(daily: &mut Daily, bytes: &[u8], now: UnixTime) {
    daily.begin(bytes.len(), now).unwrap();
    assert_eq!(daily.write(bytes).unwrap(), bytes.len());
}

fn settle(daily: &mut Daily, now: UnixTime) {
    while daily.tidy(now) {}
}

#[test]
fn each_day_has_a_file_and_that_of_yesterday_is_packed() {
    let folder = Folder::new("days");
    let mut daily = Daily::new(&folder.0, "gufo");
    write(&mut daily, b"one\n", at(NOON));
    write(&mut daily, b"two\n", at(NOON));
    settle(&mut daily, at(NOON));
    assert_eq!(folder.names(), ["gufo-2026-11-21.log"]);
    // Midnight passes without a line.
    settle(&mut daily, at(NOON + 43_200));
    assert_eq!(folder.names(), ["gufo-2026-11-21.log.gz"]);
    assert_eq!(folder.unpacked("gufo-2026-11-21.log.gz"), b"one\ntwo\n");
    write(&mut daily, b"three\n", at(NOON + 43_201));
    // And once more, with a line that comes first.
    write(&mut daily, b"four\n", at(NOON + 2 * 86_400));
    settle(&mut daily, at(NOON + 2 * 86_400));
    let want = ["gufo-2026-11-21.log.gz", "gufo-2026-11-22.log.gz", "gufo-2026-11-23.log"];
    assert_eq!(folder.names(), want);
    assert_eq!(folder.unpacked(want[1]), b"three\n");
}

#[test]
fn a_large_file_is_closed_between_lines_and_the_newest_seven_stay() {
    let folder = Folder::new("size");
    let mut daily = Daily::new(&folder.0, "error");
    let piece = vec![b'x'; 6_000_000];
    for _ in 0..11 {
        write(&mut daily, &piece, at(NOON));
        settle(&mut daily, at(NOON));
    }
    let mut want: Vec<_> = (4..=10).map(|n| format!("error-2026-11-21.{n}.log.gz")).collect();
    want.push("error-2026-11-21.log".to_owned());
    want.sort();
    assert_eq!(folder.names(), want);
    assert_eq!(folder.unpacked("error-2026-11-21.10.log.gz").len(), piece.len());
}

#[test]
fn a_directory_that_comes_later_is_written_to_then() {
    let folder = Folder::new("later");
    fs::write(&folder.0, b"in the way").unwrap();
    let mut daily = Daily::new(&folder.0, "gufo");
    assert!(daily.begin(4, at(NOON)).is_err());
    assert!(!daily.tidy(at(NOON)));
    fs::remove_file(&folder.0).unwrap();
    write(&mut daily, b"one\n", at(NOON));
    assert_eq!(fs::read(folder.0.join("gufo-2026-11-21.log")).unwrap(), b"one\n");
}

#[test]
fn what_the_last_process_left_is_packed_and_what_is_old_goes() {
    let folder = Folder::new("left");
    fs::create_dir_all(&folder.0).unwrap();
    for name in [
        "gufo-2026-11-20.log",
        "gufo-2026-11-20.log.gz.part",
        "gufo-2026-09-01.log.gz",
        "gufo-2026-11-21.log",
        "of somebody else.log",
    ] {
        fs::write(folder.0.join(name), b"old\n").unwrap();
    }
    let mut daily = Daily::new(&folder.0, "gufo");
    settle(&mut daily, at(NOON));
    write(&mut daily, b"new\n", at(NOON));
    let want = ["gufo-2026-11-20.log.gz", "gufo-2026-11-21.log", "of somebody else.log"];
    assert_eq!(folder.names(), want);
    assert_eq!(fs::read(folder.0.join(want[1])).unwrap(), b"old\nnew\n");
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let folder = Folder::new("moved");
    let mut daily = Daily::new(&folder.0, "gufo");
    write(&mut daily, b"one\n", at(NOON));
    fs::rename(folder.0.join("gufo-2026-11-21.log"), folder.0.join("away")).unwrap();
    daily.close();
    write(&mut daily, b"two\n", at(NOON));
    assert_eq!(fs::read(folder.0.join("gufo-2026-11-21.log")).unwrap(), b"two\n");
    assert_eq!(fs::read(folder.0.join("away")).unwrap(), b"one\n");
}
