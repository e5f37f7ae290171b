//! The gateway as it is installed: the program in a process of its own, on both drivers, under
//! limits and denials that a test sets before it starts or while it runs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use otus::snapshot::server::IoDriver;

use super::client::Client;
use super::gateway::SIGN;
use super::journal::eventually;
use super::page::Page;

/// What a process is started by: none of what is inherited is changed.
pub(crate) const PLAIN: &[&str] = &[];
/// Starts a program to which one system call is denied: its number, the error, then the command.
/// Needs no privilege, as the program gets none.
pub(crate) const DENY: &str = r#"
import ctypes, os, struct, sys
number, error, *command = sys.argv[1:]
rule = lambda code, yes, no, value: struct.pack("HBBI", code, yes, no, value)
rules = (rule(0x20, 0, 0, 0) + rule(0x15, 0, 1, int(number))
         + rule(0x06, 0, 0, 0x50000 | int(error)) + rule(0x06, 0, 0, 0x7FFF0000))
text = ctypes.create_string_buffer(rules, len(rules))
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(text)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
if prctl(38, 1, 0, 0, 0) or prctl(22, 2, ctypes.addressof(filter), 0, 0):
    sys.exit("denied: " + os.strerror(ctypes.get_errno()))
os.execv(command[0], command)
"#;

/// A directory of its own, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("otus-process-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How the program is started.
pub(crate) struct Launch<'a> {
    /// `server.io`
    pub(crate) io: &'a str,
    /// Where it listens.
    pub(crate) listen: &'a str,
    pub(crate) workers: u32,
    /// `server.access_log`
    pub(crate) log: &'a str,
    /// What `[security]` says.
    pub(crate) security: &'a str,
    /// What starts it, such as `sh -c …`; the program and its arguments are appended.
    pub(crate) by: &'a [&'a str],
    /// More settings, in tables of their own.
    pub(crate) text: &'a str,
}

impl<'a> Launch<'a> {
    /// One shard on `io` with these settings, no access log.
    pub(crate) fn new(io: IoDriver, text: &'a str) -> Self {
        let io = if io == IoDriver::Epoll { "epoll" } else { "io_uring" };
        let (listen, security) = ("127.0.0.1:0", "mode = \"sign\"");
        Launch { io, listen, workers: 1, log: "off", security, by: PLAIN, text }
    }

    /// Starts it, and waits until it serves; else all that it said.
    pub(crate) fn start(&self) -> Result<Process, String> {
        let folder = Folder::new();
        let (host, port) = self.listen.rsplit_once(':').unwrap();
        let settings = format!(
            "[server]\nip = \"{host}\"\nport = {port}\nadmin = \"127.0.0.1:0\"\nworkers = {}\n\
             io = \"{}\"\naccess_log = \"{}\"\nsession = false\nmasterservice = false\n\
             sign = \"{SIGN}\"\n[security]\n{}\n\
             [gufo]\nstrict_legacy_status = false\n{}",
            self.workers, self.io, self.log, self.security, self.text
        );
        let path = folder.0.join("settings.toml");
        fs::write(&path, settings).unwrap();
        let program = env!("CARGO_BIN_EXE_otus");
        let words = self.by.iter().copied().chain([program, "start", "-c", "settings.toml"]);
        let words: Vec<&str> = words.collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .current_dir(&folder.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let errors = BufReader::new(child.stderr.take().unwrap());
        let own = Arc::clone(&said);
        // Nobody may be kept waiting by a pipe that is full.
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                *own.lock().unwrap() += &(line + "\n");
            }
        });
        let mut process = Process { child, said, folder, address: None, page: None };
        eventually("it serves or ends", || {
            let text = process.said();
            process.address = behind(&text, "  gateway  http://");
            process.page = behind(&text, "  admin    http://").map(|admin| Page { admin });
            let is_up = process.page.is_some();
            (is_up || process.child.try_wait().unwrap().is_some()).then_some(())
        });
        if process.page.is_some() {
            return Ok(process);
        }
        // Its last words may still be on their way.
        Err(eventually("it says why", || Some(process.said()).filter(|text| !text.is_empty())))
    }
}

/// The address that stands behind a mark.
fn behind(text: &str, mark: &str) -> Option<SocketAddr> {
    let rest = text.split_once(mark)?.1;
    let end = rest.find([' ', '/', '\n'])?;
    rest[..end].parse().ok()
}

/// The running program. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    said: Arc<Mutex<String>>,
    folder: Folder,
    address: Option<SocketAddr>,
    page: Option<Page>,
}

impl Process {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its directory.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// What it wrote to standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said something.
    #[track_caller]
    pub(crate) fn says(&self, what: &str) {
        eventually(what, || self.said().contains(what).then_some(()));
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends it a signal, such as `-HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        run("kill", &[signal, &self.pid().to_string()]);
    }

    /// Sets a limit of it from now on, such as `--nofile=20:20`.
    pub(crate) fn limit(&self, limit: &str) {
        run("prlimit", &["--pid", &self.pid().to_string(), limit]);
    }

    /// The numbers of the descriptors that it has open. A thread that waits in `accept(2)` holds one
    /// more, which the kernel does not show.
    pub(crate) fn descriptors(&self) -> Vec<usize> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
    }

    /// CPU time that it has used, in ticks of ten milliseconds.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Tells it to stop, and waits until it has.
    pub(crate) fn stopped(mut self) -> ExitStatus {
        self.signal("-TERM");
        eventually("it ends", || self.child.try_wait().unwrap())
    }
}

/// Its metrics are read from it as if they were its own.
impl Deref for Process {
    type Target = Page;

    fn deref(&self) -> &Page {
        self.page.as_ref().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that must do well.
#[track_caller]
pub(crate) fn run(command: &str, arguments: &[&str]) {
    let status = Command::new(command).args(arguments).status();
    assert!(status.unwrap().success(), "{command} {arguments:?}");
}

/// Whether a command does well here; what it says is thrown away.
pub(crate) fn runs(command: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(command);
    let status = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Set in a process that is a peer of the test.
const ROLE: &str = "OTUS_TEST_ROLE";

/// A peer in a process of its own: this test binary once more, in the test of this name, where
/// [`Peer::role`] is what it is to be. It says where it listens in the first line that it prints.
pub(crate) struct Peer {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Peer {
    /// What this process is to be, if it is a peer.
    pub(crate) fn role() -> Option<String> {
        std::env::var(ROLE).ok()
    }

    /// Says where this peer listens, and never comes back.
    pub(crate) fn listens(address: SocketAddr) -> ! {
        println!("\npeer at {address}");
        loop {
            std::thread::park();
        }
    }

    /// Starts one; `name` is what the harness calls the test, `module::path::function`.
    pub(crate) fn start(name: &str, role: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads", "1"])
            .env(ROLE, role)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut found = lines.by_ref().map_while(Result::ok).filter_map(|line| {
            line.strip_prefix("peer at ").map(|address| address.parse().unwrap())
        });
        let address = found.next().unwrap_or_else(|| panic!("no test is called {name}"));
        Peer { child, address }
    }

    /// Ends it as the kernel does, without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
