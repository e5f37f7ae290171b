//! Who the client is, told to endpoints in fields that only the gateway may write.
//!
//! [`fields`] says which fields of a request are taken away, always; [`mint`] writes them anew from
//! the claims of a verified token. What is minted is a part of what is taken away: a test holds it.

pub mod bypass;
pub mod fields;
pub mod mint;
pub mod permissions;
