//! The log thread: empties the shards' rings into a file or pipe, and writes the notices.
//!
//! The gateway goes on whatever happens to the target. While it does not take bytes (a full disk, a
//! stopped reader), the lines in hand are kept and tried again, the rings fill up, and what no
//! longer fits is counted as dropped. No line is torn: a write that failed midway goes on where it
//! stopped.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, Thread};
use std::time::Duration;

use super::access_log::{LogReceiver, write_line};
use super::json::Calendar;
use super::notice::{NoticeForm, Notices, write_notice};

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
    ) -> io::Result<LogWriter> {
        let plain = io::stderr().is_terminal();
        let form = if plain { NoticeForm::Plain } else { NoticeForm::Json };
        let out = Out::open(target)?;
        Self::start(|shared| Pump::new(rings, notices, form, out, io::stderr(), shared))
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

struct Pump<T, E> {
    rings: Vec<LogReceiver>,
    notices: Notices,
    form: NoticeForm,
    target: T,
    errors: E,
    shared: Arc<Shared>,
    calendar: Calendar,
    /// Lines in hand, of which the first `sent` bytes are out.
    batch: Vec<u8>,
    sent: usize,
    records: u64,
}

impl<T: Target, E: Write> Pump<T, E> {
    fn new(
        rings: Vec<LogReceiver>,
        notices: Notices,
        form: NoticeForm,
        target: T,
        errors: E,
        shared: Arc<Shared>,
    ) -> Self {
        Pump {
            rings,
            notices,
            form,
            target,
            errors,
            shared,
            calendar: Calendar::default(),
            batch: Vec::with_capacity(BATCH_BYTES + LINE_BYTES),
            sent: 0,
            records: 0,
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
            let sleep_max = match (self.turn(), stop) {
                (Turn::Busy, _) => {
                    sleep = SLEEP_MIN;
                    continue;
                }
                (Turn::Idle | Turn::Stuck, true) => return self.give_up(),
                (Turn::Idle, false) => SLEEP_MAX,
                (Turn::Stuck, false) => RETRY_MAX,
            };
            thread::park_timeout(sleep);
            sleep = (sleep * 2).min(sleep_max);
        }
    }

    fn turn(&mut self) -> Turn {
        self.write_notices();
        if self.batch.is_empty() {
            self.fill();
        }
        if self.batch.is_empty() {
            return Turn::Idle;
        }
        if self.flush().is_ok() {
            return Turn::Busy;
        }
        raise(&self.shared.stats.faults, 1);
        Turn::Stuck
    }

    /// Notices are few; one that cannot be written is not tried again.
    fn write_notices(&mut self) {
        while let Some(notice) = self.notices.next() {
            let mut line = Vec::new();
            write_notice(&mut line, &mut self.calendar, self.form, &notice);
            if self.errors.write_all(&line).and_then(|()| self.errors.flush()).is_err() {
                raise(&self.shared.stats.faults, 1);
            }
        }
    }

    /// Takes records until the batch is full or all rings are empty, some of each ring in turn.
    fn fill(&mut self) {
        let wanted = self.target.wanted();
        loop {
            let mut found = false;
            for receiver in &self.rings {
                for _ in 0..RECORDS_IN_TURN {
                    let Some(record) = receiver.ring.pop() else { break };
                    found = true;
                    if wanted {
                        write_line(&mut self.batch, &mut self.calendar, &record);
                        self.records += 1;
                    }
                    if self.batch.len() >= BATCH_BYTES {
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

    fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.batch.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.target.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => self.sent += sent,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
        raise(&self.shared.stats.written, self.records);
        self.batch.clear();
        self.sent = 0;
        self.records = 0;
        Ok(())
    }

    /// A line that is half in the old target is written whole to the new one.
    fn reopen(&mut self) {
        if self.target.reopen().is_err() {
            return raise(&self.shared.stats.faults, 1);
        }
        let out = self.batch.get(..self.sent).unwrap_or_default();
        self.sent = last_line_end(out);
    }

    /// Counts what never reached the target.
    fn give_up(&mut self) {
        let waiting = self.rings.iter().map(|receiver| receiver.ring.len()).sum::<usize>();
        let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
        raise(&self.shared.stats.lost, self.records.saturating_add(waiting));
    }
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
    Off,
}

impl Out {
    fn open(target: LogTarget) -> io::Result<Out> {
        Ok(match target {
            LogTarget::Stdout => Out::Stream(io::stdout().as_fd().try_clone_to_owned()?.into()),
            LogTarget::Stderr => Out::Stream(io::stderr().as_fd().try_clone_to_owned()?.into()),
            LogTarget::File(path) => Out::File(open_file(&path)?, path),
            LogTarget::Off => Out::Off,
        })
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Target for Out {
    fn reopen(&mut self) -> io::Result<()> {
        if let Out::File(file, path) = self {
            *file = open_file(path)?;
        }
        Ok(())
    }

    fn wanted(&self) -> bool {
        !matches!(self, Out::Off)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Stream(out) | Out::File(out, _) => out.write(bytes),
            Out::Off => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
