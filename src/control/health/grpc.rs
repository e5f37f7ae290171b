//! `grpc.health.v1.Health/Check` over HTTP/2.

use prost::Message;

use crate::protocol::grpc::health::{self, Serving};
use crate::protocol::grpc::status::Status;

use super::super::unary::{self, Question};
use super::super::wire::Wire;
use super::probe::USER_AGENT;

/// Of an answer; a real one has two.
const ANSWER_BYTES_MAX: usize = 1024;

/// Asks for the state of a service; SERVING is well.
pub(super) fn check(wire: &mut Wire, service: &str, authority: &str) -> Result<(), String> {
    let data = health::framed(&health::Request { service: service.to_owned() });
    let question = Question {
        path: health::CHECK,
        authority,
        user_agent: USER_AGENT,
        data: &data,
        bytes_max: ANSWER_BYTES_MAX,
    };
    let (status, message) = unary::call(wire, &question)?;
    if status != Status::Ok {
        return Err(format!("gRPC status {}", status.name()));
    }
    let message = message.ok_or("it answered nothing")?;
    let response = health::Response::decode(&*message).map_err(|_| "its answer cannot be read")?;
    match response.status() {
        Serving::Serving => Ok(()),
        Serving::NotServing => Err("it says NOT_SERVING".to_owned()),
        Serving::ServiceUnknown => Err("it says SERVICE_UNKNOWN".to_owned()),
        Serving::Unknown => Err("it says UNKNOWN".to_owned()),
    }
}
