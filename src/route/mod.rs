//! From a request's host, path, method and fields to the route that it takes.
//!
//! Knows what matches and how paths are rewritten, not what a route does: that is in the snapshot,
//! under the same [`RouteId`](rule::RouteId). Start with [`table::Table`]; [`select`] adds the
//! policy about paths that can be read in two ways.

pub mod explain;
pub mod host;
pub mod pattern;
pub mod rewrite;
pub mod rule;
pub mod select;
pub mod table;

mod build;
mod names;
mod strings;
