//! A body of any size → the messages of one `Reverse.Stream` call, without copying the payload.
//!
//! Bytes are read into a pooled buffer, cut there into ranges (transfer coding, multipart), and
//! leave from there between the headers that gRPC and HTTP/2 put around them. At most one buffer is
//! held: what the service does not take is not read from the client.

use std::ops::Range;
use std::rc::Rc;

use crate::gufo::filename;
use crate::gufo::reply::Reply as Answer;
use crate::gufo::upload::Uploader;
use crate::io::buffer::Buffer;
use crate::io::{Io, Pipe};
use crate::message::known::Known;
use crate::observe::access_log;
use crate::observe::counters::Counter;
use crate::protocol::grpc::status::Status;
use crate::protocol::multipart::boundary::{boundary, is_multipart};
use crate::protocol::multipart::parser::{Event, Limits, Multipart, MultipartError};
use crate::upstream::group::Outcome;

use super::attempt::{Attempts, Method, wait};
use super::body::{Piece, Received, RequestBody};
use super::call::{query_arguments, with_call};
use super::exchange::{Exchange, Target};
use super::grpc::stream::GrpcStream;
use super::grpc::unframed::Unframed;
use super::reason::Reason;
use super::record::Record;
use super::reply::Reply;
use super::session;
use super::trust;
use super::whole;

/// Ranges of one message. More, smaller chunks than this make another message.
const RANGES_MAX: usize = 256;
/// Messages that are configured to be smaller are copied.
const PIPED_CHUNK_MIN: usize = 16 * 1024;
/// Parts of one write, small and large.
const PARTS_MAX: usize = 1024;

/// Sends the body to the module, as a stream if it takes any, and maps its answer.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Reply, Reason> {
    trust::check(exchange, &target.path, target.shown, &[]).await?;
    session::check(exchange, target).await?;
    if target.module.dialect.has_streams() {
        stream(exchange, target, body, record).await
    } else {
        // Boxed: few services are so old.
        Box::pin(whole::run(exchange, target, body, record)).await
    }
}

async fn stream<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Reply, Reason> {
    let mut files = Files::new(exchange, target)?;
    let cx = exchange.cx;
    let now = cx.io.now();
    let deadline = now + target.module.stream_timeout;
    let mut attempts = Attempts::new(exchange, target, Method::Stream, record)?;
    let (stream, visit) = attempts.open(now, deadline, record).await?;
    cx.counters.count(Counter::UploadsStarted);
    let mut upload = Upload { exchange, target, stream, answer: Answer::default() };
    let result = upload.run(body, &mut files, record).await;
    cx.counters.count(Counter::UploadsEnded);
    cx.counters.add(Counter::UploadBytes, files.bytes);
    cx.counters.add(Counter::UploadFiles, u64::from(files.count));
    record.upload = Some(access_log::Upload { files: files.count, bytes: files.bytes });
    match &result {
        Ok(_) => visit.went(Outcome::Well),
        Err(reason) => {
            visit.failed(*reason);
            upload.stream.give_up(*reason);
            cx.counters.count(Counter::UploadsFailed);
        }
    }
    result
}

struct Upload<'a, I: Io> {
    exchange: &'a Exchange<'a, I>,
    target: &'a Target<'a>,
    stream: GrpcStream<I>,
    /// What the service has said so far.
    answer: Answer,
}

impl<I: Io> Upload<'_, I> {
    async fn run(
        &mut self,
        body: &mut RequestBody<'_, I>,
        files: &mut Files,
        record: &mut Record,
    ) -> Result<Reply, Reason> {
        let mut unframed = Unframed::default();
        files.begin(&mut unframed)?;
        let mut all_sent = true;
        while !body.is_done() && !self.stream.is_over() {
            // A service may answer while its client pauses.
            let piped = files.may_be_piped() && self.stream.prefers_pipes();
            let over = self.stream.ended();
            let Some(received) = body.take_unless(over, piped).await? else { break };
            let sent = match received {
                Received::Copied(buffer) => {
                    self.send_copied(body, files, &mut unframed, buffer).await?
                }
                Received::Piped(pipe) => {
                    files.take_piped(pipe.len(), &mut unframed)?;
                    self.send_piped(&mut unframed, pipe).await
                }
            };
            all_sent &= sent.is_ok();
            if !self.stream.is_over() {
                sent?;
            }
            self.listen()?;
        }
        if self.stream.is_over() {
            // Nothing was left to say, not even the end of a file?
            all_sent = all_sent && files.finish(&mut unframed).is_ok() && unframed.is_empty();
        } else {
            files.finish(&mut unframed)?;
            let sent = self.send(&mut unframed, None, true).await.0;
            all_sent &= sent.is_ok();
            if !self.stream.is_over() {
                sent?;
            }
            self.await_end().await?;
        }
        record.upstream_answered = Some(self.exchange.cx.io.now());
        self.outcome(all_sent && body.is_done(), record)
    }

    /// Sends what a buffer holds and gives it back to the body; `Ok(Err)`: it could not be sent.
    async fn send_copied(
        &self,
        body: &mut RequestBody<'_, I>,
        files: &mut Files,
        unframed: &mut Unframed,
        mut buffer: Buffer,
    ) -> Result<Result<(), Reason>, Reason> {
        let sent = loop {
            let whole = cut(body, files, &mut buffer, unframed)?;
            let (sent, back) = self.send(unframed, Some(buffer), false).await;
            let Some(back) = back else { return Err(Reason::Bug) };
            buffer = back;
            if whole || sent.is_err() || self.stream.is_over() {
                break sent;
            }
        };
        // Also after a fault: behind the body the next request may have begun.
        body.put(buffer);
        Ok(sent)
    }

    async fn send_piped(&self, unframed: &mut Unframed, pipe: I::Pipe) -> Result<(), Reason> {
        let patience = self.target.module.stream_timeout;
        let client = self.exchange.down;
        let result = self.stream.send_piped(client, unframed, pipe, patience).await;
        unframed.clear();
        result
    }

    async fn send(
        &self,
        unframed: &mut Unframed,
        buffer: Option<Buffer>,
        end: bool,
    ) -> (Result<(), Reason>, Option<Buffer>) {
        let patience = self.target.module.stream_timeout;
        let client = self.exchange.down;
        let result = self.stream.send_unframed(client, unframed, buffer, end, patience).await;
        unframed.clear();
        result
    }

    /// Takes in what the service has said meanwhile; later words win (SPEC 6.1).
    fn listen(&mut self) -> Result<(), Reason> {
        for message in self.stream.take_messages() {
            self.answer
                .merge(self.target.module.dialect, &message)
                .map_err(|_| Reason::AnswerMalformed)?;
        }
        Ok(())
    }

    async fn await_end(&mut self) -> Result<(), Reason> {
        while !self.stream.is_over() {
            let deadline = self.exchange.cx.io.now() + self.target.module.stream_timeout;
            let stream = &self.stream;
            wait(self.exchange, deadline, || stream.progress()).await?;
            self.listen()?;
        }
        Ok(())
    }

    fn outcome(&mut self, whole: bool, record: &mut Record) -> Result<Reply, Reason> {
        self.listen()?;
        let status = self.stream.outcome().outcome?;
        record.grpc_status = Some(status.code());
        if status != Status::Ok {
            return Err(Reason::ServiceFailed(status));
        }
        // A service may refuse a file before it has all of it; it may not accept one.
        if !whole && self.answer.status() < 400 {
            return Err(Reason::UpstreamEndedEarly);
        }
        self.answer.finish_upload();
        let session = self.exchange.session.get().map(Rc::as_ref);
        Reply::answer(&self.answer, session, self.exchange.cx.io.unix_now())
    }
}

/// Turns what the buffer holds into messages; false if there is more in it than fits in one write.
fn cut<I: Io>(
    body: &mut RequestBody<'_, I>,
    files: &mut Files,
    buffer: &mut Buffer,
    unframed: &mut Unframed,
) -> Result<bool, Reason> {
    while unframed.parts() < PARTS_MAX {
        match body.next(buffer)? {
            Piece::Data(range) => files.take(range, buffer, unframed)?,
            Piece::Empty | Piece::End => {
                // Ranges point into this buffer: their message leaves with it.
                files.flush(unframed)?;
                return Ok(true);
            }
        }
    }
    files.flush(unframed)?;
    Ok(false)
}

/// The files of an upload, as they are found in the body.
struct Files {
    uploader: Uploader,
    source: Source,
    message: Message,
    chunk_bytes: usize,
    count: u32,
    bytes: u64,
}

/// Where files come from.
enum Source {
    /// The whole body is one.
    Raw(Box<filename::FileName>),
    /// Parts with a file name are.
    Multipart(Box<Multipart>),
}

/// The message that is being put together: ranges of the buffer, and bytes that were held back.
#[derive(Default)]
struct Message {
    pieces: Vec<Content>,
    len: usize,
}

enum Content {
    Range(Range<usize>),
    /// These bytes of the multipart delimiter.
    Delimiter(Range<usize>),
    /// So many bytes of the pipe.
    Piped(Range<usize>),
}

impl Files {
    fn new<I: Io>(exchange: &Exchange<'_, I>, target: &Target<'_>) -> Result<Self, Reason> {
        let (head, text) = (exchange.head, exchange.text);
        let content_type = head.value(text, Known::ContentType).unwrap_or_default();
        let source = if is_multipart(content_type) {
            let boundary = boundary(content_type).map_err(|_| Reason::MultipartMalformed)?;
            let files = exchange.tables.snapshot.limits.upload_files;
            let limits = Limits { files, ..Limits::default() };
            Source::Multipart(Box::new(Multipart::new(boundary, limits)))
        } else {
            let name = head.value(text, Known::XFilename).unwrap_or_default();
            Source::Raw(Box::new(filename::sanitise(name)))
        };
        let args = query_arguments(exchange);
        let rule = target.module.upload;
        let uploader = with_call(exchange, target, &args, None, |call| {
            Uploader::new(call, target.module.dialect, rule.end_marker)
        });
        Ok(Files {
            uploader,
            source,
            message: Message::default(),
            chunk_bytes: usize::try_from(rule.chunk_bytes).unwrap_or(usize::MAX),
            count: 0,
            bytes: 0,
        })
    }

    fn begin(&mut self, unframed: &mut Unframed) -> Result<(), Reason> {
        match &self.source {
            Source::Raw(name) => {
                let name = **name;
                self.begin_file(&name, unframed)
            }
            Source::Multipart(_) => Ok(()),
        }
    }

    fn begin_file(
        &mut self,
        name: &filename::FileName,
        unframed: &mut Unframed,
    ) -> Result<(), Reason> {
        unframed.push_with(|own| self.uploader.begin_file(*name, own)).map_err(|_| Reason::Bug)
    }

    fn end_file(&mut self, unframed: &mut Unframed) -> Result<(), Reason> {
        self.flush(unframed)?;
        self.count += 1;
        unframed.push_with(|own| self.uploader.end_file(own)).map_err(|_| Reason::Bug)
    }

    /// The body is complete.
    fn finish(&mut self, unframed: &mut Unframed) -> Result<(), Reason> {
        match &self.source {
            Source::Raw(_) => self.end_file(unframed),
            Source::Multipart(parser) if !parser.is_done() => Err(Reason::MultipartMalformed),
            Source::Multipart(_) if self.count == 0 => Err(Reason::MultipartWithoutFile),
            Source::Multipart(_) => Ok(()),
        }
    }

    /// Takes payload of the body.
    fn take(
        &mut self,
        range: Range<usize>,
        buffer: &Buffer,
        unframed: &mut Unframed,
    ) -> Result<(), Reason> {
        if matches!(self.source, Source::Raw(_)) {
            return self.add(&Content::Range(range), unframed);
        }
        let mut at = range.start;
        loop {
            let Source::Multipart(parser) = &mut self.source else { return Err(Reason::Bug) };
            let step = parser.next(buffer.range(at..range.end)).map_err(reason_of)?;
            let name = parser.part().filename.as_deref();
            let name = name.map(|name| filename::sanitise(name.as_bytes()));
            if step.event == Event::NeedMore {
                return Ok(());
            }
            self.part(step.event, name.as_ref(), at, unframed)?;
            at += step.consumed;
        }
    }

    /// Whether the payload need not be looked at, and messages are large enough to be worth it.
    fn may_be_piped(&self) -> bool {
        matches!(self.source, Source::Raw(_)) && self.chunk_bytes >= PIPED_CHUNK_MIN
    }

    /// Takes payload that is in a pipe, all of it into messages of its own.
    fn take_piped(&mut self, len: usize, unframed: &mut Unframed) -> Result<(), Reason> {
        self.add(&Content::Piped(0..len), unframed)?;
        self.flush(unframed)
    }

    fn part(
        &mut self,
        event: Event,
        name: Option<&filename::FileName>,
        origin: usize,
        unframed: &mut Unframed,
    ) -> Result<(), Reason> {
        // Parts without a file name are form fields; they are not passed on (SPEC 6.1).
        let Some(name) = name else { return Ok(()) };
        match event {
            Event::PartBegin => self.begin_file(name, unframed),
            Event::Data { start, len } => {
                self.add(&Content::Range(origin + start..origin + start + len), unframed)
            }
            Event::Held { start, len } => {
                self.add(&Content::Delimiter(start..start + len), unframed)
            }
            Event::PartEnd => self.end_file(unframed),
            Event::NeedMore | Event::End => Ok(()),
        }
    }

    /// Adds payload to the message; messages that are full are finished.
    fn add(&mut self, content: &Content, unframed: &mut Unframed) -> Result<(), Reason> {
        let (Content::Range(range) | Content::Delimiter(range) | Content::Piped(range)) = content;
        let (mut start, end) = (range.start, range.end);
        while start < end {
            let room = self.chunk_bytes - self.message.len;
            let cut = end.min(start + room);
            self.message.len += cut - start;
            self.message.pieces.push(match content {
                Content::Range(_) => Content::Range(start..cut),
                Content::Delimiter(_) => Content::Delimiter(start..cut),
                Content::Piped(_) => Content::Piped(start..cut),
            });
            start = cut;
            if self.message.len == self.chunk_bytes || self.message.pieces.len() == RANGES_MAX {
                self.flush(unframed)?;
            }
        }
        Ok(())
    }

    /// Finishes the message: what precedes the payload, then the payload.
    fn flush(&mut self, unframed: &mut Unframed) -> Result<(), Reason> {
        if self.message.len == 0 {
            return Ok(());
        }
        let len = u32::try_from(self.message.len).unwrap_or(u32::MAX);
        self.bytes += u64::from(len);
        unframed.push_with(|own| self.uploader.chunk_prelude(len, own)).map_err(|_| Reason::Bug)?;
        for piece in self.message.pieces.drain(..) {
            match (piece, &self.source) {
                (Content::Range(range), _) => unframed.push_payload(range),
                (Content::Piped(range), _) => unframed.push_piped(range.len()),
                (Content::Delimiter(range), Source::Multipart(parser)) => {
                    let held = parser.delimiter().get(range).unwrap_or_default();
                    unframed.push_with(|own| own.extend_from_slice(held));
                }
                (Content::Delimiter(_), Source::Raw(_)) => return Err(Reason::Bug),
            }
        }
        self.message.len = 0;
        Ok(())
    }
}

pub(super) fn reason_of(error: MultipartError) -> Reason {
    match error {
        MultipartError::TooManyFiles | MultipartError::TooManyParts => Reason::FilesTooMany,
        _ => Reason::MultipartMalformed,
    }
}
