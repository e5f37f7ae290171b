//! Whom a request counts for.

use std::borrow::Cow;

use crate::io::Io;
use crate::message::path::escaped;
use crate::policy::limit::key::{Secret, Sort};
use crate::policy::limit::rule::{By, RateRule};
use crate::proxy::exchange::Exchange;

use super::Admission;

/// The one bucket of those that all count in. Nobody has chosen its key, so it is not hashed.
const KEY_OF_ALL: u64 = 1;

/// The key of the bucket that a request counts in. Most rules are for addresses or for all: these
/// have no text that would have to be looked for.
pub(super) fn key<I: Io>(
    exchange: &Exchange<'_, I>,
    admission: &Admission,
    rate: &RateRule,
    secret: &Secret,
) -> (Sort, u64) {
    match &rate.by {
        By::All => (Sort::All, KEY_OF_ALL),
        By::Address => {
            let network = rate.grouping.network(exchange.client);
            (Sort::Address, secret.network_key(network))
        }
        _ => {
            let who = of(exchange, admission, rate);
            (who.sort, who.key(secret))
        }
    }
}

/// Whom a request counts for.
pub(super) struct Who<'a> {
    pub(super) sort: Sort,
    name: Name<'a>,
}

/// What distinguishes whoever it is.
enum Name<'a> {
    Network([u8; 16]),
    Text(Cow<'a, [u8]>),
}

impl<'a> Who<'a> {
    fn text(sort: Sort, text: impl Into<Cow<'a, [u8]>>) -> Self {
        Who { sort, name: Name::Text(text.into()) }
    }

    /// The key of its bucket.
    pub(super) fn key(&self, secret: &Secret) -> u64 {
        match (self.sort, &self.name) {
            (Sort::All, _) => KEY_OF_ALL,
            (_, Name::Network(network)) => secret.network_key(*network),
            (sort, Name::Text(text)) => secret.key(sort, text),
        }
    }

    /// What distinguishes it from others of its sort.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.name {
            Name::Network(bytes) => bytes,
            Name::Text(bytes) => bytes,
        }
    }
}

/// Whom a request counts for by this rule.
pub(super) fn of<'a, I: Io>(
    exchange: &'a Exchange<'_, I>,
    admission: &'a Admission,
    rate: &RateRule,
) -> Who<'a> {
    let subject = || Some(admission.identity.as_ref()?.subject.as_bytes());
    match &rate.by {
        By::All => Who::text(Sort::All, &[][..]),
        By::Principal if let Some(name @ [_, ..]) = subject() => Who::text(Sort::Subject, name),
        By::Principal | By::Address => {
            let name = Name::Network(rate.grouping.network(exchange.client));
            Who { sort: Sort::Address, name }
        }
        By::Field(name) => who_sends(exchange, name),
        By::Query(name) => who_asks(exchange, name),
        By::Segment(number) => {
            let path = exchange.head.path.of(exchange.text).split(|byte| *byte == b'/');
            let segment = path.filter(|segment| !segment.is_empty()).nth(number.saturating_sub(1));
            Who::text(Sort::Parameter, decoded(segment.unwrap_or_default()))
        }
    }
}

/// Who sends the same value of this field.
fn who_sends<'a, I: Io>(exchange: &'a Exchange<'_, I>, name: &str) -> Who<'a> {
    let (fields, text) = (exchange.head.fields.iter(), exchange.text);
    let mine = fields.filter(|f| f.name.of(text).eq_ignore_ascii_case(name.as_bytes()));
    Who::text(Sort::Field, single(mine.map(|field| Cow::Borrowed(field.value.of(text)))))
}

/// Who sends the same value of this parameter of the query.
fn who_asks<'a, I: Io>(exchange: &'a Exchange<'_, I>, name: &str) -> Who<'a> {
    let query = exchange.head.query.map(|query| query.of(exchange.text)).unwrap_or_default();
    let pairs = query.split(|byte| *byte == b'&').map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        (decoded(name), value.get(1..).unwrap_or_default())
    });
    let mine = pairs.filter(|(own, _)| **own == *name.as_bytes());
    Who::text(Sort::Parameter, single(mine.map(|(_, value)| decoded(value))))
}

/// The only value. Of none or several the key is that of none: who sends two may mean either, and
/// would have as many keys as he likes.
fn single<'a>(mut values: impl Iterator<Item = Cow<'a, [u8]>>) -> Cow<'a, [u8]> {
    match (values.next(), values.next()) {
        (Some(value), None) => value,
        _ => Cow::Borrowed(&[]),
    }
}

/// What a text with escapes stands for: however it is written, it is the same key.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        out.push(match (*first, tail) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) => match escaped(*high, *low) {
                Some(byte) => {
                    rest = after;
                    byte
                }
                None => b'%',
            },
            (byte, _) => byte,
        });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        assert_eq!(*decoded(b"a%62c"), *b"abc");
        assert_eq!(*decoded(b"a+b%2"), *b"a b%2");
        assert_eq!(*decoded(b"%zz"), *b"%zz");
        let two = [Cow::Borrowed(&b"a"[..]), Cow::Borrowed(&b"b"[..])];
        assert_eq!(*single(two.into_iter()), *b"");
    }
}
