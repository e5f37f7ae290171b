//! How much the gateway takes from clients.

use crate::base::limits;

/// How much the gateway takes from clients. All are inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a request head, first line to blank line.
    pub head_bytes: usize,
    /// Fields of a request head.
    pub head_fields: usize,
    /// Bytes of a request target.
    pub target_bytes: usize,
    /// Bytes of a JSON body that becomes a unary call.
    pub json_body_bytes: u64,
    /// Bytes of an upload's body; `None`: any number.
    pub upload_bytes: Option<u64>,
    /// Bytes of memory that one upload holds.
    pub upload_memory_bytes: u64,
    /// Files of one multipart upload.
    pub upload_files: u32,
    /// Bytes of one message that comes over a WebSocket to a module.
    pub socket_message_bytes: usize,
    /// Connections of one shard.
    pub connections: u32,
    /// Bytes of one buffer that bodies of requests are read into. A power of two.
    pub read_buffer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            head_bytes: limits::HEAD_BYTES_MAX,
            head_fields: limits::HEAD_FIELDS_MAX,
            target_bytes: limits::TARGET_BYTES_MAX,
            json_body_bytes: limits::JSON_BODY_BYTES_MAX,
            upload_bytes: None,
            upload_memory_bytes: limits::UPLOAD_MEMORY_BYTES,
            upload_files: limits::UPLOAD_FILES_MAX,
            socket_message_bytes: limits::SOCKET_MESSAGE_BYTES_MAX,
            connections: limits::CONNECTIONS_MAX,
            read_buffer_bytes: limits::BODY_BUFFER_BYTES,
        }
    }
}
