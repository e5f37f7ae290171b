//! Authentication of one exchange: the profiles of its route are tried in their order.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Instant;
use crate::io::Io;
use crate::policy::auth::AuthRule;
use crate::policy::auth::cache::{Bounds, Cache};
use crate::policy::auth::credential::{self, Brought};
use crate::policy::auth::fixed::FixedToken;
use crate::policy::auth::jws::Jws;
use crate::policy::auth::profile::{Profile, Proof};
use crate::policy::auth::refused::Refused;
use crate::policy::auth::verify::{Denied, TokenRules, Verified, verify};
use crate::policy::identity::{Identity, Kind};
use crate::policy::names::Names;
use crate::policy::people::iam::fields::PRINCIPAL;
use crate::policy::set::{Errors, Policies};
use crate::protocol::h1::encode;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::snapshot::Snapshot;
use crate::snapshot::auth::{Auth, KeySource};
use crate::tls::x509;

use super::keys::{KeyNews, Slot};
use super::{Admission, Refusal, people};

/// What a shard knows of tokens and keys.
#[derive(Debug)]
pub(super) struct State {
    auth: Arc<Auth>,
    /// By the place of the source.
    slots: Vec<Rc<Slot>>,
    cache: Rc<RefCell<Cache>>,
    /// For each profile, fields that endpoints do not get from clients: those that claims are told
    /// in, and those that tokens are looked for in. Our own, for each request holds on to them.
    names: Vec<(Arc<Names>, Arc<Names>)>,
}

impl Default for State {
    fn default() -> Self {
        let cache = Rc::new(RefCell::new(Cache::new(Bounds::default())));
        State { auth: Arc::default(), slots: Vec::new(), cache, names: Vec::new() }
    }
}

impl State {
    /// Keys stay where their source did not change. What was believed is forgotten with the rules
    /// that it was believed by.
    pub(super) fn new(snapshot: &Snapshot, old: Option<&State>) -> Self {
        let auth = Arc::clone(&snapshot.auth);
        let slot = |source: &KeySource| {
            let kept = old.and_then(|old| old.slots.iter().find(|slot| slot.source == *source));
            kept.cloned().unwrap_or_else(|| Rc::new(Slot::new(source)))
        };
        let slots = auth.sources.iter().map(slot).collect();
        let cache = match old.filter(|old| Arc::ptr_eq(&old.auth, &auth)) {
            Some(old) => Rc::clone(&old.cache),
            None => State::default().cache,
        };
        let names = |profile: &Profile| {
            let places = profile.places.fields.iter().map(String::as_str);
            (Arc::new(profile.told()), Arc::new(Names::new(places)))
        };
        let names = auth.profiles.iter().map(names).collect();
        State { auth, slots, cache, names }
    }

    /// Takes what control has found.
    pub(super) fn set_keys(&self, news: &KeyNews, now: Instant) {
        for (place, slot) in self.slots.iter().enumerate() {
            if slot.source != *news.source || !slot.set(news, now) {
                continue;
            }
            for (number, profile) in self.auth.profiles.iter().enumerate() {
                if matches!(&profile.proof, Proof::Token { source, .. } if *source == place) {
                    self.cache.borrow_mut().forget(number);
                }
            }
        }
    }

    /// Something was revoked: every token is looked at again.
    pub(super) fn forget_tokens(&self) {
        self.cache.borrow_mut().clear();
    }
}

impl State {
    /// What clients may not say themselves does not pass, whoever they are.
    fn strip(&self, rule: &AuthRule, admission: &mut Admission) {
        for (told, places) in rule.profiles.iter().filter_map(|number| self.names.get(*number)) {
            if !told.is_empty() {
                admission.stripped.push(Arc::clone(told));
            }
            if rule.strips {
                admission.stripped.push(Arc::clone(places));
            }
        }
    }
}

/// What one profile says.
enum Outcome {
    /// It is this one.
    Known(Arc<Identity>, Option<Rc<Verified>>),
    /// The endpoint judges.
    Passed,
    /// There is nothing of its sort.
    Absent,
    /// There is something, and it is not believed.
    Denied(Refused),
    /// It is believed, and not enough.
    Forbidden,
    /// There are no keys to say so or otherwise.
    Unavailable,
}

/// Whether the request proves who it comes from, as its route asks.
pub(super) async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    policies: &Policies,
    rule: &AuthRule,
    admission: &mut Admission,
) -> Result<(), Reason> {
    let tables = Rc::clone(&exchange.tables);
    let state = &tables.policies.auth;
    state.strip(rule, admission);
    if is_public(exchange, state, rule) {
        return Ok(());
    }
    let (mut denied, mut forbidden, mut unavailable) = (None, false, false);
    for number in &rule.profiles {
        let Some(profile) = state.auth.profiles.get(*number) else { return Err(Reason::Bug) };
        match outcome(exchange, state, *number, profile).await {
            Outcome::Known(_, Some(token)) if people::is_revoked(exchange, &token.claims) => {
                denied = denied.max(Some(Refused::Revoked));
            }
            Outcome::Known(identity, verified) => {
                if identity.kind == Kind::ApiKey {
                    let (name, owner) = (PRINCIPAL.as_bytes(), identity.subject.as_bytes());
                    encode::field(&mut admission.request, name, owner);
                }
                if let Some(verified) = &verified {
                    for (name, value) in &verified.fields {
                        encode::field(&mut admission.request, name.as_bytes(), value.as_bytes());
                    }
                }
                admission.identity = Some(identity);
                admission.verified = verified;
                return Ok(());
            }
            Outcome::Passed => return Ok(()),
            Outcome::Absent => {}
            Outcome::Denied(why) => denied = denied.max(Some(why)),
            Outcome::Forbidden => forbidden = true,
            Outcome::Unavailable => unavailable = true,
        }
    }
    let reason = match (forbidden, unavailable) {
        (true, _) => Reason::Forbidden,
        (_, true) => Reason::AuthUnavailable,
        _ if rule.anonymous && denied.is_none() && is_anonymous(exchange, state, rule) => {
            return Ok(());
        }
        _ => Reason::Unauthenticated,
    };
    if let (Reason::Unauthenticated, Some(why)) = (reason, denied) {
        exchange.cx.counters.token_refused(why.place());
    }
    refuse(policies.errors, reason, denied.is_some(), admission);
    Err(reason)
}

/// Whether a request needs to prove nothing: what the profiles say of its host or path.
fn is_public<I: Io>(exchange: &Exchange<'_, I>, state: &State, rule: &AuthRule) -> bool {
    let profiles = rule.profiles.iter().filter_map(|number| state.auth.profiles.get(*number));
    let mut publics = profiles.map(|profile| &profile.public).filter(|one| !one.is_empty());
    publics.any(|public| {
        let mut buffer = Vec::new();
        let host = exchange.head.host_name.of(exchange.text);
        let path = people::plain_path(exchange, &mut buffer);
        // What two readers could take for different paths is public by neither.
        path.is_some_and(|path| public.contains(host, path))
    })
}

/// Whether a request brings nothing at all, in none of the places that are looked at.
fn is_anonymous<I: Io>(exchange: &Exchange<'_, I>, state: &State, rule: &AuthRule) -> bool {
    let profiles = rule.profiles.iter().filter_map(|number| state.auth.profiles.get(*number));
    let places: Vec<_> = profiles.map(|profile| &profile.places).collect();
    credential::is_anonymous(exchange.head, exchange.text, &places)
}

/// Says what is missing: to programs as RFC 6750 §3 does, to people as the route does.
pub(super) fn refuse(errors: Errors, reason: Reason, brought: bool, admission: &mut Admission) {
    let challenge: &[u8] = match reason {
        Reason::Forbidden => b"Bearer error=\"insufficient_scope\"",
        Reason::AuthUnavailable => b"",
        _ if brought => b"Bearer error=\"invalid_token\"",
        _ => b"Bearer",
    };
    if challenge.is_empty() {
        encode::field(&mut admission.answer, b"retry-after", b"5");
    } else {
        encode::field(&mut admission.answer, b"www-authenticate", challenge);
    }
    let body = match (errors, reason) {
        (Errors::Problem | Errors::ThreeX, _) => return,
        (Errors::Hanzo, Reason::Unauthenticated) if brought => {
            r#"{"error":"unauthorized","message":"Invalid token"}"#
        }
        (Errors::Hanzo, Reason::Unauthenticated) => {
            r#"{"error":"unauthorized","message":"Authentication required"}"#
        }
        (Errors::Hanzo, Reason::Forbidden) => {
            r#"{"error":"forbidden","message":"Insufficient permissions"}"#
        }
        (Errors::Hanzo, _) => r#"{"error":"auth_unavailable"}"#,
    };
    let status = reason.row().status;
    admission.refusal = Some(Refusal { status, body: body.as_bytes().to_vec() });
}

async fn outcome<I: Io>(
    exchange: &Exchange<'_, I>,
    state: &State,
    number: usize,
    profile: &Profile,
) -> Outcome {
    if matches!(profile.proof, Proof::Certificate) {
        return certificate(exchange);
    }
    let brought = profile.places.find(exchange.head, exchange.text);
    let token = match (&brought, brought.token()) {
        (_, Some(token)) => token,
        (Brought::Nothing, None) => return Outcome::Absent,
        (_, None) => return Outcome::Denied(Refused::Token(Denied::Malformed)),
    };
    if profile.passes(token) {
        return Outcome::Passed;
    }
    match &profile.proof {
        Proof::Fixed(tokens) => match FixedToken::find(tokens, token) {
            // A copy: a count that all shards share would be written with each request.
            Some(found) => Outcome::Known(Arc::new(found.identity.clone()), None),
            None => Outcome::Denied(Refused::Unknown),
        },
        Proof::Token { rules, source, patience } => {
            let Some(slot) = state.slots.get(*source) else { return Outcome::Unavailable };
            let asked = Asked { number, rules, slot, patience: *patience };
            signed(exchange, state, &asked, token).await
        }
        Proof::Key(number) => match Box::pin(people::owner_of(exchange, *number, token)).await {
            Ok(Some(owner)) => {
                let (kind, subject) = (Kind::ApiKey, owner.as_ref().to_owned());
                Outcome::Known(Arc::new(Identity { kind, subject, ..Identity::default() }), None)
            }
            Ok(None) => Outcome::Denied(Refused::Unknown),
            Err(_) => Outcome::Unavailable,
        },
        Proof::Certificate => Outcome::Absent,
    }
}

/// How a signed token is looked at.
struct Asked<'a> {
    number: usize,
    rules: &'a TokenRules,
    slot: &'a Slot,
    patience: Duration,
}

async fn signed<I: Io>(
    exchange: &Exchange<'_, I>,
    state: &State,
    asked: &Asked<'_>,
    token: &[u8],
) -> Outcome {
    let deadline = exchange.started + asked.patience;
    let mut now = exchange.time.seconds();
    loop {
        // After a wait, another request may have brought the same token.
        if let Some(verified) = state.cache.borrow_mut().get(asked.number, token, now) {
            return known(verified);
        }
        let verdict = asked.slot.with_keys(|keys| match keys {
            Some(keys) => verify(token, asked.rules, keys, now),
            // Nobody waits for what could not be believed in any case.
            None => Jws::parse(token).and(Err(Denied::KeyUnknown)),
        });
        match verdict {
            Ok(verified) => {
                let verified = Rc::new(verified);
                state.cache.borrow_mut().put(asked.number, token, &verified, now);
                return known(verified);
            }
            Err(Denied::KeyUnknown) => {
                if Box::pin(asked.slot.look_again(exchange.cx, deadline)).await {
                    now = exchange.cx.io.unix_now().seconds();
                    continue;
                }
                let are_there = asked.slot.with_keys(|keys| keys.is_some());
                let unknown = Refused::Token(Denied::KeyUnknown);
                return if are_there { Outcome::Denied(unknown) } else { Outcome::Unavailable };
            }
            Err(why) => return Outcome::Denied(Refused::Token(why)),
        }
    }
}

fn known(verified: Rc<Verified>) -> Outcome {
    if !verified.is_allowed {
        return Outcome::Forbidden;
    }
    Outcome::Known(Arc::clone(&verified.identity), Some(verified))
}

/// The certificate was verified with the handshake: only who it names is read here.
fn certificate<I: Io>(exchange: &Exchange<'_, I>) -> Outcome {
    let Some(certificate) = exchange.down.socket().client_certificate() else {
        return Outcome::Absent;
    };
    match x509::subject(&certificate) {
        Some(subject) => {
            let kind = Kind::Mtls;
            Outcome::Known(Arc::new(Identity { kind, subject, ..Identity::default() }), None)
        }
        None => Outcome::Denied(Refused::Certificate),
    }
}
