use std::sync::Mutex;

use super::super::access_log::{AccessRecord, LogSender, ring_of};
use super::super::counters::{Counter, ShardCounters};
use super::super::notice::{Notice, Severity};
use super::*;
use crate::base::text::Text;
use crate::base::time::UnixTime;

const STYLE: Style = Style { told: NoticeForm::Json, lines: LineForm::Otus };

/// A target in memory that takes as many bytes as it is told to.
#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<FakeState>>);

#[derive(Debug, Default)]
struct FakeState {
    files: Vec<Vec<u8>>,
    room: Option<usize>,
    step: Option<usize>,
}

impl Fake {
    fn new(room: Option<usize>, step: Option<usize>) -> Self {
        Fake(Arc::new(Mutex::new(FakeState { files: vec![Vec::new()], room, step })))
    }

    fn make_room(&self) {
        self.0.lock().unwrap().room = None;
    }

    fn file(&self, number: usize) -> Vec<u8> {
        self.0.lock().unwrap().files[number].clone()
    }
}

impl Write for Fake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock().unwrap();
        let take = bytes.len().min(state.step.unwrap_or(usize::MAX));
        let take = take.min(state.room.unwrap_or(usize::MAX));
        if take == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.room = state.room.map(|room| room - take);
        state.files.last_mut().unwrap().extend_from_slice(&bytes[..take]);
        Ok(take)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Target for Fake {
    fn reopen(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().files.push(Vec::new());
        Ok(())
    }
}

fn pump(fake: &Fake, rings: Vec<LogReceiver>) -> Pump<Fake, Vec<u8>> {
    let shared = Arc::new(Shared::default());
    Pump::new(rings, Notices::new(), STYLE, vec![fake.clone()], Vec::new(), shared)
}

fn push(sender: &LogSender, counters: &ShardCounters, number: u64) {
    let path = Text::new(format!("/{number}").as_bytes());
    sender.push(AccessRecord { path, request_bytes: number, ..AccessRecord::default() }, counters);
}

/// The numbers of the records, in the order in which they were written.
fn numbers(lines: &[u8]) -> Vec<u64> {
    assert!(lines.is_empty() || lines.ends_with(b"\n"));
    lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice::<serde_json::Value>(line).unwrap())
        .map(|value| value["http.request.body.size"].as_u64().unwrap())
        .collect()
}

#[test]
fn lines_go_on_where_a_full_disk_stopped_them() {
    let counters = ShardCounters::new();
    for room in 0..700 {
        let (sender, receiver) = ring_of(8);
        let fake = Fake::new(Some(room), None);
        let mut pump = pump(&fake, vec![receiver]);
        for number in 0..3 {
            push(&sender, &counters, number);
        }
        if pump.turn() == Turn::Stuck {
            assert_eq!(pump.turn(), Turn::Stuck);
            assert_eq!(pump.shared.stats.written(), 0);
            assert_eq!(pump.shared.stats.faults(), 2);
            fake.make_room();
            assert_eq!(pump.turn(), Turn::Busy);
        }
        assert_eq!(pump.turn(), Turn::Idle);
        assert_eq!(numbers(&fake.file(0)), [0, 1, 2], "room for {room}");
        assert_eq!(pump.shared.stats.written(), 3);
    }
}

#[test]
fn a_target_that_takes_one_byte_at_a_time_gets_them_all() {
    let (sender, receiver) = ring_of(8);
    let fake = Fake::new(None, Some(1));
    let mut pump = pump(&fake, vec![receiver]);
    push(&sender, &ShardCounters::new(), 5);
    assert_eq!(pump.turn(), Turn::Busy);
    assert_eq!(numbers(&fake.file(0)), [5]);
}

#[test]
fn while_the_target_is_stuck_the_ring_fills_and_drops() {
    let counters = ShardCounters::new();
    let (sender, receiver) = ring_of(4);
    let fake = Fake::new(Some(0), None);
    let mut pump = pump(&fake, vec![receiver]);
    for number in 0..10 {
        push(&sender, &counters, number);
        assert_eq!(pump.turn(), Turn::Stuck);
    }
    assert_eq!(counters.reader().get(Counter::LogDropped), 5);
    fake.make_room();
    while pump.turn() != Turn::Idle {}
    assert_eq!(numbers(&fake.file(0)), [0, 1, 2, 3, 4]);
}

#[test]
fn a_new_file_begins_with_a_whole_line() {
    let (sender, receiver) = ring_of(8);
    let fake = Fake::new(Some(300), None);
    let mut pump = pump(&fake, vec![receiver]);
    for number in 0..3 {
        push(&sender, &ShardCounters::new(), number);
    }
    assert_eq!(pump.turn(), Turn::Stuck);
    fake.make_room();
    pump.reopen();
    assert_eq!(pump.turn(), Turn::Busy);
    let whole = last_line_end(&fake.file(0));
    assert!(whole > 0, "the first file holds a line and a piece");
    let mut all = numbers(&fake.file(0)[..whole]);
    all.extend(numbers(&fake.file(1)));
    assert_eq!(all, [0, 1, 2]);
}

#[test]
fn no_ring_starves_another() {
    let counters = ShardCounters::new();
    let (busy, busy_end) = ring_of(4096);
    let (quiet, quiet_end) = ring_of(8);
    let fake = Fake::new(None, None);
    let mut pump = pump(&fake, vec![busy_end, quiet_end]);
    for number in 0..4096 {
        push(&busy, &counters, number);
    }
    push(&quiet, &counters, 9999);
    assert_eq!(pump.turn(), Turn::Busy);
    let first = numbers(&fake.file(0));
    assert!(first.contains(&9999), "the quiet ring had its turn in the first batch");
    while pump.turn() != Turn::Idle {}
    assert_eq!(numbers(&fake.file(0)).len(), 4097);
}

#[test]
fn what_never_reached_the_target_is_counted_at_the_end() {
    let (sender, receiver) = ring_of(2);
    let fake = Fake::new(Some(0), None);
    let mut pump = pump(&fake, vec![receiver]);
    let counters = ShardCounters::new();
    push(&sender, &counters, 0);
    assert_eq!(pump.turn(), Turn::Stuck);
    push(&sender, &counters, 1);
    push(&sender, &counters, 2);
    let shared = Arc::clone(&pump.shared);
    shared.stop.store(true, Ordering::Release);
    pump.run();
    assert_eq!(shared.stats.lost(), 3);
    assert_eq!(shared.stats.written(), 0);
}

#[test]
fn notices_are_written_even_while_the_log_is_stuck() {
    let (sender, receiver) = ring_of(2);
    let fake = Fake::new(Some(0), None);
    let mut pump = pump(&fake, vec![receiver]);
    push(&sender, &ShardCounters::new(), 0);
    let notice = Notice::new(UnixTime::default(), Severity::Error, "reload", "kept generation 7");
    pump.notices.clone().tell(notice);
    assert_eq!(pump.turn(), Turn::Stuck);
    let line: serde_json::Value = serde_json::from_slice(&pump.errors).unwrap();
    assert_eq!(line["message"], "kept generation 7");
}

#[test]
fn a_target_that_takes_no_bytes_is_told_of_once_and_its_end_as_well() {
    let (sender, receiver) = ring_of(8);
    let fake = Fake::new(Some(0), None);
    let mut pump = pump(&fake, vec![receiver]);
    push(&sender, &ShardCounters::new(), 0);
    for _ in 0..5 {
        assert_eq!(pump.turn(), Turn::Stuck);
    }
    fake.make_room();
    assert_eq!(pump.turn(), Turn::Busy);
    assert_eq!(pump.turn(), Turn::Idle);
    let told = String::from_utf8(pump.errors).unwrap();
    let events: Vec<_> = told
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["event.name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(events, ["log_stuck", "log_goes_on"]);
}

#[test]
fn lines_about_errors_have_a_target_of_their_own() {
    let counters = ShardCounters::new();
    let (sender, receiver) = ring_of(8);
    let (fine, errors) = (Fake::new(None, None), Fake::new(None, None));
    let shared = Arc::new(Shared::default());
    let targets = vec![fine.clone(), errors.clone()];
    let mut pump = Pump::new(vec![receiver], Notices::new(), STYLE, targets, Vec::new(), shared);
    for (number, status) in [(1, 200), (2, 502), (3, 0), (4, 404), (5, 500)] {
        let record = AccessRecord { status, request_bytes: number, ..AccessRecord::default() };
        sender.push(record, &counters);
    }
    assert_eq!(pump.turn(), Turn::Busy);
    assert_eq!(numbers(&fine.file(0)), [1, 3, 4]);
    assert_eq!(numbers(&errors.file(0)), [2, 5]);
    assert_eq!(pump.shared.stats.written(), 5);
}

#[test]
fn the_thread_writes_a_file_to_its_end_and_follows_a_rotation() {
    let dir = std::env::temp_dir().join(format!("otus-log-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("access.log");
    let counters = ShardCounters::new();
    let (sender, receiver) = ring_of(64);
    let target = LogTarget::File(path.clone());
    let writer = LogWriter::spawn(vec![receiver], Notices::new(), target, LineForm::Otus).unwrap();
    push(&sender, &counters, 1);
    while writer.stats().written() < 1 {
        thread::yield_now();
    }
    std::fs::rename(&path, dir.join("access.log.1")).unwrap();
    writer.reopen();
    while !path.exists() {
        thread::yield_now();
    }
    for number in 2..40 {
        push(&sender, &counters, number);
    }
    assert!(writer.stop(Duration::from_secs(10)));
    assert_eq!(numbers(&std::fs::read(dir.join("access.log.1")).unwrap()), [1]);
    let rest: Vec<u64> = (2..40).collect();
    assert_eq!(numbers(&std::fs::read(&path).unwrap()), rest);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_target_that_blocks_for_good_is_left_behind() {
    #[derive(Debug)]
    struct Blocked;
    impl Write for Blocked {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            loop {
                thread::park();
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Target for Blocked {
        fn reopen(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sender, receiver) = ring_of(2);
    push(&sender, &ShardCounters::new(), 0);
    let writer = LogWriter::start(|shared| {
        Pump::new(vec![receiver], Notices::new(), STYLE, vec![Blocked], io::sink(), shared)
    });
    assert!(!writer.unwrap().stop(Duration::from_millis(20)));
}

#[test]
fn a_file_that_cannot_be_opened_is_told_at_once() {
    let target = LogTarget::File(PathBuf::from("/nowhere/at/all/access.log"));
    assert!(LogWriter::spawn(Vec::new(), Notices::new(), target, LineForm::Otus).is_err());
}
