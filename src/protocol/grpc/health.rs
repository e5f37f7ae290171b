//! Messages of `grpc.health.v1.Health`: whether a service takes calls.

use prost::Message;

use super::frame::prefix;

/// Asks whether one call is served.
pub const CHECK: &str = "/grpc.health.v1.Health/Check";
/// Asks to be told of every change.
pub const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// `HealthCheckRequest`
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// Which service is meant; empty: the server as a whole.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// `HealthCheckResponse`
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    /// The answer.
    #[prost(enumeration = "Serving", tag = "1")]
    pub status: i32,
}

/// `HealthCheckResponse.ServingStatus`
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Serving {
    /// Nothing was said.
    Unknown = 0,
    /// It takes calls.
    Serving = 1,
    /// It does not.
    NotServing = 2,
    /// There is no such service; only `Watch` says so.
    ServiceUnknown = 3,
}

/// A message as it stands in DATA.
#[must_use]
pub fn framed(message: &impl Message) -> Vec<u8> {
    let len = u32::try_from(message.encoded_len()).unwrap_or(u32::MAX);
    let mut out = prefix(len).to_vec();
    out.extend_from_slice(&message.encode_to_vec());
    out
}

/// The answer that says so, as it stands in DATA.
#[must_use]
pub fn answer(state: Serving) -> Vec<u8> {
    framed(&Response { status: state.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_what_the_protocol_says() {
        assert_eq!(answer(Serving::Serving), b"\0\0\0\0\x02\x08\x01");
        assert_eq!(answer(Serving::ServiceUnknown), b"\0\0\0\0\x02\x08\x03");
        assert_eq!(framed(&Request { service: "ab".to_owned() }), b"\0\0\0\0\x04\x0a\x02ab");
        assert_eq!(framed(&Request::default()), b"\0\0\0\0\0");
    }
}
