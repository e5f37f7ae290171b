//! The paths that are not of routes: what is asked of them.

use std::borrow::Cow;

use crate::gufo::dialect::Dialect;
use crate::gufo::path::{self, ModulePath, PathError, Reserved};
use crate::gufo::registry::Wanted;
use crate::io::Io;
use crate::message::framing::Framing;
use crate::message::head::Method;
use crate::observe::labels::Label;
use crate::protocol::websocket;
use crate::snapshot::gufo::{ApiBase, Gufo, Mcp, UploadRoute};

use super::exchange::{Exchange, Plan, Target};
use super::exit;
use super::grpc::health;
use super::open_metrics;
use super::reason::Reason;
use super::reply::{self, Reply, Style};
use super::trust::{self, Shown};

/// The paths that are not of routes: of the gateway itself, and of the Gufo surface.
pub(super) fn plan<'a, I: Io>(exchange: &'a Exchange<'a, I>) -> (Plan<'a>, Style, Label) {
    let gufo = &exchange.tables.snapshot.gufo;
    let request_path = exchange.head.path.of(exchange.text);
    if let Some(asked) = health::Asked::by(exchange) {
        return (Plan::Health(asked), Style::Problem, Label::HEALTH);
    }
    if let Some(reply) = exit::asked(exchange) {
        return (Plan::Answer(Box::new(reply)), Style::Problem, Label::OTHER);
    }
    match request_path {
        b"/healthz" | b"/health" => {
            return (local(exchange, Reply::text(200, "ok\n")), Style::Problem, Label::HEALTH);
        }
        b"/readyz" => {
            let ready = if exchange.cx.is_draining() {
                Reply::text(503, "draining\n")
            } else {
                Reply::text(200, "ready\n")
            };
            return (local(exchange, ready), Style::Problem, Label::HEALTH);
        }
        open_metrics::PATH if matches!(exchange.head.method, Method::Get | Method::Head) => {
            if let Some(open) = &exchange.tables.snapshot.observe.open_metrics {
                return (Plan::Metrics(open), Style::Problem, Label::METRICS);
            }
        }
        _ => {}
    }
    if let Some(mcp) = gufo.mcp.as_ref().filter(|own| own.path.as_bytes() == request_path) {
        return plan_mcp(exchange, mcp);
    }
    match path::parse(gufo.bases.iter().map(|base| base.prefix.as_str()), request_path) {
        Ok(Some(path)) => {
            let (plan, label) = plan_module(exchange, path);
            (plan, Style::Envelope, label)
        }
        Ok(None) => match gufo.upload_route(request_path) {
            Some(route) => plan_route(exchange, route),
            // Gufo has words of its own for other versions of its interface (SPEC 2.9).
            None if request_path.starts_with(b"/api/") && !gufo.bases.is_empty() => {
                (Plan::Refuse(Reason::RouteNotFound), Style::Envelope, Label::OTHER)
            }
            None => (Plan::Refuse(Reason::RouteNotFound), Style::Problem, Label::OTHER),
        },
        Err(PathError::TooShort) => nowhere(exchange, Reason::PathTooShort),
        Err(_) => nowhere(exchange, Reason::PathInvalid),
    }
}

/// A path below a base that leads to no module. Whoever has to prove something is told of that
/// first (SPEC 5.4).
fn nowhere<'a, I: Io>(exchange: &Exchange<'_, I>, reason: Reason) -> (Plan<'a>, Style, Label) {
    let path = ModulePath {
        base: 0,
        module: "".into(),
        param: "".into(),
        param_id: None,
        param_idd: None,
        rest: &[],
        reserved: None,
    };
    let reason = trust::look(exchange, &path).err().unwrap_or(reason);
    (Plan::Refuse(reason), Style::Envelope, Label::OTHER)
}

/// An answer of our own to GET and HEAD.
fn local<'a, I: Io>(exchange: &Exchange<'_, I>, reply: Reply) -> Plan<'a> {
    match exchange.head.method {
        Method::Get | Method::Head => Plan::Answer(Box::new(reply)),
        _ => Plan::Refuse(Reason::RouteNotFound),
    }
}

fn plan_module<'a, I: Io>(
    exchange: &'a Exchange<'a, I>,
    path: ModulePath<'a>,
) -> (Plan<'a>, Label) {
    let snapshot = &exchange.tables.snapshot;
    let gufo = &snapshot.gufo;
    let now = exchange.time;
    let method = exchange.head.method;
    if matches!(method, Method::Options | Method::Connect | Method::Other) {
        return (Plan::Answer(Box::new(Reply::empty(204))), Label::OTHER);
    }
    if path.reserved == Some(Reserved::Health) && matches!(method, Method::Get | Method::Head) {
        return (Plan::Answer(Box::new(reply::health(now))), Label::HEALTH);
    }
    let shown = match trust::look(exchange, &path) {
        Ok(shown) => shown,
        Err(reason) => return (Plan::Refuse(reason), Label::OTHER),
    };
    match path.reserved {
        Some(Reserved::Info) => return (Plan::Info(path, shown), Label::INFO),
        Some(Reserved::Heartbeat) if method == Method::Post => {
            return (Plan::Heartbeat(path, shown), Label::OTHER);
        }
        Some(Reserved::Heartbeat) => {
            return (Plan::Refuse(Reason::MethodNotAllowed), Label::OTHER);
        }
        Some(_) => return (Plan::Refuse(Reason::ModuleReserved), Label::OTHER),
        None => {}
    }
    let Some((index, module)) = gufo.find(path.module.as_bytes()) else {
        return (unknown(gufo, &path.module), Label::OTHER);
    };
    if module.internal && shown == Shown::Nothing {
        return (Plan::Refuse(Reason::SignatureWrong), Label::OTHER);
    }
    let label = exchange.tables.modules.get(index).map_or(Label::OTHER, |module| module.label);
    let api_version = gufo.bases.get(path.base).map_or("", |base: &ApiBase| &base.version);
    let target = Target { module, index, path, api_version, shown };
    let is_socket = module.websocket
        && module.dialect.has_streams()
        && websocket::is_asked_for(exchange.head, exchange.text);
    match method {
        Method::Put => (Plan::Upload(target), label),
        _ if is_socket => (Plan::Socket(target), label),
        _ => (Plan::Call(target), label),
    }
}

/// A module that is not known is looked for where somebody may know it.
fn unknown<'a>(gufo: &Gufo, name: &str) -> Plan<'a> {
    if gufo.registry.is_none() && gufo.is_unplaced(name.as_bytes()) {
        return Plan::Refuse(Reason::AddressMissing);
    }
    let wanted = gufo.registry.as_ref().and_then(|_| Wanted::module(name));
    wanted.map_or(Plan::Refuse(Reason::ModuleUnknown), Plan::Seek)
}

/// The bridge to a module that speaks MCP (SPEC 5.5).
fn plan_mcp<'a, I: Io>(exchange: &'a Exchange<'a, I>, mcp: &'a Mcp) -> (Plan<'a>, Style, Label) {
    let gufo = &exchange.tables.snapshot.gufo;
    if exchange.head.method != Method::Post {
        let reply = Reply::problem(Reason::MethodNotAllowed, exchange.request_id.as_str());
        let plan = Plan::Answer(Box::new(reply.allow("POST")));
        return (plan, Style::Envelope, Label::OTHER);
    }
    let Some((index, module)) = gufo.find(mcp.module.as_bytes()) else {
        return (unknown(gufo, &mcp.module), Style::Envelope, Label::OTHER);
    };
    if module.dialect != Dialect::C {
        // It would get nothing of the message.
        return (Plan::Refuse(Reason::ModuleUnknown), Style::Envelope, Label::OTHER);
    }
    let label = exchange.tables.modules.get(index).map_or(Label::OTHER, |module| module.label);
    let path = ModulePath { module: module.name.as_str().into(), ..NOWHERE };
    match trust::look(exchange, &path) {
        Ok(shown) => {
            let target = Target { module, index, path, api_version: "v1", shown };
            (Plan::Mcp(target), Style::Envelope, label)
        }
        Err(reason) => (Plan::Refuse(reason), Style::Envelope, label),
    }
}

/// A path that names nothing yet.
const NOWHERE: ModulePath<'static> = ModulePath {
    base: 0,
    module: Cow::Borrowed(""),
    param: Cow::Borrowed(""),
    param_id: None,
    param_idd: None,
    rest: &[],
    reserved: None,
};

/// A path of its own whose requests are uploads to a module, whatever the method.
fn plan_route<'a, I: Io>(
    exchange: &'a Exchange<'a, I>,
    route: &'a UploadRoute,
) -> (Plan<'a>, Style, Label) {
    let gufo = &exchange.tables.snapshot.gufo;
    let Some((index, module)) = gufo.find(route.module.as_bytes()) else {
        return (unknown(gufo, &route.module), Style::Problem, Label::OTHER);
    };
    // An empty file is one, if it is sent as files are.
    let sends = matches!(exchange.head.method, Method::Put | Method::Post | Method::Patch);
    if exchange.head.framing == Framing::Empty && !sends {
        return (Plan::Refuse(Reason::RouteNotFound), Style::Problem, Label::OTHER);
    }
    let label = exchange.tables.modules.get(index).map_or(Label::OTHER, |module| module.label);
    let (name, param) = (module.name.as_str().into(), route.param.as_str().into());
    let path = ModulePath { module: name, param, ..NOWHERE };
    let shown = match trust::look(exchange, &path) {
        Ok(shown) => shown,
        Err(reason) => return (Plan::Refuse(reason), Style::Envelope, label),
    };
    let api_version = gufo.bases.first().map_or("", |base| &base.version);
    let target = Target { module, index, path, api_version, shown };
    (Plan::Upload(target), Style::Envelope, label)
}
