//! Streams beside each other, and how they end.

use std::time::Instant;

use h2::Reason;
use h2::client::Builder;

use crate::support::backend::ok_bytes;
use crate::support::data;
use crate::support::gateway::on_both_drivers;
use crate::support::h2::Client;
use crate::support::journal::SOON;

use super::before;

#[test]
fn a_slow_stream_holds_up_no_other() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let mut slow = client.begin("GET", "/slow", &[], true);
        let (mut visit, _) = backend.asked();
        for _ in 0..5 {
            assert_eq!(client.get("/here").status, 204);
        }
        visit.answer("late");
        assert_eq!(slow.reply().text(), "late");
        gateway.is_clean();
    });
}

#[test]
fn answers_share_the_window_of_their_connection() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let body = data::bytes(400_000);
        let answer = ok_bytes(&body);
        let (_address, _count) = backend.serve(move |_, _| answer.clone());
        let mut builder = Builder::new();
        builder.initial_window_size(1 << 20);
        let client = Client::with(gateway.address, &builder);
        let mut calls: Vec<_> = (0..4).map(|_| client.begin("GET", "/", &[], true)).collect();
        let mut bodies: Vec<_> = calls.iter_mut().map(|call| call.head().unwrap().body).collect();
        // The window of the connection is 64 KiB, and opens as pieces are read: if one stream had
        // it all, the others would not move.
        let mut got = vec![0; bodies.len()];
        let mut least = None;
        while let Some((index, data)) = client.any(&mut bodies) {
            got[index] += data.len();
            if got[index] == body.len() && least.is_none() {
                least = got.iter().copied().min();
            }
        }
        assert_eq!(got, vec![body.len(); 4]);
        assert!(least.unwrap() >= body.len() / 2, "{least:?}");
        gateway.is_clean();
    });
}

#[test]
fn an_early_answer_ends_the_request_without_complaint() {
    on_both_drivers(|io| {
        let (gateway, _backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let mut call = client.begin("POST", "/here", &[], false);
        // The answer and the reset may be there before all was sent.
        let _ = call.send(&data::bytes(1000), false);
        let reply = call.reply();
        assert_eq!(reply.status, 204);
        assert_eq!(call.reset(), Reason::NO_ERROR);
        assert_eq!(client.get("/here").status, 204, "the connection goes on");
        gateway.is_clean();
    });
}

#[test]
fn a_reset_stream_leaves_its_endpoint_and_no_other() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let mut stays = client.begin("GET", "/stays", &[], true);
        let (mut kept, _) = backend.asked();
        let mut goes = client.begin("POST", "/goes", &[], false);
        goes.send(&data::bytes(100_000), false).unwrap();
        let (mut left, _) = backend.asked();
        let began = Instant::now();
        goes.body.send_reset(Reason::CANCEL);
        left.closed();
        assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
        kept.answer("here");
        assert_eq!(stays.reply().text(), "here");
        gateway.is_clean();
    });
}

#[test]
fn a_connection_that_dies_leaves_all_its_endpoints() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let calls: Vec<_> = (0..3).map(|_| client.begin("GET", "/", &[], true)).collect();
        let mut visits: Vec<_> = calls.iter().map(|_| backend.asked().0).collect();
        drop(calls);
        client.leave();
        let began = Instant::now();
        for visit in &mut visits {
            visit.closed();
        }
        assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
        gateway.is_clean();
    });
}

#[test]
fn a_body_is_taken_no_faster_than_its_endpoint_does() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "");
        let client = Client::connect(gateway.address);
        let body = data::bytes(8 << 20);
        let mut call = client.begin("POST", "/", &[], false);
        let (mut visit, _) = backend.asked();
        // What fits in the windows and the kernel's buffers; the rest has to wait.
        call.body.reserve_capacity(body.len());
        let mut sent = 0;
        while let Some(room) = call.room_soon() {
            call.send(&body[sent..sent + room.min(16_384)], false).unwrap();
            sent += room.min(16_384);
            assert!(sent < body.len(), "all of it was taken");
        }
        let reader = std::thread::spawn(move || {
            let got = visit.chunks();
            visit.answer("whole");
            got
        });
        call.send(&body[sent..], true).unwrap();
        assert_eq!(call.reply().text(), "whole");
        assert!(reader.join().unwrap() == body);
        gateway.is_clean();
    });
}

#[test]
fn a_client_that_takes_nothing_is_left_in_time() {
    on_both_drivers(|io| {
        let (gateway, backend) = before(io, "timeouts.write = \"300ms\"");
        let mut builder = Builder::new();
        builder.initial_window_size(0);
        let client = Client::with(gateway.address, &builder);
        let mut call = client.begin("GET", "/", &[], true);
        let (mut visit, _) = backend.asked();
        visit.answer("nobody takes it");
        let mut head = call.head().unwrap();
        let error = call.data(&mut head.body).unwrap().unwrap_err();
        assert_eq!(error.reason(), Some(Reason::INTERNAL_ERROR));
        gateway.wait_metric("otus_downstream_timeouts_total", 1);
        gateway.is_clean();
    });
}
