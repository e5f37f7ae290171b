//! One question to the masters, in their order.

use std::time::{Duration, Instant};

use ring::rand::{SecureRandom, SystemRandom};

use crate::gufo::registry::{MASTER, Said, Wanted};
use crate::gufo::reply::Reply;
use crate::gufo::trust::NONCE_BYTES;
use crate::protocol::grpc::status::Status;
use crate::snapshot::Snapshot;
use crate::snapshot::gufo::Module;
use crate::snapshot::upstream::{Endpoint, Upstream};
use crate::tls::handshake::Protocol;

use super::super::state::unix_now;
use super::super::unary::{self, Question};
use super::super::wire::Wire;

/// All masters together (SPEC 8.2).
const TIMEOUT: Duration = Duration::from_secs(3);
/// Of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Who asks, in the log of a master.
const USER_AGENT: &str = concat!("otus/", env!("CARGO_PKG_VERSION"), " (registry)");

/// Asks one master after the other until one knows what is wanted. What none of them knows is
/// nowhere only if all of them could be asked.
pub(super) fn ask(snapshot: &Snapshot, wanted: &Wanted) -> Result<Said, String> {
    let module = snapshot.gufo.module(MASTER.as_bytes()).ok_or("there is no masterservice")?;
    let upstream = snapshot.upstream(module.upstream).ok_or("there is no masterservice")?;
    let mut masters: Vec<_> = upstream.endpoints.iter().collect();
    masters.sort_by_key(|master| master.share.rank);
    let message = message(snapshot, module, wanted)?;
    let end = Instant::now() + TIMEOUT;
    let mut left = u32::try_from(masters.len()).unwrap_or(u32::MAX);
    let (mut said, mut fault) = (None, None);
    for master in masters {
        let now = Instant::now();
        let own = now + end.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        match ask_one(module, upstream, master, &message, own) {
            Ok(Said::Here(place)) => return Ok(Said::Here(place)),
            Ok(Said::Incomplete) => said = Some(Said::Incomplete),
            Ok(Said::Nowhere) => said = said.or(Some(Said::Nowhere)),
            Err(why) => fault = Some(format!("{}: {why}", master.authority())),
        }
    }
    match (said, fault) {
        (_, Some(fault)) => Err(fault),
        (Some(said), None) => Ok(said),
        (None, None) => Err("the masterservice has no address".to_owned()),
    }
}

fn message(snapshot: &Snapshot, module: &Module, wanted: &Wanted) -> Result<Vec<u8>, String> {
    let mut nonce = [0; NONCE_BYTES];
    // Without chance, a signature of version 2 is refused as one that came before.
    let _ = SystemRandom::new().fill(&mut nonce);
    let mut message = Vec::new();
    let call = wanted.call();
    let encoded = snapshot.gufo.with_sign(
        module,
        &call,
        unix_now(),
        || nonce,
        |call| call.encode(module.dialect, &mut message),
    );
    encoded.map(|()| message).map_err(|_| "the question is too large".to_owned())
}

fn ask_one(
    module: &Module,
    upstream: &Upstream,
    master: &Endpoint,
    message: &[u8],
    end: Instant,
) -> Result<Said, String> {
    let mut wire = Wire::connect(master.address, end)?;
    if let Some(tls) = &upstream.tls {
        wire.seal(tls, &master.host, Some(Protocol::Http2))?;
    }
    let question = Question {
        path: module.dialect.path_do(),
        authority: &master.authority(),
        user_agent: USER_AGENT,
        data: message,
        bytes_max: ANSWER_BYTES_MAX,
    };
    let (status, answer) = unary::call(&mut wire, &question)?;
    match (status, answer) {
        (Status::Ok, Some(answer)) => {
            let mut reply = Reply::new();
            let read = reply.merge(module.dialect, &answer);
            read.map_err(|_| "its answer cannot be read".to_owned())?;
            Said::read(&reply)
        }
        (Status::Ok, None) => Err("it answered nothing".to_owned()),
        (status, _) => Err(format!("gRPC status {}", status.name())),
    }
}
