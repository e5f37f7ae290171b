//! Which certificate is shown, and to whom.

use otus::snapshot::server::IoDriver;
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::{before, telling};
use crate::support::journal::eventually;
use crate::support::tls::{Authority, Offer};

#[test]
fn the_name_decides_which_certificate_is_shown() {
    let authority = Authority::new();
    let main = authority.leaf("main", &["localhost"]);
    let (exact, wild) =
        (authority.leaf("exact", &["a.test"]), authority.leaf("wild", &["*.b.test"]));
    let more = format!(
        "[tls.certificates.exact]\n{}[tls.certificates.wild]\n{}",
        exact.text(),
        wild.text()
    );
    let gateway = before(IoDriver::Auto, &main, &more, telling());
    for (host, good) in [
        ("localhost", true),
        ("a.test", true),
        ("A.TEST", true),
        ("x.b.test", true),
        ("b.test", false),
        ("y.x.b.test", false),
        ("other.example", false),
    ] {
        let client = authority.client_of(gateway.address, host, &Offer::default());
        assert_eq!(client.is_ok(), good, "{host}");
        if let Ok(mut client) = client {
            assert_eq!(client.get("/"), "/ https true");
        }
    }
    gateway.finish();
}

#[test]
fn only_what_is_spoken_is_agreed_on() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    let gateway = before(IoDriver::Auto, &files, "min_version = \"1.3\"\n", telling());
    let connect = |offer: &Offer<'_>| authority.client_of(gateway.address, "localhost", offer);
    let told = |alpn: &[&str]| {
        let offer = Offer { alpn, ..Offer::default() };
        let agreed = connect(&offer).map(|c| c.stream.conn.alpn_protocol().map(<[u8]>::to_vec));
        agreed.map_err(|error| error.to_string())
    };
    assert_eq!(told(&["x", "http/1.1"]), Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(told(&["http/1.1", "h2"]), Ok(Some(b"h2".to_vec())));
    assert_eq!(told(&[]), Ok(None));
    assert!(told(&["x"]).unwrap_err().contains("NoApplicationProtocol"));
    let offer = Offer { versions: &[&TLS12], ..Offer::default() };
    assert!(connect(&offer).err().unwrap().to_string().contains("ProtocolVersion"));
    let client = connect(&Offer { versions: &[&TLS13], ..Offer::default() }).unwrap();
    let connection = &client.stream.conn;
    assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = connection.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    gateway.wait_metric("otus_tls_handshakes_failed_total", 2);
    gateway.finish();
}

#[test]
fn changed_files_are_shown_to_new_connections_and_wrong_ones_are_not() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost", "first.test"]);
    let gateway = before(IoDriver::Auto, &files, "", telling());
    let is_shown = |host: &str| {
        authority.client_of(gateway.address, host, &Offer::default()).is_ok().then_some(())
    };
    let mut open = authority.client(gateway.address);
    assert_eq!(open.get("/"), "/ https true");
    assert!(is_shown("first.test").is_some() && is_shown("second.test").is_none());
    // A key that is not that of the certificate: the old ones stay.
    let other = authority.leaf("other", &["localhost"]);
    assert_eq!(gateway.metric("otus_tls_certs_last_reload_successful"), 1);
    std::fs::copy(&other.key, &files.key).unwrap();
    gateway.wait_metric("otus_tls_certs_refused_total", 1);
    assert_eq!(gateway.metric("otus_tls_certs_last_reload_successful"), 0);
    assert!(is_shown("first.test").is_some());
    let until = |gateway: &crate::support::gateway::Gateway| {
        gateway.metric("otus_tls_cert_expiry_timestamp_seconds")
    };
    let before = until(&gateway);
    authority.leaf_with("main", &["localhost", "second.test"], |params| {
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    });
    eventually("the new certificate", || is_shown("second.test"));
    gateway.wait_metric("otus_tls_certs_last_reload_successful", 1);
    assert_eq!(gateway.metric("otus_tls_certs_refused_total"), 1);
    assert!(is_shown("first.test").is_none());
    assert_eq!(until(&gateway), 2_208_988_800);
    assert_ne!(before, 2_208_988_800);
    assert_eq!(open.get("/"), "/ https true", "an open connection goes on");
    gateway.finish();
}

#[test]
fn clients_show_a_certificate_where_they_must_and_may() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    let (own, foreign) = (authority.leaf("client", &["c"]), stranger.leaf("client", &["c"]));
    for (mode, without) in [("required", false), ("optional", true)] {
        let more =
            format!("client_ca = \"{}\"\nclient_auth = \"{mode}\"\n", authority.file().display());
        let gateway = before(IoDriver::Auto, &files, &more, telling());
        for version in [&TLS12, &TLS13] {
            let served = |certificate| {
                let offer = Offer { certificate, versions: &[version], ..Offer::default() };
                let client = authority.client_of(gateway.address, "localhost", &offer);
                let Ok(mut client) = client else { return false };
                // With 1.3 a client hears of its refusal only when it reads.
                client.try_get("/").is_ok_and(|body| body == "/ https true")
            };
            assert!(served(Some(&own)), "{mode}");
            assert_eq!(served(None), without, "{mode}");
            assert!(!served(Some(&foreign)), "{mode}");
        }
        gateway.finish();
    }
}

#[test]
fn endpoints_are_told_which_certificate_was_verified_and_nothing_else() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    let own = authority.leaf("client", &["c"]);
    let answer = |seen: &crate::support::backend::Seen, _: &[u8]| {
        let told = seen.field("client-cert").unwrap_or("none").to_owned();
        assert!(seen.field("client-cert-chain").is_none());
        crate::support::backend::ok(&told).into_bytes()
    };
    let (backend, _) = crate::support::backend::Backend::listen().serve(answer);
    let more =
        format!("client_ca = \"{}\"\nclient_auth = \"optional\"\n", authority.file().display());
    let gateway = before(IoDriver::Auto, &files, &more, backend);
    let pem = std::fs::read_to_string(&own.cert).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let forged = ["Client-Cert: :AAAA:", "CLIENT-CERT-CHAIN: :AAAA:"];
    for (certificate, want) in [(Some(&own), format!(":{body}:")), (None, "none".to_owned())] {
        let offer = Offer { certificate, ..Offer::default() };
        let config = std::sync::Arc::new(authority.config(&offer));
        // The second time with a ticket.
        for _ in 0..2 {
            let mut client =
                crate::support::tls::Secure::connect(gateway.address, "localhost", &config)
                    .unwrap();
            client.send(crate::support::client::head("GET", "/", &forged));
            assert_eq!(String::from_utf8(client.reply().1).unwrap(), want);
        }
    }
    gateway.finish();
}
