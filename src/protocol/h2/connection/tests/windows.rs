//! Flow control in both directions (RFC 9113 §5.2, §6.9).

use super::{
    ALL, END, Talk, data, headers, opening, raw, request, request_with, server, setting, window,
    written,
};
use crate::base::time::Instant;
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::connection::engine::Connection;
use crate::protocol::h2::connection::event::{ConnectionError, Event};
use crate::protocol::h2::frame::{self, ACK, END_HEADERS, ErrorCode, Kind, PREFACE, StreamId};

#[test]
fn windows_beyond_their_bound_are_refused() {
    let head = headers(1, ALL, &request());
    let seen = "head 1 POST,http,/,a end";
    server(&[window(0, 0)], "> GOAWAY 0 PROTOCOL_ERROR; ! WindowZero");
    server(&[window(0, 0x7fff_ffff)], "> GOAWAY 0 FLOW_CONTROL_ERROR; ! FlowControl");
    server(
        &[head.clone(), window(1, 0)],
        &format!("{seen}; reset 1 PROTOCOL_ERROR by us; > RST_STREAM 1 PROTOCOL_ERROR"),
    );
    server(
        &[head.clone(), window(1, 0x7fff_ffff)],
        &format!("{seen}; reset 1 FLOW_CONTROL_ERROR by us; > RST_STREAM 1 FLOW_CONTROL_ERROR"),
    );
    server(
        &[head, window(1, 1), setting(4, 0x7fff_ffff)],
        &format!("{seen}; writable 1; > GOAWAY 1 FLOW_CONTROL_ERROR; ! FlowControl"),
    );
}

#[test]
fn a_change_of_the_initial_window_moves_all_streams_below_zero_if_need_be() {
    let mut talk = Talk::new(Role::Client, Config::client());
    talk.feed(&opening(Role::Client));
    let id = talk.connection.open(&request(), false).unwrap();
    talk.connection.send_data(id, &vec![0; 60_000], false).unwrap();
    let mut capacity = |frame: Vec<u8>| {
        talk.feed(&frame);
        talk.connection.capacity(id)
    };
    assert_eq!(capacity(setting(4, 70_000)), 5535, "the connection's own");
    assert_eq!(capacity(window(0, 100_000)), 10_000);
    assert_eq!(capacity(setting(4, 1000)), 0);
    assert_eq!(capacity(window(1, 59_000)), 0);
    assert_eq!(capacity(window(1, 7)), 7);
    assert_eq!(capacity(setting(4, 1001)), 8);
    assert!(talk.seen.contains("writable 1; "));
    // An empty frame may end a stream whose window is used up (§6.9.1).
    talk.feed(&setting(4, 0));
    assert_eq!(talk.connection.capacity(id), 0);
    assert_eq!(talk.connection.send_data(id, b"", true), Ok(()));
}

#[test]
fn more_data_than_a_window_allows_is_refused() {
    let config = Config { initial_window: 100_000, connection_window: 120_000, ..Config::server() };
    let input = |frames: usize, stream| {
        let mut out = headers(stream, END_HEADERS, &request());
        for _ in 0..frames {
            out.extend(data(stream, 0, &[b'x'; 10_000]));
        }
        out
    };
    let mut talk = Silent::new(config);
    assert_eq!(talk.feed(&input(10, 1)), Ok(100_000));
    assert_eq!(talk.feed(&data(1, 0, b"x")), Ok(0));
    assert_eq!(written(talk.0.outgoing()), "> RST_STREAM 1 FLOW_CONTROL_ERROR; ");
    // The refused byte counts until it is given back, so one less fits.
    assert_eq!(talk.feed(&input(1, 3)), Ok(10_000));
    assert_eq!(talk.feed(&data(3, 0, &[0; 9_999])), Ok(9_999));
    let error = talk.feed(&data(3, 0, b"x")).unwrap_err();
    assert_eq!(error.code, ErrorCode::FLOW_CONTROL_ERROR);
}

#[test]
fn what_is_released_may_be_sent_again() {
    let config = Config { initial_window: 65_535, connection_window: 65_535, ..Config::server() };
    let mut talk = Silent::new(config);
    talk.feed(&headers(1, END_HEADERS, &request())).unwrap();
    for _ in 0..6 {
        talk.feed(&data(1, 0, &[0; 10_000])).unwrap();
    }
    assert_eq!(talk.0.unreleased(), 60_000);
    talk.0.release(StreamId(1), 30_000);
    talk.0.check();
    assert_eq!(written(talk.0.outgoing()), "");
    talk.0.release(StreamId(1), 10_000);
    talk.0.check();
    assert_eq!(written(talk.0.outgoing()), "> WINDOW_UPDATE 0 40000; > WINDOW_UPDATE 1 40000; ");
    assert_eq!(talk.feed(&data(1, END, &[0; 10_000])), Ok(10_000));
    // The stream is over, but what it holds of the connection's window comes back.
    talk.0.outgoing().clear();
    talk.0.release(StreamId(1), 30_000);
    assert_eq!(talk.0.unreleased(), 0);
    let frames = [headers(3, END_HEADERS, &request()), data(3, 0, &[0; 3000])].concat();
    assert_eq!(talk.feed(&frames), Ok(3000));
    talk.0.release(StreamId(3), 3000);
    assert_eq!(written(talk.0.outgoing()), "> WINDOW_UPDATE 0 33000; ");
    talk.0.check();
}

#[test]
fn discarded_data_and_padding_give_their_window_back() {
    let config = Config { initial_window: 65_535, connection_window: 65_535, ..Config::server() };
    let mut talk = Silent::new(config);
    talk.feed(&headers(1, END_HEADERS, &request())).unwrap();
    let mut padded = vec![255];
    padded.extend([0; 255]);
    for _ in 0..127 {
        assert_eq!(talk.feed(&data(1, frame::PADDED, &padded)), Ok(0));
    }
    assert_eq!(written(talk.0.outgoing()), "");
    talk.feed(&data(1, frame::PADDED, &padded)).unwrap();
    assert_eq!(written(talk.0.outgoing()), "> WINDOW_UPDATE 0 32768; > WINDOW_UPDATE 1 32768; ");
    talk.0.outgoing().clear();
    talk.0.reset(StreamId(1), ErrorCode::CANCEL);
    for _ in 0..10 {
        assert_eq!(talk.feed(&data(1, 0, &[0; 10_000])), Ok(0));
    }
    let want = "> RST_STREAM 1 CANCEL; > WINDOW_UPDATE 0 40000; > WINDOW_UPDATE 0 40000; ";
    assert_eq!(written(talk.0.outgoing()), want);
    assert_eq!(talk.0.unreleased(), 0);
}

#[test]
fn a_stream_reset_within_a_frame_gives_the_rest_of_it_back() {
    let config = Config { initial_window: 65_535, connection_window: 65_535, ..Config::server() };
    let mut talk = Silent::new(config);
    talk.feed(&headers(1, END_HEADERS, &request())).unwrap();
    let frame = data(1, END, &[0; 10_000]);
    assert_eq!(talk.feed(&frame[..5009]), Ok(5000));
    talk.0.reset(StreamId(1), ErrorCode::CANCEL);
    assert_eq!(talk.feed(&frame[5009..]), Ok(0));
    assert_eq!(talk.0.unreleased(), 5000);
    talk.0.release(StreamId(1), 5000);
    talk.0.check();
    assert_eq!(talk.feed(&headers(3, ALL, &request())), Ok(0));
}

#[test]
fn windows_grow_at_once_and_shrink_when_acknowledged() {
    let mut talk = Silent::new(Config::server());
    talk.feed(&headers(1, END_HEADERS, &request())).unwrap();
    assert!(talk.0.set_windows(1_000_000, 2_000_000));
    let want = "> SETTINGS; > WINDOW_UPDATE 0 951424; ";
    let mut seen: Vec<_> =
        written(talk.0.outgoing()).split_inclusive("; ").map(str::to_owned).collect();
    seen.sort();
    assert_eq!(seen.concat(), want);
    assert!(!talk.0.set_windows(5, 5), "the last change is not acknowledged");
    for _ in 0..90 {
        talk.feed(&data(1, 0, &[0; 10_000])).unwrap();
    }
    assert!(written(talk.0.outgoing()).find("RST").is_none());
    talk.feed(&raw(Kind::Settings, ACK, 0, &[])).unwrap();
    talk.0.release(StreamId(1), 900_000);
    talk.0.check();
    talk.0.outgoing().clear();
    assert!(talk.0.set_windows(100_000, 100_000));
    talk.0.check();
    talk.feed(&data(1, 0, &[0; 10_000])).unwrap();
    talk.feed(&raw(Kind::Settings, ACK, 0, &[])).unwrap();
    talk.0.release(StreamId(1), 10_000);
    talk.0.check();
    assert_eq!(written(talk.0.outgoing()), "> SETTINGS; ", "less is left to send than before");
}

#[test]
fn what_is_granted_beyond_the_base_is_shared_among_bodies_and_comes_back() {
    let config = Config { initial_window: 100_000, connection_window: 200_000, ..Config::server() };
    let mut talk = Silent::new(config);
    talk.feed(&headers(1, END_HEADERS, &request())).unwrap();
    assert_eq!((talk.0.bodies(), talk.0.promised_extra()), (1, 0));
    talk.0.widen(400_000, 300_000);
    talk.0.check();
    assert_eq!(written(talk.0.outgoing()), "> WINDOW_UPDATE 0 400000; > WINDOW_UPDATE 1 300000; ");
    assert_eq!(talk.0.promised_extra(), 400_000);
    // The first one has what the second would get.
    talk.0.outgoing().clear();
    talk.feed(&headers(3, END_HEADERS, &request())).unwrap();
    talk.0.widen(400_000, 300_000);
    talk.0.check();
    assert_eq!(written(talk.0.outgoing()), "> WINDOW_UPDATE 3 100000; ");
    for _ in 0..30 {
        talk.feed(&data(1, 0, &[0; 10_000])).unwrap();
    }
    talk.0.release(StreamId(1), 300_000);
    talk.0.check();
    talk.0.outgoing().clear();
    talk.0.widen(400_000, 300_000);
    assert_eq!(written(talk.0.outgoing()), "> WINDOW_UPDATE 3 100000; ", "a half for each");
    // Nothing beyond the base any more: what is promised is used up first.
    talk.0.outgoing().clear();
    talk.0.widen(0, 0);
    assert_eq!(talk.0.promised_extra(), 400_000);
    for _ in 0..20 {
        talk.feed(&data(3, 0, &[0; 10_000])).unwrap();
    }
    talk.0.release(StreamId(3), 200_000);
    talk.0.check();
    assert_eq!(talk.0.promised_extra(), 200_000);
    assert_eq!(written(talk.0.outgoing()), "");
}

#[test]
fn a_body_of_known_length_is_granted_no_more_than_is_left_of_it() {
    let config = Config { initial_window: 100_000, connection_window: 200_000, ..Config::server() };
    let mut talk = Silent::new(config);
    let head = request_with(&[("content-length", "250000")]);
    talk.feed(&headers(1, END_HEADERS, &head)).unwrap();
    talk.0.widen(1_000_000, 1_000_000);
    assert_eq!(talk.0.promised_extra(), 250_000);
    for left in (0..25).rev() {
        talk.feed(&data(1, if left == 0 { END } else { 0 }, &[0; 10_000])).unwrap();
        talk.0.release(StreamId(1), 10_000);
        talk.0.widen(1_000_000, 1_000_000);
        talk.0.check();
        assert_eq!(talk.0.promised_extra(), 10_000 * left);
    }
    assert_eq!(talk.0.bodies(), 0);
}

#[test]
fn a_small_window_is_no_fault_before_it_is_acknowledged() {
    let config = Config { initial_window: 10, ..Config::server() };
    let mut talk = Talk::new(Role::Server, config);
    talk.feed(PREFACE);
    talk.feed(&raw(Kind::Settings, 0, 0, &[]));
    talk.feed(&headers(1, END_HEADERS, &request()));
    talk.feed(&data(1, 0, b"more than ten bytes"));
    talk.feed(&raw(Kind::Settings, ACK, 0, &[]));
    talk.feed(&headers(3, END_HEADERS, &request()));
    talk.connection.outgoing().clear();
    talk.feed(&data(3, 0, b"more than ten bytes"));
    assert!(
        talk.end().ends_with("reset 3 FLOW_CONTROL_ERROR by us; > RST_STREAM 3 FLOW_CONTROL_ERROR")
    );
}

/// A server that releases nothing by itself.
struct Silent(Connection);

impl Silent {
    fn new(config: Config) -> Self {
        let mut talk = Silent(Connection::new(Role::Server, config, Instant::START));
        talk.feed(&opening(Role::Server)).unwrap();
        talk.0.outgoing().clear();
        talk
    }

    /// Bytes of DATA that were reported.
    fn feed(&mut self, mut input: &[u8]) -> Result<u32, ConnectionError> {
        let mut sum = 0;
        loop {
            let received = self.0.receive(input, Instant::START)?;
            self.0.check();
            input = &input[received.consumed..];
            match received.event {
                Some(Event::Data { len, .. }) => sum += len,
                Some(_) => {}
                None => return Ok(sum),
            }
        }
    }
}
