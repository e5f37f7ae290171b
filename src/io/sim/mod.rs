//! A world made up from a seed: the same code that runs on the kernel runs here, and runs the same
//! way each time.
//!
//! One thread, no clock of the machine, no socket. [`World`] owns the tasks, picks the next ready
//! one by the seed and lets the clock jump when none is ready. [`Sim`] is a handle to it and
//! implements [`Io`](super::Io). [`Faults`] says how bad the network is. It knows nothing of HTTP,
//! nor of who is a client, a gateway or an endpoint: all of them are tasks.
//!
//! Start with [`World`]; `link.rs` is TCP as far as its users can see it.
//!
//! ```
//! use std::time::Duration;
//! use otus::io::sim::World;
//! use otus::io::{Io, Listener, SocketOptions};
//!
//! let mut world = World::new(7);
//! let sim = world.handle();
//! let meeting = async move {
//!     let address = "10.0.0.1:8090".parse().ok()?;
//!     let listener = sim.listen(address);
//!     let deadline = sim.now() + Duration::from_secs(5);
//!     let _client = sim.connect(address, SocketOptions::default(), deadline).await.ok()?;
//!     listener.accept().await.ok()
//! };
//! assert!(matches!(world.block_on(meeting, Duration::from_mins(1)), Ok(Some(_))));
//! ```

mod bell;
mod core;
mod faults;
mod handle;
mod link;
mod listener;
mod pipe;
mod socket;
mod tasks;
mod trace;
mod wait;
mod world;

#[cfg(test)]
mod tests;

pub use bell::{SimBell, SimEar};
pub use faults::{Chance, FaultKind, Faults};
pub use handle::Sim;
pub use listener::SimListener;
pub use pipe::{PipeBook, SimPipe};
pub use socket::SimSocket;
pub use trace::{Call, Rule, Violation};
pub use world::{Pause, Stuck, Why, World};
