//! Calls of gRPC-Web on their way to a service of gRPC: what their heads become, and how their
//! answers are written.

use crate::io::buffer::Buffer;
use crate::io::gather::Gather;
use crate::message::framing::Framing;
use crate::message::head::{Method, RequestHead, ResponseHead, Version};
use crate::message::known::Known;
use crate::message::token;
use crate::protocol::grpc::web::{self, Answer, ContentType};
use crate::protocol::h1::encode;
use crate::protocol::h2::request::push;
use crate::proxy::context::{AnswerText, HeadText};
use crate::proxy::reason::Reason;

pub(in crate::proxy) use crate::protocol::grpc::web::Coding;

/// Fields that say how a call ended. They stand behind the answer or, if there is nothing else, in
/// its head.
const STATUS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// What a call of gRPC-Web asks for.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Asked<'a> {
    request: ContentType<'a>,
    answer: ContentType<'a>,
}

impl<'a> Asked<'a> {
    /// What a request asks for, if it is such a call.
    pub(in crate::proxy) fn by(head: &RequestHead, text: &'a [u8]) -> Option<Self> {
        if head.method != Method::Post || head.version == Version::Http10 {
            return None;
        }
        let request = ContentType::parse(head.value(text, Known::ContentType)?)?;
        let mut accepted = head.values(text, Known::Accept).flat_map(token::list);
        let answer = accepted.find_map(ContentType::parse).unwrap_or(request);
        Some(Asked { request, answer })
    }

    /// How the request is written.
    pub(in crate::proxy) fn coding(&self) -> Coding {
        self.request.coding
    }

    /// The head of the call as a service of gRPC reads it.
    pub(in crate::proxy) fn head(&self, head: &RequestHead, text: &[u8]) -> HeadText {
        let mut made = HeadText { head: head.clone(), text: text.to_vec() };
        let HeadText { head, text } = &mut made;
        head.fields.retain(|field| {
            !matches!(field.known, Known::ContentType | Known::Accept | Known::Te | Known::Trailer)
        });
        let name = [b"application/grpc", self.request.suffix].concat();
        push(&mut head.fields, text, b"content-type", Known::ContentType, &name);
        push(&mut head.fields, text, b"te", Known::Te, b"trailers");
        head.framing = Framing::Chunked; // A length would be that of base64.
        made
    }

    /// The type of an answer that is ours.
    pub(in crate::proxy) fn content_type(&self) -> String {
        String::from_utf8_lossy(&self.answer.name()).into_owned()
    }

    /// The content of an answer that is nothing but its end.
    pub(in crate::proxy) fn end(&self, lines: &[u8]) -> Vec<u8> {
        let (mut frame, mut out) = (Vec::new(), Vec::new());
        web::trailers(lines, &mut frame);
        let mut answer = Answer::new(self.answer.coding);
        answer.write(&frame, &mut out);
        answer.flush(true, &mut out);
        out
    }

    /// Makes the head of a service's answer that of one for a browser; `None`: it is not an answer
    /// of gRPC, and goes on as it is.
    fn translate(&self, says: &mut AnswerText) -> Option<Translated> {
        let AnswerText { head, text, .. } = says;
        let said = head.value(text, Known::ContentType).and_then(web::native_suffix);
        let is_alone = head.framing == Framing::Empty && head.by_name(text, STATUS[0]).is_some();
        if head.status != 200 || (said.is_none() && !is_alone) {
            return None;
        }
        let mut answer = self.answer;
        let suffix = said.unwrap_or_default().to_vec();
        if !suffix.is_empty() {
            answer.suffix = &suffix;
        }
        let mut status = Vec::new();
        if is_alone {
            take_status(head, text, &mut status);
        }
        head.fields.retain(|field| {
            let name = field.name.of(text);
            !matches!(field.known, Known::ContentType | Known::Trailer)
                && !STATUS.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(name))
        });
        push(&mut head.fields, text, b"content-type", Known::ContentType, &answer.name());
        head.framing = Framing::UntilClose;
        head.length = None;
        Some(Translated { answer: Answer::new(answer.coding), status })
    }
}

fn take_status(head: &ResponseHead, text: &[u8], out: &mut Vec<u8>) {
    for name in STATUS {
        if let Some(value) = head.by_name(text, name) {
            encode::field(out, name.as_bytes(), value);
        }
    }
}

struct Translated {
    answer: Answer,
    /// How the call ended, if the head has said it.
    status: Vec<u8>,
}

/// How the answer to a call is written to its client.
pub(in crate::proxy) struct Shown {
    web: Option<Translated>,
    /// In chunks of HTTP/1.1.
    chunked: bool,
    /// Its head has left, or is about to.
    pub(in crate::proxy) begun: bool,
}

impl Shown {
    /// An answer with this head, which becomes what a browser reads if one has `asked`.
    pub(in crate::proxy) fn new(asked: Option<&Asked<'_>>, says: &mut AnswerText) -> Self {
        let web = asked.and_then(|asked| asked.translate(says));
        Shown { web, chunked: false, begun: false }
    }

    /// It goes in chunks.
    pub(in crate::proxy) fn in_chunks(&mut self) {
        self.chunked = true;
    }

    /// Whether its trailers are part of its content.
    pub(in crate::proxy) fn is_web(&self) -> bool {
        self.web.is_some()
    }

    /// Whether how the call ended can still be told.
    pub(in crate::proxy) fn can_end(&self) -> bool {
        self.web.as_ref().is_some_and(|web| web.answer.is_between_frames())
    }

    /// Lines up content and, behind the last, the trailers; says how many bytes of content these
    /// are.
    pub(in crate::proxy) fn put(
        &mut self,
        content: Option<Buffer>,
        end: Option<&[u8]>,
        out: &mut Gather,
    ) -> Result<u64, Reason> {
        let mut size = content.as_ref().map_or(0, Buffer::len);
        let mut last = Vec::new();
        if let Some(Translated { answer, status }) = &mut self.web {
            let bytes = content.as_ref().map_or(&[][..], Buffer::filled);
            answer.look(bytes).map_err(|_| Reason::UpstreamProtocol)?;
            if let Some(lines) = end {
                if !answer.is_between_frames() {
                    return Err(Reason::UpstreamProtocol);
                }
                web::trailers(&whole(lines, std::mem::take(status)), &mut last);
            }
            size = answer.size(size + last.len(), end.is_some());
        }
        let chunk = self.chunked && size > 0;
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        if chunk {
            out.push_with(|own| encode::chunk_head(own, size));
        }
        match (content, &mut self.web) {
            (Some(buffer), Some(Translated { answer, .. })) if answer.is_text() => {
                out.push_with(|own| answer.write(buffer.filled(), own));
            }
            (Some(buffer), _) => {
                let range = buffer.position()..buffer.position() + buffer.len();
                out.set_payload(buffer);
                out.push_payload(range);
            }
            (None, _) => {}
        }
        if let Some(Translated { answer, .. }) = &mut self.web {
            out.push_with(|own| {
                answer.write(&last, own);
                answer.flush(end.is_some(), own);
            });
        }
        if chunk {
            out.push(encode::CRLF);
        }
        if self.chunked && end.is_some() {
            out.push(encode::LAST_CHUNK);
        }
        Ok(size)
    }
}

/// The trailers of an answer: those that came, or what its head has said. A service that says
/// nothing of how a call ended did not end it well.
fn whole(lines: &[u8], mut status: Vec<u8>) -> Vec<u8> {
    status.extend_from_slice(lines);
    let mut names = status.split(|byte| *byte == b'\n');
    if !names.any(|line| line.starts_with(b"grpc-status:")) {
        status.extend_from_slice(b"grpc-status: 2\r\n");
    }
    status
}
