//! One end of a connection that speaks HTTP/1.1, for load.rs.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// What the back end answers with.
pub const BODY: [u8; 1024] = [b'o'; 1024];

/// One end of a connection with what was read beyond what was asked for.
pub struct Wire {
    pub stream: TcpStream,
    pub held: Vec<u8>,
    pub piece: Vec<u8>,
}

impl Wire {
    pub fn new(stream: TcpStream, piece: usize) -> Result<Self, Error> {
        stream.set_nodelay(true)?;
        Ok(Wire { stream, held: Vec::new(), piece: vec![0; piece] })
    }

    pub fn connect(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Wire::new(stream, 4096)
    }

    pub fn more(&mut self) -> Result<usize, Error> {
        match self.stream.read(&mut self.piece)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            len => Ok(len),
        }
    }

    /// The next head in small letters, taken off.
    pub fn head(&mut self) -> Result<String, Error> {
        loop {
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.held[..end + 2]).to_ascii_lowercase();
                self.held.drain(..end + 4);
                return Ok(head);
            }
            let len = self.more()?;
            self.held.extend_from_slice(&self.piece[..len]);
        }
    }

    /// Drops so many bytes.
    pub fn skip(&mut self, mut len: u64) -> Result<(), Error> {
        let have = len.min(self.held.len() as u64);
        self.held.drain(..have as usize);
        len -= have;
        while len > 0 {
            let got = self.more()?;
            let ours = len.min(got as u64);
            self.held.extend_from_slice(&self.piece[ours as usize..got]);
            len -= ours;
        }
        Ok(())
    }

    /// Drops a body with chunk lengths.
    pub fn skip_chunks(&mut self) -> Result<u64, Error> {
        let mut sum = 0;
        loop {
            while !self.held.windows(2).any(|two| two == b"\r\n") {
                let len = self.more()?;
                self.held.extend_from_slice(&self.piece[..len]);
            }
            let end = self.held.windows(2).position(|two| two == b"\r\n").unwrap();
            let line = String::from_utf8_lossy(&self.held[..end]).into_owned();
            let len = u64::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16);
            let len = len.map_err(|_| ErrorKind::InvalidData)?;
            self.skip(end as u64 + 2 + len + 2)?;
            sum += len;
            if len == 0 {
                return Ok(sum);
            }
        }
    }

    /// Drops the body that the head announces. Its length.
    pub fn body(&mut self, head: &str) -> Result<u64, Error> {
        if head.contains("\r\ntransfer-encoding: chunked\r\n") {
            return self.skip_chunks();
        }
        let text = head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next());
        let len = text.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        self.skip(len)?;
        Ok(len)
    }

    /// One answer; whether it is a 200 with what the back end answers with.
    pub fn answer(&mut self) -> Result<bool, Error> {
        let head = self.head()?;
        let len = self.body(&head)?;
        Ok(head.get(9..12) == Some("200") && len == BODY.len() as u64)
    }

    pub fn ask(&mut self, request: &[u8]) -> Result<bool, Error> {
        self.stream.write_all(request)?;
        self.answer()
    }
}
