//! Files of the gateway's host that a service answers with.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use otus::gufo::dialect::Dialect;
use otus::snapshot::files::Files;
use otus::snapshot::server::IoDriver;

use crate::support::client::{Client, Reply};
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2;

use super::service::Streams;

/// A directory that goes with its test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("otus-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("root/sub")).unwrap();
        Directory(path)
    }

    fn root(&self) -> PathBuf {
        self.0.join("root")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn start(io: IoDriver, root: Option<&Path>) -> (Gateway, Streams) {
    let streams = Streams::start();
    let gateway = streams.gateway(io, Dialect::B, |snapshot| {
        let root = root.map(|root| root.to_str().unwrap().into());
        snapshot.gufo.files = root.map(|root| Files { root, asks: None });
        snapshot.server.http2.cleartext = true;
    });
    (gateway, streams)
}

fn ask(client: &mut Client, path: &str, fields: &[&str]) -> Reply {
    client.head("GET", &format!("/api/v3/streams/local?path={path}"), fields);
    client.reply()
}

#[test]
fn a_file_is_served_whole_in_part_or_not_again() {
    on_both_drivers(|io| {
        let directory = Directory::new("files");
        let content = data::bytes(700_001);
        std::fs::write(directory.root().join("sub/a.bin"), &content).unwrap();
        std::fs::write(directory.root().join("empty"), b"").unwrap();
        let (gateway, _streams) = start(io, Some(&directory.root()));
        let mut client = gateway.client();
        let reply = ask(&mut client, "sub/a.bin", &[]);
        assert!(reply.status == 200 && reply.body == content, "{:?}", reply.fields);
        assert_eq!(reply.field("content-disposition"), Some("attachment; filename=\"b.bin\""));
        let etag = reply.field("etag").unwrap().to_owned();
        let same = format!("If-None-Match: {etag}");
        assert_eq!(ask(&mut client, "sub/a.bin", &[&same]).status, 304);
        let full = directory.root().join("sub/a.bin");
        let if_range = format!("If-Range: {etag}");
        let range = ["Range: bytes=300000-600000", &if_range];
        let reply = ask(&mut client, full.to_str().unwrap(), &range);
        assert_eq!((reply.status, reply.body.len()), (206, 300_001));
        assert!(reply.body == content[300_000..=600_000]);
        assert_eq!(reply.field("content-range"), Some("bytes 300000-600000/700001"));
        let reply = ask(&mut client, "sub/a.bin", &["Range: bytes=700001-"]);
        assert_eq!(reply.status, 416);
        assert_eq!(reply.field("content-range"), Some("bytes */700001"));
        assert_eq!(ask(&mut client, "sub/a.bin", &["If-Match: \"x\""]).status, 412);
        let reply = ask(&mut client, "empty", &[]);
        assert_eq!((reply.status, reply.body.len(), reply.keeps()), (200, 0, true));
        client.head("HEAD", "/api/v3/streams/local?path=sub/a.bin", &[]);
        assert_eq!(client.reply_to_head().field("content-length"), Some("700001"));
        let second = h2::Client::connect(gateway.address);
        assert!(second.get("/api/v3/streams/local?path=sub/a.bin").body == content);
        gateway.is_clean();
    });
}

#[test]
fn nothing_else_of_the_host_is_served() {
    on_both_drivers(|io| {
        let directory = Directory::new("elsewhere");
        std::fs::write(directory.0.join("secret"), b"no").unwrap();
        std::fs::write(directory.root().join("a"), b"yes").unwrap();
        symlink("../secret", directory.root().join("link")).unwrap();
        symlink("..", directory.root().join("up")).unwrap();
        let (gateway, _streams) = start(io, Some(&directory.root()));
        let mut client = gateway.client();
        let secret = directory.0.join("secret");
        for (path, status) in [
            ("a", 200),
            ("../secret", 502),
            ("sub/../../secret", 502),
            ("link", 502),
            ("up/secret", 502),
            ("sub", 502),
            ("/etc/passwd", 502),
            ("/dev/zero", 502),
            (secret.to_str().unwrap(), 502),
            ("nothing", 404),
        ] {
            assert_eq!(ask(&mut client, path, &[]).status, status, "{path}");
        }
        let (gateway, _streams) = start(io, None);
        let path = directory.root().join("a");
        let reply = ask(&mut gateway.client(), path.to_str().unwrap(), &[]);
        assert_eq!(reply.status, 502, "files are off unless somebody says otherwise");
        gateway.is_clean();
    });
}
