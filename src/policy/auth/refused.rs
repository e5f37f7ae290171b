//! Why who asks is not believed, in words of which there are few.

use super::verify::Denied;

/// Why a request with something that should prove who it is from was refused. Of several profiles
/// the one counts that came farthest: what is last here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Refused {
    /// It is none of the fixed tokens or API keys.
    Unknown,
    /// Nobody can be read from the certificate.
    Certificate,
    /// It is a token that is not believed.
    Token(Denied),
    /// It was believed once.
    Revoked,
}

impl Refused {
    /// All of them.
    pub const ALL: [Refused; 16] = [
        Refused::Unknown,
        Refused::Certificate,
        Refused::Token(Denied::TooLarge),
        Refused::Token(Denied::Malformed),
        Refused::Token(Denied::Critical),
        Refused::Token(Denied::Algorithm),
        Refused::Token(Denied::KeyUnnamed),
        Refused::Token(Denied::KeyUnknown),
        Refused::Token(Denied::Signature),
        Refused::Token(Denied::Claims),
        Refused::Token(Denied::Expired),
        Refused::Token(Denied::NotYet),
        Refused::Token(Denied::Issuer),
        Refused::Token(Denied::Audience),
        Refused::Token(Denied::Subject),
        Refused::Revoked,
    ];

    /// For metrics: one word.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Refused::Unknown => "token_unknown",
            Refused::Certificate => "certificate",
            Refused::Token(denied) => denied.code(),
            Refused::Revoked => "token_revoked",
        }
    }

    /// Its place in [`ALL`](Refused::ALL).
    #[must_use]
    pub fn place(self) -> usize {
        Refused::ALL.iter().position(|other| *other == self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_a_place_and_a_word_of_its_own() {
        let words: BTreeSet<_> = Refused::ALL.iter().map(|one| one.code()).collect();
        assert_eq!(words.len(), Refused::ALL.len());
        assert!(Refused::ALL.is_sorted());
        // The last of the reasons of tokens: one that is added has to stand in the list.
        assert_eq!(Refused::Token(Denied::Subject).place(), Refused::ALL.len() - 2);
        for (place, one) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(one.place(), place);
        }
    }
}
