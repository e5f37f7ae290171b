//! The gateway's own gRPC server: what services ask of it (SPEC 4.8).
//!
//! Its listener serves nothing else, and no other serves this. Start with [`serve`]; `call` answers
//! `Do`, `stream` relays `Stream`, `proof` is how a service shows that it is one of us.

mod call;
mod proof;
pub(super) mod serve;
mod stream;
