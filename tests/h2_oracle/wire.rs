//! The same octets to our engine and to the crate: both must understand what was meant.

use std::collections::BTreeMap;

use otus::protocol::h2::connection::config::Role;
use otus::protocol::h2::frame::ErrorCode;

use crate::pen::{Fields, Pen};
use crate::readers::{self, End, Log, Seen, sorted};
use crate::{list, run};

/// Messages of each script, and how many of them are under way at once.
const MESSAGES: usize = 40;
const AT_ONCE: usize = 6;
/// Tables that a reader allows.
const TABLES: [u32; 5] = [4096, 0, 200, 1000, 65_536];

/// What a writer wrote, and what it meant.
struct Script {
    bytes: Vec<u8>,
    meant: Log,
    table: u32,
    requests: usize,
}

/// Messages beside each other, in frames of every form.
fn script(role: Role, seed: u64) -> Script {
    let table = TABLES[usize::try_from(seed).unwrap() % TABLES.len()];
    let by_client = role == Role::Server;
    let mut pen = Pen::new(seed, by_client, usize::try_from(table).unwrap());
    let mut meant = Log::new();
    let mut open: Vec<u32> = Vec::new();
    let mut next = 1;
    while meant.len() < MESSAGES || !open.is_empty() {
        let id = if open.is_empty() { 1 } else { open[pen.below(open.len())] };
        match pen.below(8) {
            0 | 1 if open.len() < AT_ONCE && meant.len() < MESSAGES => {
                let message = meant.entry(next).or_default();
                if begin(&mut pen, next, message, by_client) {
                    open.push(next);
                }
                next += 2;
            }
            2 if next > 1 => pen.aside(id),
            _ if open.is_empty() => {}
            3 if pen.prng.one_in(3) => {
                let code = pen.below(14);
                let code = ErrorCode(u32::try_from(code).unwrap());
                pen.reset(id, code);
                meant.get_mut(&id).unwrap().end = End::Reset(code.0);
                open.retain(|other| *other != id);
            }
            4 if pen.prng.one_in(3) => {
                let trailers = bytes_of(list(&mut pen.prng));
                pen.headers(id, &trailers, true);
                let message = meant.get_mut(&id).unwrap();
                (message.trailers, message.end) = (Some(sorted(trailers)), End::Whole);
                open.retain(|other| *other != id);
            }
            _ => {
                let most = if pen.prng.one_in(4) { 12_000 } else { 100 };
                let mut part = vec![0; pen.below(most)];
                pen.prng.fill(&mut part);
                let end = pen.prng.one_in(6);
                pen.data(id, &part, end);
                let message = meant.get_mut(&id).unwrap();
                message.body.extend_from_slice(&part);
                if end {
                    message.end = End::Whole;
                    open.retain(|other| *other != id);
                }
            }
        }
    }
    Script { bytes: pen.out, meant, table, requests: MESSAGES }
}

/// The head of a message. True if more follows.
fn begin(pen: &mut Pen, id: u32, seen: &mut Seen, by_client: bool) -> bool {
    let mut head = Vec::new();
    if by_client {
        let path = format!("/p{}?q={}", pen.below(5), pen.below(50));
        for (name, value) in [(":method", "POST"), (":scheme", "http"), (":authority", "a.example")]
        {
            head.push((name.into(), value.into()));
        }
        head.push((b":path".to_vec(), path.into_bytes()));
    } else {
        for _ in 0..pen.below(5).saturating_sub(2) {
            let mut interim = vec![(b":status".to_vec(), b"103".to_vec())];
            interim.extend(bytes_of(list(&mut pen.prng)));
            pen.headers(id, &interim, false);
            seen.interim.push(sorted(interim));
        }
        let status = ["200", "201", "404", "500", "599"][pen.below(5)];
        head.push((b":status".to_vec(), status.into()));
    }
    head.extend(bytes_of(list(&mut pen.prng)));
    let end = pen.prng.one_in(4);
    pen.headers(id, &head, end);
    seen.head = sorted(head);
    if end {
        seen.end = End::Whole;
    }
    !end
}

fn bytes_of(list: crate::List) -> Fields {
    list.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect()
}

async fn by_crate(role: Role, script: &Script) -> (Log, Option<u32>) {
    match role {
        Role::Server => readers::crate_server(&script.bytes, script.table).await,
        Role::Client => readers::crate_client(&script.bytes, script.table, script.requests).await,
    }
}

#[test]
fn what_was_written_is_what_both_understand() {
    for role in [Role::Server, Role::Client] {
        for seed in 0..40 {
            run(async move {
                let script = script(role, seed);
                let mut prng = otus::base::prng::Prng::new(seed);
                let Script { bytes, meant, table, requests } = &script;
                let (ours, ended) =
                    readers::ours(role, bytes, *table, opened(role, *requests), &mut prng);
                assert_eq!(ended, Ok(()), "{role:?} {seed}");
                differs(&ours, meant, &format!("ours, {role:?} {seed}"));
                let (theirs, code) = by_crate(role, &script).await;
                assert_eq!(code, None, "{role:?} {seed}");
                differs(&theirs, meant, &format!("the crate, {role:?} {seed}"));
            });
        }
    }
}

fn opened(role: Role, requests: usize) -> usize {
    if role == Role::Client { requests } else { 0 }
}

/// Fails at the first stream that is not the same.
#[track_caller]
fn differs(got: &Log, want: &Log, who: &str) {
    for (id, want) in want {
        assert_eq!(got.get(id), Some(want), "{who}: stream {id}");
    }
    assert_eq!(got.len(), want.len(), "{who}");
}

#[test]
fn of_octets_that_went_wrong_both_understand_the_same_or_one_refuses() {
    let mut verdicts = BTreeMap::new();
    let mut one_refuses = 0;
    for role in [Role::Server, Role::Client] {
        for seed in 0..120 {
            let verdict = run(async move {
                let mut script = script(role, seed % 40);
                let mut pen = Pen::new(seed + 1000, false, 0);
                spoil(&mut script.bytes, &mut pen);
                let Script { bytes, table, requests, .. } = &script;
                let requests = opened(role, *requests);
                let (ours, ended) = readers::ours(role, bytes, *table, requests, &mut pen.prng);
                let (theirs, code) = by_crate(role, &script).await;
                for (id, own) in &ours {
                    let Some(other) = theirs.get(id) else { continue };
                    if own.end == End::Whole && other.end == End::Whole {
                        assert_eq!(own, other, "{role:?} {seed}: stream {id}");
                    }
                }
                (ended.err().map(|error| error.code.0), code)
            });
            *verdicts.entry(verdict).or_insert(0) += 1;
            one_refuses += u32::from(verdict.0.is_some() != verdict.1.is_some());
        }
    }
    println!("connections by code, ours and theirs: {verdicts:?}");
    // A last frame that is not whole is judged by its length, its head or not at all.
    assert!(one_refuses <= 4, "{verdicts:?}");
}

/// One accident behind the beginning.
fn spoil(bytes: &mut Vec<u8>, pen: &mut Pen) {
    let at = 60 + pen.below(bytes.len() - 60);
    match pen.below(5) {
        0 => bytes[at] ^= 1 << pen.below(8),
        1 => bytes[at] = u8::try_from(pen.below(256)).unwrap(),
        2 => drop(bytes.remove(at)),
        3 => bytes.insert(at, u8::try_from(pen.below(256)).unwrap()),
        _ => {
            let end = (at + 1 + pen.below(40)).min(bytes.len());
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again);
        }
    }
}
