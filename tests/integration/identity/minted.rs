//! Fields that say who the client is, from a verified token alone (SPEC 10.4).

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::gateway::on_both_drivers;
use crate::support::issuer::{Issuer, claims, guarded, signer};

const FORGED: [&str; 5] = [
    "X-User-Id: mallory",
    "X_Org_Id: admin",
    "x-roles: root",
    "X-User-IsAdmin: true",
    "X-Project-Id: p",
];

/// What the back end was told; `None`: the request did not get there.
fn told(client: &mut Client, path: &str, more: &[&str]) -> Result<Value, u16> {
    let reply = client.ask("GET", path, &[&FORGED[..], more].concat(), b"");
    if reply.status == 200 { Ok(reply.json()) } else { Err(reply.status) }
}

fn told_names(told: &Value) -> Vec<&str> {
    let names = told.as_object().unwrap().keys().map(String::as_str);
    let is_ours = |name: &&str| {
        let plain = name.replace('_', "-");
        ["x-user", "x-org", "x-roles", "x-project", "x-phone", "x-billing"]
            .iter()
            .any(|start| plain.starts_with(start))
    };
    names.filter(is_ours).collect()
}

#[test]
fn back_ends_are_told_what_the_token_says_and_nothing_else() {
    on_both_drivers(|io| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let iam = issuer.profile("public_paths = [\"/healthz\", \"/open/\"]");
        let iam = iam.replace("\"jwt\"", "\"iam\"");
        let route = "auth = [\"iam\", \"anonymous\"]\nerrors = \"hanzo\"";
        let gateway = guarded(io, route, &format!("[auth.iam]\n{iam}"));
        let mut client = gateway.client();
        let mut all = claims(60);
        for (name, value) in [
            ("owner", json!("acme")),
            ("roles", json!(["dev", {"name": "ops"}])),
            ("permissions", json!(["test", "admin"])),
            ("isAdmin", json!(true)),
            ("email", json!("a@acme.example")),
        ] {
            all[name] = value;
        }
        let bearer = format!("Authorization: Bearer {}", ours.token(&all));
        // Twice: the second time the token is remembered.
        for field in [&bearer, &bearer, &bearer.replace("Authorization", "X-Authorization")] {
            let told = told(&mut client, "/", &[field]).unwrap();
            for (name, want) in [
                ("x-user-id", "alice"),
                ("x-org-id", "acme"),
                ("x-user-owner", "acme"),
                ("x-roles", "dev,ops"),
                ("x-user-permissions", "12"), // An owner of an organisation is no `admin`.
                ("x-user-isadmin", "true"),
                ("x-user-email", "a@acme.example"),
            ] {
                assert_eq!(told[name], want, "{name}: {told}");
            }
            assert_eq!(told_names(&told).len(), 7, "{told}");
        }
        // Whoever proves nothing is nobody, on public paths as well, whatever he brings.
        for (path, more) in [("/", &[][..]), ("/healthz", &[]), ("/open/a", &["Authorization: x"])]
        {
            let told = told(&mut client, path, more).unwrap();
            assert_eq!(told_names(&told), [""; 0], "{path}: {told}");
        }
        for (path, more) in [
            ("/", "Authorization: Bearer sk-1"),
            ("/", "Authorization: Bearer hz_1"),
            ("/openx", "Authorization: x"),
            ("/open%2fa", "Authorization: x"),
            ("/x;/open/", "Authorization: x"),
        ] {
            let status = told(&mut client, path, &[more]).unwrap_err();
            assert!(matches!(status, 400 | 401), "{path} {more}: {status}");
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn a_token_that_names_somebody_in_two_ways_is_refused() {
    on_both_drivers(|io| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let iam = issuer.profile("").replace("\"jwt\"", "\"iam\"");
        let gateway = guarded(io, "auth = \"iam\"", &format!("[auth.iam]\n{iam}"));
        let mut client = gateway.client();
        for (name, value, want) in [
            ("sub", " admin", 401),
            ("owner", "a\r\nx-roles: root", 401),
            ("name", "a\r\nb", 200),
            ("email", "a\r\nb", 200),
        ] {
            let mut all = claims(60);
            all[name] = json!(value);
            let bearer = format!("Authorization: Bearer {}", ours.token(&all));
            let told = told(&mut client, "/", &[&bearer]);
            assert_eq!(told.as_ref().map_or_else(|status| *status, |_| 200), want, "{name}");
            assert!(told.is_err() || told.unwrap()["x-user-email"].is_null());
        }
        gateway.finish();
    });
}
