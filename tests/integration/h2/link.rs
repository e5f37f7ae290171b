//! Bodies over a link that is slow, loses packets and lets them overtake each other.

use crate::support::client;
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2::Client;
use crate::support::link;
use crate::support::service::Service;

const PATH: &str = "/api/v3/storage/upload";

#[test]
fn uploads_over_a_bad_link_arrive_whole() {
    let bad = ["--rtt", "8", "--rate", "200", "--loss", "0.01", "--reorder", "0.01", "--seed", "7"];
    link::over(&bad, "h2::link::uploads_over_a_bad_link_arrive_whole", || {
        on_both_drivers(|io| {
            let service = Service::start();
            let gateway = Gateway::start(io, |snapshot| {
                snapshot.add_module("storage", service.address);
                snapshot.server.listeners[0].address = link::LISTEN;
            });
            let address = link::far(gateway.address);
            let body = data::bytes((3 << 20) + 1);
            for version in [1, 2] {
                let mark = service.journal.mark();
                if version == 1 {
                    let reply = client::Client::connect(address).put(PATH, &[], &body);
                    assert_eq!(reply.status, 200, "{}", reply.text());
                } else {
                    let client = Client::connect(address);
                    let reply = client.send("PUT", PATH, &[("x-filename", "f")], &body);
                    assert_eq!(reply.status, 200, "{}", reply.text());
                }
                let stored = service.journal.stored(mark);
                assert_eq!(stored.files[0].sha256, data::sha256(&body), "HTTP/{version}");
            }
            gateway.is_clean();
        });
    });
}
