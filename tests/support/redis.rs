//! A real server of Redis on loopback, if one is installed, and a proxy before it that can be slow.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::journal::eventually;
use super::tls::Files;

/// A server that keeps nothing on disk. Dropping it ends it.
pub(crate) struct Redis {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Redis {
    /// Starts one at a port that was free a moment ago; `None`, and said: there is none installed.
    pub(crate) fn start() -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let redis = Redis::at(free);
        if redis.is_none() {
            println!("skipped: redis-server is not installed");
        }
        redis
    }

    /// Starts one that speaks TLS at another port, which it gives, and asks for certificates of this
    /// authority.
    pub(crate) fn sealed(files: &Files, authority: &Path) -> Option<(Self, SocketAddr)> {
        let [plain, sealed] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [plain, sealed] = [plain, sealed].map(|free| free.local_addr().unwrap());
        let port = sealed.port().to_string();
        let files = [&files.cert, &files.key, authority].map(|path| path.to_str().unwrap());
        let [cert, key, ca] = files;
        let tls = [
            ["--tls-port", &port],
            ["--tls-cert-file", cert],
            ["--tls-key-file", key],
            ["--tls-ca-cert-file", ca],
            ["--tls-auth-clients", "yes"],
        ];
        Some((Redis::with(plain, &tls.concat())?, sealed))
    }

    /// Starts one at an address.
    pub(crate) fn at(address: SocketAddr) -> Option<Self> {
        Redis::with(address, &[])
    }

    fn with(address: SocketAddr, more: &[&str]) -> Option<Self> {
        let port = address.port().to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--daemonize", "no", "--dir", "/tmp"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let redis = Redis { address, child };
        eventually("redis answers", || {
            let mut stream = TcpStream::connect(address).ok()?;
            stream.write_all(b"PING\r\n").ok()?;
            let mut answer = [0; 7];
            stream.read_exact(&mut answer).ok()?;
            (&answer == b"+PONG\r\n").then_some(())
        });
        Some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A way to a server on which every answer takes a while.
pub(crate) struct Slow {
    pub(crate) address: SocketAddr,
    delay: Arc<AtomicU64>,
}

impl Slow {
    /// A way to `to`, not slow yet.
    pub(crate) fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let slow = Slow { address: listener.local_addr().unwrap(), delay: Arc::default() };
        let delay = Arc::clone(&slow.delay);
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let Ok(server) = TcpStream::connect(to) else { continue };
                let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || carry(up, server, &AtomicU64::new(0)));
                let delay = Arc::clone(&delay);
                std::thread::spawn(move || carry(down, client, &delay));
            }
        });
        slow
    }

    /// Each answer takes so long from now on.
    pub(crate) fn delay(&self, time: Duration) {
        self.delay.store(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, delay: &AtomicU64) {
    let mut chunk = [0; 4096];
    loop {
        let len = from.read(&mut chunk).unwrap_or(0);
        std::thread::sleep(Duration::from_millis(delay.load(Ordering::SeqCst)));
        if len == 0 || to.write_all(&chunk[..len]).is_err() {
            let _ = to.shutdown(std::net::Shutdown::Both);
            return;
        }
    }
}
