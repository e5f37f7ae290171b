//! The log thread: empties the shards' rings into a file or pipe, and writes the notices.
//!
//! The gateway goes on whatever happens to the target. While it does not take bytes (a full disk, a
//! stopped reader), the lines in hand are kept and tried again, the rings fill up, and what no
//! longer fits is counted as dropped. No line is torn: a write that failed midway goes on where it
//! stopped. The operator is told once when it begins, and once when it is over.

mod daily;
mod days;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::daily::Daily;
use super::access_log::{LineForm, LogReceiver, severity, write_line};
use super::json::Calendar;
use super::notice::{Notice, NoticeForm, Notices, Severity, write_notice};
use crate::base::time::UnixTime;

/// Bytes that are gathered for one write.
const BATCH_BYTES: usize = 64 * 1024;
/// Bytes that the longest line may come to, without escapes.
const LINE_BYTES: usize = 2 * 1024;
/// Records that one ring gives before the next has its turn.
const RECORDS_IN_TURN: usize = 32;
/// How long the thread sleeps when it finds nothing, the first time ...
const SLEEP_MIN: Duration = Duration::from_millis(10);
/// ... and at most; doubled between. A ring holds what 160,000 requests a second leave in it.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// Between two tries on a target that does not take bytes.
const RETRY_MAX: Duration = Duration::from_secs(1);

/// Where the access log goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error, among the notices.
    Stderr,
    /// A file, created if missing and appended to.
    File(PathBuf),
    /// Files of the day in this directory.
    Daily(PathBuf),
    /// Nowhere.
    Off,
}

/// What the log thread has done.
#[derive(Debug, Default)]
pub struct LogStats {
    written: AtomicU64,
    lost: AtomicU64,
    faults: AtomicU64,
}

impl LogStats {
    /// Records written to the target.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records taken from a ring that never reached the target.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Writes that failed.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

/// The running log thread.
#[derive(Debug)]
pub struct LogWriter {
    shared: Arc<Shared>,
    thread: Thread,
    /// Ends when the thread does, for that holds the other end.
    ended: Receiver<()>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    reopen: AtomicBool,
    stats: Arc<LogStats>,
}

impl LogWriter {
    /// Starts the thread. Fails if the target cannot be opened or no thread can be had.
    ///
    /// Notices go to standard error: as plain text if that is a terminal, else as JSON.
    pub fn spawn(
        rings: Vec<LogReceiver>,
        notices: Notices,
        target: LogTarget,
        lines: LineForm,
    ) -> io::Result<LogWriter> {
        let plain = io::stderr().is_terminal();
        let told = if plain { NoticeForm::Plain } else { NoticeForm::Json };
        let out = Out::open(target)?;
        let style = Style { told, lines };
        Self::start(|shared| Pump::new(rings, notices, style, out, io::stderr(), shared))
    }

    fn start<T, E>(pump: impl FnOnce(Arc<Shared>) -> Pump<T, E>) -> io::Result<LogWriter>
    where
        T: Target + Send + 'static,
        E: Write + Send + 'static,
    {
        let shared = Arc::new(Shared::default());
        let pump = pump(Arc::clone(&shared));
        let (ends, ended) = mpsc::channel();
        let handle = thread::Builder::new().name("otus-log".to_owned()).spawn(move || {
            pump.run();
            drop::<Sender<()>>(ends);
        })?;
        Ok(LogWriter { shared, thread: handle.thread().clone(), ended })
    }

    /// What the thread has done so far.
    pub fn stats(&self) -> Arc<LogStats> {
        Arc::clone(&self.shared.stats)
    }

    /// Opens a target that is a file anew, after it was renamed by a log rotation.
    pub fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Ends the thread after it has written all that the rings hold. If the target takes no bytes
    /// for `patience`, it is left behind. Returns whether all was tried.
    pub fn stop(self, patience: Duration) -> bool {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
        self.ended.recv_timeout(patience) != Err(RecvTimeoutError::Timeout)
    }
}

/// What the log thread writes records to.
trait Target: Write {
    /// Opens it anew if that means anything; keeps the old one on a fault.
    fn reopen(&mut self) -> io::Result<()>;

    /// Whether records are wanted at all.
    fn wanted(&self) -> bool {
        true
    }

    /// Whether notices are wanted as well.
    fn takes_notices(&self) -> bool {
        false
    }

    /// So many bytes of whole lines come next.
    fn begin(&mut self, _bytes: usize, _now: UnixTime) -> io::Result<()> {
        Ok(())
    }

    /// Does a little of what can wait; whether there is more of it.
    fn tidy(&mut self, _now: UnixTime) -> bool {
        false
    }
}

/// How a turn of the thread went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// It found nothing to write.
    Idle,
    /// It wrote something; there may be more.
    Busy,
    /// The target takes no bytes.
    Stuck,
}

/// What lines look like.
#[derive(Clone, Copy, Debug)]
struct Style {
    /// Those of notices.
    told: NoticeForm,
    /// Those of records.
    lines: LineForm,
}

struct Pump<T, E> {
    rings: Vec<LogReceiver>,
    notices: Notices,
    style: Style,
    /// Where lines go; the last one takes those about errors.
    lanes: Vec<Lane<T>>,
    errors: E,
    shared: Arc<Shared>,
    calendar: Calendar,
    /// Whether the operator was told that the target takes no bytes.
    told_stuck: bool,
}

/// A target with its lines in hand, of which the first `sent` bytes are out.
struct Lane<T> {
    target: T,
    batch: Vec<u8>,
    sent: usize,
    records: u64,
}

impl<T: Target, E: Write> Pump<T, E> {
    fn new(
        rings: Vec<LogReceiver>,
        notices: Notices,
        style: Style,
        targets: Vec<T>,
        errors: E,
        shared: Arc<Shared>,
    ) -> Self {
        let lane = |target| {
            let batch = Vec::with_capacity(BATCH_BYTES + LINE_BYTES);
            Lane { target, batch, sent: 0, records: 0 }
        };
        Pump {
            rings,
            notices,
            style,
            lanes: targets.into_iter().map(lane).collect(),
            errors,
            shared,
            calendar: Calendar::default(),
            told_stuck: false,
        }
    }

    fn run(mut self) {
        let mut sleep = SLEEP_MIN;
        loop {
            // Read before the turn, so that what was pushed before the stop is still written.
            let stop = self.shared.stop.load(Ordering::Acquire);
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            let turn = self.turn();
            let now = unix_now();
            let more = self.lanes.iter_mut().fold(false, |more, lane| lane.target.tidy(now) | more);
            let sleep_max = match (turn, stop) {
                (Turn::Busy, _) => {
                    sleep = SLEEP_MIN;
                    continue;
                }
                (Turn::Idle | Turn::Stuck, true) => return self.give_up(),
                (Turn::Idle, false) if more => continue,
                (Turn::Idle, false) => SLEEP_MAX,
                (Turn::Stuck, false) => RETRY_MAX,
            };
            thread::park_timeout(sleep);
            sleep = (sleep * 2).min(sleep_max);
        }
    }

    fn turn(&mut self) -> Turn {
        self.write_notices();
        if self.lanes.iter().all(|lane| lane.batch.is_empty()) {
            self.fill();
        }
        if self.lanes.iter().all(|lane| lane.batch.is_empty()) {
            return Turn::Idle;
        }
        let mut fault = None;
        for lane in &mut self.lanes {
            if let Err(error) = lane.flush(&self.shared.stats) {
                raise(&self.shared.stats.faults, 1);
                fault = Some(error);
            }
        }
        self.tell_stuck(fault.as_ref());
        if fault.is_none() { Turn::Busy } else { Turn::Stuck }
    }

    /// Says once that the target takes no bytes, and once that it does again.
    fn tell_stuck(&mut self, fault: Option<&io::Error>) {
        if fault.is_some() == self.told_stuck {
            return;
        }
        self.told_stuck = fault.is_some();
        let (severity, event, text) = match fault {
            Some(error) => {
                let text = format!("the log cannot be written, the gateway goes on: {error}");
                (Severity::Warn, "log_stuck", text)
            }
            None => (Severity::Info, "log_goes_on", "the log is written again".to_owned()),
        };
        self.notices.tell(Notice::new(unix_now(), severity, event, text));
    }

    /// Notices are few; one that cannot be written is not tried again.
    fn write_notices(&mut self) {
        while let Some(notice) = self.notices.next() {
            let mut text = Vec::new();
            write_notice(&mut text, &mut self.calendar, self.style.told, &notice);
            if self.errors.write_all(&text).and_then(|()| self.errors.flush()).is_err() {
                raise(&self.shared.stats.faults, 1);
            }
            let lane = lane_of(&mut self.lanes, notice.severity == Severity::Error);
            let Some(lane) = lane.filter(|lane| lane.target.takes_notices()) else { continue };
            if lane.batch.len() < BATCH_BYTES {
                let form = match self.style.lines {
                    LineForm::Otus => NoticeForm::Json,
                    LineForm::Gufo | LineForm::Threex => NoticeForm::Gufo,
                };
                write_notice(&mut lane.batch, &mut self.calendar, form, &notice);
            }
        }
    }

    /// Takes records until a batch is full or all rings are empty, some of each ring in turn.
    fn fill(&mut self) {
        let wanted = self.lanes.iter().any(|lane| lane.target.wanted());
        loop {
            let mut found = false;
            for receiver in &self.rings {
                for _ in 0..RECORDS_IN_TURN {
                    let Some(record) = receiver.ring.pop() else { break };
                    found = true;
                    let is_error = severity(&record) == Severity::Error;
                    let Some(lane) = lane_of(&mut self.lanes, is_error) else { continue };
                    if wanted {
                        let form = self.style.lines;
                        write_line(&mut lane.batch, &mut self.calendar, form, &record);
                        lane.records += 1;
                    }
                    if lane.batch.len() >= BATCH_BYTES {
                        // The next batch begins with another ring, so that none is starved.
                        return self.rings.rotate_left(1);
                    }
                }
            }
            if !found {
                return;
            }
        }
    }

    /// A line that is half in the old target is written whole to the new one.
    fn reopen(&mut self) {
        for lane in &mut self.lanes {
            if lane.target.reopen().is_err() {
                raise(&self.shared.stats.faults, 1);
                continue;
            }
            let out = lane.batch.get(..lane.sent).unwrap_or_default();
            lane.sent = last_line_end(out);
        }
    }

    /// Counts what never reached the target.
    fn give_up(&mut self) {
        let waiting = self.rings.iter().map(|receiver| receiver.ring.len()).sum::<usize>();
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        let in_hand = self.lanes.iter().map(|lane| lane.records).sum::<u64>();
        raise(&self.shared.stats.lost, in_hand.saturating_add(waiting));
    }
}

impl<T: Target> Lane<T> {
    fn flush(&mut self, stats: &LogStats) -> io::Result<()> {
        if self.sent == 0 && !self.batch.is_empty() {
            self.target.begin(self.batch.len(), unix_now())?;
        }
        while let Some(rest) = self.batch.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.target.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        raise(&stats.written, self.records);
        self.batch.clear();
        self.sent = 0;
        self.records = 0;
        Ok(())
    }
}

/// Where a line goes.
fn lane_of<T>(lanes: &mut [Lane<T>], is_error: bool) -> Option<&mut Lane<T>> {
    if is_error { lanes.last_mut() } else { lanes.first_mut() }
}

/// The log thread has a clock of its own: files have the day on which they are written.
fn unix_now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Where the last whole line ends.
fn last_line_end(out: &[u8]) -> usize {
    out.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

/// The log thread is the only writer of its numbers.
fn raise(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed).saturating_add(n), Ordering::Relaxed);
}

/// A target without a buffer of its own, so that what a write took is out.
#[derive(Debug)]
enum Out {
    Stream(File),
    File(File, PathBuf),
    Daily(Box<Daily>),
    Off,
}

impl Out {
    fn open(target: LogTarget) -> io::Result<Vec<Out>> {
        Ok(vec![match target {
            LogTarget::Stdout => Out::Stream(io::stdout().as_fd().try_clone_to_owned()?.into()),
            LogTarget::Stderr => Out::Stream(io::stderr().as_fd().try_clone_to_owned()?.into()),
            LogTarget::File(path) => Out::File(open_file(&path)?, path),
            LogTarget::Daily(folder) => {
                return Ok(["gufo", "error"]
                    .map(|stem| Out::Daily(Box::new(Daily::new(&folder, stem))))
                    .into());
            }
            LogTarget::Off => Out::Off,
        }])
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Target for Out {
    fn reopen(&mut self) -> io::Result<()> {
        match self {
            Out::File(file, path) => *file = open_file(path)?,
            Out::Daily(daily) => daily.close(),
            Out::Stream(_) | Out::Off => {}
        }
        Ok(())
    }

    fn takes_notices(&self) -> bool {
        matches!(self, Out::Daily(_))
    }

    fn begin(&mut self, bytes: usize, now: UnixTime) -> io::Result<()> {
        match self {
            Out::Daily(daily) => daily.begin(bytes, now),
            _ => Ok(()),
        }
    }

    fn tidy(&mut self, now: UnixTime) -> bool {
        match self {
            Out::Daily(daily) => daily.tidy(now),
            _ => false,
        }
    }

    fn wanted(&self) -> bool {
        !matches!(self, Out::Off)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Stream(out) | Out::File(out, _) => out.write(bytes),
            Out::Daily(daily) => daily.write(bytes),
            Out::Off => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
