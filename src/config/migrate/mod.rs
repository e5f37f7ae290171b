//! Configurations of other gateways, written anew as settings of this one.
//!
//! Pure: text in, text and a [`Report`](report::Report) of every key out. Start with
//! [`threex::migrate`].

pub mod report;
pub mod threex;

mod sheet;
mod toml;
