//! Refusals of calls, as their clients understand them.

use crate::base::decimal;
use crate::message::head::{RequestHead, Version};
use crate::message::known::Known;
use crate::protocol::grpc::status::Status;
use crate::protocol::h1::encode;
use crate::proxy::reason::{Blame, Reason};
use crate::proxy::reply::Style;

use super::web::Asked;

/// How a fault is told to who would be told of it in this style: a call of gRPC by its status.
#[inline]
pub(in crate::proxy) fn style(style: Style, head: &RequestHead, text: &[u8]) -> Style {
    match style {
        Style::Problem if is_call(head, text) => Style::Call,
        Style::Problem if Asked::by(head, text).is_some() => Style::WebCall,
        style => style,
    }
}

/// Whether a request is a call of gRPC.
#[inline]
pub(in crate::proxy) fn is_call(head: &RequestHead, text: &[u8]) -> bool {
    if head.version != Version::Http2 {
        return false;
    }
    let said = head.value(text, Known::ContentType).unwrap_or_default();
    // `application/grpc-web` is another protocol.
    let rest = said.strip_prefix(b"application/grpc");
    matches!(rest, Some([] | [b'+' | b';' | b' ', ..]))
}

/// Appends how a call ended that was refused, as lines.
pub(in crate::proxy) fn lines(reason: Reason, out: &mut Vec<u8>) {
    let mut code = Vec::new();
    decimal::push(&mut code, status(reason).code());
    encode::field(out, b"grpc-status", &code);
    encode::field(out, b"grpc-message", reason.row().detail.as_bytes());
}

/// The status of a call that was refused.
pub(in crate::proxy) fn status(reason: Reason) -> Status {
    match reason {
        Reason::RouteNotFound | Reason::MethodNotAllowed | Reason::CodingUnsupported => {
            Status::Unimplemented
        }
        Reason::UpstreamTimedOut => Status::DeadlineExceeded,
        Reason::BodyTooLarge
        | Reason::HeadTooLarge
        | Reason::TargetTooLong
        | Reason::RateLimited
        | Reason::QuotaExceeded
        | Reason::PaymentRequired => Status::ResourceExhausted,
        Reason::Unauthenticated => Status::Unauthenticated,
        Reason::ClientLeft => Status::Cancelled,
        Reason::Bug | Reason::UpstreamProtocol => Status::Internal,
        // Who may have acted on the call cannot be told from who did not.
        _ if reason.row().blame == Blame::Upstream => Status::Unavailable,
        _ if reason.row().status == 403 => Status::PermissionDenied,
        _ if matches!(reason.row().status, 429 | 502..=504) => Status::Unavailable,
        _ => Status::InvalidArgument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::head::{Field, Span};

    #[test]
    fn calls_are_known_by_their_content_type() {
        for (said, version, want) in [
            ("application/grpc", Version::Http2, true),
            ("application/grpc+proto", Version::Http2, true),
            ("application/grpc;x", Version::Http2, true),
            ("application/grpc-web", Version::Http2, false),
            ("application/json", Version::Http2, false),
            ("application/grpc", Version::Http11, false),
        ] {
            let (value, known) = (Span::between(0, said.len()), Known::ContentType);
            let fields = vec![Field { name: Span::EMPTY, value, known }];
            let head = RequestHead { version, fields, ..RequestHead::default() };
            assert_eq!(is_call(&head, said.as_bytes()), want, "{said} {version:?}");
        }
    }

    #[test]
    fn what_is_down_is_unavailable_and_what_is_late_has_its_own_status() {
        for (reason, want) in [
            (Reason::ConnectRefused, Status::Unavailable),
            (Reason::EndpointsDown, Status::Unavailable),
            (Reason::UpstreamReset, Status::Unavailable),
            (Reason::UpstreamTimedOut, Status::DeadlineExceeded),
            (Reason::RouteNotFound, Status::Unimplemented),
            (Reason::RequestMalformed, Status::InvalidArgument),
            (Reason::Bug, Status::Internal),
        ] {
            assert_eq!(status(reason), want, "{reason:?}");
        }
    }
}
