//! Who may call the master: whoever signs as the security mode asks (SPEC part 7).

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use crate::base::time::UnixTime;
use crate::gufo::nonces::{Nonces, Seen};
use crate::gufo::trust::{Subject, Token};
use crate::master::call::MODULE;
use crate::snapshot::gufo::{SecurityMode, Trust};
use crate::snapshot::secret::Secret;

/// How long the secret before a change of it is good: calls under way were signed with it.
const CHANGE_GRACE: Duration = Duration::from_mins(1);

/// What a call shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    /// `Request.Sign`.
    pub(super) sign: &'a str,
    /// `Request.Module`.
    pub(super) module: &'a str,
    /// The elements of the path behind it.
    pub(super) path: &'a str,
    /// `Request.Method`.
    pub(super) method: &'a str,
    /// Of the arguments.
    pub(super) digest: [u8; 32],
}

/// Lets calls pass, or not. Takes the same time for every wrong sign of one length.
#[derive(Debug)]
pub struct Guard {
    known: RwLock<Known>,
    nonces: Nonces,
}

#[derive(Debug)]
struct Known {
    now: (Secret, Trust),
    /// What was known before, and when that changed.
    before: Option<((Secret, Trust), Instant)>,
}

impl Guard {
    /// Knows callers by what they and this configuration share.
    #[must_use]
    pub fn new(shared: (Secret, Trust)) -> Self {
        let known = RwLock::new(Known { now: shared, before: None });
        Guard { known, nonces: Nonces::new(unix_now()) }
    }

    /// From now on they share something else.
    pub fn change(&self, shared: (Secret, Trust)) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.now != shared {
            let old = std::mem::replace(&mut known.now, shared);
            known.before = Some((old, Instant::now()));
        }
    }

    /// Whether a call may pass. One that is signed for a second which has not come waits for it.
    pub(super) async fn lets_pass(&self, shown: Shown<'_>) -> bool {
        let pass = match self.look(shown) {
            Pass::Later(wait) => {
                tokio::time::sleep(wait).await;
                self.look(shown)
            }
            pass => pass,
        };
        pass == Pass::Now
    }

    fn look(&self, shown: Shown<'_>) -> Pass {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let pass = self.holds(&known.now, shown);
        let recent = |(_, since): &&(_, Instant)| since.elapsed() < CHANGE_GRACE;
        match known.before.as_ref().filter(recent) {
            Some((old, _)) if pass == Pass::Never => self.holds(old, shown),
            _ => pass,
        }
    }

    fn holds(&self, (sign, trust): &(Secret, Trust), shown: Shown<'_>) -> Pass {
        match trust.mode {
            SecurityMode::Sign => Pass::now_if(sign.matches(shown.sign.as_bytes())),
            SecurityMode::Hmac => self.is_signed(trust, shown),
            // Nothing that a call says proves anything then.
            SecurityMode::Mtls => Pass::Never,
        }
    }

    /// A signature names the module that the call names, or the master itself.
    fn is_signed(&self, trust: &Trust, shown: Shown<'_>) -> Pass {
        let now = unix_now();
        let (Some((key, _)), Some(token)) = (&trust.key, Token::parse(shown.sign.as_bytes()))
        else {
            return Pass::Never;
        };
        if !token.is_fresh(now, trust.max_age) {
            return Pass::Never;
        }
        let modules = [shown.module, MODULE];
        let Some(nonce) = token.nonce else {
            return Pass::now_if(modules.into_iter().any(|module| key.holds_1(&token, module)));
        };
        let signed = modules.into_iter().any(|module| {
            let (path, method, digest) = (shown.path, shown.method, shown.digest);
            key.holds_2(&token, &Subject { module, path, method, digest })
        });
        if !signed {
            return Pass::Never;
        }
        let time = Duration::from_secs(token.time);
        let end = UnixTime(time.saturating_add(trust.max_age));
        match self.nonces.note(nonce, token.time, end, now) {
            Seen::First => Pass::Now,
            Seen::Early => Pass::Later(time.saturating_sub(now.0)),
            Seen::Again | Seen::Before | Seen::Full => Pass::Never,
        }
    }
}

/// Whether a call may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pass {
    Now,
    Never,
    /// What it shows is good when so much time has passed.
    Later(Duration),
}

impl Pass {
    fn now_if(it_may: bool) -> Self {
        if it_may { Pass::Now } else { Pass::Never }
    }
}

fn unix_now() -> UnixTime {
    UnixTime(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}
