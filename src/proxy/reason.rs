//! Why the gateway answered by itself: one closed enum with one table. Nobody else picks a status.

use crate::protocol::grpc::status::Status;

use self::Blame::{Client, Gateway, Upstream};
use self::Fate::{Close, Keep};

/// Why the gateway answered by itself, or did not answer at all.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the table below says it")]
pub enum Reason {
    RequestMalformed,
    TargetTooLong,
    HeadTooLarge,
    HeadTimedOut,
    MethodUnsupported,
    VersionUnsupported,
    CodingUnsupported,
    ExpectationUnsupported,
    ProtocolUnsupported,
    RouteNotFound,
    MethodNotAllowed,
    PathInvalid,
    PathTooShort,
    ModuleUnknown,
    ModuleReserved,
    AddressMissing,
    RegistryUnavailable,
    SignatureWrong,
    Unauthenticated,
    PaymentRequired,
    Forbidden,
    ReadOnlyUser,
    AddressRefused,
    OriginRefused,
    BotRefused,
    HostRefused,
    RateLimited,
    QuotaExceeded,
    AuthUnavailable,
    BillingUnavailable,
    TooBusy,
    CircuitOpen,
    Overloaded,
    LimitsUnavailable,
    BodyMalformed,
    BodyUndecodable,
    BodyTruncated,
    BodyTooLarge,
    BodyTimedOut,
    BodyTooSlow,
    MultipartMalformed,
    MultipartWithoutFile,
    FilesTooMany,
    PoolExhausted,
    OutOfSockets,
    EndpointsDown,
    ConnectRefused,
    ConnectTimedOut,
    ConnectFailed,
    TlsFailed,
    TlsUntrusted,
    TlsWithoutHttp2,
    TlsAlert,
    UpstreamReset,
    UpstreamClosed,
    UpstreamTimedOut,
    UpstreamProtocol,
    UpstreamEndedEarly,
    AnswerTooLarge,
    AnswerMalformed,
    FileRefused,
    ServiceFailed(Status),
    ClientLeft,
    ClientStalled,
    Bug,
}

/// Whose doing it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The client's.
    Client,
    /// The endpoint's, or the way to it.
    Upstream,
    /// Ours.
    Gateway,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It may carry another request.
    Keep,
    /// It is closed after the answer: where the next message begins is not certain.
    Close,
}

/// What the gateway says and does about a [`Reason`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// HTTP status; 0: nothing is sent.
    pub status: u16,
    /// Whose doing it was.
    pub blame: Blame,
    /// What becomes of the client's connection.
    pub fate: Fate,
    /// A stable name for clients, logs and metrics.
    pub code: &'static str,
    /// What a person is told. Constant text: no cause from inside leaks.
    pub detail: &'static str,
}

const fn row(
    status: u16,
    blame: Blame,
    fate: Fate,
    code: &'static str,
    detail: &'static str,
) -> Row {
    Row { status, blame, fate, code, detail }
}

impl Reason {
    /// The one table.
    #[must_use]
    #[rustfmt::skip]
    pub fn row(self) -> Row {
        match self {
            Reason::RequestMalformed       => row(400, Client, Close, "request_malformed", "the request is not valid HTTP"),
            Reason::TargetTooLong          => row(414, Client, Close, "target_too_long", "the request target is longer than allowed"),
            Reason::HeadTooLarge           => row(431, Client, Close, "head_too_large", "the request's header fields are larger than allowed"),
            Reason::HeadTimedOut           => row(408, Client, Close, "head_timed_out", "the request's header did not arrive in time"),
            Reason::MethodUnsupported      => row(501, Client, Close, "method_unsupported", "the method is not supported"),
            Reason::VersionUnsupported     => row(505, Client, Close, "version_unsupported", "the HTTP version is not supported"),
            Reason::CodingUnsupported      => row(501, Client, Close, "coding_unsupported", "the transfer coding is not supported"),
            Reason::ExpectationUnsupported => row(417, Client, Close, "expectation_unsupported", "only 100-continue can be expected"),
            Reason::ProtocolUnsupported    => row(501, Client, Keep,  "protocol_unsupported", "no tunnel of this protocol is made at this path"),
            Reason::RouteNotFound          => row(404, Client, Keep,  "route_not_found", "nothing is served at this path"),
            Reason::MethodNotAllowed       => row(405, Client, Keep,  "method_not_allowed", "the path is not served with this method"),
            Reason::PathInvalid            => row(400, Client, Keep,  "path_invalid", "the path has an element that cannot be passed on"),
            Reason::PathTooShort           => row(404, Client, Keep,  "path_too_short", "the path names no module"),
            Reason::ModuleUnknown          => row(404, Client, Keep,  "module_unknown", "no module of this name is configured"),
            Reason::ModuleReserved         => row(404, Client, Keep,  "module_reserved", "this module cannot be called from outside"),
            Reason::AddressMissing         => row(503, Gateway, Keep, "address_missing", "nobody says where the module runs"),
            Reason::RegistryUnavailable    => row(503, Gateway, Keep, "registry_unavailable", "modules cannot be looked for now"),
            Reason::SignatureWrong         => row(401, Client, Keep,  "signature_wrong", "the signature in X-Sign is wrong"),
            Reason::Unauthenticated        => row(401, Client, Keep, "unauthenticated", "a valid proof of identity is needed"),
            Reason::PaymentRequired        => row(402, Client, Keep, "payment_required", "the account has no balance left"),
            Reason::Forbidden              => row(403, Client, Keep, "forbidden", "the identity may not do this"),
            Reason::ReadOnlyUser           => row(403, Client, Keep, "read_only_user", "the user may only read"),
            Reason::AddressRefused         => row(403, Client, Keep, "address_refused", "requests from this address are not served"),
            Reason::OriginRefused          => row(403, Client, Keep, "origin_refused", "requests from this origin are not served"),
            Reason::BotRefused             => row(403, Client, Keep, "bot_refused", "requests of this user agent are not served"),
            Reason::HostRefused            => row(421, Client, Keep, "host_refused", "this host is not served here"),
            Reason::RateLimited            => row(429, Client, Keep, "rate_limited", "too many requests"),
            Reason::QuotaExceeded          => row(429, Client, Keep, "quota_exceeded", "the quota is used up"),
            Reason::AuthUnavailable        => row(503, Gateway, Keep, "auth_unavailable", "identities cannot be checked now"),
            Reason::BillingUnavailable     => row(503, Gateway, Keep, "billing_unavailable", "balances cannot be checked now"),
            Reason::TooBusy                => row(503, Gateway, Keep, "too_busy", "too many requests are under way"),
            Reason::CircuitOpen            => row(503, Gateway, Keep, "circuit_open", "the service is given time to recover"),
            Reason::Overloaded             => row(503, Gateway, Keep, "overloaded", "the gateway has more to do than it can"),
            Reason::LimitsUnavailable      => row(503, Gateway, Keep, "limits_unavailable", "limits cannot be checked now"),
            Reason::BodyMalformed          => row(400, Client, Close, "body_malformed", "the body's framing is not valid"),
            Reason::BodyUndecodable        => row(400, Client, Keep,  "body_undecodable", "the body is not a JSON object"),
            Reason::BodyTruncated          => row(400, Client, Close, "body_truncated", "the body ended before it was complete"),
            Reason::BodyTooLarge           => row(413, Client, Close, "body_too_large", "the body is larger than allowed"),
            Reason::BodyTimedOut           => row(408, Client, Close, "body_timed_out", "no part of the body arrived in time"),
            Reason::BodyTooSlow            => row(408, Client, Close, "body_too_slow", "the body arrived too slowly"),
            Reason::MultipartMalformed     => row(400, Client, Close, "multipart_malformed", "the body is not valid multipart/form-data"),
            Reason::MultipartWithoutFile   => row(400, Client, Keep,  "multipart_without_file", "no part of the body has a file name"),
            Reason::FilesTooMany           => row(413, Client, Close, "files_too_many", "the body has more files than allowed"),
            Reason::PoolExhausted          => row(503, Gateway, Keep, "pool_exhausted", "all connections to the service are busy"),
            Reason::OutOfSockets           => row(503, Gateway, Keep, "out_of_sockets", "the gateway can open no more connections"),
            Reason::EndpointsDown          => row(503, Upstream, Keep, "endpoints_down", "no instance of the service can be used"),
            Reason::ConnectRefused         => row(502, Upstream, Keep, "connect_refused", "the service is not reachable"),
            Reason::ConnectTimedOut        => row(504, Upstream, Keep, "connect_timed_out", "the service did not accept a connection in time"),
            Reason::ConnectFailed          => row(502, Upstream, Keep, "connect_failed", "the service is not reachable"),
            Reason::TlsFailed              => row(502, Upstream, Keep, "tls_failed", "no secure connection to the service could be made"),
            Reason::TlsUntrusted           => row(502, Upstream, Keep, "tls_untrusted", "the certificate of the service is not accepted"),
            Reason::TlsWithoutHttp2        => row(502, Upstream, Keep, "tls_without_http2", "the service does not offer HTTP/2 over TLS"),
            Reason::TlsAlert               => row(502, Upstream, Keep, "tls_alert", "the service ended the secure connection with an alert"),
            Reason::UpstreamReset          => row(502, Upstream, Keep, "upstream_reset", "the service cancelled the call"),
            Reason::UpstreamClosed         => row(502, Upstream, Keep, "upstream_closed", "the service closed the connection"),
            Reason::UpstreamTimedOut       => row(504, Upstream, Keep, "upstream_timed_out", "the service did not answer in time"),
            Reason::UpstreamProtocol       => row(502, Upstream, Keep, "upstream_protocol", "the service broke the protocol"),
            Reason::UpstreamEndedEarly     => row(502, Upstream, Keep, "upstream_ended_early", "the service ended the call before it had everything"),
            Reason::AnswerTooLarge         => row(502, Upstream, Keep, "answer_too_large", "the service's answer is larger than allowed"),
            Reason::AnswerMalformed        => row(502, Upstream, Keep, "answer_malformed", "the service's answer cannot be read"),
            Reason::FileRefused            => row(502, Upstream, Keep, "file_refused", "the service named a file of the gateway, which is not served"),
            Reason::ServiceFailed(status)  => row(status.http(), Upstream, Keep, "service_failed", "the service reported a failure"),
            Reason::ClientLeft             => row(0, Client, Close, "client_left", "the client left before the answer"),
            Reason::ClientStalled          => row(0, Client, Close, "client_stalled", "the client did not take the answer in time"),
            Reason::Bug                    => row(500, Gateway, Close, "bug", "the gateway met a fault of its own"),
        }
    }

    /// Whether no connection could be made: nothing of the request can have reached anybody.
    #[must_use]
    pub const fn is_unreached(self) -> bool {
        matches!(
            self,
            Reason::ConnectRefused
                | Reason::ConnectTimedOut
                | Reason::ConnectFailed
                | Reason::OutOfSockets
                | Reason::TlsFailed
                | Reason::TlsUntrusted
                | Reason::TlsWithoutHttp2
        )
    }

    /// The place in the list of labels.
    #[must_use]
    pub fn place(self) -> usize {
        let same = |other: &Reason| match (self, *other) {
            (Reason::ServiceFailed(_), Reason::ServiceFailed(_)) => true,
            (a, b) => a == b,
        };
        ALL.iter().position(same).unwrap_or(0)
    }
}

/// Every reason once, in the order of their labels.
pub const ALL: [Reason; 65] = [
    Reason::RequestMalformed,
    Reason::TargetTooLong,
    Reason::HeadTooLarge,
    Reason::HeadTimedOut,
    Reason::MethodUnsupported,
    Reason::VersionUnsupported,
    Reason::CodingUnsupported,
    Reason::ExpectationUnsupported,
    Reason::ProtocolUnsupported,
    Reason::RouteNotFound,
    Reason::MethodNotAllowed,
    Reason::PathInvalid,
    Reason::PathTooShort,
    Reason::ModuleUnknown,
    Reason::ModuleReserved,
    Reason::AddressMissing,
    Reason::RegistryUnavailable,
    Reason::SignatureWrong,
    Reason::Unauthenticated,
    Reason::PaymentRequired,
    Reason::Forbidden,
    Reason::ReadOnlyUser,
    Reason::AddressRefused,
    Reason::OriginRefused,
    Reason::BotRefused,
    Reason::HostRefused,
    Reason::RateLimited,
    Reason::QuotaExceeded,
    Reason::AuthUnavailable,
    Reason::BillingUnavailable,
    Reason::TooBusy,
    Reason::CircuitOpen,
    Reason::Overloaded,
    Reason::LimitsUnavailable,
    Reason::BodyMalformed,
    Reason::BodyUndecodable,
    Reason::BodyTruncated,
    Reason::BodyTooLarge,
    Reason::BodyTimedOut,
    Reason::BodyTooSlow,
    Reason::MultipartMalformed,
    Reason::MultipartWithoutFile,
    Reason::FilesTooMany,
    Reason::PoolExhausted,
    Reason::OutOfSockets,
    Reason::EndpointsDown,
    Reason::ConnectRefused,
    Reason::ConnectTimedOut,
    Reason::ConnectFailed,
    Reason::TlsFailed,
    Reason::TlsUntrusted,
    Reason::TlsWithoutHttp2,
    Reason::TlsAlert,
    Reason::UpstreamReset,
    Reason::UpstreamClosed,
    Reason::UpstreamTimedOut,
    Reason::UpstreamProtocol,
    Reason::UpstreamEndedEarly,
    Reason::AnswerTooLarge,
    Reason::AnswerMalformed,
    Reason::FileRefused,
    Reason::ServiceFailed(Status::Unknown),
    Reason::ClientLeft,
    Reason::ClientStalled,
    Reason::Bug,
];

const _: () = assert!(ALL.len() <= crate::observe::counters::REASONS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place_and_code() {
        let mut codes: Vec<&str> = ALL.iter().map(|reason| reason.row().code).collect();
        for (index, reason) in ALL.iter().enumerate() {
            assert_eq!(reason.place(), index, "{reason:?}");
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
    }

    #[test]
    fn what_cannot_be_framed_closes_the_connection() {
        for reason in [Reason::RequestMalformed, Reason::BodyMalformed, Reason::CodingUnsupported] {
            assert_eq!(reason.row().fate, Fate::Close);
        }
    }
}
