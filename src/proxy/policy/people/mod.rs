//! What is asked of an identity and told of it, for one exchange.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::io::Io;
use crate::message::known::Known;
use crate::message::path;
use crate::policy::identity::{Identity, Kind};
use crate::policy::people::PeopleRule;
use crate::policy::people::abuse::bots::{BotJudge, BotRule};
use crate::policy::people::abuse::widget::{Refused, Widget};
use crate::policy::people::billing::Account;
use crate::policy::set::{Errors, Policies};
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::snapshot::Snapshot;
use crate::snapshot::people::KeyService;

use super::{Admission, Refusal, Verdict, claims};

mod billing;
mod fetch;
mod keys;

use billing::Ledger;
use keys::KeyBook;
pub(super) use keys::Owner;

/// What a shard remembers of identities.
#[derive(Debug, Default)]
pub(super) struct State {
    bots: Vec<Rc<RefCell<BotJudge>>>,
    keys: Vec<Rc<KeyBook>>,
    ledger: Option<Rc<Ledger>>,
}

impl State {
    /// What `old` has learned is kept where the same is asked of the same.
    pub(super) fn new(snapshot: &Snapshot, old: Option<&State>) -> Self {
        let people = &snapshot.people;
        let judge = |rule: &Arc<BotRule>| {
            let same = |judge: &&Rc<RefCell<BotJudge>>| *judge.borrow().rule() == **rule;
            let known = old.and_then(|old| old.bots.iter().find(same));
            known.map_or_else(|| Rc::new(RefCell::new(BotJudge::new(rule))), Rc::clone)
        };
        let book = |service: &KeyService| {
            let same = |book: &&Rc<KeyBook>| book.service == *service;
            let known = old.and_then(|old| old.keys.iter().find(same));
            known.map_or_else(|| KeyBook::new(service), Rc::clone)
        };
        let ledger = people.billing.as_ref().map(|billing| {
            let known = old.and_then(|old| old.ledger.as_ref());
            let known = known.filter(|ledger| ledger.billing == *billing);
            known.map_or_else(|| Ledger::new(billing), Rc::clone)
        });
        State {
            bots: people.bots.iter().map(judge).collect(),
            keys: people.key_services.iter().map(book).collect(),
            ledger,
        }
    }
}

/// What needs no identity: bots.
pub(super) fn before_auth<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    rule: &PeopleRule,
    admission: &mut Admission,
) -> Result<(), Reason> {
    let Some(number) = rule.bots else { return Ok(()) };
    let judge = exchange.tables.policies.people.bots.get(number).ok_or(Reason::Bug)?;
    let mut judge = judge.borrow_mut();
    let mut agents = exchange.head.values(exchange.text, Known::UserAgent).peekable();
    // Who says several things of itself is each of them.
    let is_bot = if agents.peek().is_none() {
        judge.is_bot(None)
    } else {
        agents.any(|agent| judge.is_bot(Some(agent)))
    };
    if is_bot {
        tell(admission, policies, 403, Vec::new);
        return Err(Reason::BotRefused);
    }
    Ok(())
}

/// What needs one: claims in the path, widgets, billing.
pub(super) async fn after_auth<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    rule: &PeopleRule,
    admission: &mut Admission,
) -> Result<Verdict, Reason> {
    let mut verdict = Verdict::Pass;
    if !rule.path_claims.is_empty() {
        verdict = claims::ask(policies, &rule.path_claims, admission)?;
    }
    if let Some(number) = rule.widget {
        let widget = exchange.tables.snapshot.people.widgets.get(number).ok_or(Reason::Bug)?;
        check_widget(exchange, policies, widget, admission)?;
    }
    if rule.billing
        && let Some(identity) = admission.identity.clone()
        && identity.kind == Kind::Jwt
    {
        Box::pin(check_balance(exchange, policies, &identity, admission)).await?;
    }
    Ok(verdict)
}

/// Whether a token is refused before its end, by one of its claims or by a field beside it.
pub(super) fn is_revoked<I: Io>(exchange: &Exchange<'_, I>, claims: &Map<String, Value>) -> bool {
    let (head, text) = (exchange.head, exchange.text);
    let Some(revocations) = &exchange.tables.snapshot.people.revocations else { return false };
    if revocations.is_empty() {
        return false;
    }
    let is_field = |name: &String| {
        head.fields.iter().any(|field| {
            field.name.of(text).eq_ignore_ascii_case(name.as_bytes())
                && revocations.is_revoked(name, field.value.of(text))
        })
    };
    revocations.is_token_revoked(claims) || revocations.rule().headers.iter().any(is_field)
}

/// Whom an API key belongs to; `number` is the place of its service.
pub(super) async fn owner_of<I: Io>(
    exchange: &Exchange<'_, I>,
    number: usize,
    key: &[u8],
) -> Result<Owner, Reason> {
    let book = exchange.tables.policies.people.keys.get(number).map(Rc::clone);
    book.ok_or(Reason::Bug)?.owner(exchange, key).await
}

fn check_widget<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    widget: &Widget,
    admission: &mut Admission,
) -> Result<(), Reason> {
    let (head, text) = (exchange.head, exchange.text);
    if !brings(exchange, policies, widget) {
        return Ok(());
    }
    let values = |known| head.values(text, known);
    let (origins, referers) = (values(Known::Origin), values(Known::Referer));
    let now = exchange.cx.io.lately();
    match widget.admit(origins, referers, exchange.client, now) {
        Ok(()) => Ok(()),
        Err(Refused::Origin) => {
            tell(admission, policies, 403, || message("forbidden", "Origin not allowed"));
            Err(Reason::OriginRefused)
        }
        Err(Refused::TooOften(wait)) => {
            let seconds = wait.as_secs().max(1);
            admission.answer.extend_from_slice(format!("retry-after: {seconds}\r\n").as_bytes());
            tell(admission, policies, 429, || message("rate_limited", "Too many requests"));
            Err(Reason::RateLimited)
        }
    }
}

/// Whether a request brings a key of this kind, wherever somebody could take it from: where the
/// profiles of the route look, and in every word of the usual fields.
fn brings<I: Io>(exchange: &Exchange<'_, I>, policies: &Policies, widget: &Widget) -> bool {
    let (head, text) = (exchange.head, exchange.text);
    let said = head.fields.iter().any(|field| {
        let is_place = matches!(field.known, Known::Authorization | Known::Cookie | Known::XApiKey)
            || field.name.of(text).eq_ignore_ascii_case(b"x-authorization");
        is_place && tokens(field.value.of(text)).any(|token| widget.is_key(token))
    });
    let profiles = policies.auth.iter().flat_map(|rule| &rule.profiles);
    let all = &exchange.tables.snapshot.auth.profiles;
    let mut profiles = profiles.filter_map(|number| all.get(*number));
    said || profiles.any(|profile| {
        let brought = profile.places.find(head, text);
        brought.token().is_some_and(|token| widget.is_key(token))
    })
}

/// Every word of a field in which a credential may stand.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'=' | b';' | b',' | b'"');
    value.split(is_between)
}

async fn check_balance<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    identity: &Identity,
    admission: &mut Admission,
) -> Result<(), Reason> {
    let Some(ledger) = exchange.tables.policies.people.ledger.clone() else { return Ok(()) };
    let mut buffer = Vec::new();
    let path = plain_path(exchange, &mut buffer);
    // What two readers could take for different paths is exempt by neither.
    if !path.is_none_or(|path| ledger.billing.rule.applies_to(path)) {
        return Ok(());
    }
    let account = Account::of(Some(&identity.org), &identity.subject);
    let checked = ledger.check(exchange, account.as_ref()).await;
    match checked {
        Err(Reason::PaymentRequired) => {
            let user = account.as_ref().map_or("", Account::as_str);
            tell(admission, policies, 402, || {
                let message = "The account has no balance left";
                let body = serde_json::json!({
                    "error": "insufficient_balance", "message": message, "user": user,
                });
                body.to_string().into_bytes()
            });
        }
        Err(Reason::BillingUnavailable) => {
            let body = br#"{"error":"billing_unavailable"}"#;
            tell(admission, policies, 503, || body.to_vec());
        }
        _ => {}
    }
    checked
}

/// The path in normal form, unless somebody could read it otherwise.
pub(super) fn plain_path<'a, I: Io>(
    exchange: &Exchange<'a, I>,
    buffer: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    let normal = path::normalise(exchange.head.path.of(exchange.text), buffer).ok()?;
    normal.oddities.is_empty().then_some(normal.text)
}

/// Tells a refusal as hanzoai/gateway does, where that is asked for.
fn tell(
    admission: &mut Admission,
    policies: &Policies,
    status: u16,
    body: impl FnOnce() -> Vec<u8>,
) {
    if policies.errors == Errors::Hanzo {
        admission.refusal = Some(Refusal { status, body: body() });
    }
}

fn message(error: &str, message: &str) -> Vec<u8> {
    serde_json::json!({ "error": error, "message": message }).to_string().into_bytes()
}
