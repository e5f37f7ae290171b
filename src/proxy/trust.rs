//! Signatures of calls: ours for services, those of callers for us (SPEC part 7).

use std::borrow::Cow;
use std::time::Duration;

use crate::base::time::UnixTime;
use crate::gufo::nonces::Seen;
use crate::gufo::path::ModulePath;
use crate::gufo::request::Call;
use crate::gufo::trust::{NONCE_BYTES, Subject, Token, request_digest};
use crate::io::{CLOCK_LAG_MAX, Io};
use crate::message::known::Known;
use crate::snapshot::gufo::{Module, RestMode};

use super::exchange::Exchange;
use super::reason::Reason;

/// What a caller has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shown {
    /// Nothing, and nothing was asked for.
    Nothing,
    /// That it is one of us.
    Proof,
    /// A signature over content that has not come yet: what is said if it does not hold.
    Claim(Reason),
}

/// Looks at what a caller shows, as far as that can be done before its content is there.
pub(super) fn look<I: Io>(
    exchange: &Exchange<'_, I>,
    path: &ModulePath<'_>,
) -> Result<Shown, Reason> {
    let gufo = &exchange.tables.snapshot.gufo;
    let sign = exchange.head.value(exchange.text, Known::XSign);
    let refusal = match (gufo.trust.rest, sign) {
        (RestMode::Mtls, _) if exchange.down.socket().client_certificate().is_none() => {
            return Err(Reason::Unauthenticated);
        }
        (RestMode::None | RestMode::Mtls, None) => return Ok(Shown::Nothing),
        (RestMode::Sign | RestMode::Hmac, None) => return Err(Reason::Unauthenticated),
        (RestMode::None | RestMode::Mtls, Some(_)) => Reason::SignatureWrong,
        (RestMode::Sign | RestMode::Hmac, Some(_)) => Reason::Unauthenticated,
    };
    let sign = sign.unwrap_or_default();
    if gufo.trust.rest != RestMode::Hmac && gufo.sign.matches(sign) {
        return Ok(Shown::Proof);
    }
    let Some((key, _)) = gufo.trust.key.as_ref().filter(|_| gufo.trust.rest != RestMode::Sign)
    else {
        return Err(refusal);
    };
    let token = Token::parse(sign).ok_or(refusal)?;
    if !token.is_fresh(exchange.time, gufo.trust.max_age) {
        return Err(refusal);
    }
    match token.nonce {
        Some(_) => Ok(Shown::Claim(refusal)),
        None if key.holds_1(&token, &path.module) => Ok(Shown::Proof),
        None => Err(refusal),
    }
}

/// Checks a signature over content that is there now. Of an upload, it is over none.
pub(super) async fn check<I: Io>(
    exchange: &Exchange<'_, I>,
    path: &ModulePath<'_>,
    shown: Shown,
    body: &[u8],
) -> Result<(), Reason> {
    match shown {
        // Boxed: most calls show something else.
        Shown::Claim(refusal) => Box::pin(claim(exchange, path, refusal, body)).await,
        Shown::Nothing | Shown::Proof => Ok(()),
    }
}

async fn claim<I: Io>(
    exchange: &Exchange<'_, I>,
    path: &ModulePath<'_>,
    refusal: Reason,
    body: &[u8],
) -> Result<(), Reason> {
    let trust = &exchange.tables.snapshot.gufo.trust;
    let sign = exchange.head.value(exchange.text, Known::XSign).unwrap_or_default();
    let (Some((key, _)), Some(token)) = (&trust.key, Token::parse(sign)) else {
        return Err(refusal);
    };
    let query = exchange.head.query.map(|query| query.of(exchange.text)).unwrap_or_default();
    let parts = [Some(&path.param), path.param_id.as_ref(), path.param_idd.as_ref()];
    let parts: Vec<&str> =
        parts.into_iter().flatten().map(Cow::as_ref).filter(|part| !part.is_empty()).collect();
    let subject = Subject {
        module: &path.module,
        path: &parts.join("/"),
        method: str::from_utf8(exchange.head.method_text.of(exchange.text)).unwrap_or_default(),
        digest: request_digest(query, body),
    };
    if key.holds_2(&token, &subject) {
        spend(exchange, &token, refusal).await
    } else {
        Err(refusal)
    }
}

/// Uses up the nonce of a signature that holds: on every shard it counts once. One whose second has
/// not come yet waits for that, for at most as long as signatures may be ahead.
pub(super) async fn spend<I: Io>(
    exchange: &Exchange<'_, I>,
    token: &Token<'_>,
    refusal: Reason,
) -> Result<(), Reason> {
    let (trust, io) = (&exchange.tables.snapshot.gufo.trust, &exchange.cx.io);
    let nonce = token.nonce.ok_or(refusal)?;
    let time = UnixTime(Duration::from_secs(token.time));
    let end = UnixTime(time.0 + trust.max_age);
    let note = || trust.nonces.note(nonce, token.time, end, io.unix_now());
    let mut seen = note();
    if seen == Seen::Early {
        // It was fresh when the request began; if the clock was put back since, it never comes due.
        let now = io.unix_now();
        if !token.is_fresh(now, trust.max_age) {
            return Err(refusal);
        }
        // The calendar is read as of the kernel's last tick, and that may be older the next time.
        io.sleep_until(io.now() + time.0.saturating_sub(now.0) + CLOCK_LAG_MAX).await;
        seen = note();
    }
    match seen {
        Seen::First => Ok(()),
        // A clock that was put back meanwhile.
        Seen::Early | Seen::Again | Seen::Before => Err(refusal),
        Seen::Full => Err(Reason::Overloaded),
    }
}

/// Hands `then` the call with the `Sign` that its module asks for.
pub(super) fn with_sign<I: Io, T>(
    exchange: &Exchange<'_, I>,
    module: &Module,
    call: &Call<'_>,
    then: impl FnOnce(&Call<'_>) -> T,
) -> T {
    let gufo = &exchange.tables.snapshot.gufo;
    let nonce = || {
        let mut nonce = [0; NONCE_BYTES];
        exchange.cx.io.secret(&mut nonce);
        nonce
    };
    gufo.with_sign(module, call, exchange.time, nonce, then)
}
