//! An upload to a service without streams: the one file of the body within one unary call
//! (SPEC 6.2, dialect A).

use crate::base::limits;
use crate::gufo::filename::{self, FileName};
use crate::gufo::request::Call;
use crate::io::Io;
use crate::message::known::Known;
use crate::observe::access_log;
use crate::observe::counters::Counter;
use crate::protocol::multipart::boundary::{boundary, is_multipart};
use crate::protocol::multipart::parser::{Event, Limits, Multipart};

use super::body::RequestBody;
use super::call::{self, Memory, query_arguments, with_call};
use super::exchange::{Exchange, Target};
use super::reason::Reason;
use super::record::Record;
use super::reply::Reply;
use super::upload::reason_of;

/// Bytes of a file: a message has to hold it with what is said of it.
const FILE_BYTES_MAX: usize = limits::GRPC_MESSAGE_BYTES_MAX - 128 * 1024;
/// The field of a form that is the file.
const FIELD: &str = "file";

/// Collects the file, calls the module with it and maps its answer.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Reply, Reason> {
    let counters = &exchange.cx.counters;
    counters.count(Counter::UploadsStarted);
    let result = upload(exchange, target, body, record).await;
    counters.count(Counter::UploadsEnded);
    if result.is_err() {
        counters.count(Counter::UploadsFailed);
    }
    result
}

async fn upload<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    body: &mut RequestBody<'_, I>,
    record: &mut Record,
) -> Result<Reply, Reason> {
    let (head, text) = (exchange.head, exchange.text);
    let content_type = head.value(text, Known::ContentType).unwrap_or_default();
    let file = if is_multipart(content_type) {
        let boundary = boundary(content_type).map_err(|_| Reason::MultipartMalformed)?;
        let limits = Limits { files: 1, ..Limits::default() };
        form(body, Multipart::new(boundary, limits)).await?
    } else {
        let name = head.value(text, Known::XFilename).unwrap_or_default();
        raw(body, &filename::sanitise(name)).await?
    };
    let counters = &exchange.cx.counters;
    let bytes = u64::try_from(file.content.len()).unwrap_or(u64::MAX);
    counters.add(Counter::UploadBytes, bytes);
    counters.add(Counter::UploadFiles, 1);
    record.upload = Some(access_log::Upload { files: 1, bytes });
    let args = query_arguments(exchange);
    let mut memory = Memory::default();
    with_call(exchange, target, &args, None, |call| {
        let file = Some((file.name.as_str(), &file.content[..]));
        memory.encode(&Call { file, ..*call }, target.module.dialect)
    })?;
    drop(file);
    call::ask(exchange, target, &mut memory, record).await?;
    memory.reply(exchange)
}

/// A file that was collected.
struct File {
    name: FileName,
    content: Vec<u8>,
}

impl File {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        if self.content.len() + bytes.len() > FILE_BYTES_MAX {
            return Err(Reason::BodyTooLarge);
        }
        self.content.extend_from_slice(bytes);
        Ok(())
    }
}

async fn raw<I: Io>(body: &mut RequestBody<'_, I>, name: &FileName) -> Result<File, Reason> {
    let mut file = File { name: *name, content: Vec::new() };
    body.each(|bytes| file.add(bytes)).await?;
    Ok(file)
}

async fn form<I: Io>(body: &mut RequestBody<'_, I>, mut parser: Multipart) -> Result<File, Reason> {
    let mut file = None;
    body.each(|bytes| parts(&mut parser, bytes, &mut file)).await?;
    if !parser.is_done() {
        return Err(Reason::MultipartMalformed);
    }
    file.ok_or(Reason::MultipartWithoutFile)
}

/// Takes what these bytes hold of the file.
fn parts(parser: &mut Multipart, mut bytes: &[u8], file: &mut Option<File>) -> Result<(), Reason> {
    loop {
        let step = parser.next(bytes).map_err(reason_of)?;
        let part = parser.part();
        let name = part.filename.as_deref().filter(|_| part.name.as_deref() == Some(FIELD));
        match (step.event, name, &mut *file) {
            (Event::NeedMore, ..) => return Ok(()),
            (Event::PartBegin, Some(name), None) => {
                let name = filename::sanitise(name.as_bytes());
                *file = Some(File { name, content: Vec::new() });
            }
            (Event::Data { start, len }, Some(_), Some(file)) => {
                file.add(bytes.get(start..start + len).unwrap_or_default())?;
            }
            (Event::Held { start, len }, Some(_), Some(file)) => {
                file.add(parser.delimiter().get(start..start + len).unwrap_or_default())?;
            }
            _ => {}
        }
        bytes = bytes.get(step.consumed..).unwrap_or_default();
    }
}
