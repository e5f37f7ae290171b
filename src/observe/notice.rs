//! What the operator is told: starts, reloads, drains and faults. Rare, and never about one
//! request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::queue::ArrayQueue;

use super::json::{Calendar, push_escaped, push_string};
use crate::base::limits::NOTICES_MAX;
use crate::base::time::UnixTime;

/// How grave a notice is, in the words of OpenTelemetry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// All is well.
    Info,
    /// It works, but not as asked for.
    Warn,
    /// Something that was asked for does not work.
    Error,
}

impl Severity {
    /// As it stands in a line.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Info => "INFO",
            Severity::Warn => "WARN",
            Severity::Error => "ERROR",
        }
    }
}

/// One thing to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// When it happened.
    pub time: UnixTime,
    /// How grave it is.
    pub severity: Severity,
    /// What happened, as one word that never changes: `start`, `reload`, `drain`.
    pub event: &'static str,
    /// The same as a sentence, lower case, without a full stop.
    pub message: String,
    /// Details, with names in dotted form.
    pub fields: Vec<(&'static str, String)>,
}

impl Notice {
    /// A notice without details.
    pub fn new(
        time: UnixTime,
        severity: Severity,
        event: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Notice { time, severity, event, message: message.into(), fields: Vec::new() }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// Where any thread leaves its notices for the log thread.
#[derive(Clone, Debug)]
pub struct Notices {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    queue: ArrayQueue<Notice>,
    dropped: AtomicU64,
}

impl Default for Notices {
    fn default() -> Self {
        Self::new()
    }
}

impl Notices {
    /// Nothing to tell yet.
    pub fn new() -> Self {
        let queue = ArrayQueue::new(NOTICES_MAX);
        Notices { inner: Arc::new(Inner { queue, dropped: AtomicU64::new(0) }) }
    }

    /// Leaves a notice. Never waits; beyond the bound it is dropped and counted.
    pub fn tell(&self, notice: Notice) {
        if self.inner.queue.push(notice).is_err() {
            self.inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notices that were dropped.
    pub fn dropped(&self) -> u64 {
        self.inner.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn next(&self) -> Option<Notice> {
        self.inner.queue.pop()
    }
}

/// How notices are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeForm {
    /// A line of JSON each, for a collector.
    Json,
    /// A line of JSON each, with the keys of Gufo.
    Gufo,
    /// Plain text, for a person at a terminal.
    Plain,
}

/// Appends a notice as one line, with its end.
pub(super) fn write_notice(
    out: &mut Vec<u8>,
    calendar: &mut Calendar,
    form: NoticeForm,
    notice: &Notice,
) {
    match form {
        NoticeForm::Json => {
            write_json(
                out,
                calendar,
                notice,
                ["timestamp", "severity_text", "event.name", "message"],
            );
        }
        NoticeForm::Gufo => write_json(out, calendar, notice, ["time", "level", "caller", "msg"]),
        NoticeForm::Plain => write_plain(out, notice),
    }
    out.push(b'\n');
}

/// `names` are those of the time, the severity, the event and the message.
fn write_json(out: &mut Vec<u8>, calendar: &mut Calendar, notice: &Notice, names: [&str; 4]) {
    let [time, severity, event, message] = names;
    out.push(b'{');
    push_string(out, time);
    out.push(b':');
    calendar.push(out, notice.time);
    let fixed = [
        (severity, notice.severity.name()),
        (event, notice.event),
        (message, notice.message.as_str()),
    ];
    let details = notice.fields.iter().map(|(name, value)| (*name, value.as_str()));
    for (name, value) in fixed.into_iter().chain(details) {
        out.push(b',');
        push_string(out, name);
        out.push(b':');
        push_string(out, value);
    }
    out.push(b'}');
}

/// `2026-11-20T23:53:04.120Z INFO  reload: generation 8 runs on 16 shards (took=3ms)`
///
/// Line ends within the message stay, for some faults are told with a picture of the place; no
/// other control character passes.
fn write_plain(out: &mut Vec<u8>, notice: &Notice) {
    let severity = notice.severity.name();
    out.extend_from_slice(format!("{} {severity:<5} {}: ", notice.time, notice.event).as_bytes());
    for (number, line) in notice.message.split('\n').enumerate() {
        if number != 0 {
            out.extend_from_slice(b"\n    ");
        }
        push_plain(out, line);
    }
    for (number, (name, value)) in notice.fields.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b" (" } else { b", " });
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        push_plain(out, value);
    }
    if !notice.fields.is_empty() {
        out.push(b')');
    }
}

fn push_plain(out: &mut Vec<u8>, text: &str) {
    for piece in text.split_inclusive(char::is_control) {
        match piece.strip_suffix(char::is_control) {
            None => out.extend_from_slice(piece.as_bytes()),
            Some(front) => {
                out.extend_from_slice(front.as_bytes());
                push_escaped(out, piece.get(front.len()..).unwrap_or_default());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn notice(message: &str) -> Notice {
        let time = UnixTime(Duration::from_millis(1_798_761_599_042));
        Notice::new(time, Severity::Warn, "io", message)
    }

    #[track_caller]
    fn check(form: NoticeForm, notice: &Notice, want: &str) {
        let mut out = Vec::new();
        write_notice(&mut out, &mut Calendar::default(), form, notice);
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn a_collector_gets_one_json_line() {
        check(
            NoticeForm::Json,
            &notice("io_uring is denied:\n\"epoll\" serves").with("otus.errno", "EPERM"),
            concat!(
                r#"{"timestamp":"2026-12-31T23:59:59.042Z","severity_text":"WARN","#,
                r#""event.name":"io","message":"io_uring is denied:\n\"epoll\" serves","#,
                r#""otus.errno":"EPERM"}"#,
                "\n"
            ),
        );
    }

    #[test]
    fn a_person_gets_plain_text_without_control_characters() {
        check(
            NoticeForm::Plain,
            &notice("a\tb \"c\"\n\x1b[31mnext").with("errno", "1\n2").with("try", "epoll"),
            "2026-12-31T23:59:59.042Z WARN  io: a\\tb \"c\"\n    \\u001b[31mnext \
             (errno=1\\n2, try=epoll)\n",
        );
    }

    #[test]
    fn notices_beyond_the_bound_are_counted() {
        let notices = Notices::new();
        for n in 0..NOTICES_MAX + 3 {
            notices.tell(notice(&n.to_string()));
        }
        assert_eq!(notices.dropped(), 3);
        assert_eq!(notices.next().unwrap().message, "0");
    }
}
