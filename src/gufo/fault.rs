//! What the gateway itself says when a call of the Gufo surface fails (SPEC 5.3).

/// Why the gateway answers instead of a service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum GufoFault {
    /// A signature or certificate is missing or wrong.
    Unauthorized,
    /// `security.mode` is unset or unknown.
    SecurityModeUnset,
    /// The request makes no sense.
    BadRequest,
    /// An element of the path holds what no element may hold.
    PathInvalid,
    /// The body of a `POST` is not a JSON object, and the service is of dialect A.
    BodyUndecodable,
    /// The body of an upload is not the multipart text that its type announces.
    MultipartInvalid,
    /// The client's body ended before it was whole.
    BodyTruncated,
    /// An upload without any file.
    FileMissing,
    /// A body, a file or a number of files is beyond its bound.
    TooLarge,
    /// A generic failure.
    Failure,
    /// A method that the surface does not handle.
    WrongMethod,
    /// Nothing better is known.
    Unknown,
    /// A rate limit.
    RateLimited,
    /// `X-Sign` does not match.
    InternalSignature,
    /// No connection to the service could be made.
    Unreachable,
    /// Nothing stands behind the base.
    PathTooShort,
    /// The module is `entrypoint`.
    WrongModule,
    /// The user may only read.
    ReadOnlyUser,
    /// No connection to the service was free in time: nothing of the call was sent.
    ModuleConnection,
    /// The module has no host or port.
    AddressMissing,
    /// The call was sent and did not end well.
    Transport,
    /// The call was sent and did not end in time.
    TransportTimeout,
    /// The service answered what is not an answer.
    AnswerInvalid,
    /// The service answered with a path of a file on the gateway's host (SPEC 6.3), which is off.
    FilePathRefused,
    /// No registry tells where the module is.
    Unresolved,
    /// No module has this name.
    ModuleUnknown,
    /// A heartbeat could not be passed on.
    HeartbeatFailed,
    /// The path belongs to nothing.
    WrongRequest,
}

/// A row of the table: old status, right status, code, message.
struct Row(u16, u16, &'static str, &'static str);

impl GufoFault {
    /// The status of HTTP. `legacy`: as the original has always answered
    /// (`gufo.strict_legacy_status`); else what the status means elsewhere.
    #[must_use]
    pub const fn status(self, legacy: bool) -> u16 {
        let Row(old, right, _, _) = self.row();
        if legacy { old } else { right }
    }

    /// The code in the envelope. Clients compare it as a text: leading zeros count.
    #[must_use]
    pub const fn code(self) -> &'static str {
        let Row(_, _, code, _) = self.row();
        code
    }

    /// The message in the envelope. Says nothing of what is behind the gateway.
    #[must_use]
    pub const fn message(self) -> &'static str {
        let Row(_, _, _, message) = self.row();
        message
    }

    const fn row(self) -> Row {
        use GufoFault as F;
        match self {
            F::Unauthorized => Row(401, 401, "00001", "You are not authorized"),
            F::SecurityModeUnset => Row(500, 500, "00002", "Security mode is not set"),
            F::BadRequest => Row(400, 400, "00003", "Bad request"),
            F::PathInvalid => Row(400, 400, "00003", "Invalid path"),
            F::BodyUndecodable => Row(401, 400, "0000238", "Can not decode POST body"),
            F::MultipartInvalid => Row(400, 400, "00003", "Invalid multipart body"),
            F::BodyTruncated => Row(400, 400, "00003", "The body ended early"),
            F::FileMissing => Row(400, 400, "0000235", "Missing File"),
            F::TooLarge => Row(413, 413, "00003", "Too large"),
            F::Failure => Row(500, 500, "00004", "Internal failure"),
            F::WrongMethod => Row(404, 405, "00004", "Wrong Method"),
            F::Unknown => Row(500, 500, "99999", "Unknown error"),
            F::RateLimited => Row(429, 429, "000429", "rate limit exceeded"),
            F::InternalSignature => Row(401, 401, "0000234", "Invalid internal signature"),
            F::Unreachable => Row(400, 502, "0000234", "The service can not be reached"),
            F::PathTooShort => Row(401, 404, "0000235", "Wrong path"),
            F::WrongModule => Row(401, 404, "0000235", "Wrong module"),
            F::ReadOnlyUser => Row(401, 403, "0000235", "Read Only User"),
            F::ModuleConnection => Row(500, 503, "0000236", "Module connection error"),
            F::AddressMissing => Row(500, 503, "0000238", "Host or port of the module is missing"),
            F::Transport => Row(500, 502, "0000500", "Transport error"),
            F::TransportTimeout => Row(500, 504, "0000500", "The service did not answer in time"),
            F::AnswerInvalid => Row(500, 502, "0000500", "The service's answer is invalid"),
            F::FilePathRefused => Row(500, 502, "00004", "Files of the gateway are not served"),
            F::Unresolved => Row(500, 503, "0000501", UNRESOLVED),
            F::ModuleUnknown => Row(500, 404, "0000501", UNRESOLVED),
            F::HeartbeatFailed => Row(500, 502, "0000501", "The heartbeat was not taken"),
            F::WrongRequest => Row(404, 404, "000056", "Wrong Request"),
        }
    }
}

const UNRESOLVED: &str = "Cannot resolve service: registry and masterservice unavailable";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_goes_with_the_statuses_of_its_table() {
        for (fault, legacy, right, code) in [
            (GufoFault::Unauthorized, 401, 401, "00001"),
            (GufoFault::SecurityModeUnset, 500, 500, "00002"),
            (GufoFault::BadRequest, 400, 400, "00003"),
            (GufoFault::BodyUndecodable, 401, 400, "0000238"),
            (GufoFault::Failure, 500, 500, "00004"),
            (GufoFault::WrongMethod, 404, 405, "00004"),
            (GufoFault::Unknown, 500, 500, "99999"),
            (GufoFault::RateLimited, 429, 429, "000429"),
            (GufoFault::InternalSignature, 401, 401, "0000234"),
            (GufoFault::Unreachable, 400, 502, "0000234"),
            (GufoFault::PathTooShort, 401, 404, "0000235"),
            (GufoFault::WrongModule, 401, 404, "0000235"),
            (GufoFault::ReadOnlyUser, 401, 403, "0000235"),
            (GufoFault::FileMissing, 400, 400, "0000235"),
            (GufoFault::ModuleConnection, 500, 503, "0000236"),
            (GufoFault::AddressMissing, 500, 503, "0000238"),
            (GufoFault::Transport, 500, 502, "0000500"),
            (GufoFault::TransportTimeout, 500, 504, "0000500"),
            (GufoFault::Unresolved, 500, 503, "0000501"),
            (GufoFault::HeartbeatFailed, 500, 502, "0000501"),
            (GufoFault::WrongRequest, 404, 404, "000056"),
        ] {
            assert_eq!((fault.status(true), fault.status(false)), (legacy, right), "{fault:?}");
            assert_eq!(fault.code(), code, "{fault:?}");
            assert!(!fault.message().is_empty(), "{fault:?}");
        }
    }
}
