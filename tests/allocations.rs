//! What exchanges cost the shard's thread in memory, as ARCHITECTURE.md says under "Memory".
//!
//! Every allocation of the shard's thread is counted, and no other's. Four things are shown:
//!
//! 1. Exchanges of one kind allocate the same small number of times each, whatever went before.
//! 2. An upload in steady state allocates next to nothing: far less than its payload, so that payload is
//!    received into memory that is there already and never into memory of its own.
//! 3. What sixteen uploads hold that a service has stalled is bounded for each of them.
//! 4. All of it is given back.
//!
//! A copy into memory that is kept would not be seen by counting alone; that there is no such memory
//! follows from the third: beside the one buffer that the payload lies in, an upload holds less than
//! half the size of another.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic: that is how it reports"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use otus::base::limits::{BODY_BUFFER_BYTES, UPLOAD_MEMORY_BYTES};
use otus::snapshot::server::IoDriver;
use socket2::SockRef;

#[path = "support/mod.rs"]
mod support;

use support::backend::{self, Backend, Seen};
use support::client::{Client, head};
use support::data;
use support::gateway::{Gateway, on_both_drivers};
use support::h2;
use support::journal::eventually;
use support::proxy;
use support::service::Service;
use support::tls::Authority;

/// Calls of the allocator by the shard's thread.
static CALLS: AtomicU64 = AtomicU64::new(0);
/// Bytes it has asked for.
static BYTES: AtomicU64 = AtomicU64::new(0);
/// Bytes it has asked for and not given back.
static HELD: AtomicI64 = AtomicI64::new(0);

/// The name of the thread that is counted.
const SHARD: &[u8] = b"otus-shard-0\0";
/// Allocations of a thread after which its name is taken for final.
const LOOKS_MAX: u8 = 100;

thread_local! {
    /// How often the thread's name was looked at; above [`LOOKS_MAX`] it is known.
    static LOOKS: Cell<u8> = const { Cell::new(0) };
}

const OTHER: u8 = LOOKS_MAX + 1;
const COUNTED: u8 = LOOKS_MAX + 2;

/// Whether this is the shard's thread. Allocates nothing.
fn is_counted() -> bool {
    let looks = LOOKS.try_with(Cell::get).unwrap_or(OTHER);
    match looks {
        OTHER => return false,
        COUNTED => return true,
        _ => {}
    }
    let mut name = [0_u8; 16];
    #[expect(unsafe_code, reason = "the name of the thread without an allocation")]
    // SAFETY: PR_GET_NAME writes at most 16 bytes, the size of `name`.
    let known = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) } == 0;
    let found = known && name.starts_with(SHARD);
    let next = if found { COUNTED } else { looks + 1 };
    let _ = LOOKS.try_with(|looks| looks.set(next));
    found
}

struct Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: every call goes to the system's allocator as it came; counting touches nothing of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if is_counted() {
            HELD.fetch_sub(i64::try_from(layout.size()).unwrap_or(0), Ordering::Relaxed);
        }
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: as our caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as our caller promises.
        unsafe { System.realloc(memory, layout, size) }
    }
}

fn count(new: usize, old: usize) {
    if is_counted() {
        CALLS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(u64::try_from(new).unwrap_or(0), Ordering::Relaxed);
        let change = i64::try_from(new).unwrap_or(0) - i64::try_from(old).unwrap_or(0);
        HELD.fetch_add(change, Ordering::Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts are of the one shard that runs: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn counted() -> (u64, u64, i64) {
    (CALLS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed), HELD.load(Ordering::Relaxed))
}

fn start(io: IoDriver) -> (Gateway, Service) {
    let service = Service::start();
    let gateway = Gateway::start(io, |snapshot| {
        snapshot.add_module("storage", service.address);
    });
    (gateway, service)
}

const MIB: usize = 1 << 20;
/// Of each upload that is measured.
const UPLOAD_MIB: usize = 64;
/// Calls of the allocator for each MiB of payload. Measured: 1.5 at most, most of them for the call
/// as such, whatever its length.
const CALLS_PER_MIB_MAX: u64 = 3;
/// Bytes asked for with each MiB of payload: a sixty-fourth of it. Measured: 2.5 KiB at most; the
/// rest is room for a buffer that the pool happens not to have.
const BYTES_PER_MIB_MAX: u64 = 16 * 1024;

/// Calls of the allocator for each exchange, at most; what was measured stands in ARCHITECTURE.md.
mod most {
    pub(super) const UNARY_CALL: u64 = 6;
    pub(super) const UNARY_CALL_HTTP2: u64 = 13;
    pub(super) const GET: u64 = 0;
    pub(super) const POST: u64 = 1;
    pub(super) const POST_CHUNKED: u64 = 2;
    pub(super) const GET_HTTP2: u64 = 7;
    pub(super) const POST_HTTP2: u64 = 13;
}

/// Uploads that are stalled at the same time.
const UPLOADS: i64 = 16;

/// Allocations of the shard for one upload.
fn measure(client: &mut Client, fields: &[&str], body: &[u8]) -> (u64, u64) {
    let (calls, bytes, _) = counted();
    client.head("PUT", "/api/v3/storage/upload", fields);
    let reply = client.send_aside(body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let (calls_after, bytes_after, _) = counted();
    (calls_after - calls, bytes_after - bytes)
}

#[test]
fn payload_is_not_allocated() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let data = &data::large()[..UPLOAD_MIB * MIB];
        let chunked = data::chunked(data, &[100_000, 65_536]);
        let multipart = data::multipart(&[("a", &data[..data.len() / 2]), ("b", &data[..9])]);
        let lengths = [data.len(), 0, multipart.len()].map(|len| format!("Content-Length: {len}"));
        let forms: [(&str, Vec<&str>, &[u8], usize); 3] = [
            ("raw", vec![&lengths[0]], data, UPLOAD_MIB),
            ("chunked", vec!["Transfer-Encoding: chunked"], &chunked, UPLOAD_MIB),
            ("multipart", vec![&lengths[2], data::MULTIPART], &multipart, UPLOAD_MIB / 2),
        ];
        for (form, fields, body, mib) in forms {
            let mut client = gateway.client();
            measure(&mut client, &fields, body); // Pools are filled, tables have their size.
            let (calls, bytes) = measure(&mut client, &fields, body);
            let mib = u64::try_from(mib).unwrap();
            println!("{form}: {calls} allocations, {bytes} bytes for {mib} MiB");
            assert!(calls <= mib * CALLS_PER_MIB_MAX, "{form}: {calls} allocations");
            assert!(bytes <= mib * BYTES_PER_MIB_MAX, "{form}: {bytes} bytes");
        }
    });
}

#[test]
fn a_stalled_upload_holds_one_buffer_and_little_more() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_both_drivers(|io| {
        let (gateway, service) = start(io);
        let mut first = gateway.client();
        measure(&mut first, &["Content-Length: 1048576"], &data::bytes(MIB));
        let (_, _, before) = counted();
        let body = data::bytes(32 * MIB);
        let clients: Vec<Client> = std::thread::scope(|scope| {
            let pushing: Vec<_> = (0..UPLOADS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = gateway.client();
                        let fields = ["Content-Length: 1000000000"];
                        client.head("PUT", "/api/v3/storage/stall", &fields);
                        client.push(&body, Duration::from_millis(700));
                        client
                    })
                })
                .collect();
            pushing.into_iter().map(|pushing| pushing.join().unwrap()).collect()
        });
        assert_eq!(gateway.metric("otus_uploads_active"), 16);
        let each = (counted().2 - before) / UPLOADS;
        println!("a stalled upload holds {each} bytes");
        let buffer = i64::try_from(BODY_BUFFER_BYTES).unwrap();
        assert!(each <= buffer + buffer / 2, "{each} bytes for each upload");
        assert!(each <= i64::try_from(UPLOAD_MEMORY_BYTES).unwrap());
        let mark = service.journal.mark();
        for client in clients {
            client.reset();
        }
        service.journal.left(mark);
        gateway.is_clean();
        // What is kept for the next ones is bounded too: eight large buffers, and tables.
        let kept = eventually("memory is given back", || {
            let kept = counted().2 - before;
            (kept <= 8 * buffer + 256 * 1024).then_some(kept)
        });
        println!("{kept} bytes are kept for later uploads");
        gateway.finish();
    });
}

#[test]
fn a_stalled_upload_over_tls_holds_no_second_buffer() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let service = Service::start();
        let (host, port) = (service.address.ip(), service.address.port());
        let module = format!("[microservices.storage]\nhost = \"{host}\"\nport = {port}\n");
        let tls = format!("[tls]\n{}\n", files.text());
        let gateway = proxy::start(io, &format!("{module}{tls}"));
        let piece = data::bytes(MIB);
        let begin = |way: &str, length: usize| {
            let mut client = authority.client(gateway.address);
            let length = format!("Content-Length: {length}");
            client.send(head("PUT", &format!("/api/v3/storage/{way}"), &[&length]));
            client
        };
        let mut first = begin("upload", piece.len());
        first.send(&piece);
        first.reply();
        let (_, _, before) = counted();
        let clients: Vec<_> = std::thread::scope(|scope| {
            let pushing: Vec<_> = (0..UPLOADS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = begin("stall", 1_000_000_000);
                        let rest = Some(Duration::from_millis(700));
                        client.stream.sock.set_write_timeout(rest).unwrap();
                        while client.stream.write(&piece).is_ok() {}
                        client
                    })
                })
                .collect();
            pushing.into_iter().map(|pushing| pushing.join().unwrap()).collect()
        });
        assert_eq!(gateway.metric("otus_uploads_active"), 16);
        let each = (counted().2 - before) / UPLOADS;
        println!("a stalled upload over TLS holds {each} bytes, its connection included");
        let buffer = i64::try_from(BODY_BUFFER_BYTES).unwrap();
        assert!(each <= buffer + buffer / 2, "{each} bytes for each upload");
        for client in clients {
            // A mere end would not be seen before the service takes more.
            SockRef::from(&client.stream.sock).set_linger(Some(Duration::ZERO)).unwrap();
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn an_upload_to_an_http_endpoint_is_not_allocated() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_both_drivers(|io| {
        let gateway = before_http(io);
        let data = &data::large()[..UPLOAD_MIB * MIB];
        let chunked = data::chunked(data, &[100_000, 65_536]);
        let length = format!("Content-Length: {}", data.len());
        for (form, field, body) in
            [("raw", &length[..], data), ("chunked", "Transfer-Encoding: chunked", &chunked)]
        {
            let mut client = gateway.client();
            let mut send = || {
                let (calls, bytes, _) = counted();
                client.head("PUT", "/file", &[field]);
                assert_eq!(client.send_aside(body).text(), data.len().to_string());
                let (calls_after, bytes_after, _) = counted();
                (calls_after - calls, bytes_after - bytes)
            };
            send();
            let (calls, bytes) = send();
            let mib = u64::try_from(UPLOAD_MIB).unwrap();
            println!("{form}: {calls} allocations, {bytes} bytes for {mib} MiB");
            assert!(calls <= mib * CALLS_PER_MIB_MAX, "{form}: {calls} allocations");
            assert!(bytes <= mib * BYTES_PER_MIB_MAX, "{form}: {bytes} bytes");
        }
    });
}

#[test]
fn a_call_allocates_a_fixed_number_of_times() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_both_drivers(|io| {
        let (gateway, _service) = start(io);
        let path = "/api/v3/storage/x?name=x";
        let mut client = gateway.client();
        steady("a call", most::UNARY_CALL, || assert_eq!(client.get(path).status, 200));
        let client = h2::Client::connect(gateway.address);
        let what = "a call over HTTP/2";
        steady(what, most::UNARY_CALL_HTTP2, || assert_eq!(client.get(path).status, 200));
    });
}

#[test]
fn a_forwarded_request_allocates_a_fixed_number_of_times() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    on_both_drivers(|io| {
        let gateway = before_http(io);
        let body = data::bytes(2000);
        let chunked = data::chunked(&body, &[700]);
        let mut client = gateway.client();
        steady("GET", most::GET, || assert_eq!(client.get("/x").text(), "0"));
        // In one piece: a body that comes later is waited for, which costs what one in chunks does.
        let mut post = head("POST", "/x", &["Content-Length: 2000"]).into_bytes();
        post.extend_from_slice(&body);
        steady("POST", most::POST, || {
            client.send(&post);
            assert_eq!(client.reply().text(), "2000");
        });
        steady("POST in chunks", most::POST_CHUNKED, || {
            client.head("POST", "/x", &["Transfer-Encoding: chunked"]);
            client.send(&chunked);
            assert_eq!(client.reply().text(), "2000");
        });
        let client = h2::Client::connect(gateway.address);
        steady("GET over HTTP/2", most::GET_HTTP2, || {
            assert_eq!(client.get("/x").text(), "0");
        });
        steady("POST over HTTP/2", most::POST_HTTP2, || {
            assert_eq!(client.send("POST", "/x", &[], &body).text(), "2000");
        });
    });
}

/// A gateway before an HTTP endpoint that answers how many bytes came.
fn before_http(io: IoDriver) -> Gateway {
    let answer = |_: &Seen, body: &[u8]| backend::ok(&body.len().to_string()).into_bytes();
    let (address, _) = Backend::listen().serve(answer);
    let text = format!("{}{}", proxy::upstream(&[address], ""), proxy::ALL);
    proxy::start(io, &text)
}

/// Each of many exchanges allocates the same number of times, and at most `most`. Half of one more
/// is room for bodies that came in more pieces, where the machine is busy; those only add, so the
/// better of two rounds counts.
#[track_caller]
fn steady(what: &str, most: u64, mut exchange: impl FnMut()) {
    let mut round = || {
        let (calls, _, _) = counted();
        (0..100).for_each(|_| exchange());
        counted().0 - calls
    };
    round(); // Pools are filled, tables have their size.
    let (first, second) = (round().min(round()), round().min(round()));
    println!("{what}: {first} and {second} allocations for 100");
    assert!(first.abs_diff(second) <= 50, "{what}: {first} and {second}");
    let least = first.min(second);
    assert!(least <= 100 * most + 50, "{what}: {least} allocations for 100");
}
