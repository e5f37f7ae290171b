//! Sessions of Gufo: who a request comes from, as the session service says (SPEC 10.1).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::gufo::registry::{SESSION as MODULE, Wanted};
use crate::gufo::reply::Reply as Answer;
use crate::gufo::request::Call;
use crate::gufo::session::{Credential, Session, credential};
use crate::io::Io;
use crate::message::head::Method;
use crate::policy::people::api_key::KeyHash;
use crate::policy::verdicts::{Keep, Verdicts};
use crate::protocol::grpc::frame;
use crate::snapshot::gufo::{Module, OnError, ReadOnly};

use super::call;
use super::exchange::{Exchange, Target};
use super::flights::Flights;
use super::reason::Reason;
use super::registry;
use super::reply::Reply;
use super::trust;
use super::unary::{self, Question};

/// A session that ended is noticed within the first, a new one within the second time.
const KEEP: Keep = Keep {
    allowed: 10_000,
    allowed_for: Duration::from_secs(5),
    denied: 10_000,
    denied_for: Duration::from_secs(1),
};

/// What one shard knows of sessions. Tokens are known by their SHA-256.
#[derive(Debug)]
pub(super) struct Sessions {
    known: RefCell<Verdicts<KeyHash, Rc<Session>, ()>>,
    flights: Flights<KeyHash, Option<Rc<Session>>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Sessions { known: RefCell::new(Verdicts::new(KEEP)), flights: Flights::default() }
    }
}

/// Finds out who asks, where sessions are checked, and refuses who may only read.
pub(super) async fn check<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
) -> Result<(), Reason> {
    check_for(exchange, Some(target)).await
}

/// The same for a call, or for what the gateway answers itself.
async fn check_for<I: Io>(
    exchange: &Exchange<'_, I>,
    target: Option<&Target<'_>>,
) -> Result<(), Reason> {
    let gufo = &exchange.tables.snapshot.gufo;
    let Some(rule) = gufo.session else { return Ok(()) };
    let known = gufo.session_module();
    // The session service is asked for sessions by its clients as well.
    let is_its_own = target.is_some_and(|own| {
        known.is_some_and(|found| found.0 == own.index) || own.module.name == MODULE
    });
    let is_sought = known.is_none() && gufo.registry.as_ref().is_some_and(|r| r.finds_session);
    if is_its_own || !(known.is_some() || is_sought) {
        return Ok(());
    }
    let (head, text) = (exchange.head, exchange.text);
    let query = head.query.map(|query| query.of(text)).unwrap_or_default();
    let authorization = head.by_name(text, "authorization");
    let api_token = head.by_name(text, "x-api-token");
    let Some(shown) =
        credential(authorization, api_token, query).map_err(|_| Reason::Unauthenticated)?
    else {
        return Ok(());
    };
    let asked = match known {
        Some((_, module)) => find(exchange, module, &shown).await,
        None => find_anew(exchange, &shown).await,
    };
    let found = match asked {
        Ok(found) => found,
        Err(Reason::ClientLeft) => return Err(Reason::ClientLeft),
        Err(_) if rule.on_error == OnError::Anonymous => None,
        Err(_) => return Err(Reason::AuthUnavailable),
    };
    let Some(session) = found else { return Ok(()) };
    let reads = matches!(head.method, Method::Get | Method::Head | Method::Trace);
    if session.readonly == 1 && !(rule.readonly == ReadOnly::Writes && reads) {
        return Err(Reason::ReadOnlyUser);
    }
    // Nobody has set it before.
    drop(exchange.session.set(session));
    Ok(())
}

/// Has the session service found first. What it says does not depend on the generation.
async fn find_anew<I: Io>(
    exchange: &Exchange<'_, I>,
    shown: &Credential<'_>,
) -> Result<Option<Rc<Session>>, Reason> {
    registry::seek(exchange, &Wanted::Session).await?;
    let renewed = exchange.renewed();
    let module = renewed.tables.snapshot.gufo.session_module();
    let (_, module) = module.ok_or(Reason::RegistryUnavailable)?;
    find(&renewed, module, shown).await
}

/// `<base>/info`, which tells whose session it is as calls do (SPEC 5.1, 5.4).
pub(super) async fn info<I: Io>(exchange: &Exchange<'_, I>) -> Result<Reply, Reason> {
    let _place = exchange.cx.exchanges.enter(exchange.down.socket());
    check_for(exchange, None).await?;
    let gufo = &exchange.tables.snapshot.gufo;
    let session = exchange.session.get().map(Rc::as_ref);
    Ok(Reply::info(&gufo.version_text, gufo.registration, session, exchange.time))
}

async fn find<I: Io>(
    exchange: &Exchange<'_, I>,
    module: &Module,
    shown: &Credential<'_>,
) -> Result<Option<Rc<Session>>, Reason> {
    let sessions = &exchange.tables.sessions;
    let mut token = String::with_capacity(shown.kind.len() + 1 + shown.token.len());
    token.push_str(&shown.kind);
    token.push(' ');
    token.push_str(&shown.token);
    let name = KeyHash::of(token.as_bytes());
    let now = exchange.cx.io.lately();
    let known = || {
        let known = sessions.known.borrow_mut().get(&name, now)?.ok();
        Some(known.filter(|session| !session.is_over(exchange.time)))
    };
    let deadline = now + module.timeout;
    let asked = sessions.flights.once(exchange, &name, deadline, known, async || {
        let said = ask(exchange, module, &token, &shown.kind).await?;
        let found = Session::of(&said).filter(|session| !session.is_over(exchange.time));
        let found = found.map(Rc::new);
        let verdict = found.clone().ok_or(());
        sessions.known.borrow_mut().put(name, verdict, exchange.cx.io.lately());
        Ok(found)
    });
    asked.await
}

/// Asks the session service. It wants two words, whatever they were made of.
async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    module: &Module,
    token: &str,
    kind: &str,
) -> Result<Answer, Reason> {
    let gufo = &exchange.tables.snapshot.gufo;
    let ip = call::ip_text(exchange.client);
    let call = Call {
        module: MODULE,
        param: "checksession",
        method: "GET",
        ip: Some(ip.as_str()),
        language: Some(&gufo.language),
        api_version: gufo.bases.first().map(|base| base.version.as_str()),
        time_stamp: i32::try_from(exchange.time.seconds()).ok(),
        token: Some(token),
        token_type: Some(kind),
        request_id: Some(exchange.request_id.as_str()),
        ..Call::default()
    };
    let mut message = Vec::new();
    trust::with_sign(exchange, module, &call, |call| call.encode(module.dialect, &mut message))
        .map_err(|_| Reason::BodyTooLarge)?;
    let question = Question {
        upstream: module.upstream,
        method: module.dialect.path_do(),
        message: message.get(frame::PREFIX_BYTES..).unwrap_or_default(),
        timeout: module.timeout,
    };
    let said = unary::ask(exchange, &question).await?;
    let mut answer = Answer::new();
    answer.merge(module.dialect, &said).map_err(|_| Reason::AnswerMalformed)?;
    Ok(answer)
}
