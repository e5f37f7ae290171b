//! Generated from `proto/`, committed, never edited by hand: `scripts/proto` writes it anew and
//! `tests/proto_fresh.rs` fails if it is stale.
//!
//! The gateway's own data path does not use these types (it encodes by hand in `gufo`); the
//! platform services, the demo and the tests do.

#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::as_conversions,
    reason = "generated code has its own style"
)]
#[rustfmt::skip]
pub mod reverse;

#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::as_conversions,
    reason = "generated code has its own style"
)]
#[rustfmt::skip]
pub mod reverse_a;

#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::as_conversions,
    reason = "generated code has its own style"
)]
#[rustfmt::skip]
pub mod reverse_ab;

#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::as_conversions,
    reason = "generated code has its own style"
)]
#[rustfmt::skip]
pub mod reverse_c;
