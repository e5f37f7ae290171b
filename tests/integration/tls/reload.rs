//! What a reload changes for clients of TLS, and what it does not.

use std::fs;
use std::sync::{Arc, Mutex};

use super::telling;
use crate::support::client::{Client, head};
use crate::support::data;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::h2;
use crate::support::journal::eventually;
use crate::support::proxy::{ALL, start_from, upstream};
use crate::support::service::Service;
use crate::support::tls::{Authority, Offer, Secure};

/// Reloads what `text` says now, and waits until it runs.
fn reload(gateway: &Gateway, generation: u64) {
    gateway.stopper.reload();
    gateway.wait_metric("otus_shard_generation", generation);
    gateway.wait_metric("otus_config_last_reload_successful", 1);
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_only() {
    let authority = Authority::new();
    let files = ["first", "second"]
        .map(|name| authority.leaf(name, &["localhost", &format!("{name}.test")]).text());
    on_both_drivers(|io| {
        let service = Service::start();
        let rest = format!(
            "[microservices.storage]\nhost = \"{}\"\nport = {}\n{}{ALL}",
            service.address.ip(),
            service.address.port(),
            upstream(&[telling()], "")
        );
        let text = Arc::new(Mutex::new(format!("[tls]\n{}{rest}", files[0])));
        let gateway = start_from(io, &text);
        let is_shown = |host| authority.client_of(gateway.address, host, &Offer::default()).is_ok();
        assert!(is_shown("first.test") && !is_shown("second.test"));
        let mut one = authority.client(gateway.address);
        assert_eq!(one.get("/"), "/ https true");
        let offer = Offer { alpn: &["h2"], ..Offer::default() };
        let two = h2::Client::secure(gateway.address, &Arc::new(authority.config(&offer)));
        let body = data::bytes(3 << 20);
        let mark = service.journal.mark();
        let mut upload = authority.client(gateway.address);
        let length = format!("Content-Length: {}", body.len());
        upload.send(head("PUT", "/api/v3/storage/upload", &["X-Filename: a", &length]));
        upload.send(&body[..body.len() / 2]);
        service.journal.begun(mark);
        let mut put = two.begin("PUT", "/api/v3/storage/upload", &[("x-filename", "b")], false);
        put.send(&body[..body.len() / 2], false).unwrap();
        *text.lock().unwrap() = format!("[tls]\n{}{rest}", files[1]);
        reload(&gateway, 2);
        assert!(!is_shown("first.test") && is_shown("second.test"));
        assert_eq!(one.get("/"), "/ https true");
        assert_eq!(two.get("/x").text(), "/x https true");
        upload.send(&body[body.len() / 2..]);
        assert!(upload.reply().0.starts_with("http/1.1 200"));
        put.send(&body[body.len() / 2..], true).unwrap();
        assert_eq!(put.reply().status, 200);
        let stored = service.journal.since(mark).into_iter().filter_map(|event| match event {
            crate::support::journal::Event::Stored(upload) => Some(upload),
            _ => None,
        });
        let sums: Vec<String> = stored.map(|upload| upload.files[0].sha256.clone()).collect();
        assert_eq!(sums, [data::sha256(&body), data::sha256(&body)]);
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn what_cannot_be_used_keeps_the_old_generation() {
    let authority = Authority::new();
    let good = authority.leaf("good", &["localhost"]);
    let other = authority.leaf("other", &["localhost"]);
    let file = |name: &str| authority.directory.join(name);
    fs::write(file("noise.pem"), "no certificate").unwrap();
    let named = |cert: &str, key: &str| {
        format!("cert = \"{}\"\nkey = \"{}\"\n", file(cert).display(), file(key).display())
    };
    let with =
        |key: &str, name: &str| format!("{}{key} = \"{}\"\n", good.text(), file(name).display());
    let bad = [
        named("missing.pem", "good.key"),
        named("noise.pem", "good.key"),
        named("good.pem", "other.key"),
        named("good.pem", "good.pem"),
        with("ocsp", "noise.pem"),
        with("client_ca", "noise.pem"),
        with("client_ca", "missing.pem"),
        format!("{}min_version = \"1.1\"\n", other.text()),
    ];
    on_both_drivers(|io| {
        let rest = format!("{}{ALL}", upstream(&[telling()], ""));
        let text = Arc::new(Mutex::new(format!("[tls]\n{}{rest}", good.text())));
        let gateway = start_from(io, &text);
        let mut open = authority.client(gateway.address);
        for (bad, generation) in bad.iter().zip(1..) {
            *text.lock().unwrap() = format!("[tls]\n{bad}{rest}");
            gateway.stopper.reload();
            eventually("the failure is told", || {
                (gateway.metric("otus_config_last_reload_successful") == 0).then_some(())
            });
            assert_eq!(gateway.metric("otus_shard_generation"), generation, "{bad}");
            assert_eq!(open.get("/"), "/ https true");
            assert_eq!(authority.client(gateway.address).get("/"), "/ https true");
            *text.lock().unwrap() = format!("[tls]\n{}{rest}", good.text());
            reload(&gateway, generation + 1);
        }
        gateway.finish();
    });
}

#[test]
fn a_port_that_was_sealed_stays_so() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    on_both_drivers(|io| {
        let rest = format!("{}{ALL}", upstream(&[telling()], ""));
        let text = Arc::new(Mutex::new(format!("[tls]\n{}{rest}", files.text())));
        let gateway = start_from(io, &text);
        (*text.lock().unwrap()).clone_from(&rest);
        reload(&gateway, 2);
        assert_eq!(authority.client(gateway.address).get("/"), "/ https true");
        let mut plain = Client::connect(gateway.address);
        plain.send(head("GET", "/", &[]));
        assert!(plain.try_reply(false).is_err(), "nothing in the clear");
        gateway.finish();
    });
}

#[test]
fn new_rules_for_certificates_of_clients_hold_for_those_who_come_back_too() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    let own = authority.leaf("client", &["c"]);
    on_both_drivers(|io| {
        let rest = format!("{}{ALL}", upstream(&[telling()], ""));
        let secret = "ticket_secret = \"0123456789abcdef0123456789abcdef\"\n";
        let text = Arc::new(Mutex::new(format!("[tls]\n{}{secret}{rest}", files.text())));
        let gateway = start_from(io, &text);
        let config = Arc::new(authority.config(&Offer::default()));
        let come = || Secure::connect(gateway.address, "localhost", &config);
        for _ in 0..2 {
            assert_eq!(come().unwrap().get("/"), "/ https true");
        }
        assert_eq!(gateway.metric("otus_tls_resumptions_total"), 1);
        let ca = format!("client_ca = \"{}\"\n", authority.file().display());
        *text.lock().unwrap() = format!("[tls]\n{}{secret}{ca}{rest}", files.text());
        reload(&gateway, 2);
        assert!(come().and_then(|mut client| client.try_get("/")).is_err(), "with a ticket");
        let offer = Offer { certificate: Some(&own), ..Offer::default() };
        let mut client = authority.client_of(gateway.address, "localhost", &offer).unwrap();
        assert_eq!(client.get("/"), "/ https true");
        assert_eq!(gateway.metric("otus_tls_resumptions_total"), 1);
        gateway.finish();
    });
}
