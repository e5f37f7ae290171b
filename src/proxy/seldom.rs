//! Exchanges that are no calls and no forwarding: uploads, sockets, and what the gateway is asked
//! itself.

use crate::io::Io;

use super::body::RequestBody;
use super::exchange::{Exchange, Plan};
use super::grpc::health;
use super::reason::Reason;
use super::record::Record;
use super::respond::Answered;
use super::stream::socket;
use super::{call, heartbeat, mcp, open_metrics, session, upload};

/// Serves one of them. `memory` is empty.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    plan: Plan<'_>,
    body: &mut RequestBody<'_, I>,
    memory: &mut call::Memory,
    record: &mut Record,
) -> Result<Answered, Reason> {
    let (cx, socket) = (exchange.cx, exchange.down.socket());
    match plan {
        Plan::Upload(target) => {
            let _place = cx.uploads.enter(socket);
            upload::run(exchange, &target, body, record).await.map(Answered::Here)
        }
        Plan::Socket(target) => {
            let _place = cx.exchanges.enter(socket);
            socket::run(exchange, &target, body, record).await
        }
        Plan::Mcp(target) => {
            let _place = cx.exchanges.enter(socket);
            let result = mcp::run(exchange, &target, body, memory, record).await;
            memory.clear();
            result.map(Answered::Here)
        }
        Plan::Heartbeat(path, shown) => {
            let _place = cx.exchanges.enter(socket);
            let told = heartbeat::run(exchange, (&path, shown), body, record);
            told.await.map(Answered::Here)
        }
        Plan::Info(path, shown) => session::info(exchange, &path, shown).await.map(Answered::Here),
        Plan::Metrics(open) => {
            let _place = cx.exchanges.enter(socket);
            open_metrics::run(exchange, open).await.map(Answered::Here)
        }
        Plan::Health(asked) => {
            let _place = cx.exchanges.enter(socket);
            health::run(exchange, asked, body, record).await.map(Answered::Delivered)
        }
        _ => Err(Reason::Bug),
    }
}
