//! How a service shows that it is one of us (SPEC part 7): what `security.mode` asks of both sides.

use crate::gufo::asked::Asked;
use crate::gufo::trust::{Subject, Token, asked_digest, path_of};
use crate::io::Io;
use crate::proxy::exchange::Exchange;
use crate::proxy::reason::Reason;
use crate::proxy::trust;
use crate::snapshot::gufo::SecurityMode;

/// Refuses a call that is not of one of us.
pub(super) async fn check<I: Io>(
    exchange: &Exchange<'_, I>,
    asked: &Asked<'_>,
) -> Result<(), Reason> {
    let gufo = &exchange.tables.snapshot.gufo;
    let refusal = Reason::Unauthenticated;
    let sign = asked.call.sign.as_bytes();
    match (gufo.trust.mode, &gufo.trust.key) {
        (SecurityMode::Sign, _) if gufo.sign.matches(sign) => Ok(()),
        (SecurityMode::Mtls, _) if exchange.down.socket().client_certificate().is_some() => Ok(()),
        (SecurityMode::Hmac, Some((key, _))) => {
            let token = Token::parse(sign).ok_or(refusal)?;
            if !token.is_fresh(exchange.time, gufo.trust.max_age) {
                return Err(refusal);
            }
            if token.nonce.is_none() {
                let holds = key.holds_1(&token, asked.call.module);
                return if holds { Ok(()) } else { Err(refusal) };
            }
            let path = path_of(&asked.call);
            let (module, method) = (asked.call.module, asked.call.method);
            let digest = asked_digest(asked).map_err(|_| Reason::BodyMalformed)?;
            let subject = Subject { module, path: &path, method, digest };
            if !key.holds_2(&token, &subject) {
                return Err(refusal);
            }
            Box::pin(trust::spend(exchange, &token, refusal)).await
        }
        (SecurityMode::Sign | SecurityMode::Hmac | SecurityMode::Mtls, _) => Err(refusal),
    }
}
