//! HTTP/1.1 on the wire (RFC 9112), sans-IO and strict: bytes in, heads and body events out.
//!
//! Knows no socket, no clock and no route. Whatever two readers could read differently is refused:
//! a gateway that repairs such a message hands it to a back end that may read it the other way.
//! Start with [`request`]; [`body`] follows the head, [`encode`] is the way back.

pub mod body;
pub mod encode;
pub mod fields;
pub mod request;
pub mod response;
mod scan;
