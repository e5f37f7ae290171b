//! Values of the settings file that are encrypted (SPEC 16.1): read, changed to another key, and
//! taken over from older installations.
//!
//! Pure: files come in as bytes, and what is to be written goes out as [`steps`]. [`key`] is a key,
//! [`sealed`] one value, `sheet` finds values in a file, [`change`] plans what becomes of them.

pub mod change;
pub mod key;
pub mod sealed;
pub mod steps;

mod sheet;

#[cfg(test)]
mod tests;
