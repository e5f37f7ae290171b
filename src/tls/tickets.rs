//! Tickets, with which a client comes back without a whole handshake. The server keeps nothing.
//!
//! A ticket is sealed with the key of the span of time that it was made in; those of the span
//! before and after are accepted too. The three keys follow from one secret, so that all shards
//! (and all processes with the same secret) take each other's tickets, and no two of them share
//! anything that is written: no lock, no rotation to be told of. Making a key costs two hashes,
//! next to the tens of microseconds of a handshake.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use super::server::unix_seconds;
use super::spec::TicketSecret;

/// How long tickets are made with one key.
const SPAN_SECONDS: u64 = 6 * 3600;
/// What a client is told. A ticket made at the end of a span is good for one more.
const LIFETIME_SECONDS: u32 = 6 * 3600;
/// More is no ticket of ours. One with a client's certificates is some KiB long.
const TICKET_BYTES_MAX: usize = 32 * 1024;
const SPAN_BYTES: usize = 8;

/// Implements [`ProducesTickets`].
pub(super) struct Tickets {
    secret: TicketSecret,
    /// Tickets of listeners that ask clients for something else must not be taken here: who comes
    /// back is not asked again.
    purpose: [u8; 32],
    random: SystemRandom,
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets(***)")
    }
}

impl Tickets {
    pub(super) fn new(secret: TicketSecret, purpose: [u8; 32]) -> Self {
        Tickets { secret, purpose, random: SystemRandom::new() }
    }

    fn key(&self, span: u64) -> Option<LessSafeKey> {
        let secret = Salt::new(HKDF_SHA256, b"otus tickets 1").extract(self.secret.bytes());
        let span = span.to_be_bytes();
        let info: [&[u8]; 2] = [&self.purpose, &span];
        let key: UnboundKey = secret.expand(&info, &AES_256_GCM).ok()?.into();
        Some(LessSafeKey::new(key))
    }

    fn seal(&self, plain: &[u8], now: u64) -> Option<Vec<u8>> {
        let span = now / SPAN_SECONDS;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(span.to_be_bytes());
        self.key(span)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .ok()?;
        Some([&span.to_be_bytes()[..], &nonce, &sealed].concat())
    }

    fn open(&self, ticket: &[u8], now: u64) -> Option<Vec<u8>> {
        if ticket.len() > TICKET_BYTES_MAX {
            return None;
        }
        let (span, rest) = ticket.split_first_chunk::<SPAN_BYTES>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let span = u64::from_be_bytes(*span);
        if span.abs_diff(now / SPAN_SECONDS) > 1 {
            return None;
        }
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from(span.to_be_bytes());
        let len = self.key(span)?.open_in_place(nonce, aad, &mut plain).ok()?.len();
        plain.truncate(len);
        Some(plain)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, unix_seconds())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, unix_seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(secret: u8, purpose: u8) -> Tickets {
        Tickets::new(TicketSecret::new([secret; 32]), [purpose; 32])
    }

    #[test]
    fn a_ticket_is_good_for_its_span_and_the_next() {
        let ours = tickets(1, 0);
        let now = 100 * SPAN_SECONDS;
        let ticket = ours.seal(b"session", now).unwrap();
        for (later, good) in [
            (0, true),
            (SPAN_SECONDS, true),
            (2 * SPAN_SECONDS - 1, true),
            (2 * SPAN_SECONDS, false),
        ] {
            let opened = ours.open(&ticket, now + later);
            assert_eq!(opened.as_deref(), good.then_some(&b"session"[..]), "{later}");
        }
        assert!(ours.open(&ticket, now - 1).is_some(), "another clock may be behind");
    }

    #[test]
    fn only_who_knows_the_secret_and_asks_the_same_takes_a_ticket() {
        let ticket = tickets(1, 0).seal(b"session", 0).unwrap();
        assert!(tickets(1, 0).open(&ticket, 0).is_some(), "another shard or process");
        assert!(tickets(2, 0).open(&ticket, 0).is_none());
        assert!(tickets(1, 1).open(&ticket, 0).is_none());
    }

    #[test]
    fn a_changed_ticket_is_none() {
        let ours = tickets(1, 0);
        let ticket = ours.seal(b"session", 0).unwrap();
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert!(ours.open(&changed, 0).is_none(), "{at}");
            assert!(ours.open(&ticket[..at], 0).is_none(), "{at}");
        }
        assert!(ours.open(&vec![0; TICKET_BYTES_MAX + 1], 0).is_none());
    }
}
