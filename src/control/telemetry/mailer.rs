//! The thread that posts parcels to one peer: again after a moment where that may help, and never
//! for ever.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::observe::notice::{Notices, Severity};
use crate::observe::span::ExportStats;
use crate::snapshot::auth::KeyUrl;
use crate::tls::client::ClientTls;

use super::super::notice;
use super::super::web::{self, Question};

/// Between two looks whether there is something to send.
const LOOK: Duration = Duration::from_millis(500);
/// Of one attempt.
const PATIENCE: Duration = Duration::from_secs(10);
/// Attempts at one parcel.
const ATTEMPTS: u32 = 4;
/// Before the second attempt; doubled before each further one.
const BACKOFF: Duration = Duration::from_secs(1);
/// Of an answer; what it says beside its status is not read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What is sent at once.
pub(super) struct Parcel {
    pub(super) body: Vec<u8>,
    /// How many spans or reports it holds.
    pub(super) count: u64,
}

/// Where it is sent, and how.
pub(super) struct Post {
    /// What the peer is called in metrics and notices.
    pub(super) name: &'static str,
    pub(super) url: KeyUrl,
    pub(super) tls: Option<ClientTls>,
    pub(super) fields: Vec<(&'static str, String)>,
    /// How long the end of the process waits.
    pub(super) flush: Duration,
    /// Whether the operator is told of each parcel.
    pub(super) debug: bool,
}

/// A thread that posts.
pub(super) struct Mailer {
    name: &'static str,
    stats: Arc<ExportStats>,
    stop: Sender<()>,
    ended: Receiver<()>,
    flush: Duration,
}

impl Mailer {
    /// Starts it. `next` gives what is to be sent now, and is told whether this is the end.
    pub(super) fn start(
        post: Post,
        notices: Notices,
        next: impl FnMut(bool) -> Option<Parcel> + Send + 'static,
    ) -> io::Result<Self> {
        let stats = Arc::new(ExportStats::default());
        let (stop, stopped) = bounded(1);
        let (ends, ended) = bounded::<()>(0);
        let (name, flush) = (post.name, post.flush);
        let mut thread = Thread {
            post,
            notices,
            stats: Arc::clone(&stats),
            stopped,
            end: None,
            next,
            lost: false,
        };
        std::thread::Builder::new().name(format!("otus-{name}")).spawn(move || {
            let _ends = ends;
            thread.run();
        })?;
        Ok(Mailer { name, stats, stop, ended, flush })
    }

    pub(super) fn stats(&self) -> (&'static str, Arc<ExportStats>) {
        (self.name, Arc::clone(&self.stats))
    }

    /// From now on it has as long as its peer may take at the end.
    pub(super) fn tell_stop(&self) {
        let _ = self.stop.try_send(());
    }

    /// Waits until it has sent what was left, or its time is over.
    pub(super) fn wait(self) {
        let _ = self.ended.recv_timeout(self.flush);
    }
}

struct Thread<N> {
    post: Post,
    notices: Notices,
    stats: Arc<ExportStats>,
    stopped: Receiver<()>,
    /// When all is over, once that was asked for.
    end: Option<Instant>,
    next: N,
    /// Whether the operator was told that nothing arrives.
    lost: bool,
}

/// What became of one attempt.
enum Sent {
    Well,
    /// Another attempt may help.
    Fault(String),
    /// It would be refused again.
    Refused(String),
}

impl<N: FnMut(bool) -> Option<Parcel>> Thread<N> {
    fn run(&mut self) {
        loop {
            self.sleep(LOOK);
            let stopping = self.end.is_some();
            // A fault in making a parcel costs that parcel.
            while let Ok(Some(parcel)) = catch_unwind(AssertUnwindSafe(|| (self.next)(stopping))) {
                self.deliver(&parcel);
            }
            if stopping {
                return;
            }
        }
    }

    /// Waits, unless the end has come.
    fn sleep(&mut self, wait: Duration) {
        if self.end.is_some() {
            return;
        }
        match self.stopped.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) => self.end = Some(Instant::now() + self.post.flush),
            // Nobody waits any more.
            Err(RecvTimeoutError::Disconnected) => self.end = Some(Instant::now()),
        }
    }

    fn deliver(&mut self, parcel: &Parcel) {
        let mut backoff = BACKOFF;
        for attempt in 1..=ATTEMPTS {
            let fault = match self.attempt(&parcel.body) {
                Sent::Well => {
                    self.stats.count_sent(parcel.count);
                    return self.tell(None, parcel.count);
                }
                Sent::Fault(fault) if attempt < ATTEMPTS && self.end.is_none() => fault,
                Sent::Fault(fault) | Sent::Refused(fault) => {
                    self.stats.count_lost(parcel.count);
                    return self.tell(Some(&fault), parcel.count);
                }
            };
            self.tell(Some(&fault), 0);
            self.sleep(backoff);
            backoff *= 2;
        }
    }

    fn attempt(&self, body: &[u8]) -> Sent {
        let patience = Instant::now() + PATIENCE;
        let end = self.end.map_or(patience, |end| end.min(patience));
        let Post { url, tls, fields, .. } = &self.post;
        let own = concat!("otus/", env!("CARGO_PKG_VERSION"));
        let mut all = vec![("user-agent", own)];
        all.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
        let question = Question { url, tls: tls.as_ref(), fields: &all, body: Some(body) };
        let answer = match web::ask(&question, end) {
            Ok(answer) => answer,
            Err(fault) => return Sent::Fault(fault),
        };
        let status = answer.head.status;
        let read = answer.body(ANSWER_BYTES_MAX);
        match status {
            200..=299 => Sent::Well,
            429 | 502 | 503 | 504 => Sent::Fault(format!("it answered {status}")),
            _ => Sent::Refused(format!(
                "it answered {status}{}",
                if read.is_ok() { "" } else { " badly" }
            )),
        }
    }

    /// Says once that nothing arrives, and once that it does again.
    fn tell(&mut self, fault: Option<&str>, count: u64) {
        let (name, to) = (self.post.name, &self.post.url.authority);
        if self.post.debug && count > 0 {
            let what =
                fault.map_or_else(|| "delivered".to_owned(), |fault| format!("lost: {fault}"));
            let text = format!("{name}: {count} to {to} {what}");
            self.notices.tell(notice(Severity::Info, "telemetry", text));
        }
        if fault.is_some() == self.lost {
            return;
        }
        self.lost = fault.is_some();
        let told = match fault {
            Some(fault) => {
                let text = format!("{name}: {to} does not take what it is sent: {fault}");
                notice(Severity::Warn, "telemetry_lost", text)
            }
            None => notice(Severity::Info, "telemetry", format!("{name}: {to} takes it again")),
        };
        self.notices.tell(told);
    }
}
