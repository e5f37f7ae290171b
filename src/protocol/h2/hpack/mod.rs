//! Header compression (RFC 7541).
//!
//! [`decode`] turns header blocks into [`fields`], with the peer's [`table`]; [`encode`] writes
//! blocks that need no table, so that they can be computed once and sent on any connection;
//! [`huffman`] is the text code of both.

pub mod decode;
pub mod encode;
pub mod fields;
pub mod huffman;
pub mod table;
