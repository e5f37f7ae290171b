//! Hosts, redirects and subdomains from a file of their own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::support::backend::{Backend, Seen, ok};
use crate::support::client::Reply;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;
use crate::support::proxy::{NEEDED, compiled};

use otus::config::source::Source;
use otus::snapshot::server::IoDriver;

/// A back end that says its name, and the host and target that it was asked for.
fn named(name: &'static str) -> SocketAddr {
    let answer = move |seen: &Seen, _: &[u8]| {
        let host = seen.field("host").unwrap_or("none");
        ok(&format!("{name} {host} {}", seen.target)).into_bytes()
    };
    Backend::listen().serve(answer).0
}

/// A directory of its own with a settings file that names this hosts file.
struct Directory(PathBuf);

impl Directory {
    fn new(io: IoDriver, hosts: &str) -> Self {
        let name = format!("otus-{}-{io:?}-{hosts}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        let settings = format!("{NEEDED}hosts.file = \"{hosts}\"\n");
        fs::write(path.join("settings.toml"), settings).unwrap();
        Directory(path)
    }

    fn write(&self, hosts: &str, text: &str) {
        fs::write(self.0.join(hosts), text).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A gateway that reads its files as `otus` does: again at each reload.
fn gateway(io: IoDriver, directory: &Path) -> Gateway {
    let settings = directory.join("settings.toml");
    Gateway::load(Box::new(move |generation| {
        let source = Source::read(&settings).map_err(|faults| faults.to_string())?;
        let source = Source { env: Vec::new(), dotenv: None, ..source };
        otus::config::load::load(source.clone()).map_err(|faults| faults.to_string())?;
        Ok(compiled(io, source, generation))
    }))
}

fn ask(gateway: &Gateway, host: &str, target: &str) -> Reply {
    let mut client = gateway.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    client.reply()
}

#[test]
fn the_file_routes_rewrites_and_redirects() {
    on_both_drivers(|io| {
        let (chat, rest, apps) = (named("chat"), named("rest"), named("apps"));
        let yaml = format!(
            "redirects:\n  old.x: https://www.x/base/\nroutes:\n  api.x:\n  \
             - {{prefix: /v1/chat, backend: 'http://{chat}', rewrite: /api}}\n  \
             - {{backend: 'http://{rest}'}}\nsubdomains:\n  apps.x.y: http://{apps}\n"
        );
        let toml = format!(
            "[redirects]\n\"old.x\" = \"https://www.x/base\"\n\
             [[routes.\"api.x\"]]\nprefix = \"/v1/chat\"\nbackend = \"http://{chat}\"\n\
             rewrite = \"/api\"\n[[routes.\"api.x\"]]\nbackend = \"http://{rest}\"\n\
             [subdomains]\n\"apps.x.y\" = \"http://{apps}\"\n"
        );
        for (name, text) in [("hosts.yaml", yaml), ("hosts.toml", toml)] {
            let directory = Directory::new(io, name);
            directory.write(name, &text);
            let gateway = gateway(io, &directory.0);
            for (host, target, want) in [
                ("api.x", "/v1/chat/a?q=1", format!("chat {chat} /api/a?q=1")),
                ("API.X:8080", "/v1/chatter", format!("rest {rest} /v1/chatter")),
                ("a.b.apps.x.y", "/?q", format!("apps {apps} /?q")),
            ] {
                assert_eq!(ask(&gateway, host, target).text(), want, "{name}: {host}{target}");
            }
            let reply = ask(&gateway, "old.x:80", "/a/b?q=1&r=2");
            let to = reply.field("location");
            assert_eq!((reply.status, to), (301, Some("https://www.x/base/a/b?q=1&r=2")));
            for host in ["apps.x.y", "x", "xapi.x"] {
                assert_eq!(ask(&gateway, host, "/").status, 404, "{name}: {host}");
            }
            gateway.is_clean();
        }
    });
}

#[test]
fn a_reload_reads_the_file_again_or_changes_nothing() {
    on_both_drivers(|io| {
        let (old, new) = (named("old"), named("new"));
        let text = |to: SocketAddr| format!("routes:\n  a.x:\n  - backend: http://{to}\n");
        let directory = Directory::new(io, "again.yaml");
        directory.write("again.yaml", &text(old));
        let gateway = gateway(io, &directory.0);
        assert_eq!(ask(&gateway, "a.x", "/").text(), format!("old {old} /"));
        directory.write("again.yaml", "routes: [\n");
        gateway.stopper.reload();
        eventually("the failure is told", || {
            (gateway.metric("otus_config_last_reload_successful") == 0).then_some(())
        });
        assert_eq!(ask(&gateway, "a.x", "/").text(), format!("old {old} /"));
        directory.write("again.yaml", &text(new));
        gateway.stopper.reload();
        gateway.wait_metric("otus_shard_generation", 2);
        assert_eq!(ask(&gateway, "a.x", "/").text(), format!("new {new} /"));
        gateway.is_clean();
    });
}
