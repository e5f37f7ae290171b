//! Stories of header blocks, one file each in `stories/`: what a third encoder (the Python package
//! `hpack`) made of lists that we thought up. Our decoder and the crate's must read them alike.
//!
//! A file says whose heads they are (`kind requests` or `kind answers`) and which table the reader
//! allows; then come blocks: their octets in hexadecimal, and the fields that they mean.

use std::fs;
use std::path::Path;

use otus::base::prng::Prng;
use otus::protocol::h2::connection::config::Role;
use otus::protocol::h2::hpack::decode::Decoder;
use otus::protocol::h2::hpack::encode;
use otus::protocol::h2::hpack::fields;

use crate::pen::{Fields, Pen};
use crate::readers::{self, End, Log, sorted};
use crate::run;

struct Story {
    name: String,
    role: Role,
    table: u32,
    blocks: Vec<(Vec<u8>, Fields)>,
}

fn stories() -> Vec<Story> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/h2_oracle/stories");
    let mut paths: Vec<_> =
        fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> Story {
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut story = Story { name, role: Role::Server, table: 0, blocks: Vec::new() };
    for line in fs::read_to_string(path).unwrap().lines() {
        if line.is_empty() {
            story.blocks.push((Vec::new(), Vec::new()));
        } else if let Some(kind) = line.strip_prefix("kind ") {
            story.role = if kind == "requests" { Role::Server } else { Role::Client };
        } else if let Some(table) = line.strip_prefix("table ") {
            story.table = table.parse().unwrap();
        } else if let Some(wire) = line.strip_prefix("wire ") {
            let (pairs, _) = wire.as_bytes().as_chunks::<2>();
            let octet = |pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
            story.blocks.last_mut().unwrap().0.extend(pairs.iter().map(|pair| octet(&pair[..])));
        } else if !line.starts_with('#') {
            let colon = 1 + line[1..].find(':').unwrap();
            let value = line[colon + 1..].trim_start();
            story.blocks.last_mut().unwrap().1.push((line[..colon].into(), value.into()));
        }
    }
    story
}

#[test]
fn our_decoder_reads_them() {
    for story in stories() {
        let mut decoder = Decoder::new(story.table);
        for (wire, want) in &story.blocks {
            let mut fields = fields::Fields::new(1 << 16);
            decoder.decode(wire, &mut fields).unwrap();
            let got: Fields = fields.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            assert_eq!(&got, want, "{}", story.name);
            decoder.table().check();
        }
    }
}

#[test]
fn connections_of_ours_and_of_the_crate_read_them_in_frames_of_any_kind() {
    for story in stories() {
        for seed in 0..4 {
            let Story { name, role, table, blocks } = &story;
            let mut pen = Pen::new(seed, *role == Role::Server, 4096);
            let requests = if *role == Role::Client { blocks.len() } else { 0 };
            let mut meant = Log::new();
            for (place, (wire, fields)) in blocks.iter().enumerate() {
                let id = u32::try_from(place * 2 + 1).unwrap();
                pen.cut_block(id, wire, true);
                let seen = meant.entry(id).or_default();
                (seen.head, seen.end) = (sorted(fields.clone()), End::Whole);
            }
            let bytes = &pen.out;
            let (ours, ended) = readers::ours(*role, bytes, *table, requests, &mut Prng::new(seed));
            assert_eq!((ours, ended), (meant.clone(), Ok(())), "ours, {name}");
            let (theirs, code) = run(async {
                match role {
                    Role::Server => readers::crate_server(bytes, *table).await,
                    Role::Client => readers::crate_client(bytes, *table, requests).await,
                }
            });
            assert_eq!((theirs, code), (meant, None), "the crate, {name}");
        }
    }
}

#[test]
fn what_our_encoder_makes_of_them_the_crate_reads() {
    for story in stories() {
        let Story { name, role, blocks, .. } = &story;
        let mut pen = Pen::new(1, *role == Role::Server, 4096);
        let requests = if *role == Role::Client { blocks.len() } else { 0 };
        let mut meant = Log::new();
        for (place, (_, fields)) in blocks.iter().enumerate() {
            let id = u32::try_from(place * 2 + 1).unwrap();
            let mut block = Vec::new();
            for (place, (name, value)) in fields.iter().enumerate() {
                match place % 3 {
                    0 => encode::field(&mut block, name, value),
                    1 => encode::field_compact(&mut block, name, value),
                    _ => encode::field_sensitive(&mut block, name, value),
                }
            }
            pen.cut_block(id, &block, true);
            let seen = meant.entry(id).or_default();
            (seen.head, seen.end) = (sorted(fields.clone()), End::Whole);
        }
        let (theirs, code) = run(async {
            match role {
                Role::Server => readers::crate_server(&pen.out, 4096).await,
                Role::Client => readers::crate_client(&pen.out, 4096, requests).await,
            }
        });
        assert_eq!((theirs, code), (meant, None), "{name}");
    }
}
