//! Answers of a back end that two could read differently: they are 502, or cut, and nothing of them
//! becomes the answer of somebody else.

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::PATIENCE;
use crate::support::proxy::{ALL, start, upstream};

use super::{everything, statuses};

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// What becomes of an answer.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Fate {
    /// 502 in its place.
    Bad,
    /// It ends before its end, so that nobody takes it for whole.
    Cut,
    /// `hello`, and nothing of what follows.
    Hello,
    /// No content.
    Nothing,
}

/// Whether each of these answers has this fate, and the next request one of its own.
fn check(method: &str, fate: Fate, answers: &[Vec<u8>], ends: bool) {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let keys = "retry = { attempts = 1 }\noutlier = { failures = 0 }\n";
        let gateway = start(io, &format!("{}{ALL}", upstream(&[backend.address], keys)));
        for answer in answers {
            check_one(&gateway, &backend, method, fate, answer, ends);
        }
        gateway.is_clean();
    });
}

fn check_one(
    gateway: &Gateway,
    backend: &Backend,
    method: &str,
    fate: Fate,
    answer: &[u8],
    ends: bool,
) {
    let name = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
    let mut client = Client::connect(gateway.address);
    client.head(method, "/x", &["Connection: close"]);
    let (mut visit, _) = backend.asked();
    visit.send_if_wanted(answer, ends);
    let (all, _) = everything(&mut client, PATIENCE);
    let text = String::from_utf8_lossy(&all).into_owned();
    let last = statuses(&all).pop();
    let body = text.rsplit("\r\n\r\n").next().unwrap();
    match fate {
        Fate::Bad => assert_eq!(last, Some(502), "{name:?}"),
        Fate::Cut => {
            let is_whole = text.ends_with("\r\n0\r\n\r\n") || body.len() == 50;
            assert!(last == Some(502) || !is_whole, "{name:?}: {text:?}");
        }
        Fate::Hello => {
            assert_eq!(last, Some(200), "{name:?}");
            assert!(text.contains("hello") && !text.contains("evil"), "{name:?}: {text:?}");
        }
        Fate::Nothing => {
            assert!(last.is_some_and(|status| status < 400), "{name:?}");
            assert!(text.ends_with("\r\n\r\n") && !text.contains("hello"), "{name:?}: {text:?}");
        }
    }
    // Whoever comes next has another connection.
    let mut next = gateway.client();
    next.head("GET", "/next", &[]);
    let (mut fresh, seen) = backend.asked();
    assert_eq!(seen.target, "/next", "{name:?}");
    fresh.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnext");
    assert_eq!(next.reply().text(), "next", "{name:?}");
}

fn bytes(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[test]
fn a_length_that_two_could_read_differently_is_502() {
    let framings = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: -5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 0x5",
        "Content-Length: +5",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length : 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "X: a\r\n b\r\nContent-Length: 5",
        "X\0: a\r\nContent-Length: 5",
        "X: a\0b\r\nContent-Length: 5",
        "X: a\rb\r\nContent-Length: 5",
        "nothing\r\nContent-Length: 5",
        "X Y: a\r\nContent-Length: 5",
        ": a\r\nContent-Length: 5",
        "X\u{e9}: a\r\nContent-Length: 5",
    ];
    let body = "\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let mut answers: Vec<_> =
        framings.iter().map(|framing| format!("{OK}{framing}{body}").into_bytes()).collect();
    answers.extend(bytes(&[
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 100 C\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 103 C\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ]));
    check("GET", Fate::Bad, &answers, false);
}

#[test]
fn a_status_line_that_is_none_is_502() {
    let lines = [
        "HTTP/1.1 099 S",
        "HTTP/1.1 600 S",
        "HTTP/1.1 1000 S",
        "HTTP/1.1 20 S",
        "HTTP/1.1 2 0 S",
        "HTTP/1.1 +20 S",
        "HTTP/1.1 200 a\0b",
        "HTTP/1.1 200 a\rb",
        "HTTP/2.0 200 OK",
        "ICY 200 OK",
        "HTTP/1.1  200 OK",
        " HTTP/1.1 200 OK",
        "http/1.1 200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/11 200 OK",
    ];
    let answers: Vec<_> = lines
        .iter()
        .map(|line| format!("{line}\r\nContent-Length: 5\r\n\r\nhello").into_bytes())
        .collect();
    check("GET", Fate::Bad, &answers, false);
    let more = [
        format!("{OK}{}\r\n", "X: y\r\n".repeat(5000)).into_bytes(),
        format!("{OK}X: {}\r\n\r\n", "y".repeat(1 << 20)).into_bytes(),
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nxx".to_vec(),
        format!("{}{OK}\r\n", "HTTP/1.1 103 E\r\nLink: a\r\n\r\n".repeat(1000)).into_bytes(),
    ];
    check("GET", Fate::Bad, &more, false);
    check("GET", Fate::Bad, &bytes(&["hello world", "HTTP/1.1 200", ""]), true);
}

#[test]
fn a_body_that_breaks_off_or_breaks_the_rules_never_looks_whole() {
    let chunked = |body: &str| format!("{OK}Transfer-Encoding: chunked\r\n\r\n{body}").into_bytes();
    let broken = [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhelloXX\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nbad\r\n\r\n",
        "5\r\nhello\r\n0\r\n A: b\r\n\r\n",
        "5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
    ];
    check("GET", Fate::Cut, &broken.map(chunked), false);
    let mut short =
        ["5\r\nhello\r\n", "5\r\nhello\r\n0\r\n", "5\r\nhello", "5\r\n"].map(chunked).to_vec();
    short.push(format!("{OK}Content-Length: 50\r\n\r\nhello").into_bytes());
    check("GET", Fate::Cut, &short, true);
}

#[test]
fn what_follows_an_answer_is_nobodys() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let whole = [
        format!("{OK}Content-Length: 5\r\n\r\nhello{evil}").into_bytes(),
        format!("{OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{evil}").into_bytes(),
        format!("{OK}Connection: content-length\r\nContent-Length: 5\r\n\r\nhello{evil}")
            .into_bytes(),
    ];
    check("GET", Fate::Hello, &whole, false);
    let empty = bytes(&[
        "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ]);
    check("GET", Fate::Nothing, &empty, false);
    let heads = bytes(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ]);
    check("HEAD", Fate::Nothing, &heads, false);
}
