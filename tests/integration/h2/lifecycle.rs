//! How connections end.

use std::process::ExitCode;

use crate::support::gateway::on_both_drivers;
use crate::support::h2::Client;
use crate::support::journal::eventually;

use super::before;

#[test]
fn a_drain_lets_streams_finish_and_takes_no_new_ones() {
    on_both_drivers(|io| {
        let (mut gateway, backend) = before(io, "");
        let mut client = Client::connect(gateway.address);
        let mut call = client.begin("GET", "/", &[], true);
        let (mut visit, _) = backend.asked();
        gateway.stopper.stop();
        // The goodbye comes after a round trip; until then new streams are served.
        eventually("the client is told", || match client.try_begin("GET", "/here", &[], true) {
            Ok(mut call) => {
                drop(call.try_reply());
                None
            }
            Err(_) => Some(()),
        });
        visit.answer("still here");
        assert_eq!(call.reply().text(), "still here");
        drop(call);
        assert!(client.ended().is_ok(), "an orderly end");
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
    });
}

#[test]
fn a_drain_ends_an_idle_connection() {
    on_both_drivers(|io| {
        let (mut gateway, _backend) = before(io, "");
        let mut client = Client::connect(gateway.address);
        assert_eq!(client.get("/here").status, 204);
        gateway.stopper.stop();
        assert!(client.ended().is_ok());
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
    });
}

#[test]
fn an_idle_connection_is_told_before_it_is_closed() {
    on_both_drivers(|io| {
        let (gateway, _backend) = before(io, "timeouts.idle = \"1s\"");
        let mut client = Client::connect(gateway.address);
        assert_eq!(client.get("/here").status, 204);
        assert!(client.ended().is_ok());
        gateway.is_clean();
    });
}

#[test]
fn a_stream_outlives_the_idle_time() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "timeouts.idle = \"500ms\"");
        let client = Client::connect(gateway.address);
        let mut call = client.begin("GET", "/", &[], true);
        let (mut visit, _) = backend.asked();
        std::thread::sleep(std::time::Duration::from_millis(1200));
        visit.answer("late");
        assert_eq!(call.reply().text(), "late");
        gateway.is_clean();
    });
}
