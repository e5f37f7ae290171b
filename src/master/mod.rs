//! The master: who serves what, who is alive, and who alone may run the scheduled jobs.
//!
//! A pure state machine (SPEC 8.1, 8.4). [`Table::decide`](table::Table::decide) says what is
//! answered to a call and which [`change`](change::Change)s that takes; whoever holds the table
//! stores them and only then [applies](table::Table::apply) them. So nothing is told that is not
//! kept. Clock and chance are arguments; `service::master` brings both, and the sockets.

pub mod action;
pub mod call;
pub mod change;
pub mod fault;
pub mod mandate;
pub mod row;
pub mod rules;
pub mod settings;
pub mod table;

mod heartbeat;
mod lookup;
mod registration;

#[cfg(test)]
mod tests;
