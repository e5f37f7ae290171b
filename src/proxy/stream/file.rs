//! A stream as the content of an answer (SPEC 6.3).

use std::rc::Rc;

use crate::base::time::Instant;
use crate::gufo::download::Description;
use crate::gufo::reply::Reply as Answer;
use crate::gufo::stream::Said;
use crate::io::Io;
use crate::message::known::Known;
use crate::protocol::h1::encode;
use crate::proxy::exchange::{Exchange, Target};
use crate::proxy::reason::Reason;
use crate::proxy::record::Record;
use crate::proxy::reply::Reply;
use crate::proxy::respond::Answered;

use super::answers::{Answers, Next, read};
use super::writer::Writer;

/// What comes before the content.
enum Beginning {
    /// The message with the first of it, or with its end; none: there is no content.
    Content(Option<Vec<u8>>),
    /// There will be none: what was said is an answer as of any call.
    Answer(Answer),
}

/// Delivers the stream as it comes. An error: nothing was said to the client yet.
pub(super) async fn relay<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    answers: &mut Answers<'_, I>,
    before: &Answer,
    record: &mut Record,
) -> Result<Answered, Reason> {
    let mut description = Description::default();
    let known = Said { more: true, ..Said::default() };
    // There, a `size` may be of something else.
    let _ = description.add(&known, before);
    let (beginning, status) = begin(exchange, target, answers, &mut description).await?;
    record.upstream_answered = Some(exchange.cx.io.now());
    let first = match beginning {
        Beginning::Content(first) => first,
        Beginning::Answer(answer) => {
            let session = exchange.session.get().map(Rc::as_ref);
            return Reply::answer(&answer, session, exchange.time).map(Answered::Here);
        }
    };
    let status = status_of(exchange, &description, status)?;
    let length = if status == 304 { None } else { description.length() };
    let mut writer = Writer::begin(exchange, status, length, |own| {
        fields(&description, own);
    });
    let result = if writer.is_bare() {
        Ok(())
    } else {
        content(exchange, target, answers, &mut writer, first).await
    };
    let cut = match result {
        Ok(()) => writer.finish().await.err(),
        Err(reason) => Some(reason),
    };
    Ok(Answered::Delivered(writer.delivered(cut)))
}

fn patience<I: Io>(exchange: &Exchange<'_, I>, target: &Target<'_>) -> Instant {
    exchange.cx.io.now() + target.module.stream_timeout
}

/// Listens until content begins; says as well which status the service wants.
async fn begin<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    answers: &mut Answers<'_, I>,
    description: &mut Description,
) -> Result<(Beginning, u16), Reason> {
    let mut answer = Answer::new();
    let mut is_begun = false;
    loop {
        let Next::Message(message) = answers.next(patience(exchange, target)).await? else {
            let status = answer.status();
            let beginning =
                if is_begun { Beginning::Content(None) } else { Beginning::Answer(answer) };
            return Ok((beginning, status));
        };
        let said = read(&message)?;
        let merged = said.merge(&message, target.module.dialect, &mut answer);
        merged.map_err(|_| Reason::AnswerMalformed)?;
        let status = answer.status();
        if status >= 400 {
            return Ok((Beginning::Answer(answer), status));
        }
        description.add(&said, &answer).map_err(|_| Reason::AnswerMalformed)?;
        is_begun |= !said.meta.is_empty();
        if said.chunk.is_some() || said.is_end() || status == 304 {
            return Ok((Beginning::Content(Some(message)), status));
        }
    }
}

/// A part is sent only to those who have asked for one, and is only then called so.
fn status_of<I: Io>(
    exchange: &Exchange<'_, I>,
    description: &Description,
    status: u16,
) -> Result<u16, Reason> {
    let asked = exchange.head.value(exchange.text, Known::Range).is_some();
    match (description.range(), status) {
        (_, 304) => Ok(304),
        (Some(_), _) if asked => Ok(206),
        (Some(_), _) | (None, 206) => Err(Reason::AnswerMalformed),
        (None, 201 | 203) => Ok(status),
        (None, _) => Ok(200),
    }
}

fn fields(description: &Description, own: &mut Vec<u8>) {
    encode::field(own, b"content-type", description.content_type().as_bytes());
    encode::field(own, b"content-disposition", description.disposition().as_bytes());
    if let Some(range) = description.range() {
        encode::field(own, b"content-range", range.text.as_bytes());
    }
    if let Some(etag) = &description.etag {
        encode::field(own, b"etag", etag.as_bytes());
    }
    if let Some(modified) = &description.modified {
        encode::field(own, b"last-modified", modified.as_bytes());
    }
}

/// Sends content until it ends.
async fn content<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    answers: &mut Answers<'_, I>,
    writer: &mut Writer<'_, I>,
    mut next: Option<Vec<u8>>,
) -> Result<(), Reason> {
    let mut later = Answer::new();
    let mut is_first = true;
    while let Some(message) = next {
        let said = read(&message)?;
        if said.more && !is_first {
            later.clear();
            let merged = said.merge(&message, target.module.dialect, &mut later);
            merged.map_err(|_| Reason::AnswerMalformed)?;
            if later.status() >= 400 {
                return Err(Reason::UpstreamEndedEarly);
            }
        }
        is_first = false;
        writer.write(said.chunk.unwrap_or_default()).await?;
        if said.is_end() {
            return Ok(());
        }
        next = match answers.next(patience(exchange, target)).await? {
            Next::Message(message) => Some(message),
            Next::End => None,
        };
    }
    Ok(())
}
