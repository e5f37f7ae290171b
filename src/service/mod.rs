//! Platform services and the demo back ends: ordinary gRPC servers on threads of their own.
//!
//! They know nothing of the gateway: they could as well run on another machine, and they are the
//! only code in this program that uses tonic. Start with [`demo`], or with [`master`].

pub mod demo;
pub mod master;
mod reply;
mod reverse;
mod sequence;
mod serving;
mod store;
