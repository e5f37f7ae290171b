use std::time::Duration;

use super::{
    ALL, END, Talk, check, client, continuation, data, fields, go_away, headers, opening, raw,
    request, request_with, reset, response, setting, window, written,
};
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::connection::engine::Connection;
use crate::protocol::h2::connection::event::{OpenError, StreamError};
use crate::protocol::h2::frame::{
    self, ACK, END_HEADERS, ErrorCode, FRAME_BYTES_DEFAULT, Kind, PREFACE, StreamId, to_usize,
};

#[test]
fn a_client_begins_with_preface_settings_and_its_window() {
    let mut talk = Talk::new(Role::Client, Config::client());
    let out = std::mem::take(talk.connection.outgoing());
    let frames = out.strip_prefix(PREFACE.as_slice()).unwrap();
    assert_eq!(written(frames), "> SETTINGS; > WINDOW_UPDATE 0 983041; ");
    assert!(!talk.connection.is_established());
    talk.feed(&opening(Role::Client));
    assert_eq!(talk.end(), "settings; acknowledged; > SETTINGS ack");
    assert!(talk.connection.is_established());
}

#[test]
fn a_response_is_reported_in_parts() {
    client(
        &[
            headers(1, END_HEADERS, &response(100, &[])),
            headers(1, END_HEADERS, &response(200, &[("a", "b")])),
            data(1, 0, b"hello "),
            data(1, 0, b"world"),
            headers(1, ALL, &fields(&[("grpc-status", "0")])),
        ],
        "interim 1 100; head 1 200,b; data 1 hello world; trailers 1 0 end",
    );
    client(
        &[headers(1, END_HEADERS, &response(200, &[])), data(1, END, b"x")],
        "head 1 200; data 1 x; end",
    );
    client(&[headers(1, ALL, &response(200, &[("grpc-status", "12")]))], "head 1 200,12 end");
}

#[test]
fn padding_and_priority_are_taken_off() {
    let mut padded = vec![3];
    padded.extend(response(200, &[]));
    padded.extend([0; 3]);
    let mut both = vec![1, 0x80, 0, 0, 0, 9];
    both.extend(response(200, &[]));
    both.push(0);
    client(
        &[
            headers(1, END_HEADERS | frame::PADDED, &padded),
            data(1, frame::PADDED, b"\x02ab\0\0"),
            data(1, frame::PADDED, b"\x01\0"),
            data(1, frame::PADDED | END, b"\x00cd"),
            headers(3, END_HEADERS | frame::PADDED | frame::PRIORITY, &both),
        ],
        "head 1 200; data 1 abcd; end; head 3 200",
    );
    client(
        &[headers(1, END_HEADERS, &response(200, &[])), data(1, frame::PADDED | END, b"\x01\0")],
        "head 1 200; data 1 ; end",
    );
}

#[test]
fn a_block_may_come_in_several_frames() {
    let block = response(200, &[("name", "value")]);
    client(
        &[
            headers(1, END, &block[..3]),
            continuation(1, 0, &block[3..7]),
            continuation(1, END_HEADERS, &block[7..]),
        ],
        "head 1 200,value end",
    );
}

#[test]
fn a_malformed_response_ends_its_stream_only() {
    let good = headers(3, ALL, &response(200, &[]));
    let fails = |frames: &[Vec<u8>], before: &str| {
        let mut all = frames.to_vec();
        all.push(good.clone());
        let code = "PROTOCOL_ERROR";
        let want = format!("{before}reset 1 {code} by us; head 3 200 end; > RST_STREAM 1 {code}");
        client(&all, &want);
    };
    fails(&[headers(1, ALL, &fields(&[("a", "b")]))], "");
    fails(&[headers(1, ALL, &response(200, &[("Upper", "b")]))], "");
    fails(&[headers(1, ALL, &response(100, &[]))], "");
    fails(&[headers(1, END_HEADERS, &response(101, &[]))], "");
    fails(&[data(1, 0, b"early")], "");
    fails(&[headers(1, ALL, &response(200, &[("content-length", "1")]))], "");
    let head = headers(1, END_HEADERS, &response(200, &[("content-length", "3")]));
    fails(&[head.clone(), data(1, END, b"ab")], "head 1 200,3; ");
    fails(&[head.clone(), data(1, 0, b"abcd")], "head 1 200,3; ");
    fails(&[head.clone(), headers(1, ALL, &fields(&[("a", "b")]))], "head 1 200,3; ");
    let head = headers(1, END_HEADERS, &response(200, &[]));
    fails(&[head.clone(), headers(1, END_HEADERS, &fields(&[("a", "b")]))], "head 1 200; ");
    fails(&[head.clone(), headers(1, ALL, &fields(&[(":status", "200")]))], "head 1 200; ");
}

#[test]
fn a_length_without_a_body_is_right_for_head_and_304() {
    let answer = |status| headers(1, ALL, &response(status, &[("content-length", "9")]));
    client(&[answer(304)], "head 1 304,9 end");
    check(Role::Client, Config::client(), &answer(200), "head 1 200,9 end", |connection| {
        let id = connection.open(&request(), true).unwrap();
        connection.expect_no_body(id);
    });
}

#[test]
fn an_early_answer_leaves_our_half_open_until_it_is_reset() {
    client(
        &[
            headers(3, ALL, &response(413, &[])),
            reset(3, ErrorCode::NO_ERROR),
            window(3, 5000),
            reset(3, ErrorCode::NO_ERROR),
        ],
        "head 3 413 end; reset 3 NO_ERROR by peer",
    );
}

#[test]
fn after_go_away_unprocessed_streams_are_given_back() {
    client(
        &[go_away(1, ErrorCode::NO_ERROR), headers(1, ALL, &response(200, &[]))],
        "go away 1 NO_ERROR; reset 3 REFUSED_STREAM by peer; head 1 200 end",
    );
    let mut talk = Talk::new(Role::Client, Config::client());
    talk.feed(&opening(Role::Client));
    assert!(talk.connection.can_open());
    talk.feed(&go_away(StreamId::MAX.0, ErrorCode::NO_ERROR));
    assert_eq!(talk.connection.open(&request(), true), Err(OpenError::GoingAway));
    assert!(talk.connection.is_going_away() && talk.connection.is_idle());
}

#[test]
fn faults_of_the_connection_are_told_apart() {
    let fails = |frame: Vec<u8>, want: &str| client(&[frame], want);
    fails(headers(2, ALL, &response(200, &[])), "> GOAWAY 0 PROTOCOL_ERROR; ! StreamNumber");
    fails(headers(5, ALL, &response(200, &[])), "> GOAWAY 0 PROTOCOL_ERROR; ! StreamIdle");
    fails(data(5, 0, b"x"), "> GOAWAY 0 PROTOCOL_ERROR; ! StreamIdle");
    fails(raw(Kind::PushPromise, 4, 1, &[0; 8]), "> GOAWAY 0 PROTOCOL_ERROR; ! Push");
    fails(setting(2, 1), "> GOAWAY 0 PROTOCOL_ERROR; ! SettingsValue");
    fails(headers(1, ALL, &[0xc0]), "> GOAWAY 0 COMPRESSION_ERROR; ! Compression(Index)");
    fails(raw(Kind::Settings, ACK, 0, &[]), "> GOAWAY 0 PROTOCOL_ERROR; ! SettingsAck");
    fails(raw(Kind::GoAway, 0, 0, &[0; 7]), "> GOAWAY 0 FRAME_SIZE_ERROR; ! FrameSize");
}

#[test]
fn a_server_that_speaks_http_1_is_noticed_at_its_first_bytes() {
    let mut talk = Talk::new(Role::Client, Config::client());
    talk.connection.outgoing().clear();
    talk.feed(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(talk.end(), "> GOAWAY 0 PROTOCOL_ERROR; ! Preface");
}

#[test]
fn late_frames_of_a_stream_that_we_reset_are_thrown_away() {
    let input = [
        headers(3, END_HEADERS, &response(200, &[])),
        data(3, 0, &[b'x'; 200]),
        headers(3, ALL, &fields(&[("grpc-status", "0")])),
        window(3, 4000),
        reset(3, ErrorCode::CANCEL),
        headers(1, ALL, &response(200, &[])),
    ];
    let config = Config { connection_window: 65_535, ..Config::client() };
    check(Role::Client, config, &input.concat(), "head 1 200 end", |connection| {
        connection.open(&request(), true).unwrap();
        let id = connection.open(&request(), false).unwrap();
        connection.reset(id, ErrorCode::CANCEL);
        assert_eq!(connection.send_data(id, b"x", true), Err(StreamError::Closed));
    });
}

#[test]
fn no_more_streams_are_opened_than_the_server_allows() {
    let mut talk = Talk::new(Role::Client, Config::client());
    for _ in 0..100 {
        assert!(talk.connection.open(&request(), true).is_ok());
    }
    assert_eq!(talk.connection.open(&request(), true), Err(OpenError::StreamsMax));
    talk.feed(&setting(3, 102));
    assert!(talk.connection.open(&request(), true).is_ok());
    assert!(talk.connection.open(&request(), true).is_ok());
    assert!(!talk.connection.can_open());
    talk.feed(&headers(7, ALL, &response(200, &[])));
    assert!(talk.connection.can_open());
    assert_eq!(talk.connection.open(&request(), true), Ok(StreamId(205)));
    let mut server = Connection::new(Role::Server, Config::server(), talk.now);
    assert_eq!(server.open(&request(), true), Err(OpenError::NotClient));
}

#[test]
fn a_block_is_cut_into_frames_that_the_server_takes() {
    let mut talk = Talk::new(Role::Client, Config::client());
    talk.feed(&opening(Role::Client));
    talk.connection.outgoing().clear();
    let long = request_with(&[("x", &"v".repeat(20_000))]);
    talk.connection.open(&long, true).unwrap();
    let rest = long.len() - to_usize(FRAME_BYTES_DEFAULT);
    let want = format!("> Headers 1 0x1 16384; > Continuation 1 0x4 {rest}; ");
    assert_eq!(written(talk.connection.outgoing()), want);
}

#[test]
fn a_server_without_a_table_is_told_once_that_we_use_none() {
    let mut talk = Talk::new(Role::Client, Config::client());
    talk.feed(&opening(Role::Client));
    talk.feed(&setting(1, 0));
    talk.feed(&setting(1, 100));
    talk.connection.outgoing().clear();
    let mut open = || {
        talk.connection.open(&request(), true).unwrap();
        let out = std::mem::take(talk.connection.outgoing());
        out[9..].to_vec()
    };
    let mut first = vec![0x20];
    first.extend(request());
    assert_eq!(open(), first);
    assert_eq!(open(), request());
}

#[test]
fn a_silent_server_is_asked_and_then_given_up() {
    let mut talk = Talk::new(Role::Client, Config::client());
    talk.feed(&opening(Role::Client));
    let start = talk.now;
    let after = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(talk.connection.tick(after(500)).deadline, None, "idle");
    talk.connection.open(&request(), true).unwrap();
    talk.connection.outgoing().clear();
    let tick = talk.connection.tick(after(29));
    assert_eq!((tick.deadline, tick.dead), (Some(after(30)), false));
    let tick = talk.connection.tick(after(30));
    assert_eq!((tick.deadline, tick.dead), (Some(after(40)), false));
    let ping = std::mem::take(talk.connection.outgoing());
    assert_eq!(written(&ping), "> PING; ");
    let mut dead = talk.connection.clone();
    assert!(!dead.tick(after(39)).dead);
    assert!(dead.tick(after(40)).dead);
    // An echo alone makes the next question come later; a frame brings the interval back.
    talk.now = after(31);
    talk.seen.clear();
    talk.feed(&raw(Kind::Ping, ACK, 0, &ping[9..]));
    assert_eq!(talk.end(), "");
    assert_eq!(talk.connection.tick(after(32)).deadline, Some(after(31 + 90)));
    talk.feed(&headers(1, END_HEADERS, &response(200, &[])));
    assert_eq!(talk.connection.tick(after(32)).deadline, Some(after(31 + 30)));
}

#[test]
fn a_ping_of_the_caller_is_echoed_to_it() {
    check(
        Role::Client,
        Config::client(),
        &[raw(Kind::Ping, ACK, 0, &[7; 8]), raw(Kind::Ping, 0, 0, &[9; 8])].concat(),
        "pong 7; > PING ack",
        |connection| connection.ping([7; 8]),
    );
}
