//! The file of `[hosts]`: hosts, redirects and subdomains, written in YAML or TOML.
//!
//! Each entry becomes the values of a `[[route]]` and of an `[upstreams.<name>]`, with the place
//! of the entry, so that all that holds for those holds for it. Start with [`entries::read`].

pub(super) mod entries;

mod toml;
pub(super) mod tree;
pub(super) mod yaml;

#[cfg(test)]
mod tests;
