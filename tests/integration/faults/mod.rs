//! What goes wrong on real machines, done to the installed program: links that lose packets, peers
//! that vanish or are killed, kernels that refuse, resources that are used up.
//!
//! What needs rights that this machine does not give is left out, and said.

mod clock;
mod descriptors;
mod drivers;
mod links;
mod logs;
mod peers;
