//! Who the client is, as back ends are told it, and who is turned away for what it is.

mod bots;
mod forged;
