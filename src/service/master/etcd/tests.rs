//! Against a real etcd. Where none is installed the tests say so and pass.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::service::store::tests::TempDir;

/// A server of this test alone.
struct Server {
    child: Child,
    url: String,
    _dir: TempDir,
}

impl Server {
    fn start() -> Option<Self> {
        let dir = TempDir::new();
        let port = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let (client, peer) = (port(), port());
        let (url, peer) =
            (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let spawned = Command::new("etcd")
            .args(["--name", "test", "--initial-cluster", &format!("test={peer}")])
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .arg("--data-dir")
            .arg(&dir.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                println!("left out: etcd cannot be started here: {error}");
                return None;
            }
        };
        let server = Server { child, url, _dir: dir };
        for _ in 0..600 {
            if server.store().look().is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("etcd does not answer");
    }

    fn store(&self) -> Etcd {
        Etcd::new(std::slice::from_ref(&self.url), "/otus/test/").unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn row(letter: char, host: &str) -> Row {
    Row {
        uuid: letter.to_string().repeat(24),
        name: "users".to_owned(),
        host: host.to_owned(),
        port: 1,
        is_active: true,
        weight: 1,
        ..Row::default()
    }
}

fn mandate(letter: char, epoch: u64) -> Mandate {
    Mandate {
        service: "/users".to_owned(),
        master_id: letter.to_string().repeat(24),
        uuid: letter.to_string().repeat(24),
        epoch,
        by_heartbeat: false,
        echo: 5,
    }
}

#[test]
fn two_masters_see_one_table_and_only_one_grants() {
    let Some(server) = Server::start() else { return };
    let (mut a, mut b) = (server.store(), server.store());
    assert_eq!(a.load(), Ok(Some(Saved::default())));
    assert_eq!(b.load(), Ok(Some(Saved::default())));
    a.keep(&[Change::Put(row('a', "x")), Change::Put(row('b', "b.example"))]).unwrap();
    assert_eq!(a.load(), Ok(None), "what it wrote itself is no news");
    let mut saved = b.load().unwrap().unwrap();
    saved.rows.sort_by(|one, other| one.uuid.cmp(&other.uuid));
    assert_eq!(saved.rows, [row('a', "x"), row('b', "b.example")]);

    // Both decide by what they have seen: one of them is refused, and sees why.
    a.keep(&[Change::Mandate(mandate('a', 1))]).unwrap();
    let late = [Change::Mandate(mandate('b', 1))];
    assert_eq!(b.keep(&late), Err(StoreError::Conflict));
    let saved = b.load().unwrap().unwrap();
    assert_eq!((saved.mandates, saved.epoch), (vec![mandate('a', 1)], 1));
    // One row for one place.
    let third = Row { uuid: "c".repeat(24), ..row('c', "z") };
    a.keep(&[Change::Put(third.clone())]).unwrap();
    let other = Row { uuid: "d".repeat(24), ..third };
    assert_eq!(b.keep(&[Change::Put(other)]), Err(StoreError::Conflict));

    // A sign of life, a move, an end.
    b.load().unwrap();
    let moved = Row { host: "y".to_owned(), ..row('a', "x") };
    b.keep(&[
        Change::Put(moved.clone()),
        Change::Renew { uuid: "b".repeat(24), echo: 9 },
        Change::RenewMandate { service: "/users".to_owned(), echo: 9 },
        Change::Remove("c".repeat(24)),
    ])
    .unwrap();
    let mut saved = a.load().unwrap().unwrap();
    saved.rows.sort_by(|one, other| one.uuid.cmp(&other.uuid));
    assert_eq!(saved.rows, [moved, Row { echo: 9, ..row('b', "b.example") }]);
    assert_eq!(saved.mandates[0].echo, 9);
    b.keep(&[Change::EndMandate("/users".to_owned())]).unwrap();
    let saved = a.load().unwrap().unwrap();
    assert_eq!((saved.mandates.len(), saved.epoch), (0, 1), "the epoch stays");
}

#[test]
fn masters_that_share_etcd_grant_one_mandate_at_a_time() {
    use crate::master::call::Call;
    use crate::master::rules::Rules;
    let Some(server) = Server::start() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let masters: Vec<_> = (0..3)
        .map(|_| super::super::keeper::spawn(Rules::default(), Box::new(server.store())).unwrap())
        .collect();
    let beat = |number: usize| {
        let args = json!({ "name": "s", "host": format!("h{number}"), "port": 1 });
        Call {
            module: "masterservice".to_owned(),
            param: "heartbeat".to_owned(),
            method: "POST".to_owned(),
            args: args.as_object().unwrap().clone(),
            ..Call::default()
        }
    };
    // Each replica asks another master, all at once.
    for _ in 0..5 {
        let answers = runtime.block_on(async {
            let asked = masters.iter().enumerate().map(|(number, (asker, _))| {
                let (asker, call) = (asker.clone(), beat(number));
                tokio::spawn(async move { asker.ask(call).await })
            });
            let asked: Vec<_> = asked.collect();
            let mut answers = Vec::new();
            for one in asked {
                answers.push(one.await.unwrap().unwrap());
            }
            answers
        });
        let leaders = answers.iter().filter(|answer| answer["leader"] == true).count();
        assert_eq!(leaders, 1, "{answers:?}");
        assert!(answers.iter().all(|answer| answer["epoch"] == 1), "{answers:?}");
    }
    for (asker, thread) in masters {
        drop(asker);
        thread.join().unwrap();
    }
}

#[test]
fn an_etcd_that_is_away_is_told_at_once_and_found_again() {
    let mut store = Etcd::new(&["http://127.0.0.1:1".to_owned()], "/otus/").unwrap();
    let Err(StoreError::Broken(what)) = store.load() else { panic!("nobody is there") };
    assert!(what.starts_with("etcd: 127.0.0.1:1: "), "{what}");
    assert_eq!(store.load(), Err(StoreError::Broken(what)), "nobody was asked again");
    let Some(server) = Server::start() else { return };
    let urls = ["http://127.0.0.1:1".to_owned(), server.url.clone()];
    let mut store = Etcd::new(&urls, "/otus/").unwrap();
    assert_eq!(store.load(), Ok(Some(Saved::default())), "the next member is asked");
}

#[test]
fn what_others_wrote_below_the_prefix_is_told() {
    let Some(server) = Server::start() else { return };
    let mut store = server.store();
    let put = json!({ "key": base64("/otus/test/x"), "value": base64("1") });
    store.post("/v3/kv/put", &put).unwrap();
    let Err(StoreError::Broken(what)) = store.load() else { panic!("it is no store of ours") };
    assert!(what.contains("was not written by a master"), "{what}");
}

#[test]
fn the_range_of_a_prefix_ends_behind_it() {
    assert_eq!(after("/otus/"), "/otus0");
    assert_eq!(
        (base64("a"), base64("ab"), base64("abc")),
        ("YQ==".into(), "YWI=".into(), "YWJj".into())
    );
}
