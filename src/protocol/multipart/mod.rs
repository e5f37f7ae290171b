//! Multipart bodies (RFC 2046 §5.1, RFC 7578), sans-IO: bytes in, ranges of those same bytes out.
//!
//! Knows nothing of uploads or files on disk. Start with [`boundary`](boundary::boundary), which
//! reads the content type, then [`parser::Multipart`]; [`part`] holds what a part's head says.

pub mod boundary;
pub mod parser;
pub mod part;
