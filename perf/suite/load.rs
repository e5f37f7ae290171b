//! Load and a back end for `scripts/perf quick` and `full`, so that both want rustc alone.
//!
//! ```text
//! load serve                                              a back end; prints its port
//! load l4 ADDRESS BACK                                    passes bytes on and looks at none
//! load get ADDRESS PATH CONNECTIONS RATE WARM SECONDS     requests, RATE a second, or each
//!                                                         after the answer to the last (0)
//! load put ADDRESS PATH CONNECTIONS MIB                   an upload on each connection
//! load idle ADDRESS PATH CONNECTIONS                      connections after one answer each
//! ```
//!
//! With a RATE the moments at which requests are due stand fixed before the first is sent, at equal
//! distances. Whichever connection is free takes the next one, and latency counts from the moment
//! it was due, not from when it was sent: a gateway that stalls delays all that were due meanwhile,
//! and each of them is counted (no coordinated omission). What is due after SECONDS is not asked;
//! what was not asked a second after that is `unasked`.
//!
//! `begin` and `end` are printed when what counts begins and ends, so that CPU can be read there;
//! then `name value` lines, and for latencies `ns NANOSECONDS COUNT`: the upper end of a bucket, at
//! most a thousandth above what was measured.

mod wire;

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

use wire::{BODY, Wire};

const GRACE: Duration = Duration::from_secs(1);
const STACK: usize = 512 * 1024;
const PIECE: usize = 256 * 1024;

unsafe extern "C" {
    fn prctl(option: i32, value: u64, b: u64, c: u64, d: u64) -> i32;
    fn listen(fd: i32, backlog: i32) -> i32;
    fn epoll_create1(flags: i32) -> i32;
    fn epoll_ctl(epoll: i32, operation: i32, fd: i32, event: *mut Event) -> i32;
    fn epoll_wait(epoll: i32, events: *mut Event, room: i32, millis: i32) -> i32;
}

/// An event of epoll.
#[derive(Clone, Copy)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
struct Event {
    events: u32,
    token: u64,
}

/// Sleeps end when they are over, not up to 50 us later.
fn punctual() {
    // SAFETY: PR_SET_TIMERSLACK takes a number and changes this thread alone.
    unsafe { prctl(29, 1, 0, 0, 0) };
}

fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().stack_size(STACK).spawn(run).unwrap()
}

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

/// Counts of nanoseconds, in buckets that are a thousandth of their value wide.
#[derive(Default)]
struct Latencies(BTreeMap<u64, u64>);

impl Latencies {
    fn note(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap();
        let shift = (64 - nanos.leading_zeros()).saturating_sub(11);
        *self.0.entry(((nanos >> shift) + 1 << shift) - 1).or_default() += 1;
    }
}

/// What one connection has seen.
#[derive(Default)]
struct Seen {
    answers: u64,
    errors: u64,
    bytes: u64,
    latencies: Latencies,
}

fn report(all: Vec<Seen>, secs: f64, unasked: u64) {
    let sum = |of: fn(&Seen) -> u64| all.iter().map(of).sum::<u64>();
    say(&format!("answers {}", sum(|seen| seen.answers)));
    say(&format!("errors {}", sum(|seen| seen.errors)));
    say(&format!("bytes {}", sum(|seen| seen.bytes)));
    say(&format!("unasked {unasked}\nsecs {secs}"));
    let mut together = BTreeMap::<u64, u64>::new();
    for (nanos, count) in all.iter().flat_map(|seen| &seen.latencies.0) {
        *together.entry(*nanos).or_default() += count;
    }
    let lines: Vec<_> =
        together.iter().map(|(nanos, count)| format!("ns {nanos} {count}")).collect();
    say(&lines.join("\n"));
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: bench.test\r\n\r\n").into_bytes()
}

/// Listens with room for as many connections as come at once.
fn open(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address).unwrap();
    // SAFETY: the descriptor is open; a second call changes nothing but the room.
    assert_eq!(unsafe { listen(listener.as_raw_fd(), 4096) }, 0);
    listener
}

/// One thread answers all GETs, however many connections there are; an upload gets its own.
fn serve() {
    let listener = open(SocketAddr::from(([127, 0, 0, 1], 0)));
    listener.set_nonblocking(true).unwrap();
    say(&format!("port {}", listener.local_addr().unwrap().port()));
    // SAFETY: the call takes a number and gives a descriptor or an error.
    let epoll = unsafe { epoll_create1(0) };
    watch(epoll, &listener, usize::MAX);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n";
    let answer = [head.as_bytes(), &BODY].concat();
    let (mut wires, mut events) = (Vec::new(), [Event { events: 0, token: 0 }; 256]);
    loop {
        // SAFETY: the pointer is to as many events as is said.
        let count = unsafe { epoll_wait(epoll, events.as_mut_ptr(), 256, -1) };
        for event in &events[..count.max(0) as usize] {
            let place = event.token as usize;
            if place == usize::MAX {
                while let Ok((stream, _)) = listener.accept() {
                    watch(epoll, &stream, wires.len());
                    wires.push(Wire::new(stream, 4096).ok());
                }
                continue;
            }
            let Some(mut wire) = wires[place].take() else { continue };
            match wire.head() {
                Ok(head) if head.starts_with("get ") => {
                    wires[place] = wire.stream.write_all(&answer).is_ok().then_some(wire);
                }
                Ok(head) => {
                    // SAFETY: both descriptors are open; no event is read for a removal.
                    unsafe { epoll_ctl(epoll, 2, wire.stream.as_raw_fd(), std::ptr::null_mut()) };
                    spawn(move || swallow(wire, head));
                }
                Err(_) => {}
            }
        }
    }
}

/// Takes uploads, the first of which has this head, and says how much came.
fn swallow(mut wire: Wire, mut head: String) -> Result<(), Error> {
    wire.piece.resize(PIECE, 0);
    loop {
        let text = wire.body(&head)?.to_string();
        let told = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        wire.stream.write_all(told.as_bytes())?;
        head = wire.head()?;
    }
}

/// Tells of what can be read from a stream. (`EPOLL_CTL_ADD`, `EPOLLIN`)
fn watch(epoll: i32, fd: &impl AsRawFd, token: usize) {
    let mut event = Event { events: 1, token: token as u64 };
    // SAFETY: both descriptors are open, and `event` lives through the call.
    assert_eq!(unsafe { epoll_ctl(epoll, 1, fd.as_raw_fd(), &raw mut event) }, 0);
}

/// The floor: one thread that moves bytes between two sockets with a wait, a read and a write, and
/// knows nothing of HTTP. A receiver that is full keeps all others waiting.
fn forward(address: SocketAddr, back: SocketAddr) {
    let listener = open(address);
    // SAFETY: the call takes a number and gives a descriptor or an error.
    let epoll = unsafe { epoll_create1(0) };
    watch(epoll, &listener, usize::MAX);
    let mut ends: Vec<Option<TcpStream>> = Vec::new();
    let (mut events, mut piece) = ([Event { events: 0, token: 0 }; 256], vec![0; PIECE]);
    loop {
        // SAFETY: the pointer is to as many events as is said.
        let count = unsafe { epoll_wait(epoll, events.as_mut_ptr(), 256, -1) };
        for event in &events[..count.max(0) as usize] {
            let place = event.token as usize;
            if place == usize::MAX {
                let (one, other) =
                    (listener.accept().unwrap().0, TcpStream::connect(back).unwrap());
                for stream in [one, other] {
                    stream.set_nodelay(true).unwrap();
                    watch(epoll, &stream, ends.len());
                    ends.push(Some(stream));
                }
                continue;
            }
            let (Some(from), Some(to)) = (&ends[place], &ends[place ^ 1]) else { continue };
            let (mut from, mut to) = (from, to);
            let len = from.read(&mut piece).unwrap_or(0);
            if len == 0 || to.write_all(&piece[..len]).is_err() {
                (ends[place], ends[place ^ 1]) = (None, None);
            }
        }
    }
}

/// When each request is due, and how many were taken.
struct Schedule {
    begin: Instant,
    /// What is due from here on counts ...
    from: Instant,
    /// ... and nothing is due after this.
    end: Instant,
    rate: f64,
    next: AtomicU64,
}

impl Schedule {
    /// The next moment; `None` after the last.
    fn take(&self) -> Option<Instant> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = self.begin + Duration::from_secs_f64(number as f64 / self.rate);
        (due < self.end).then_some(due)
    }
}

/// Each connection asks as soon as it is answered: one thread, however many they are.
fn closed(address: SocketAddr, path: &str, connections: usize, warm: f64, secs: f64) {
    let (request, mut seen) = (request(path), Seen::default());
    // SAFETY: the call takes a number and gives a descriptor or an error.
    let epoll = unsafe { epoll_create1(0) };
    let ready = |place: usize| {
        let mut wire = Wire::connect(address)?;
        if !wire.ask(&request)? {
            return Err(Error::from(ErrorKind::Other));
        }
        watch(epoll, &wire.stream, place);
        wire.stream.write_all(&request)?;
        Ok((wire, Instant::now()))
    };
    let mut wires: Vec<_> = (0..connections).map(|place| ready(place).unwrap()).collect();
    let from = Instant::now() + Duration::from_secs_f64(warm);
    let (end, mut began) = (from + Duration::from_secs_f64(secs), None);
    let mut events = [Event { events: 0, token: 0 }; 256];
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        if began.is_none() && now >= from {
            began = Some(now);
            say("begin");
        }
        // SAFETY: the pointer is to as many events as is said.
        let count = unsafe { epoll_wait(epoll, events.as_mut_ptr(), 256, 10) };
        for event in &events[..count.max(0) as usize] {
            let place = event.token as usize;
            let (wire, asked) = &mut wires[place];
            // What has begun to come is here whole in a moment.
            let well = wire.answer().unwrap_or(false);
            if began.is_some() {
                seen.answers += u64::from(well);
                seen.errors += u64::from(!well);
                seen.latencies.note(asked.elapsed());
            }
            *asked = Instant::now();
            if !well || wire.stream.write_all(&request).is_err() {
                wires[place] = ready(place).unwrap();
            }
        }
    }
    say("end");
    report(vec![seen], began.unwrap_or(end).elapsed().as_secs_f64(), 0);
}

fn open_loop(address: SocketAddr, path: &str, connections: usize, rate: f64, warm: f64, secs: f64) {
    let ready = Arc::new(Barrier::new(connections + 1));
    let schedule = Arc::new(OnceLock::new());
    let all: Vec<_> = (0..connections)
        .map(|_| {
            let (ready, schedule) = (Arc::clone(&ready), Arc::clone(&schedule));
            let request = request(path);
            spawn(move || {
                punctual();
                let (mut wire, mut seen) = (Wire::connect(address), Seen::default());
                let _ = wire.as_mut().map(|wire| wire.ask(&request));
                ready.wait();
                ready.wait();
                let schedule: &Schedule = schedule.get().unwrap();
                loop {
                    let Some(due) = schedule.take() else { return seen };
                    let now = Instant::now();
                    if now >= schedule.end + GRACE {
                        // What was taken is not asked.
                        schedule.next.fetch_sub(1, Ordering::Relaxed);
                        return seen;
                    }
                    sleep(due.saturating_duration_since(now));
                    let well = wire.as_mut().is_ok_and(|wire| wire.ask(&request).unwrap_or(false));
                    if due >= schedule.from {
                        seen.answers += u64::from(well);
                        seen.errors += u64::from(!well);
                        seen.latencies.note(due.elapsed());
                    }
                    if !well {
                        wire = Wire::connect(address);
                    }
                }
            })
        })
        .collect();
    ready.wait();
    let begin = Instant::now();
    let from = begin + Duration::from_secs_f64(warm);
    let end = from + Duration::from_secs_f64(secs);
    let _ = schedule.set(Schedule { begin, from, end, rate, next: AtomicU64::new(0) });
    ready.wait();
    sleep(from.saturating_duration_since(Instant::now()));
    let began = Instant::now();
    say("begin");
    sleep(end.saturating_duration_since(Instant::now()));
    say("end");
    let planned = (rate * (warm + secs)) as u64;
    let secs = began.elapsed().as_secs_f64();
    let all: Vec<_> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
    report(all, secs, planned.saturating_sub(schedule.get().unwrap().next.load(Ordering::Relaxed)));
}

/// One upload of so many bytes; whether the back end says that it had them all.
fn upload(wire: &mut Wire, path: &str, bytes: u64, piece: &[u8]) -> Result<bool, Error> {
    let head =
        format!("PUT {path} HTTP/1.1\r\nHost: bench.test\r\nContent-Length: {bytes}\r\n\r\n");
    wire.stream.write_all(head.as_bytes())?;
    let mut left = bytes;
    while left > 0 {
        let len = left.min(piece.len() as u64);
        wire.stream.write_all(&piece[..len as usize])?;
        left -= len;
    }
    let head = wire.head()?;
    let expected = bytes.to_string();
    while wire.held.len() < expected.len() {
        let len = wire.more()?;
        wire.held.extend_from_slice(&wire.piece[..len]);
    }
    let told: Vec<u8> = wire.held.drain(..expected.len()).collect();
    Ok(head.get(9..12) == Some("200") && told == expected.as_bytes())
}

fn put(address: SocketAddr, path: &str, connections: usize, mib: u64) {
    let ready = Arc::new(Barrier::new(connections + 1));
    let all: Vec<_> = (0..connections)
        .map(|_| {
            let (ready, path) = (Arc::clone(&ready), path.to_owned());
            spawn(move || {
                let piece = vec![b'o'; PIECE];
                let mut wire = Wire::connect(address).unwrap();
                // Connections, pools and buffers are there before it counts.
                let warm = upload(&mut wire, &path, 8 << 20, &piece).unwrap_or(false);
                ready.wait();
                ready.wait();
                let bytes = mib << 20;
                let well = warm && upload(&mut wire, &path, bytes, &piece).unwrap_or(false);
                let (answers, errors) = (u64::from(well), u64::from(!well));
                Seen { answers, errors, bytes: bytes * answers, ..Seen::default() }
            })
        })
        .collect();
    ready.wait();
    say("begin");
    let began = Instant::now();
    ready.wait();
    let all: Vec<_> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
    let secs = began.elapsed().as_secs_f64();
    say("end");
    report(all, secs, 0);
}

fn idle(address: SocketAddr, path: &str, connections: usize) {
    let mut seen = Seen::default();
    let mut wires = Vec::new();
    say("begin");
    for _ in 0..connections {
        let wire =
            Wire::connect(address).and_then(|mut wire| Ok((wire.ask(&request(path))?, wire)));
        match wire {
            Ok((true, wire)) => {
                seen.answers += 1;
                wires.push(wire);
            }
            _ => seen.errors += 1,
        }
    }
    say("end");
    // They stand until whoever looks at the gateway's memory has done so.
    let _ = std::io::stdin().read(&mut [0]);
    report(vec![seen], 0.0, 0);
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words[at].parse::<f64>().unwrap();
    let address = |at: usize| words[at].parse::<SocketAddr>().unwrap();
    match words[0].as_str() {
        "serve" => serve(),
        "l4" => forward(address(1), address(2)),
        "get" => {
            let connections = number(3) as usize;
            let (rate, warm, secs) = (number(4), number(5), number(6));
            if rate > 0.0 {
                open_loop(address(1), &words[2], connections, rate, warm, secs);
            } else {
                closed(address(1), &words[2], connections, warm, secs);
            }
        }
        "put" => put(address(1), &words[2], number(3) as usize, number(4) as u64),
        "idle" => idle(address(1), &words[2], number(3) as usize),
        other => panic!("{other}: serve, l4, get, put or idle"),
    }
}
