//! The thread that brings what shards have admitted to a store of Redis or Valkey, and what the
//! store answers back to them.
//!
//! It looks into the outbox every few milliseconds, tells everything that lies there in one write,
//! and reads the answers: requests of all shards and many keys share a round trip. While the store
//! does not answer it is asked again and again, ever more seldom.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ring::digest;

use crate::base::hex;
use crate::observe::notice::{Notices, Severity};
use crate::policy::limit::remote::{Outbox, Report, SCRIPT};
use crate::protocol::resp::{self, Answer};
use crate::snapshot::rate_store::RateStore;

use super::wire::Wire;

/// Between two looks into the outbox.
const PERIOD: Duration = Duration::from_millis(5);
/// Reports of one write.
const BATCH: usize = 512;
/// Between two attempts to connect, at first and at most.
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// The store has so many times the patience of a request to answer: slow is not gone.
const PATIENCE: u32 = 8;
/// A store that nobody needs is asked so often whether it is there.
const PULSE: Duration = Duration::from_secs(1);

/// The thread. It ends when this is dropped.
pub(super) struct Courier {
    outbox: Arc<Outbox>,
    over: Arc<AtomicBool>,
}

impl Courier {
    /// Starts one.
    pub(super) fn start(spec: RateStore, notices: Notices) -> io::Result<Self> {
        let outbox = Arc::new(Outbox::new(spec.timeout));
        let over = Arc::new(AtomicBool::new(false));
        let (own, ended) = (Arc::clone(&outbox), Arc::clone(&over));
        let work = move || {
            let mut run = Run::new(spec, own, notices);
            while !ended.load(Ordering::Relaxed) {
                run.step();
                std::thread::sleep(PERIOD);
            }
        };
        std::thread::Builder::new().name("otus-rates".to_owned()).spawn(work)?;
        Ok(Courier { outbox, over })
    }

    /// Where shards leave their reports.
    pub(super) fn outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

struct Run {
    spec: RateStore,
    outbox: Arc<Outbox>,
    notices: Notices,
    /// The script's name there.
    script: String,
    link: Option<Link>,
    /// Reports that are to be told again.
    again: Vec<Report>,
    next_attempt: Instant,
    backoff: Duration,
    last_answer: Instant,
    began: Instant,
    /// What the clock of the shards said when this thread began, as far as is known: reports say
    /// when they were left, and none is from the future.
    offset: u64,
}

/// A connection to the store.
struct Link {
    wire: Wire,
    held: Vec<u8>,
}

impl Run {
    fn new(spec: RateStore, outbox: Arc<Outbox>, notices: Notices) -> Self {
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
        let script = hex::text(sha1.as_ref());
        let (link, again, backoff, now) = (None, Vec::new(), RETRY, Instant::now());
        Run {
            spec,
            outbox,
            notices,
            script,
            link,
            again,
            next_attempt: now,
            backoff,
            last_answer: now,
            began: now,
            offset: 0,
        }
    }

    /// Tells what there is to tell.
    fn step(&mut self) {
        if self.link.is_none() && Instant::now() >= self.next_attempt {
            match Link::open(&self.spec) {
                Ok(link) => {
                    self.link = Some(link);
                    self.backoff = RETRY;
                    self.last_answer = Instant::now();
                    if self.outbox.is_down() {
                        self.tell(Severity::Info, "the store of rate limits answers again");
                    }
                    self.outbox.set_down(false);
                }
                Err(error) => self.lost(&error),
            }
        }
        let Some(link) = &mut self.link else { return };
        let mut reports = std::mem::take(&mut self.again);
        while let Some(report) = (reports.len() < BATCH).then(|| self.outbox.take()).flatten() {
            let since = nanos(self.began.elapsed());
            self.offset = self.offset.max(report.at.saturating_sub(since));
            reports.push(report);
        }
        let told: Vec<(Report, u64)> = reports
            .into_iter()
            .filter_map(|report| report.count().map(|count| (report, count)))
            .collect();
        if told.is_empty() && self.last_answer.elapsed() < PULSE {
            return;
        }
        match exchange(link, &self.spec, &self.script, &told) {
            Ok(debts) => {
                self.last_answer = Instant::now();
                let now = self.offset.saturating_add(nanos(self.began.elapsed()));
                for ((report, _), debt) in told.into_iter().zip(debts) {
                    let more = match debt {
                        Some(debt) => report.settled(now, debt),
                        None => report.failed(true),
                    };
                    if more {
                        self.again.push(report);
                    }
                }
            }
            Err(error) => {
                self.link = None;
                // What it may have got is not told again.
                self.again = told.into_iter().map(|(r, _)| r).filter(|r| r.failed(true)).collect();
                self.lost(&error);
            }
        }
    }

    fn lost(&mut self, error: &io::Error) {
        self.next_attempt = Instant::now() + self.backoff;
        self.backoff = (self.backoff * 2).min(RETRY_MAX);
        if !self.outbox.is_down() {
            let text = format!("the store of rate limits does not answer: {error}");
            self.tell(Severity::Error, &text);
        }
        self.outbox.set_down(true);
    }

    fn tell(&self, severity: Severity, text: &str) {
        let told = super::notice(severity, "rate_store", text.to_owned());
        self.notices.tell(told.with("address", self.spec.address.clone()));
    }
}

impl Link {
    fn open(spec: &RateStore) -> io::Result<Link> {
        let patience = spec.timeout * PATIENCE;
        let end = Instant::now() + patience;
        let mut found = Err("the address has no host".to_owned());
        for address in spec.address.to_socket_addrs()? {
            found = Wire::connect(address, end);
            if found.is_ok() {
                break;
            }
        }
        let mut wire = found.map_err(io::Error::other)?;
        if let Some(tls) = &spec.tls {
            let (host, _) = spec.address.rsplit_once(':').unwrap_or((&spec.address, ""));
            wire.seal(tls, host.trim_matches(['[', ']']), None).map_err(io::Error::other)?;
        }
        let mut link = Link { wire, held: Vec::new() };
        let mut hello = Vec::new();
        let mut count = 1;
        let password = spec.password.expose().as_bytes();
        if !password.is_empty() {
            count += 1;
            match spec.username.as_bytes() {
                b"" => resp::command(&mut hello, &[b"AUTH", password]),
                user => resp::command(&mut hello, &[b"AUTH", user, password]),
            }
        }
        if spec.database != 0 {
            count += 1;
            resp::command(&mut hello, &[b"SELECT", spec.database.to_string().as_bytes()]);
        }
        resp::command(&mut hello, &[b"PING"]);
        for answer in link.ask(&hello, count, patience)? {
            if let Answer::Error(text) = answer {
                return Err(io::Error::other(text));
            }
        }
        Ok(link)
    }

    /// Sends commands and reads so many answers.
    fn ask(&mut self, bytes: &[u8], count: usize, patience: Duration) -> io::Result<Vec<Answer>> {
        self.wire.set_end(Instant::now() + patience);
        self.wire.write(bytes).map_err(io::Error::other)?;
        let mut answers = Vec::with_capacity(count);
        while answers.len() < count {
            let malformed = |_| io::Error::other("it does not speak the protocol of Redis");
            if let Some((answer, used)) = resp::answer(&self.held).map_err(malformed)? {
                self.held.drain(..used);
                answers.push(answer);
                continue;
            }
            self.wire.read(&mut self.held).map_err(io::Error::other)?;
        }
        Ok(answers)
    }
}

/// Tells all reports. What their buckets owe, in nanoseconds; `None`: that one was not taken.
fn exchange(
    link: &mut Link,
    spec: &RateStore,
    script: &str,
    told: &[(Report, u64)],
) -> io::Result<Vec<Option<u64>>> {
    let patience = spec.timeout * PATIENCE;
    if told.is_empty() {
        let mut ping = Vec::new();
        resp::command(&mut ping, &[b"PING"]);
        link.ask(&ping, 1, patience)?;
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    let commands = told.iter().map(|report| Command::new(spec, report));
    let commands: Vec<Command> = commands.collect();
    for command in &commands {
        command.write(&mut bytes, b"EVALSHA", script.as_bytes());
    }
    let mut answers = link.ask(&bytes, told.len(), patience)?;
    // The store was restarted, or is new: it does not know the script.
    let unknown =
        |answer: &Answer| matches!(answer, Answer::Error(text) if text.starts_with("NOSCRIPT"));
    for (command, answer) in commands.iter().zip(&mut answers) {
        if unknown(answer) {
            bytes.clear();
            command.write(&mut bytes, b"EVAL", SCRIPT.as_bytes());
            if let Some(second) = link.ask(&bytes, 1, patience)?.pop() {
                *answer = second;
            }
        }
    }
    if let Some(Answer::Error(text)) = answers.iter().find(|a| matches!(a, Answer::Error(_))) {
        return Err(io::Error::other(text.clone()));
    }
    Ok(answers.iter().map(debt).collect())
}

/// One run of the script.
struct Command {
    key: Vec<u8>,
    count: String,
    interval: String,
    span: String,
}

impl Command {
    fn new(spec: &RateStore, (report, count): &(Report, u64)) -> Self {
        let (rule, quota) = (report.limiter.rule(), report.limiter.quota());
        let name = hex::text(&report.name);
        Command {
            key: format!("{}{}:{name}", spec.prefix, rule.id).into_bytes(),
            count: count.to_string(),
            interval: micros(quota.interval),
            span: micros(quota.span),
        }
    }

    fn write(&self, out: &mut Vec<u8>, verb: &[u8], script: &[u8]) {
        let Command { key, count, interval, span } = self;
        let numbers = [count.as_bytes(), interval.as_bytes(), span.as_bytes()];
        let [count, interval, span] = numbers;
        resp::command(out, &[verb, script, b"1", key, count, interval, span]);
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds as microseconds.
fn micros(nanos: u64) -> String {
    format!("{}.{:03}", nanos / 1000, nanos % 1000)
}

/// What the script answers: microseconds with decimals.
fn debt(answer: &Answer) -> Option<u64> {
    let Answer::Bulk(Some(text)) = answer else { return None };
    let text = str::from_utf8(text).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part: u64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    Some(whole.parse::<u64>().ok()?.saturating_mul(1000).saturating_add(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debts_are_microseconds_with_decimals() {
        let of = |text: &str| debt(&Answer::Bulk(Some(text.as_bytes().to_vec())));
        assert_eq!(of("1500.250"), Some(1_500_250));
        assert_eq!(of("0.000"), Some(0));
        assert_eq!(of("7"), Some(7000));
        assert_eq!(of("-1.0"), None);
        assert_eq!(of("inf"), None);
        assert_eq!(micros(1_500_250), "1500.250");
    }
}
