//! `/metrics` at the clients' port, where the operator has it open to all (SPEC 15.1).

use std::time::Duration;

use crate::io::Io;
use crate::observe::exposition::CONTENT_TYPE;
use crate::snapshot::observe::{OpenMetrics, PageAsk};

use super::elsewhere::Desk;
use super::exchange::Exchange;
use super::reason::Reason;
use super::reply::Reply;

/// Where it is.
pub(super) const PATH: &[u8] = b"/metrics";
/// The shards are asked for what they have measured, which takes them no such time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The page, which control makes.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    open: &OpenMetrics,
) -> Result<Reply, Reason> {
    let asks = open.asks.as_ref().ok_or(Reason::RouteNotFound)?;
    let desk = Desk::new(exchange)?;
    let send = |answer| asks.try_send(PageAsk { answer }).is_ok();
    let page = desk.ask(PATIENCE, send).await?;
    Ok(Reply::page(CONTENT_TYPE, &page))
}
