//! Too much of something (RFC 9113 §10.5): each ends with GOAWAY, bounded memory, and little work.

use std::time::Duration;

use super::{
    ALL, END, Talk, continuation, data, headers, opening, raw, request, request_with, reset,
    response, window,
};
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::frame::{END_HEADERS, ErrorCode, Kind, StreamId};

#[test]
fn a_rapid_reset_ends_the_connection() {
    let mut id = 1;
    flood("Flood(Resets)", 400, || {
        let frames = [headers(id, ALL, &request()), reset(id, ErrorCode::CANCEL)].concat();
        id += 2;
        frames
    });
}

#[test]
fn resets_that_the_peer_provokes_end_the_connection() {
    let mut id = 1;
    flood("Flood(Faults)", 200, || {
        let frames = [headers(id, ALL, &request()), window(id, 0)].concat();
        id += 2;
        frames
    });
    let mut id = 1;
    flood("Flood(Faults)", 200, || {
        id += 2;
        headers(id - 2, ALL, &request_with(&[("connection", "x")]))
    });
}

#[test]
fn small_frames_without_a_purpose_end_the_connection() {
    flood("Flood(Pings)", 1000, || raw(Kind::Ping, 0, 0, &[0; 8]));
    flood("Flood(Settings)", 99, || raw(Kind::Settings, 0, 0, &[]));
    flood("Flood(Odd)", 1000, || raw(Kind::Priority, 0, 5, &[0, 0, 0, 1, 1]));
    flood("Flood(Odd)", 1000, || raw(Kind::Unknown(77), 0, 5, b""));
    flood("Flood(SmallWindows)", 1000, || window(0, 1));
    let mut begun = false;
    flood("Flood(Empties)", 201, || {
        if std::mem::replace(&mut begun, true) {
            return data(1, 0, b"");
        }
        headers(1, END_HEADERS, &request())
    });
}

#[test]
fn frames_for_a_stream_that_is_over_end_the_connection_in_the_end() {
    let mut begun = false;
    flood("Flood(Late)", 4097, || {
        if std::mem::replace(&mut begun, true) {
            return data(1, 0, b"late");
        }
        [headers(1, END_HEADERS, &request()), window(1, 0)].concat()
    });
}

#[test]
fn a_block_without_an_end_ends_the_connection() {
    let mut begun = false;
    flood("Flood(Continuations)", 33, || {
        if std::mem::replace(&mut begun, true) {
            return continuation(1, 0, b"");
        }
        headers(1, END, &request())
    });
    let mut begun = false;
    flood("Flood(BlockBytes)", 5, || {
        let part = [0x82; 16_384];
        if std::mem::replace(&mut begun, true) {
            return continuation(1, 0, &part);
        }
        headers(1, END, &part)
    });
}

#[test]
fn replies_that_nobody_reads_end_the_connection() {
    let mut config = Config::server();
    config.floods.pings.interval_nanos = 0;
    let mut talk = Talk::new(Role::Server, config);
    talk.feed(&opening(Role::Server));
    let mut sent = 0;
    while talk.failed.is_none() {
        talk.feed(&raw(Kind::Ping, 0, 0, &[0; 8]));
        sent += 1;
    }
    assert!((3800..3900).contains(&sent), "{sent}");
    assert!(talk.connection.outgoing().len() < 66_000);
    assert!(talk.end().ends_with("! Flood(Replies)"));
}

#[test]
fn what_comes_slowly_or_in_proportion_is_no_flood() {
    let mut talk = Talk::new(Role::Server, Config::server());
    talk.feed(&opening(Role::Server));
    talk.feed(&headers(1, END_HEADERS, &request()));
    talk.connection.send_headers(StreamId(1), &response(200, &[]), false).unwrap();
    for _ in 0..5000 {
        talk.connection.send_data(StreamId(1), b"0123456789", false).unwrap();
        talk.feed(&[window(0, 10), window(1, 10), raw(Kind::Ping, 0, 0, &[0; 8])].concat());
        talk.connection.outgoing().clear();
    }
    for _ in 0..500 {
        talk.now = talk.now + Duration::from_millis(100);
        talk.feed(&[data(1, 0, b""), raw(Kind::Settings, 0, 0, &[])].concat());
        talk.connection.outgoing().clear();
    }
    assert_eq!(talk.failed, None);
}

#[test]
fn a_late_frame_for_each_stream_is_no_flood() {
    let mut talk = Talk::new(Role::Server, Config::server());
    talk.feed(&opening(Role::Server));
    for id in (1..10_000).step_by(2) {
        talk.feed(&headers(id, END_HEADERS, &request()));
        talk.connection.reset(StreamId(id), ErrorCode::NO_ERROR);
        talk.feed(&reset(id, ErrorCode::CANCEL));
        talk.connection.outgoing().clear();
    }
    assert_eq!(talk.failed, None);
}

/// Feeds what `next` gives at one moment, until the connection ends: after `times` that were in
/// order.
#[track_caller]
fn flood(want: &str, times: u32, mut next: impl FnMut() -> Vec<u8>) {
    let mut talk = Talk::new(Role::Server, Config::server());
    talk.feed(&opening(Role::Server));
    for passed in 0..10_000 {
        talk.feed(&next());
        if let Some(error) = talk.failed {
            assert_eq!(error.code, ErrorCode::ENHANCE_YOUR_CALM);
            assert_eq!(format!("{:?}", error.fault), want);
            let end = talk.end();
            assert!(end.contains("> GOAWAY"), "{end}");
            assert_eq!(passed, times);
            return;
        }
        talk.connection.outgoing().clear();
    }
    panic!("no end: {want}");
}
