//! Where keys come from, and what happens when they change or cannot be had.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use otus::snapshot::server::IoDriver;
use rcgen::{KeyPair, PublicKeyData};
use ring::digest::SHA256;

use crate::support::backend::{nobody, ok_bytes};
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::issuer::{ES256, Issuer, claims, guarded, guarded_text, signer, status};
use crate::support::journal::eventually;
use crate::support::jwt::{Signer, jwks};
use crate::support::proxy;
use crate::support::tls::{Authority, Files};

const ROUTE: &str = "auth = [\"main\"]";

fn main(issuer: &Issuer, more: &str) -> String {
    format!("[auth.main]\n{}", issuer.profile(more))
}

#[test]
fn a_rotation_fails_no_request() {
    on_both_drivers(|io| {
        let (old, new) = (signer("old"), signer("new"));
        let issuer = Issuer::start(&[&old]);
        let gateway = guarded(io, ROUTE, &main(&issuer, "cooldown = \"1s\""));
        let token = Arc::new(Mutex::new(old.token(&claims(60))));
        let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = gateway.client();
                    while !done.load(Ordering::SeqCst) {
                        let token = token.lock().unwrap().clone();
                        assert_eq!(status(&mut client, &token), 200);
                        asked.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            let wait = |more: usize| {
                let from = asked.load(Ordering::SeqCst);
                let until = || (asked.load(Ordering::SeqCst) > from + more).then_some(());
                eventually("requests", until);
            };
            wait(50);
            // The issuer signs with its new key from the moment that it publishes it.
            issuer.publish(&[&new]);
            *token.lock().unwrap() = new.token(&claims(60));
            wait(50);
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(issuer.asked(), 2, "at the start, and for the key that nobody knew");
        // What the old key has signed was forgotten with it.
        assert_eq!(status(&mut gateway.client(), &old.token(&claims(60))), 401);
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn a_rotation_of_keys_without_names_fails_no_request_either() {
    let (old, new) = (signer("old"), signer("new"));
    let issuer = Issuer::start(&[&old]);
    let more = "key_name = \"optional\"\ncooldown = \"1m\"";
    let gateway = guarded(IoDriver::Auto, ROUTE, &main(&issuer, more));
    let mut client = gateway.client();
    let unnamed = |key: &Signer| key.token_with(r#"{"alg":"ES256"}"#, &claims(60).to_string());
    assert_eq!(status(&mut client, &unnamed(&old)), 200);
    issuer.publish(&[&new]);
    assert_eq!(status(&mut client, &unnamed(&new)), 200);
    assert_eq!(status(&mut client, &unnamed(&signer("stranger"))), 401);
    assert_eq!(issuer.asked(), 2);
}

#[test]
fn an_outage_is_not_noticed_while_there_are_keys() {
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    let gateway = guarded(IoDriver::Auto, ROUTE, &main(&issuer, "refresh = \"1s\""));
    let mut client = gateway.client();
    assert_eq!(status(&mut client, &ours.token(&claims(60))), 200);
    for broken in [
        "HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n".into(),
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".into(),
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}".into(),
        "nonsense\r\n\r\n".into(),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 2 << 20),
    ] {
        issuer.answers(broken.clone());
        let from = issuer.asked();
        eventually("a look", || (issuer.asked() > from).then_some(()));
        // A token that was not seen before, so that it is the keys that are asked.
        let mut fresh = claims(60);
        fresh["jti"] = serde_json::json!(from);
        assert_eq!(status(&mut client, &ours.token(&fresh)), 200, "{broken}");
    }
    let other = signer("other");
    issuer.publish(&[&other]);
    eventually("the new key", || {
        (status(&mut client, &other.token(&claims(60))) == 200).then_some(())
    });
    gateway.is_clean();
}

#[test]
fn a_flood_of_unknown_keys_is_one_look() {
    on_both_drivers(|io| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let gateway = guarded(io, ROUTE, &main(&issuer, "cooldown = \"1m\""));
        let mut client = gateway.client();
        assert_eq!(status(&mut client, &ours.token(&claims(60))), 200);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (gateway, claims) = (&gateway, claims(60));
                scope.spawn(move || {
                    let mut client = gateway.client();
                    for number in 0..50 {
                        let stranger = signer(&format!("{thread}-{number}"));
                        assert_eq!(status(&mut client, &stranger.token(&claims)), 401);
                    }
                });
            }
        });
        assert_eq!(issuer.asked(), 2);
        assert_eq!(status(&mut client, &ours.token(&claims(60))), 200);
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn without_any_keys_nobody_is_let_in_and_nobody_is_called_a_liar() {
    let ours = signer("k");
    let more = format!("kind = \"jwt\"\nurl = \"http://{}/\"\n{ES256}patience = \"1s\"", nobody());
    let gateway = guarded(IoDriver::Auto, ROUTE, &format!("[auth.main]\n{more}"));
    let mut client = gateway.client();
    let bearer = format!("authorization: Bearer {}", ours.token(&claims(60)));
    let reply = client.ask("GET", "/", &[&bearer], b"");
    assert_eq!((reply.status, reply.field("retry-after")), (503, Some("5")));
    assert_eq!(status(&mut client, "x"), 401);
    assert_eq!(client.get("/").status, 401);
}

#[test]
fn a_request_that_comes_before_the_keys_waits_for_them() {
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    let good = ok_bytes(jwks(&[&ours]).as_bytes());
    issuer.answers("HTTP/1.1 503 Later\r\ncontent-length: 0\r\n\r\n");
    let gateway = guarded(IoDriver::Auto, ROUTE, &main(&issuer, "patience = \"20s\""));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| status(&mut gateway.client(), &ours.token(&claims(60))));
        eventually("a look", || (issuer.asked() >= 1).then_some(()));
        issuer.answers(good);
        assert_eq!(waiting.join().unwrap(), 200);
    });
}

/// A file that goes with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn with(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("otus-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Temporary(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_with_keys_is_read_anew_when_it_changes() {
    let (old, new) = (signer("old"), signer("new"));
    let file = Temporary::with("keys.json", &jwks(&[&old]));
    let profile = format!("[auth.main]\nkind = \"jwt\"\nfile = \"{}\"\n{ES256}", file.0.display());
    let gateway = guarded(IoDriver::Auto, ROUTE, &profile);
    let mut client = gateway.client();
    assert_eq!(status(&mut client, &old.token(&claims(60))), 200);
    assert_eq!(status(&mut client, &new.token(&claims(60))), 401);
    std::fs::write(&file.0, "{\"keys\":[{\"kty\":").unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(status(&mut client, &old.token(&claims(60))), 200);
    std::fs::write(&file.0, jwks(&[&new])).unwrap();
    eventually("the new key", || {
        (status(&mut client, &new.token(&claims(60))) == 200).then_some(())
    });
    assert_eq!(status(&mut client, &old.token(&claims(60))), 401);
}

/// A gateway with this certificate before an issuer.
fn front(io: IoDriver, files: &Files, issuer: &Issuer) -> Gateway {
    let upstream = proxy::upstream(&[issuer.address], "");
    let (cert, key) = (files.cert.display(), files.key.display());
    let tls = format!("tls.cert = \"{cert}\"\ntls.key = \"{key}\"\n");
    proxy::start(io, &format!("{tls}{upstream}{}", proxy::ALL))
}

#[test]
fn keys_come_over_tls_from_nobody_else() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = authority.leaf("main", &["127.0.0.1"]);
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    let front = front(IoDriver::Auto, &files, &issuer);
    for (authority, wanted) in [(&authority, 200), (&stranger, 503)] {
        let profile = format!(
            "[auth.main]\nkind = \"jwt\"\nurl = \"https://{}/\"\nca = \"{}\"\n{ES256}\
             patience = \"2s\"",
            front.address,
            authority.file().display()
        );
        let gateway = guarded(IoDriver::Auto, ROUTE, &profile);
        assert_eq!(status(&mut gateway.client(), &ours.token(&claims(60))), wanted);
    }
}

/// The fingerprint of a key.
fn fingerprint(files: &Files) -> String {
    let key = KeyPair::from_pem(&std::fs::read_to_string(&files.key).unwrap()).unwrap();
    let digest = ring::digest::digest(&SHA256, &key.subject_public_key_info());
    otus::base::base64url::encode(digest.as_ref())
}

#[test]
fn keys_come_from_hosts_with_a_pinned_key_alone() {
    on_both_drivers(|io| {
        let authority = Authority::new();
        let files = authority.leaf("main", &["127.0.0.1"]);
        let (known, other) = (fingerprint(&files), fingerprint(&authority.leaf("o", &["o"])));
        let (ours, next) = (signer("k"), signer("next"));
        let issuer = Issuer::start(&[&ours]);
        let front = front(io, &files, &issuer);
        let before = |pins: &str| {
            let url = format!(
                "url = \"https://{}/\"\nca = \"{}\"",
                front.address,
                authority.file().display()
            );
            let more = "refresh = \"1s\"\npatience = \"1s\"";
            let profile = format!(
                "[auth.main]\nkind = \"jwt\"\n{url}\n{ES256}{more}\nfingerprints = [{pins}]\n"
            );
            guarded(io, ROUTE, &profile)
        };
        let token = ours.token(&claims(60));
        let without = before(&format!("\"{other}\""));
        assert_eq!(status(&mut without.client(), &token), 503);
        let failures = "otus_auth_keys_fetch_failures_total{source=\"main\"}";
        eventually("a failure", || (without.metric(failures) > 0).then_some(()));
        assert_eq!(issuer.asked(), 0, "nothing is said to it");
        without.finish();
        let gateway = before(&format!("\"{other}\", \"{known}\""));
        let mut client = gateway.client();
        assert_eq!(status(&mut client, &token), 200);
        // Another key of the same name by the same authority: what is known stays.
        authority.leaf("main", &["127.0.0.1"]);
        eventually("a failure", || (gateway.metric(failures) > 1).then_some(()));
        issuer.publish(&[&next]);
        let fresh = |signer: &Signer| {
            let mut claims = claims(60);
            claims["jti"] = serde_json::json!("fresh");
            signer.token(&claims)
        };
        assert_eq!(status(&mut client, &fresh(&ours)), 200);
        assert_eq!(status(&mut client, &fresh(&next)), 401);
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn a_reload_changes_rules_at_once_and_keeps_keys() {
    let ours = signer("k");
    let issuer = Issuer::start(&[&ours]);
    let text = guarded_text(ROUTE, &main(&issuer, ""));
    let (gateway, next) = proxy::start_to_reload(IoDriver::Auto, &text);
    let mut client = gateway.client();
    let token = ours.token(&claims(60));
    assert_eq!(status(&mut client, &token), 200);
    issuer.answers("HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n");
    *next.lock().unwrap() =
        proxy::snapshot(IoDriver::Auto, &format!("{text}issuers = \"somebody else\"\n"));
    let began = Instant::now();
    gateway.stopper.reload();
    eventually("the new rule", || (status(&mut client, &token) == 401).then_some(()));
    *next.lock().unwrap() = proxy::snapshot(IoDriver::Auto, &text);
    gateway.stopper.reload();
    eventually("the old rule", || (status(&mut client, &token) == 200).then_some(()));
    assert!(issuer.asked() == 1 || began.elapsed() > Duration::from_mins(1));
    gateway.is_clean();
}

#[test]
fn operators_see_how_old_keys_are_and_why_tokens_are_refused() {
    on_both_drivers(|io| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let more =
            "refresh = \"1s\"\ncooldown = \"1m\"\naudiences = [\"us\"]\naudience_match = \"all\"";
        let gateway = guarded(io, ROUTE, &main(&issuer, more));
        let mut client = gateway.client();
        let mut good = claims(60);
        good["aud"] = serde_json::json!("us");
        assert_eq!(status(&mut client, &ours.token(&good)), 200);
        assert_eq!(client.get("/").status, 401, "who brings nothing is not counted");
        let refused =
            |reason: &str| gateway.metric(&format!("otus_auth_tokens_refused_total{reason}"));
        assert_eq!(refused(""), 0);
        let mut late = good.clone();
        late["exp"] = serde_json::json!(1_000_000_000);
        let forged = signer("k"); // Another key of that name.
        for (token, reason) in [
            ("nonsense".to_owned(), "token_malformed"),
            (ours.token(&late), "token_expired"),
            (ours.token(&claims(60)), "token_audience"),
            (forged.token(&good), "token_signature"),
            (signer("stranger").token(&good), "token_key_unknown"),
        ] {
            assert_eq!(status(&mut client, &token), 401, "{reason}");
            assert_eq!(refused(&format!("{{reason=\"{reason}\"}}")), 1, "{reason}");
        }
        assert_eq!(refused(""), 5);
        let of = |name: &str| gateway.metric(&format!("otus_auth_keys{name}{{source=\"main\"}}"));
        assert_eq!((of(""), of("_fetch_failures_total")), (1, 0));
        let first = of("_fetched_timestamp_seconds");
        assert!(first > 1_700_000_000);
        eventually("a later look", || (of("_fetched_timestamp_seconds") > first).then_some(()));
        issuer.answers("HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n");
        eventually("a failure", || (of("_fetch_failures_total") > 1).then_some(()));
        let stuck = of("_fetched_timestamp_seconds");
        eventually("another", || (of("_fetch_failures_total") > 2).then_some(()));
        assert_eq!((of(""), of("_fetched_timestamp_seconds")), (1, stuck));
        gateway.is_clean();
    });
}
