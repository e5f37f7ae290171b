//! How a call ended: `grpc-status`, in trailers or in a head that stands alone.
//!
//! `grpc-message` is not read: it is not for clients, as it may name what is behind us.

/// The codes of gRPC (`google.rpc.Code`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Status {
    /// It worked.
    Ok = 0,
    /// The caller gave up.
    Cancelled = 1,
    /// No better code, or one we do not know.
    Unknown = 2,
    /// The caller's fault, whatever the state of the service.
    InvalidArgument = 3,
    /// Too late.
    DeadlineExceeded = 4,
    /// There is no such thing.
    NotFound = 5,
    /// There is such a thing already.
    AlreadyExists = 6,
    /// The caller is known and may not.
    PermissionDenied = 7,
    /// A quota or a room is used up.
    ResourceExhausted = 8,
    /// The service is not in the state for it.
    FailedPrecondition = 9,
    /// Concurrent calls were in the way.
    Aborted = 10,
    /// Beyond an end.
    OutOfRange = 11,
    /// There is no such method.
    Unimplemented = 12,
    /// The service broke a promise of its own.
    Internal = 13,
    /// The service cannot be reached or does not take calls now.
    Unavailable = 14,
    /// Data is lost for good.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

/// All codes in the order of their numbers, with the status of HTTP that says the same
/// (`google/rpc/code.proto`, "HTTP Mapping").
const TABLE: [(Status, u16, &str); 17] = [
    (Status::Ok, 200, "OK"),
    (Status::Cancelled, 499, "CANCELLED"),
    (Status::Unknown, 500, "UNKNOWN"),
    (Status::InvalidArgument, 400, "INVALID_ARGUMENT"),
    (Status::DeadlineExceeded, 504, "DEADLINE_EXCEEDED"),
    (Status::NotFound, 404, "NOT_FOUND"),
    (Status::AlreadyExists, 409, "ALREADY_EXISTS"),
    (Status::PermissionDenied, 403, "PERMISSION_DENIED"),
    (Status::ResourceExhausted, 429, "RESOURCE_EXHAUSTED"),
    (Status::FailedPrecondition, 400, "FAILED_PRECONDITION"),
    (Status::Aborted, 409, "ABORTED"),
    (Status::OutOfRange, 400, "OUT_OF_RANGE"),
    (Status::Unimplemented, 501, "UNIMPLEMENTED"),
    (Status::Internal, 500, "INTERNAL"),
    (Status::Unavailable, 503, "UNAVAILABLE"),
    (Status::DataLoss, 500, "DATA_LOSS"),
    (Status::Unauthenticated, 401, "UNAUTHENTICATED"),
];

impl Status {
    /// All of them, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = Status> {
        TABLE.into_iter().map(|(status, _, _)| status)
    }

    /// The status with this number; [`Status::Unknown`] for any that gRPC does not define.
    #[must_use]
    pub fn from_code(code: u32) -> Self {
        let row = usize::try_from(code).ok().and_then(|at| TABLE.get(at));
        row.map_or(Status::Unknown, |(status, _, _)| *status)
    }

    /// Its number, 0 to 16.
    #[must_use]
    pub fn code(self) -> u8 {
        let at = TABLE.iter().position(|(status, _, _)| *status == self);
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or(2)
    }

    /// The status of HTTP that says the same.
    #[must_use]
    pub fn http(self) -> u16 {
        TABLE.get(usize::from(self.code())).map_or(500, |(_, http, _)| *http)
    }

    /// Its name as gRPC writes it: `NOT_FOUND`.
    #[must_use]
    pub fn name(self) -> &'static str {
        TABLE.get(usize::from(self.code())).map_or("UNKNOWN", |(_, _, name)| name)
    }

    /// What an HTTP status means when there is no `grpc-status` (gRPC, "HTTP to gRPC Status Code
    /// Mapping"): it came from something between us and the service.
    #[must_use]
    pub const fn from_http(http: u16) -> Self {
        match http {
            400 => Status::Internal,
            401 => Status::Unauthenticated,
            403 => Status::PermissionDenied,
            404 => Status::Unimplemented,
            429 | 502 | 503 | 504 => Status::Unavailable,
            _ => Status::Unknown,
        }
    }

    /// What a reset of the stream means, by its HTTP/2 error code (gRPC over HTTP/2, "Errors").
    #[must_use]
    pub const fn from_reset(code: u32) -> Self {
        match code {
            // REFUSED_STREAM: it was not processed at all.
            0x7 => Status::Unavailable,
            // CANCEL.
            0x8 => Status::Cancelled,
            // ENHANCE_YOUR_CALM.
            0xb => Status::ResourceExhausted,
            // INADEQUATE_SECURITY.
            0xc => Status::PermissionDenied,
            _ => Status::Internal,
        }
    }
}

/// What the head of a response means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// Messages follow, then trailers.
    Messages,
    /// There is nothing else: this is how it ended. Of interest is only whether it was
    /// the service (it sent `grpc-status`) or something in between that spoke.
    Ended(Status),
    /// Not an answer of a gRPC service. The stream has to be reset, if it has not ended.
    NotGrpc(Status),
}

/// Reads the head of a response: its status, whether the stream ends with it, its fields (names in
/// lower case, pseudo-fields are skipped).
pub fn opening<'a>(
    http_status: u16,
    end_stream: bool,
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Opening {
    let mut is_grpc = false;
    let mut status = None;
    for (name, value) in fields {
        match name {
            b"content-type" => is_grpc = is_grpc_content_type(value),
            b"grpc-status" => take(&mut status, value),
            _ => {}
        }
    }
    match (status, http_status) {
        (Some(status), _) if end_stream => Opening::Ended(status),
        (_, 200) if is_grpc && !end_stream => Opening::Messages,
        // A 200 that ends without a status is a broken service.
        (_, 200) => Opening::NotGrpc(Status::Unknown),
        _ => Opening::NotGrpc(Status::from_http(http_status)),
    }
}

/// Reads trailers. Without a `grpc-status` the call did not end well: [`Status::Unknown`].
pub fn trailers<'a>(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Status {
    let mut status = None;
    for (name, value) in fields {
        if name == b"grpc-status" {
            take(&mut status, value);
        }
    }
    status.unwrap_or(Status::Unknown)
}

/// Two that differ say nothing; above all they do not say OK.
fn take(found: &mut Option<Status>, value: &[u8]) {
    let status = parse_status(value);
    let agrees = found.is_none_or(|before| before == status);
    *found = Some(if agrees { status } else { Status::Unknown });
}

fn parse_status(value: &[u8]) -> Status {
    match value {
        [digit] if digit.is_ascii_digit() => Status::from_code(u32::from(digit - b'0')),
        [b'1', digit] if digit.is_ascii_digit() => Status::from_code(u32::from(digit - b'0') + 10),
        _ => Status::Unknown,
    }
}

/// `application/grpc`, alone or followed by `+proto` and the like or by parameters.
fn is_grpc_content_type(value: &[u8]) -> bool {
    let name = b"application/grpc";
    let Some((start, rest)) = value.split_at_checked(name.len()) else {
        return false;
    };
    start.eq_ignore_ascii_case(name) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

#[cfg(test)]
mod tests;
