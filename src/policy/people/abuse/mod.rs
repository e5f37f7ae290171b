//! Clients that are programs, and keys that stand in pages: who is turned away for what it looks
//! like, or for how often it comes.

pub mod bots;
pub mod sliding_log;
pub mod widget;
