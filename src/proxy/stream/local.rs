//! A file of the gateway's host, where a service may answer with one (SPEC 6.3).

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use crate::base::limits;
use crate::gufo::download::{self, LocalFile};
use crate::gufo::reply::Reply as Answer;
use crate::io::Io;
use crate::message::conditional::{Part, Validators, part_of};
use crate::message::head::Method;
use crate::protocol::h1::encode;
use crate::proxy::elsewhere::Desk;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::reply::Reply;
use crate::proxy::respond::Answered;
use crate::snapshot::files::{Done, FileAsk, FileFault, Files, Job};

use super::writer::Writer;

/// What is read at once.
const READ_BYTES: u64 = 256 * 1024;
/// A disk that takes longer will not answer.
const DISK_TIMEOUT: Duration = Duration::from_secs(30);

const _: () = assert!(READ_BYTES <= limits::UPLOAD_MEMORY_BYTES);

/// The file that an answer names, where files are served at all.
pub(in crate::proxy) fn named<'a, I: Io>(
    exchange: &'a Exchange<'_, I>,
    answer: &'a Answer,
) -> Option<(&'a Files, LocalFile<'a>)> {
    let files = exchange.tables.snapshot.gufo.files.as_ref()?;
    Some((files, download::local(answer)?))
}

/// Delivers the file, or the part of it that is asked for.
pub(in crate::proxy) async fn serve<I: Io>(
    exchange: &Exchange<'_, I>,
    files: &Files,
    wanted: &LocalFile<'_>,
) -> Result<Answered, Reason> {
    let names = download::names_below(&files.root, &wanted.path).ok_or(Reason::FileRefused)?;
    let shelf = Shelf::new(exchange, files)?;
    let root = Arc::clone(&files.root);
    let opened = shelf.ask(Job::Open { root, names }).await?;
    let Done::Opened { file, len, modified } = opened else { return Err(Reason::Bug) };
    let etag = format!("\"{len:x}-{:x}\"", modified.0.as_nanos());
    let modified = encode::http_date(modified);
    let modified = str::from_utf8(&modified).unwrap_or_default();
    let validators = Validators { etag: &etag, modified };
    let part = match exchange.head.method {
        Method::Get | Method::Head => part_of(exchange.head, exchange.text, &validators, len),
        _ => Part::Whole,
    };
    let (status, start, count) = match part {
        Part::Whole => (200, 0, len),
        Part::Range { first, last } => (206, first, last - first + 1),
        Part::NotModified => (304, 0, 0),
        Part::Changed => return Ok(Answered::Here(Reply::empty(412))),
        Part::Unsatisfiable => {
            let reply = Reply::empty(416).with(b"content-range", &format!("bytes */{len}"));
            return Ok(Answered::Here(reply));
        }
    };
    let length = (status != 304).then_some(count);
    let mut writer = Writer::begin(exchange, status, length, |own| {
        encode::field(own, b"content-type", wanted.content_type.as_bytes());
        encode::field(own, b"content-disposition", wanted.disposition.as_bytes());
        encode::field(own, b"etag", etag.as_bytes());
        encode::field(own, b"last-modified", modified.as_bytes());
        own.extend_from_slice(b"accept-ranges: bytes\r\n");
        if status == 206 {
            let range = format!("bytes {start}-{}/{len}", start + count - 1);
            encode::field(own, b"content-range", range.as_bytes());
        }
    });
    let sent =
        if writer.is_bare() { Ok(()) } else { shelf.send(&file, start, count, &mut writer).await };
    let cut = match sent {
        Ok(()) => writer.finish().await.err(),
        Err(reason) => Some(reason),
    };
    Ok(Answered::Delivered(writer.delivered(cut)))
}

/// Where files are asked for.
struct Shelf<'a, I: Io> {
    files: &'a Files,
    desk: Desk<'a, I>,
}

impl<'a, I: Io> Shelf<'a, I> {
    fn new(exchange: &'a Exchange<'a, I>, files: &'a Files) -> Result<Self, Reason> {
        Ok(Shelf { files, desk: Desk::new(exchange)? })
    }

    /// Has it done on another thread.
    async fn ask(&self, job: Job) -> Result<Done, Reason> {
        let asks = self.files.asks.as_ref().ok_or(Reason::FileRefused)?;
        let send = |answer| asks.try_send(FileAsk { job, answer }).is_ok();
        self.desk.ask(DISK_TIMEOUT, send).await?.map_err(|fault| match fault {
            FileFault::Missing => Reason::RouteNotFound,
            FileFault::Refused => Reason::FileRefused,
            FileFault::Broken => Reason::Overloaded,
        })
    }

    /// Sends `count` bytes from `start` on: one read after the other, none ahead of the client.
    async fn send(
        &self,
        file: &Arc<File>,
        start: u64,
        count: u64,
        writer: &mut Writer<'_, I>,
    ) -> Result<(), Reason> {
        let (mut at, end) = (start, start.saturating_add(count));
        let mut buffer = Vec::new();
        while at < end {
            let len = usize::try_from(READ_BYTES.min(end - at)).unwrap_or(0);
            buffer.resize(len, 0);
            let job = Job::Read { file: Arc::clone(file), at, buffer };
            let Done::Read(bytes) = self.ask(job).await? else { return Err(Reason::Bug) };
            if bytes.is_empty() {
                return Err(Reason::UpstreamEndedEarly); // It has become shorter.
            }
            at += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            writer.write(&bytes).await?;
            buffer = bytes;
        }
        Ok(())
    }
}
