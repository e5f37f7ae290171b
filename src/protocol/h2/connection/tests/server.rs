use super::{
    ALL, END, Talk, check, data, fields, headers, opening, raw, request, request_with, response,
    server, written,
};
use crate::protocol::h2::connection::config::{Config, Role};
use crate::protocol::h2::connection::event::StreamError;
use crate::protocol::h2::frame::{ACK, END_HEADERS, ErrorCode, Kind, PREFACE, StreamId};
use crate::protocol::h2::hpack::encode::Block;

#[test]
fn a_server_begins_with_settings_and_its_window() {
    let mut talk = Talk::new(Role::Server, Config::server());
    let out = std::mem::take(talk.connection.outgoing());
    assert_eq!(written(&out), "> SETTINGS; > WINDOW_UPDATE 0 983041; ");
    talk.feed(&opening(Role::Server));
    assert_eq!(talk.end(), "settings; acknowledged; > SETTINGS ack");
}

#[test]
fn a_preface_that_is_none_is_refused_at_its_first_wrong_byte() {
    for (input, refused) in
        [("PRI * HTTP/2.0\r\n\r\nSM\r\n\r", false), ("PRI * HTTP/1", true), ("GET", true)]
    {
        let mut talk = Talk::new(Role::Server, Config::server());
        talk.connection.outgoing().clear();
        talk.feed(input.as_bytes());
        let want = if refused { "> GOAWAY 0 PROTOCOL_ERROR; ! Preface" } else { "" };
        assert_eq!(talk.end(), want);
    }
    for first in [raw(Kind::Ping, 0, 0, &[0; 8]), raw(Kind::Settings, ACK, 0, &[])] {
        let mut talk = Talk::new(Role::Server, Config::server());
        talk.connection.outgoing().clear();
        talk.feed(PREFACE);
        talk.feed(&first);
        assert_eq!(talk.end(), "> GOAWAY 0 PROTOCOL_ERROR; ! Preface");
    }
}

#[test]
fn a_request_is_reported_in_parts() {
    server(&[headers(1, ALL, &request())], "head 1 POST,http,/,a end");
    server(
        &[
            headers(1, END_HEADERS, &request_with(&[("content-length", "5")])),
            data(1, 0, b"hel"),
            headers(3, ALL, &request()),
            data(1, END, b"lo"),
        ],
        "head 1 POST,http,/,a,5; data 1 hel; head 3 POST,http,/,a end; data 1 lo; end",
    );
    server(
        &[
            headers(1, END_HEADERS, &request()),
            data(1, 0, b"x"),
            headers(1, ALL, &fields(&[("t", "v")])),
        ],
        "head 1 POST,http,/,a; data 1 x; trailers 1 v end",
    );
    server(
        &[headers(1, END_HEADERS, &request()), data(1, END, b"")],
        "head 1 POST,http,/,a; data 1 ; end",
    );
}

#[test]
fn a_malformed_request_ends_its_stream_only() {
    let fails = |frames: &[Vec<u8>], before: &str| {
        let mut all = frames.to_vec();
        all.push(headers(3, ALL, &request()));
        let code = "PROTOCOL_ERROR";
        let want = format!("{before}head 3 POST,http,/,a end; > RST_STREAM 1 {code}");
        server(&all, &want);
    };
    fails(&[headers(1, ALL, &request_with(&[("connection", "close")]))], "");
    fails(&[headers(1, ALL, &request_with(&[(":path", "/")]))], "");
    fails(&[headers(1, ALL, &request_with(&[("content-length", "1")]))], "");
    let known = "reset 1 PROTOCOL_ERROR by us; ";
    let head = headers(1, END_HEADERS, &request_with(&[("content-length", "3")]));
    let seen = format!("head 1 POST,http,/,a,3; {known}");
    fails(&[head.clone(), data(1, END, b"ab")], &seen);
    fails(&[head.clone(), data(1, 0, b"abcd"), data(1, END, b"late")], &seen);
    fails(&[head.clone(), headers(1, ALL, &fields(&[("a", "b")]))], &seen);
    let head = headers(1, END_HEADERS, &request());
    let seen = format!("head 1 POST,http,/,a; {known}");
    fails(&[head.clone(), headers(1, END_HEADERS, &fields(&[("a", "b")]))], &seen);
    fails(&[head.clone(), headers(1, ALL, &fields(&[(":path", "/x")]))], &seen);
    fails(&[head, headers(1, ALL, &fields(&[("te", "chunked")]))], &seen);
}

#[test]
fn a_head_beyond_the_bound_can_still_be_answered() {
    let config = Config { header_list_max: 300, ..Config::server() };
    let long = request_with(&[("x", &"v".repeat(300))]);
    let input = [headers(1, ALL, &long), headers(3, ALL, &request())].concat();
    let mut talk = Talk::new(Role::Server, config);
    talk.feed(&opening(Role::Server));
    talk.connection.outgoing().clear();
    talk.feed(&input);
    assert_eq!(talk.connection.send_headers(StreamId(1), &response(431, &[]), true), Ok(()));
    let want = "settings; acknowledged; too large 1; head 3 POST,http,/,a end; > Headers 1 0x5 5";
    assert_eq!(talk.end(), want);
    let trailers =
        [headers(1, END_HEADERS, &request()), headers(1, ALL, &fields(&[("x", &"v".repeat(300))]))]
            .concat();
    let want = "head 1 POST,http,/,a; reset 1 ENHANCE_YOUR_CALM by us; \
                > RST_STREAM 1 ENHANCE_YOUR_CALM";
    check(Role::Server, config, &trailers, want, |_| {});
}

#[test]
fn streams_beyond_the_bound_are_refused() {
    let config = Config { streams_max: 1, ..Config::server() };
    let input = [
        headers(1, END_HEADERS, &request()),
        headers(3, END_HEADERS, &request()),
        data(3, END, b"late"),
        data(1, END, b"x"),
    ]
    .concat();
    let want = "head 1 POST,http,/,a; data 1 x; end; > RST_STREAM 3 REFUSED_STREAM";
    check(Role::Server, config, &input, want, |_| {});
}

#[test]
fn a_response_has_a_head_a_body_and_trailers() {
    let mut talk = Talk::new(Role::Server, Config::server());
    talk.feed(&opening(Role::Server));
    talk.feed(&headers(1, ALL, &request()));
    talk.connection.outgoing().clear();
    let one = StreamId(1);
    let connection = &mut talk.connection;
    assert_eq!(connection.capacity(one), 0);
    assert_eq!(connection.data_header(one, 0, true), Err(StreamError::Order));
    assert_eq!(connection.send_informational(one, &response(103, &[])), Ok(()));
    assert_eq!(connection.send_headers(one, &response(200, &[]), false), Ok(()));
    assert_eq!(connection.send_informational(one, &response(103, &[])), Err(StreamError::Order));
    assert_eq!(connection.send_headers(one, &response(200, &[]), false), Err(StreamError::Order));
    assert_eq!(connection.capacity(one), 65_535);
    assert_eq!(connection.send_data(one, &vec![b'x'; 20_000], false), Ok(()));
    assert_eq!(connection.data_header(one, 16_385, false), Err(StreamError::Capacity));
    assert_eq!(connection.data_header(one, 10, false), Ok([0, 0, 10, 0, 0, 0, 0, 0, 1]));
    connection.check();
    assert_eq!(connection.send_data(one, &vec![b'x'; 65_000], false), Err(StreamError::Capacity));
    assert_eq!(connection.capacity(one), 65_535 - 20_010);
    let trailers = fields(&[("grpc-status", "0")]);
    assert_eq!(connection.send_headers(one, &trailers, true), Ok(()));
    assert_eq!(connection.send_headers(one, &trailers, true), Err(StreamError::Closed));
    assert_eq!(connection.send_data(one, b"", true), Err(StreamError::Closed));
    assert!(connection.is_idle());
    talk.seen.clear();
    let want = "> Headers 1 0x4 5; > Headers 1 0x4 1; > Data 1 0x0 16384; > Data 1 0x0 3616; \
                > Headers 1 0x5 15";
    assert_eq!(talk.end(), want);
}

#[test]
fn a_drain_takes_what_is_under_way_and_then_nothing() {
    let mut talk = Talk::new(Role::Server, Config::server());
    talk.feed(&opening(Role::Server));
    talk.connection.outgoing().clear();
    talk.seen.clear();
    talk.connection.go_away(ErrorCode::NO_ERROR, StreamId::MAX);
    assert!(talk.connection.is_going_away());
    talk.feed(&headers(1, END_HEADERS, &request()));
    let last = talk.connection.last_peer_stream();
    talk.connection.go_away(ErrorCode::NO_ERROR, StreamId(last));
    talk.feed(&headers(3, END_HEADERS, &request()));
    talk.feed(&data(3, 0, b"ignored"));
    talk.feed(&headers(3, ALL, &fields(&[("t", "v")])));
    talk.feed(&data(1, END, b"x"));
    let want = "head 1 POST,http,/,a; data 1 x; end; > GOAWAY 2147483647 NO_ERROR; \
                > GOAWAY 1 NO_ERROR";
    assert_eq!(talk.end(), want);
}

#[test]
fn extended_connect_is_taken_when_it_was_offered() {
    let config = Config { connect_protocol: true, ..Config::server() };
    let block = Block::new()
        .field(b":method", b"CONNECT")
        .field(b":protocol", b"websocket")
        .field(b":scheme", b"https")
        .field(b":path", b"/chat")
        .field(b":authority", b"a");
    let input = headers(1, END_HEADERS, block.as_slice());
    check(Role::Server, config, &input, "head 1 CONNECT,websocket,https,/chat,a", |_| {});
    server(&[input], "> RST_STREAM 1 PROTOCOL_ERROR");
}
