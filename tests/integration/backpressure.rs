//! What the service does not take is not taken from the client. How much memory of the shard that means
//! is counted by `tests/allocations.rs`; here it is what a client can get rid of.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::service::Service;

/// What an upload may hold, by `limits::UPLOAD_MEMORY_BYTES`.
const UPLOAD_BYTES: usize = 1 << 20;
/// Buffers of the kernel on the way, both ends of both connections, doubled as Linux does.
const KERNEL_BYTES: usize = 4 * 2 * 64 * 1024;

#[test]
fn a_stalled_service_stops_the_client() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| {
            let id = snapshot.add_module("storage", service.address);
            let narrow = Some(64 * 1024);
            let upstream = &mut snapshot.upstreams[id.index()].transport;
            (upstream.send_buffer, upstream.receive_buffer) = (narrow, narrow);
            let listener = &mut snapshot.server.listeners[0].transport;
            (listener.send_buffer, listener.receive_buffer) = (narrow, narrow);
        });
        let body = data::bytes(8 << 20);
        let pushed: Vec<(Client, usize)> = std::thread::scope(|scope| {
            let pushing: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = Client::connect_narrow(gateway.address, 64 * 1024);
                        let fields = ["Content-Length: 1000000000"];
                        client.head("PUT", "/api/v3/storage/stall", &fields);
                        let sent = client.push(&body, Duration::from_millis(700));
                        (client, sent)
                    })
                })
                .collect();
            pushing.into_iter().map(|pushing| pushing.join().unwrap()).collect()
        });
        for (_, sent) in &pushed {
            assert!(*sent >= 64 * 1024, "the window of the service was not used: {sent}");
            assert!(*sent <= UPLOAD_BYTES + KERNEL_BYTES, "{sent} bytes were taken");
        }
        gateway.wait_metric("otus_uploads_active", 16);
        let reply = gateway.client().put("/api/v3/storage/upload", &[], &body);
        assert_eq!(reply.status, 200, "others are served: {}", reply.text());
        for (client, _) in pushed {
            client.reset();
        }
        gateway.is_clean();
    });
}

#[test]
fn an_upload_goes_on_where_a_slow_service_lets_it() {
    on_both_drivers(|io| {
        let service = Service::start();
        let gateway = Gateway::start(io, |snapshot| {
            snapshot.add_module("storage", service.address);
            // A buffer of the size of a message, so that windows and buffers end at many places.
            snapshot.limits.read_buffer_bytes = 64 * 1024;
            snapshot.gufo.modules_mut()[0].upload.chunk_bytes = 1000;
        });
        let body = data::bytes((8 << 20) + 77);
        let mark = service.journal.mark();
        let reply = gateway.client().put("/api/v3/storage/upload", &[], &body);
        assert_eq!(reply.data()["files"][0]["sha256"], data::sha256(&body));
        assert_eq!(service.journal.stored(mark).chunk_max, 1000);
        gateway.is_clean();
    });
}
