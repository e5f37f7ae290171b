//! Host names of endpoints: resolved on threads of their own, refreshed before they expire.
//!
//! [`names`] is what is known and when it is asked for again, without a socket or clock; [`client`]
//! asks one question of the servers; [`message`] is the wire format; [`system`] reads
//! `/etc/resolv.conf` and `/etc/hosts`. [`resolver`] is the thread between them: when addresses
//! change, it asks control to publish a generation.

mod client;
mod message;
mod names;
mod resolver;
mod system;

#[cfg(test)]
mod tests;

pub(super) use resolver::Resolver;
