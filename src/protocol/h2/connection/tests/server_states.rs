//! Frames in each state of a stream and of a header block (RFC 9113 §4.3, §5.1, §6), as h2spec
//! asks.

use super::{
    ALL, END, Talk, continuation, data, fields, headers, opening, raw, request, reset, response,
    server, setting, window,
};
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::frame::{self, ACK, END_HEADERS, ErrorCode, FrameHead, Kind, StreamId};

const HEAD: &str = "head 1 POST,http,/,a";

#[test]
fn frames_on_idle_streams_end_the_connection() {
    let fails = |frame: Vec<u8>| server(&[frame], "> GOAWAY 0 PROTOCOL_ERROR; ! StreamIdle");
    fails(data(1, 0, b"x"));
    fails(reset(1, ErrorCode::CANCEL));
    fails(window(1, 100));
    fails(window(2, 100));
    fails(data(2, 0, b"x"));
}

#[test]
fn priority_is_taken_in_every_state() {
    let priority = |stream| raw(Kind::Priority, 0, stream, &[0, 0, 0, 99, 1]);
    server(
        &[
            priority(1),
            headers(1, ALL, &request()),
            priority(1),
            priority(7),
            reset(1, ErrorCode::CANCEL),
            priority(1),
        ],
        &format!("{HEAD} end; reset 1 CANCEL by peer"),
    );
}

#[test]
fn nothing_depends_on_itself() {
    let mut block = vec![0, 0, 0, 1, 5];
    block.extend(request());
    server(&[headers(1, ALL | frame::PRIORITY, &block)], "> RST_STREAM 1 PROTOCOL_ERROR");
    let priority = raw(Kind::Priority, 0, 1, &[0, 0, 0, 1, 5]);
    server(std::slice::from_ref(&priority), "> GOAWAY 0 PROTOCOL_ERROR; ! StreamIdle");
    server(
        &[headers(1, ALL, &request()), priority],
        &format!("{HEAD} end; reset 1 PROTOCOL_ERROR by us; > RST_STREAM 1 PROTOCOL_ERROR"),
    );
}

#[test]
fn a_half_closed_stream_takes_no_more_of_a_message() {
    let fails = |frame: Vec<u8>| {
        server(
            &[headers(1, ALL, &request()), frame],
            &format!("{HEAD} end; reset 1 STREAM_CLOSED by us; > RST_STREAM 1 STREAM_CLOSED"),
        );
    };
    fails(data(1, 0, b"x"));
    fails(headers(1, ALL, &fields(&[("a", "b")])));
    server(
        &[headers(1, ALL, &request()), window(1, 9), reset(1, ErrorCode::CANCEL)],
        &format!("{HEAD} end; writable 1; reset 1 CANCEL by peer"),
    );
}

#[test]
fn a_stream_that_the_peer_reset_takes_nothing() {
    let after = |frame: Vec<u8>, want: &str| {
        server(
            &[headers(1, END_HEADERS, &request()), reset(1, ErrorCode::CANCEL), frame],
            &format!("{HEAD}; reset 1 CANCEL by peer{want}"),
        );
    };
    after(data(1, 0, b"x"), "; > RST_STREAM 1 STREAM_CLOSED");
    after(headers(1, ALL, &request()), "; > RST_STREAM 1 STREAM_CLOSED");
    after(continuation(1, END_HEADERS, &request()), "; > GOAWAY 1 PROTOCOL_ERROR; ! Continuation");
    after(window(1, 100), "");
    after(reset(1, ErrorCode::CANCEL), "");
}

#[test]
fn a_stream_that_ended_takes_nothing() {
    let after = |frame: Vec<u8>, want: &str| {
        let mut talk = Talk::new(Role::Server, Config::server());
        talk.feed(&opening(Role::Server));
        talk.feed(&headers(1, ALL, &request()));
        talk.connection.send_headers(StreamId(1), &response(200, &[]), true).unwrap();
        talk.connection.outgoing().clear();
        talk.seen.clear();
        talk.feed(&frame);
        assert_eq!(talk.end(), want);
    };
    after(data(1, 0, b"x"), "> RST_STREAM 1 STREAM_CLOSED");
    after(headers(1, ALL, &request()), "> GOAWAY 1 STREAM_CLOSED; ! StreamClosed");
    after(window(1, 100), "");
    after(reset(1, ErrorCode::CANCEL), "");
}

#[test]
fn stream_numbers_are_odd_and_rise() {
    server(&[headers(2, ALL, &request())], "> GOAWAY 0 PROTOCOL_ERROR; ! StreamNumber");
    server(
        &[headers(5, ALL, &request()), headers(3, ALL, &request())],
        "head 5 POST,http,/,a end; > GOAWAY 5 PROTOCOL_ERROR; ! StreamNumber",
    );
}

#[test]
fn nothing_comes_between_the_frames_of_a_block() {
    let fails = |frame: Vec<u8>| {
        server(&[headers(1, END, &request()), frame], "> GOAWAY 0 PROTOCOL_ERROR; ! Continuation");
    };
    fails(data(1, 0, b"x"));
    fails(headers(3, ALL, &request()));
    fails(continuation(3, END_HEADERS, b""));
    fails(raw(Kind::Ping, 0, 0, &[0; 8]));
    fails(raw(Kind::Unknown(99), 0, 1, b"x"));
    server(&[continuation(1, END_HEADERS, b"")], "> GOAWAY 0 PROTOCOL_ERROR; ! Continuation");
    server(
        &[headers(1, END, &request()), continuation(1, 0, b""), continuation(1, END_HEADERS, b"")],
        &format!("{HEAD} end"),
    );
}

#[test]
fn frames_with_and_without_a_stream_are_told_apart() {
    let fails = |frame: Vec<u8>| server(&[frame], "> GOAWAY 0 PROTOCOL_ERROR; ! StreamZero");
    fails(data(0, 0, b"x"));
    fails(headers(0, ALL, &request()));
    fails(raw(Kind::Priority, 0, 0, &[0, 0, 0, 1, 1]));
    fails(reset(0, ErrorCode::CANCEL));
    fails(raw(Kind::Settings, 0, 1, &[]));
    fails(raw(Kind::Ping, 0, 1, &[0; 8]));
    fails(raw(Kind::GoAway, 0, 1, &[0; 8]));
}

#[test]
fn frames_of_a_wrong_size_end_the_connection() {
    let fails = |frame: Vec<u8>| {
        let frames = [headers(1, END_HEADERS, &request()), frame];
        server(&frames, &format!("{HEAD}; > GOAWAY 1 FRAME_SIZE_ERROR; ! FrameSize"));
    };
    fails(raw(Kind::Reset, 0, 1, &[0; 3]));
    fails(raw(Kind::WindowUpdate, 0, 1, &[0; 5]));
    fails(raw(Kind::Ping, 0, 0, &[0; 6]));
    fails(raw(Kind::Settings, 0, 0, &[0; 5]));
    fails(raw(Kind::Settings, ACK, 0, &[0; 6]));
    fails(raw(Kind::Priority, 0, 3, &[0; 4]));
    fails(data(1, frame::PADDED, b""));
    fails(headers(3, ALL | frame::PADDED, b""));
    fails(headers(3, ALL | frame::PRIORITY, b"abcd"));
    server(
        &[headers(1, END_HEADERS, &request()), raw(Kind::Priority, 0, 1, &[0; 4])],
        &format!("{HEAD}; reset 1 FRAME_SIZE_ERROR by us; > RST_STREAM 1 FRAME_SIZE_ERROR"),
    );
}

#[test]
fn a_frame_beyond_our_bound_is_refused_by_its_head() {
    let head = FrameHead { len: 16_385, kind: Kind::Data, flags: 0, stream: 1 };
    server(
        &[headers(1, END_HEADERS, &request()), head.encode().to_vec()],
        &format!("{HEAD}; > GOAWAY 1 FRAME_SIZE_ERROR; ! FrameSize"),
    );
}

#[test]
fn padding_as_long_as_the_frame_ends_the_connection() {
    let fails = |frame: Vec<u8>| {
        let frames = [headers(1, END_HEADERS, &request()), frame];
        server(&frames, &format!("{HEAD}; > GOAWAY 1 PROTOCOL_ERROR; ! Padding"));
    };
    fails(data(1, frame::PADDED, b"\x04abc"));
    fails(headers(3, ALL | frame::PADDED, b"\x04abc"));
}

#[test]
fn unknown_frames_flags_and_settings_are_ignored() {
    server(
        &[
            raw(Kind::Unknown(0xfa), 0xff, 0, b"x"),
            raw(Kind::Unknown(0x10), 0xff, 5, b""),
            raw(Kind::Ping, 0xfe, 0, &[1; 8]),
            setting(0xff, 9),
            headers(1, ALL | 0xd2, &request()),
        ],
        &format!("settings; {HEAD} end; > PING ack; > SETTINGS ack"),
    );
}

#[test]
fn settings_out_of_range_end_the_connection() {
    server(&[setting(4, 0x8000_0000)], "> GOAWAY 0 FLOW_CONTROL_ERROR; ! FlowControl");
    server(&[setting(5, 16_383)], "> GOAWAY 0 PROTOCOL_ERROR; ! SettingsValue");
    server(&[setting(5, 16_777_216)], "> GOAWAY 0 PROTOCOL_ERROR; ! SettingsValue");
    server(&[setting(2, 2)], "> GOAWAY 0 PROTOCOL_ERROR; ! SettingsValue");
}

#[test]
fn a_push_from_a_client_ends_the_connection() {
    let frame = raw(Kind::PushPromise, END_HEADERS, 1, &[0, 0, 0, 2]);
    server(&[frame], "> GOAWAY 0 PROTOCOL_ERROR; ! Push");
}

#[test]
fn a_block_that_cannot_be_decoded_ends_the_connection() {
    let end = |error| format!("> GOAWAY 0 COMPRESSION_ERROR; ! Compression({error})");
    server(&[headers(1, ALL, &[0xc6])], &end("Index"));
    server(&[headers(1, ALL, &[0x82, 0x20])], &end("SizeUpdateLate"));
    server(&[headers(1, ALL, &[0x3f, 0xff, 0xff, 0x7f])], &end("SizeUpdateTooLarge"));
}
