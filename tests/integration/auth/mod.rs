//! Who may call: tokens, keys, and where both come from.

mod keys;
mod others;
mod paths;
mod tokens;
