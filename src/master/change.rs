//! What a call changes: the unit that a store keeps whole or not at all.

use super::mandate::Mandate;
use super::row::Row;

/// One step from a table to the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A row that is new, or says something else than before. It has given a sign of life, unless
    /// it is said to have ended.
    Put(Row),
    /// A row has given a sign of life and says nothing new.
    Renew {
        /// Whose.
        uuid: String,
        /// When, seconds since 1970.
        echo: u64,
    },
    /// The row with this uuid is gone.
    Remove(String),
    /// A service's mandate has a new holder, and so a higher epoch than any before.
    Mandate(Mandate),
    /// Its holder holds it still.
    RenewMandate {
        /// Of which service.
        service: String,
        /// When, seconds since 1970.
        echo: u64,
    },
    /// Nobody holds it any more.
    EndMandate(String),
    /// One more instance of this name was picked. Stores need not keep it.
    Turn(String),
}

impl Change {
    /// Whether it must be kept before anything is answered. What is not so only prolongs: a master
    /// that forgot it counts from its own start.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !matches!(self, Change::Renew { .. } | Change::RenewMandate { .. } | Change::Turn(_))
    }
}
