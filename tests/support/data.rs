//! Bytes to upload, and the forms in which they travel.

use std::sync::OnceLock;

use otus::base::prng::Prng;
use ring::digest::{SHA256, digest};

/// Bytes of a body that fills every buffer on the way many times.
pub(crate) const LARGE_BYTES: usize = 64 << 20;

/// `len` bytes without a pattern, the same on each run.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut prng = Prng::new(u64::try_from(len).unwrap());
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&prng.next_u64().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// [`LARGE_BYTES`] bytes, made once.
pub(crate) fn large() -> &'static [u8] {
    static LARGE: OnceLock<Vec<u8>> = OnceLock::new();
    LARGE.get_or_init(|| bytes(LARGE_BYTES))
}

/// The SHA-256 of `bytes` in lower-case hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// `data` in the chunked coding (RFC 9112 §7.1), in chunks of these sizes in turn.
pub(crate) fn chunked(data: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 16 + 64);
    let mut rest = data;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        rest = after;
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// The field that announces [`multipart`].
pub(crate) const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=otus-test";

/// Files as the parts of a form (RFC 7578), between them a field that is no file.
pub(crate) fn multipart(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, data) in files {
        let head = format!(
            "--otus-test\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nno file\r\n\
             --otus-test\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"--otus-test--\r\n");
    out
}
