//! One request and its answer: accept → parse → **route → policy → upstream → respond**.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::base::text::Text;
use crate::base::time::{Instant, UnixTime};
use crate::gufo::path::ModulePath;
use crate::gufo::registry::Wanted;
use crate::gufo::session::Session;
use crate::io::Io;
use crate::io::buffer::Buffer;
use crate::message::framing::Framing;
use crate::message::head::{Method, RequestHead};
use crate::observe::labels::Label;
use crate::observe::span::SpanIds;
use crate::policy::front::cors::Preflight;
use crate::policy::set::Policies;
use crate::protocol::h1::body::BodyDecoder;
use crate::route::rule::{Facts, Headers};
use crate::route::select::{self, Refusal, Selected};
use crate::snapshot::gufo::{Download, Module};
use crate::snapshot::observe::OpenMetrics;
use crate::snapshot::route::{Action, Route, Routes};
use crate::snapshot::upstream::{Protocol, UpstreamId};

use super::body::{Pace, RequestBody};
use super::connection::After;
use super::context::{Context, HeadText};
use super::downstream::Downstream;
use super::embedded::Own;
use super::grpc::{fault, health};
use super::http::forward::{self, Destination};
use super::http::stream_tunnel::check_tunnel;
use super::policy::{self, Admission, Verdict};
use super::reason::Reason;
use super::record::{Record, Subject};
use super::reply::{Reply, Style};
use super::respond::Answered;
use super::tables::Tables;
use super::trust::Shown;
use super::{call, embedded, registry, request_id, respond, seldom, surface};

/// What an exchange knows from its start to its end.
pub(super) struct Exchange<'a, I: Io> {
    pub(super) cx: &'a Rc<Context<I>>,
    pub(super) down: Downstream<'a, I>,
    pub(super) head: &'a RequestHead,
    /// The text that the head's spans point into.
    pub(super) text: &'a [u8],
    /// The generation that this exchange sees.
    pub(super) tables: Rc<Tables<I>>,
    /// The other end of the connection.
    pub(super) peer: SocketAddr,
    /// Who the client is, when proxies stand between it and us.
    pub(super) client: IpAddr,
    pub(super) request_id: Text<64>,
    /// When it began.
    pub(super) started: Instant,
    /// The same by the calendar.
    pub(super) time: UnixTime,
    /// What policies added, once they were asked.
    pub(super) admission: OnceCell<Rc<Admission>>,
    /// The session of Gufo that was found.
    pub(super) session: OnceCell<Rc<Session>>,
    /// What the policy of the program said, if it has one.
    pub(super) own: OnceCell<Rc<Own>>,
    /// What it is in a trace, if it is told of.
    pub(super) span: Option<SpanIds>,
}

impl<'a, I: Io> Exchange<'a, I> {
    pub(super) fn new(
        cx: &'a Rc<Context<I>>,
        down: Downstream<'a, I>,
        peer: SocketAddr,
        head: &'a HeadText,
        started: Instant,
    ) -> Self {
        let tables = cx.tables(); // Pins one generation.
        let span = super::trace::begin(cx, head);
        let HeadText { head, text } = head;
        let time = cx.io.unix_now();
        let request_id = request_id::of(cx, head, text, time, tables.snapshot.server.request_id);
        let trusted = &tables.snapshot.server.trusted_peers;
        let client = super::client::address(trusted, peer, head, text);
        let (admission, session, own) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Exchange {
            cx,
            down,
            head,
            text,
            tables,
            peer,
            client,
            request_id,
            started,
            time,
            admission,
            session,
            own,
            span,
        }
    }

    /// The head of the answer has come from an endpoint.
    pub(super) fn head_came(&self, status: u16) {
        if let Some(admission) = self.admission.get() {
            admission.held.head_came(status, || self.cx.io.lately());
        }
    }

    /// The exchange is over for its policies.
    pub(super) fn end_admission(&self, status: u16, reason: Option<Reason>) {
        if let Some(admission) = self.admission.get() {
            admission.held.end(status, reason, || self.cx.io.lately());
        }
        embedded::after(self, status);
    }

    /// What is said of a refusal in place of a problem.
    pub(super) fn refusal(&self, reason: Reason) -> Option<Cow<'_, policy::Refusal>> {
        match self.admission.get() {
            Some(admission) => admission.refusal(reason),
            None => policy::unrouted(self.tables.snapshot.server.errors, reason),
        }
    }

    /// Field lines that policies add to every answer, encoded.
    pub(super) fn answer_lines(&self) -> &[u8] {
        self.admission.get().map_or(&[], |admission| &admission.answer)
    }

    /// Whether what the peer says about the client is believed.
    pub(super) fn trusts_peer(&self) -> bool {
        let peer = self.peer.ip().to_canonical();
        self.tables.snapshot.server.trusted_peers.iter().any(|cidr| cidr.contains(peer))
    }

    /// The same exchange with another head, for who reads it from there.
    pub(super) fn with_head<'b>(&'b self, head: &'b HeadText) -> Exchange<'b, I> {
        let HeadText { head, text } = head;
        Exchange { head, text, ..self.with_tables(Rc::clone(&self.tables)) }
    }

    /// The same exchange with the generation that the shard runs now.
    pub(super) fn renewed(&self) -> Exchange<'a, I> {
        self.with_tables(self.cx.tables())
    }

    fn with_tables(&self, tables: Rc<Tables<I>>) -> Exchange<'a, I> {
        let Exchange { admission, session, own, .. } = self;
        let (admission, session, own) = (admission.clone(), session.clone(), own.clone());
        Exchange { tables, admission, session, own, ..*self }
    }

    pub(super) fn subject(&self) -> Subject<'_, I> {
        let Exchange { head, text, client, request_id, span, .. } = *self;
        let secure = span.is_some() && self.down.socket().is_tls();
        Subject { tables: &self.tables, head, text, client, request_id, span, secure }
    }
}

/// What is to be done with a request.
pub(super) enum Plan<'a> {
    Answer(Box<Reply>),
    Refuse(Reason),
    /// What the gateway is, as Gufo tells it: the path that was asked, and what was shown.
    Info(ModulePath<'a>, Shown),
    Call(Target<'a>),
    Upload(Target<'a>),
    /// The module is to be found first.
    Seek(Wanted),
    /// A service says that it runs: the path that it names, and what it has shown.
    Heartbeat(ModulePath<'a>, Shown),
    /// A WebSocket to a module.
    Socket(Target<'a>),
    /// A message of MCP for a module.
    Mcp(Target<'a>),
    /// Metrics for everybody.
    Metrics(&'a OpenMetrics),
    /// Whether the gateway is well, as gRPC asks.
    Health(health::Asked),
    /// The path to forward is in the [`Scratch`].
    Forward(&'a Route, UpstreamId),
}

impl Plan<'_> {
    /// Whether a service gets the body of the request.
    fn takes_a_body(&self) -> bool {
        matches!(
            self,
            Plan::Call(_)
                | Plan::Upload(_)
                | Plan::Mcp(_)
                | Plan::Heartbeat(..)
                | Plan::Forward(..)
        )
    }
}

/// What finds a route or makes a call: memory that is used again for each request.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    select: select::Scratch,
    /// The path as it is forwarded.
    path: Vec<u8>,
    call: call::Memory,
}

/// Where a call goes.
pub(super) struct Target<'a> {
    pub(super) module: &'a Module,
    /// The module's dense id.
    pub(super) index: usize,
    pub(super) path: ModulePath<'a>,
    pub(super) api_version: &'a str,
    /// What its caller has shown.
    pub(super) shown: Shown,
}

/// Serves one request to its end.
pub(super) async fn run<I: Io>(
    cx: &Rc<Context<I>>,
    down: Downstream<'_, I>,
    peer: SocketAddr,
    head: &HeadText,
    rest: Option<Buffer>,
    started: Instant,
) -> After {
    let exchange = Exchange::new(cx, down, peer, head, started);
    let mut record = Record::begin(cx, started);
    let mut scratch = cx.take_scratch();
    // Looked at and changed where it is: a plan is large to be moved.
    let mut planned = plan(&exchange, &mut scratch);
    record.label = planned.label;
    let style = planned.style;
    if let Err(reason) = check_tunnel(&exchange, &planned.plan) {
        planned.plan = Plan::Refuse(reason);
    }
    if let Err(reason) = embedded::before(&exchange, &planned.plan) {
        (planned.plan, planned.policies) = (Plan::Refuse(reason), None);
    }
    if let Some(policies) = planned.policies {
        let plan = &mut planned.plan;
        match policy::admit(&exchange, policies).await {
            Verdict::Pass => {}
            Verdict::Claimed(values) => policy::claims::fill(plan, &values, &mut scratch.path),
            Verdict::Answer(reply) => *plan = Plan::Answer(reply),
            Verdict::Refuse(reason) => *plan = Plan::Refuse(reason),
        }
    }
    let after = match &mut planned.plan {
        // Boxed: nearly all modules are known.
        Plan::Seek(wanted) => {
            let sought = seek(&exchange, wanted, style, rest, scratch, &mut record);
            Box::pin(sought).await
        }
        plan => serve(&exchange, plan, style, rest, scratch, &mut record).await,
    };
    cx.admissions.keep(exchange.admission);
    after
}

/// Waits for a module that is not known yet, and serves the request then.
async fn seek<I: Io>(
    exchange: &Exchange<'_, I>,
    wanted: &Wanted,
    style: Style,
    rest: Option<Buffer>,
    scratch: Box<Scratch>,
    record: &mut Record,
) -> After {
    let place = exchange.cx.exchanges.enter(exchange.down.socket());
    let found = registry::seek(exchange, wanted).await;
    drop(place);
    let exchange = exchange.renewed();
    let mut plan = if let Err(reason) = found {
        Plan::Refuse(reason)
    } else {
        // Its policies were asked before. Routes that came meanwhile have others: it stays here.
        let again = plan_surface(&exchange);
        record.label = again.label;
        match check_tunnel(&exchange, &again.plan) {
            Err(reason) => Plan::Refuse(reason),
            Ok(()) => again.plan,
        }
    };
    serve(&exchange, &mut plan, style, rest, scratch, record).await
}

/// Does what is planned, with what it takes out of the plan.
async fn serve<I: Io>(
    exchange: &Exchange<'_, I>,
    plan: &mut Plan<'_>,
    style: Style,
    rest: Option<Buffer>,
    mut scratch: Box<Scratch>,
    record: &mut Record,
) -> After {
    let Exchange { cx, down, head, text, started, .. } = *exchange;
    let style = fault::style(style, head, text);
    let mut body = open_body(exchange, plan, rest);
    let result = match plan {
        // No service is called with a body that is known to be too large, and a client that waits
        // is not asked for it (RFC 9110 §10.1.1).
        plan if body.is_too_large() && plan.takes_a_body() => Err(Reason::BodyTooLarge),
        Plan::Refuse(reason) => Err(*reason),
        // Sought, and not found.
        Plan::Seek(_) => Err(Reason::ModuleUnknown),
        Plan::Call(target) => {
            // What streams may take its time to the end, as an upload.
            let is_long = target.module.download != Download::Call;
            let place = if is_long { &cx.uploads } else { &cx.exchanges };
            let _place = place.enter(down.socket());
            let memory = &mut scratch.call;
            let result = call::run(exchange, target, &mut body, memory, record).await;
            memory.clear();
            result
        }
        Plan::Forward(route, upstream) => {
            let (Scratch { path, .. }, upstream) = (&*scratch, *upstream);
            let destination = Destination { upstream, path, route, begun: started, first: &[] };
            let place = if body.is_here() { &cx.exchanges } else { &cx.uploads };
            let _place = place.enter(down.socket());
            let result = forward::run(exchange, &destination, &mut body, record).await;
            result.map(Answered::Delivered)
        }
        plan => match std::mem::replace(plan, Plan::Refuse(Reason::Bug)) {
            Plan::Answer(reply) => Ok(Answered::Here(*reply)),
            // Boxed: the state of these is large, and most exchanges are none of them.
            plan => {
                let memory = &mut scratch.call;
                Box::pin(seldom::run(exchange, plan, &mut body, memory, record)).await
            }
        },
    };
    cx.put_scratch(scratch);
    respond::respond(exchange, style, result, &mut body, record).await
}

fn open_body<'a, I: Io>(
    exchange: &Exchange<'a, I>,
    plan: &Plan<'_>,
    rest: Option<Buffer>,
) -> RequestBody<'a, I> {
    let snapshot = &exchange.tables.snapshot;
    let usual = Pace::usual(&snapshot.timeouts);
    let (max, pace) = match plan {
        Plan::Upload(target) => {
            let rate = snapshot.upload_rate(target.module);
            let pace = Pace { bytes: rate.bytes, window: rate.window, ..usual };
            (snapshot.upload_bytes_max(target.module).unwrap_or(u64::MAX), pace)
        }
        // It is streamed: how much is too much is for the route and the endpoint to say.
        Plan::Forward(route, upstream) => {
            let front = route.policies.as_ref().and_then(|policies| policies.front.as_ref());
            let body_max = front.and_then(|front| front.body_max).unwrap_or(u64::MAX);
            let spec = snapshot.upstream(*upstream);
            if spec.is_some_and(|spec| spec.protocol == Protocol::Grpc) {
                (body_max, usual.silent())
            } else {
                (body_max, usual)
            }
        }
        _ => (snapshot.limits.json_body_bytes, usual),
    };
    let framing = match (exchange.down, exchange.head.framing) {
        // The frames are taken off by then: the stream says where it ends.
        (Downstream::Http2(_), Framing::Chunked) => Framing::UntilClose,
        (_, framing) => framing,
    };
    let decoder = BodyDecoder::new(framing, max);
    // A client whose body has begun to arrive does not wait for us (RFC 9110 §10.1.1).
    let begun = match exchange.down {
        Downstream::Http1(_) => rest.as_ref().is_some_and(|rest| !rest.is_empty()),
        Downstream::Http2(stream) => stream.held() > 0,
    };
    let unasked = exchange.head.expect_continue && !begun;
    RequestBody::new(exchange.cx, exchange.down, rest, decoder, pace, unasked)
}

/// What is to be done, and how it is told.
struct Planned<'a> {
    plan: Plan<'a>,
    style: Style,
    label: Label,
    /// What is asked first.
    policies: Option<&'a Policies>,
}

/// A path that is not of routes.
fn plan_surface<'a, I: Io>(exchange: &'a Exchange<'a, I>) -> Planned<'a> {
    let (plan, style, label) = surface::plan(exchange);
    let policies = match plan {
        Plan::Info(..)
        | Plan::Call(_)
        | Plan::Upload(_)
        | Plan::Socket(_)
        | Plan::Mcp(_)
        | Plan::Heartbeat(..)
        | Plan::Seek(_) => exchange.tables.snapshot.gufo.policies.as_deref(),
        // Whoever is refused counts as well: nobody guesses signatures at any rate (SPEC 5.4).
        Plan::Refuse(_) if style == Style::Envelope => {
            exchange.tables.snapshot.gufo.policies.as_deref()
        }
        _ => None,
    };
    Planned { plan, style, label, policies }
}

/// Which route the request takes, before a byte of its body is read.
fn plan<'a, I: Io>(exchange: &'a Exchange<'a, I>, scratch: &mut Scratch) -> Planned<'a> {
    let routes = &exchange.tables.snapshot.routes;
    if routes.is_empty() {
        return plan_surface(exchange);
    }
    let style = Style::Problem;
    let refuse = |reason| {
        let (plan, label, policies) = (Plan::Refuse(reason), Label::OTHER, None);
        Planned { plan, style, label, policies }
    };
    let (head, text) = (exchange.head, exchange.text);
    if matches!(head.method, Method::Connect | Method::Trace) {
        // No tunnels to anywhere; and TRACE would show what proxies add.
        return refuse(Reason::MethodNotAllowed);
    }
    let facts = facts(exchange, routes, scratch);
    let Selected { found, path } = match routes.table().select(&facts, &mut scratch.select) {
        Ok(selected) => selected,
        Err(Refusal::Path(_) | Refusal::Odd(_)) => return refuse(Reason::PathInvalid),
        Err(Refusal::NoRoute) => return plan_unrouted(exchange, &facts),
    };
    let Some(route) = routes.get(found.route) else { return refuse(Reason::Bug) };
    let label = exchange.tables.routes.get(found.route.index()).copied().unwrap_or(Label::OTHER);
    scratch.path.clear();
    if route.rewrite.apply(path, &found, &mut scratch.path).is_err() {
        return refuse(Reason::PathInvalid);
    }
    let plan = match &route.action {
        Action::Gufo(_) | Action::Upload(_) => return plan_surface(exchange),
        Action::Proxy(upstream) => Plan::Forward(route, *upstream),
        Action::Redirect(redirect) => {
            let mut location = Vec::new();
            let query = head.query.map(|query| query.of(text));
            redirect.location(&scratch.path, query, &mut location);
            Plan::Answer(Box::new(Reply::redirect(redirect.status, &location)))
        }
        Action::Reply(status) => Plan::Answer(Box::new(Reply::empty(*status))),
    };
    let policies = route.policies.as_deref();
    Planned { plan, style, label, policies }
}

/// What finds the route. A preflight takes the one that its request will take, if that has CORS: it
/// is asked on its behalf, and routes may be for some methods only.
fn facts<'a, I: Io>(
    exchange: &'a Exchange<'a, I>,
    routes: &Routes,
    scratch: &mut Scratch,
) -> Facts<'a> {
    let (head, text) = (exchange.head, exchange.text);
    let own = Facts {
        host: head.host_name.of(text),
        path: head.path.of(text),
        method: head.method,
        method_text: head.method_text.of(text),
        headers: Headers { fields: &head.fields, bytes: text },
    };
    let Some(preflight) = Preflight::of(head, text) else { return own };
    let method_text = preflight.method;
    let asked = Facts { method: Method::of(method_text), method_text, ..own };
    let selected = routes.table().select(&asked, &mut scratch.select).ok();
    let route = selected.and_then(|selected| routes.get(selected.found.route));
    let front = route.and_then(|route| route.policies.as_ref()?.front.as_ref());
    if front.is_some_and(|front| front.cors.is_some()) { asked } else { own }
}

/// No route matches: the gateway's own paths, or a refusal that says with which methods one would.
fn plan_unrouted<'a, I: Io>(exchange: &'a Exchange<'a, I>, facts: &Facts<'_>) -> Planned<'a> {
    let own = plan_surface(exchange);
    let table = exchange.tables.snapshot.routes.table();
    let allowed = match own.plan {
        Plan::Refuse(Reason::RouteNotFound) => table.allowed(facts).text(),
        _ => String::new(),
    };
    if allowed.is_empty() {
        return own;
    }
    let reply =
        Reply::problem(Reason::MethodNotAllowed, exchange.request_id.as_str()).allow(&allowed);
    Planned { plan: Plan::Answer(Box::new(reply)), style: Style::Problem, ..own }
}
