//! Asks by the clock: `openloop ADDRESS PATH CONNECTIONS RATE SECONDS`, by HTTP/1.1.
//!
//! Each connection is a thread with arrivals of its own, at exponential distances, RATE a second
//! for all together; RATE 0: the next request follows each answer. A request that is due while
//! another one waits for its answer follows that at once; what is overdue by more than a tenth of a
//! second is not asked. Prints a line for each answer: when it was asked for, the status (0: the
//! connection broke), and how long it took, both in microseconds. perf/overload.py compiles it,
//! with rustc alone.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

const BACKLOG: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(20);

/// Chance (xorshift64*).
struct Chance(u64);

impl Chance {
    /// Seconds until the next arrival at `rate` a second.
    fn wait(&mut self, rate: f64) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        -(1.0 - bits as f64 / (1u64 << 53) as f64).ln() / rate
    }
}

/// One request and its answer. The status.
fn ask(stream: &mut TcpStream, request: &[u8], held: &mut Vec<u8>) -> Result<u16, Error> {
    stream.write_all(request)?;
    held.clear();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end]).to_ascii_lowercase();
            let length = head.split("\r\ncontent-length: ").nth(1);
            let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
            let body: usize = length.unwrap_or(0);
            while held.len() < end + 4 + body {
                let len = stream.read(&mut chunk)?;
                if len == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                held.extend_from_slice(&chunk[..len]);
            }
            let status = head.get(9..12).and_then(|text| text.parse().ok());
            return status.ok_or(ErrorKind::Other.into());
        }
        let len = stream.read(&mut chunk)?;
        if len == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        held.extend_from_slice(&chunk[..len]);
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let address: SocketAddr = words[0].parse().unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: overload.test\r\n\r\n", words[1]);
    let connections: usize = words[2].parse().unwrap();
    let rate: f64 = words[3].parse().unwrap();
    let span = Duration::from_secs_f64(words[4].parse().unwrap());
    let barrier = Arc::new(Barrier::new(connections));
    let spawn = |number: usize| {
        let (barrier, request) = (Arc::clone(&barrier), request.clone());
        let run = move || {
            let mut stream = connect(address);
            let mut chance = Chance(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(number as u64 + 1));
            let (mut rows, mut held) = (Vec::new(), Vec::new());
            let own = rate / connections as f64;
            barrier.wait();
            let begin = Instant::now();
            let mut due = begin;
            loop {
                if rate > 0.0 {
                    due += Duration::from_secs_f64(chance.wait(own));
                    due = due.max(Instant::now().checked_sub(BACKLOG).unwrap_or(due));
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                let asked = Instant::now();
                if asked - begin >= span {
                    return rows;
                }
                let status = match &mut stream {
                    Ok(stream) => ask(stream, request.as_bytes(), &mut held).unwrap_or(0),
                    Err(_) => 0,
                };
                rows.push(((asked - begin).as_micros(), status, asked.elapsed().as_micros()));
                if status == 0 {
                    stream = connect(address);
                }
            }
        };
        std::thread::Builder::new().stack_size(64 * 1024).spawn(run).unwrap()
    };
    let threads: Vec<_> = (0..connections).map(spawn).collect();
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for thread in threads {
        for (asked, status, took) in thread.join().unwrap() {
            writeln!(out, "{asked} {status} {took}").unwrap();
        }
    }
}
