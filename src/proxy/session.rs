//! Sessions of Gufo: who a request comes from, as the session service says (SPEC 10.1).

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::gufo::path::ModulePath;
use crate::gufo::registry::{SESSION as MODULE, Wanted};
use crate::gufo::reply::Reply as Answer;
use crate::gufo::request::Call;
use crate::gufo::session::{Credential, Malformed, Session, credential};
use crate::io::Io;
use crate::message::head::Method;
use crate::message::known::Known;
use crate::policy::people::api_key::KeyHash;
use crate::policy::verdicts::{Keep, Verdicts};
use crate::protocol::grpc::frame;
use crate::snapshot::gufo::{Module, OnError, ReadOnly, SessionRule};

use super::call;
use super::exchange::{Exchange, Target};
use super::flights::Flights;
use super::reason::Reason;
use super::registry;
use super::reply::Reply;
use super::trust::{self, Shown};
use super::unary::{self, Question};

/// A session that ended is noticed within the first, a new one within the second time.
const KEEP: Keep = Keep {
    allowed: 10_000,
    allowed_for: Duration::from_secs(5),
    denied: 10_000,
    denied_for: Duration::from_secs(1),
};

/// Tokens of so many bytes are known by these, longer ones by their SHA-256: to compare costs a
/// tenth of the digest, and the memory is bounded.
const NAME_MAX: usize = 512;

/// What one shard knows of sessions, by what was shown.
pub(super) struct Sessions {
    known: RefCell<Verdicts<Box<[u8]>, Rc<Session>, ()>>,
    flights: Flights<Box<[u8]>, Option<Rc<Session>>>,
}

/// Tokens are not shown.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("known", &self.known.borrow().len())
            .finish_non_exhaustive()
    }
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
    match begin(exchange, target)? {
        // Boxed: most are known.
        Some(open) => Box::pin(ask_who(exchange, open)).await,
        None => Ok(()),
    }
}

/// The credential that the client shows.
pub(super) fn shown<'a, I: Io>(
    exchange: &Exchange<'a, I>,
) -> Result<Option<Credential<'a>>, Malformed> {
    let (head, text) = (exchange.head, exchange.text);
    let query = head.query.map(|query| query.of(text)).unwrap_or_default();
    let authorization = head.value(text, Known::Authorization);
    let api_token = match authorization {
        Some(_) => None,
        None => head.by_name(text, "x-api-token"),
    };
    credential(authorization, api_token, query)
}

/// What the session service is to be asked.
struct Open<'a> {
    rule: SessionRule,
    /// `None`: it is to be found first.
    module: Option<&'a Module>,
    shown: Credential<'a>,
}

/// Does what needs no answer of anybody; says what is left to be asked, if anything is.
fn begin<'a, I: Io>(
    exchange: &'a Exchange<'_, I>,
    target: Option<&Target<'_>>,
) -> Result<Option<Open<'a>>, Reason> {
    let gufo = &exchange.tables.snapshot.gufo;
    let Some(rule) = gufo.session else { return Ok(None) };
    let known = exchange.tables.session_module;
    // The session service is asked for sessions by its clients as well.
    let is_its_own =
        target.is_some_and(|own| known == Some(own.index) || own.module.name == MODULE);
    let is_sought = known.is_none() && gufo.registry.as_ref().is_some_and(|r| r.finds_session);
    if is_its_own || !(known.is_some() || is_sought) {
        return Ok(None);
    }
    let Some(shown) = shown(exchange).map_err(|_| Reason::Unauthenticated)? else {
        return Ok(None);
    };
    let module = known.and_then(|index| gufo.modules().get(index));
    if module.is_some()
        && let Some(known) = recall(exchange, &name(&shown.words()), exchange.cx.io.lately())
    {
        settle(exchange, rule, known.ok())?;
        return Ok(None);
    }
    Ok(Some(Open { rule, module, shown }))
}

async fn ask_who<I: Io>(exchange: &Exchange<'_, I>, open: Open<'_>) -> Result<(), Reason> {
    let Open { rule, module, shown } = open;
    let asked = match module {
        Some(module) => find(exchange, module, &shown).await,
        None => find_anew(exchange, &shown).await,
    };
    match asked {
        Ok(found) => settle(exchange, rule, found),
        Err(Reason::ClientLeft) => Err(Reason::ClientLeft),
        Err(_) if rule.on_error == OnError::Anonymous => Ok(()),
        Err(_) => Err(Reason::AuthUnavailable),
    }
}

/// Takes the session as that of the exchange, if it may do what it wants.
fn settle<I: Io>(
    exchange: &Exchange<'_, I>,
    rule: SessionRule,
    found: Option<Rc<Session>>,
) -> Result<(), Reason> {
    let Some(session) = found else { return Ok(()) };
    let reads = matches!(exchange.head.method, Method::Get | Method::Head | Method::Trace);
    if session.readonly == 1 && !(rule.readonly == ReadOnly::Writes && reads) {
        return Err(Reason::ReadOnlyUser);
    }
    // Nobody has set it before.
    drop(exchange.session.set(session));
    Ok(())
}

/// What was said of what is known by this name: a session, or an error if there is none.
fn recall<I: Io>(
    exchange: &Exchange<'_, I>,
    name: &[u8],
    now: Instant,
) -> Option<Result<Rc<Session>, ()>> {
    let known = exchange.tables.sessions.known.borrow_mut().get(name, now)?;
    Some(known.and_then(|own| if own.is_over(exchange.time) { Err(()) } else { Ok(own) }))
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
pub(super) async fn info<I: Io>(
    exchange: &Exchange<'_, I>,
    path: &ModulePath<'_>,
    shown: Shown,
) -> Result<Reply, Reason> {
    // It is asked for without content, so that what is signed is here.
    trust::check(exchange, path, shown, &[]).await?;
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
    let token = shown.words();
    let now = exchange.cx.io.lately();
    let name = Box::<[u8]>::from(&*name(&token));
    let known = || Some(recall(exchange, &name, now)?.ok());
    let ask = async || {
        let said = ask(exchange, module, &token, &shown.kind).await?;
        let found = Session::of(&said).filter(|session| !session.is_over(exchange.time));
        let found = found.map(Rc::new);
        let verdict = found.clone().ok_or(());
        sessions.known.borrow_mut().put(name.clone(), verdict, exchange.cx.io.lately());
        Ok(found)
    };
    sessions.flights.once(exchange, &name, now + module.timeout, known, ask).await
}

/// What is known of a kind and a token is found by this. No token begins with a zero, as the names
/// of long ones do.
fn name(token: &str) -> Cow<'_, [u8]> {
    if token.len() <= NAME_MAX {
        return Cow::Borrowed(token.as_bytes());
    }
    Cow::Owned([&[0][..], KeyHash::of(token.as_bytes()).bytes()].concat())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tokens_are_named_by_their_digest_and_short_ones_by_themselves() {
        let token = |len| format!("Bearer {}", "x".repeat(len - 7));
        let [short, long, longer] = [0, 1, 2].map(|more| token(NAME_MAX + more));
        assert_eq!(&*name(&short), short.as_bytes());
        assert_eq!((name(&long).len(), name(&long).first()), (33, Some(&0)));
        assert_ne!(name(&long), name(&longer));
    }
}
