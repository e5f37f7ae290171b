//! Profiles that are no JWKS: secrets, fixed tokens, certificates; and several in turn.

use otus::policy::auth::algorithm::Algorithm;
use otus::snapshot::server::IoDriver;

use crate::support::gateway::on_both_drivers;
use crate::support::issuer::{Issuer, claims, guarded, guarded_text, signer, status};
use crate::support::jwt::Signer;
use crate::support::proxy;
use crate::support::tls::{Authority, Offer};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &str = "a-token-of-the-operator";

#[test]
fn profiles_are_tried_in_their_order() {
    on_both_drivers(|io| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let profiles = format!(
            "[auth.main]\n{}\n[auth.old]\nkind = \"hs256\"\nsecret = \"{SECRET}\"\n\
             propagate = \"x-user: sub\"\n[auth.op]\nkind = \"static\"\ntoken = \"{TOKEN}\"\n",
            issuer.profile("")
        );
        let gateway = guarded(io, "auth = [\"main\", \"old\", \"op\"]", &profiles);
        let mut client = gateway.client();
        let shared = Signer::of_secret(Algorithm::Hs256, SECRET.as_bytes());
        assert_eq!(status(&mut client, &ours.token(&claims(60))), 200);
        assert_eq!(status(&mut client, &shared.token(&claims(60))), 200);
        assert_eq!(status(&mut client, TOKEN), 200);
        let long = Signer::of_secret(Algorithm::Hs512, SECRET.as_bytes());
        for bad in [
            long.token(&claims(60)),
            Signer::of_secret(Algorithm::Hs256, b"").token(&claims(60)),
            format!("{TOKEN}x"),
            TOKEN[1..].to_owned(),
        ] {
            assert_eq!(status(&mut client, &bad), 401, "{bad}");
        }
        assert_eq!(issuer.asked(), 1);
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn tokens_come_in_other_fields_and_cookies_as_well() {
    let more = "headers = [\"authorization\", \"x-authorization\"]\ncookies = \"access_token\"\n\
                basic = true\npass_prefixes = [\"sk-\"]";
    let profile = format!("[auth.old]\nkind = \"hs256\"\nsecret = \"{SECRET}\"\n{more}\n");
    let gateway = guarded(IoDriver::Auto, "auth = \"old\"", &profile);
    let token = Signer::of_secret(Algorithm::Hs256, SECRET.as_bytes()).token(&claims(60));
    let pair = format!("user:{token}");
    let basic = otus::tls::x509::base64(pair.as_bytes());
    let mut client = gateway.client();
    for (field, wanted) in [
        (format!("x-authorization: {token}"), 200),
        (format!("x-authorization: bearer {token}"), 200),
        (format!("cookie: a=b; access_token={token}"), 200),
        (format!("authorization: Basic {basic}"), 200),
        ("authorization: Bearer sk-123".into(), 200),
        ("authorization: Bearer sk".into(), 401),
        (format!("cookie: access_token={token}; access_token=x"), 401),
        ("cookie: access_token=x".into(), 401),
    ] {
        assert_eq!(client.ask("GET", "/", &[&field], b"").status, wanted, "{field}");
    }
}

#[test]
fn a_certificate_that_was_verified_is_an_identity() {
    let authority = Authority::new();
    let files = authority.leaf("main", &["localhost"]);
    let own = authority.leaf("client", &["c"]);
    let text = format!(
        "tls.cert = \"{}\"\ntls.key = \"{}\"\ntls.client_ca = \"{}\"\n\
         tls.client_auth = \"optional\"\n{}",
        files.cert.display(),
        files.key.display(),
        authority.file().display(),
        guarded_text("auth = \"peer\"", "[auth.peer]\nkind = \"mtls\"\n")
    );
    let gateway = proxy::start(IoDriver::Auto, &text);
    for (certificate, wanted) in [(Some(&own), 200), (None, 401)] {
        let offer = Offer { certificate, ..Offer::default() };
        let mut client = authority.client_of(gateway.address, "localhost", &offer).unwrap();
        client.send(crate::support::client::head("GET", "/", &[]));
        let (head, _) = client.reply();
        assert!(head.starts_with(&format!("http/1.1 {wanted} ")), "{head}");
    }
}
