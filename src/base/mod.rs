//! Words for all modules: time, sizes, limits, chance, and what to do when our own facts turn out
//! wrong.
//!
//! Knows nothing of the network or of HTTP. Start with [`time`] and [`limits`].

pub mod base64url;
pub mod bug;
pub mod decimal;
pub mod hex;
pub mod limits;
pub mod prng;
pub mod size;
pub mod spares;
pub mod text;
pub mod time;
