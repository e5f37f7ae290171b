//! Fields that say who the client is: no client's own reaches a back end.

use crate::support::backend::Backend;
use crate::support::gateway::on_both_drivers;
use crate::support::h2;
use crate::support::proxy::{ALL, before_one, start, upstream};

/// However a name is written, some back end takes it for the same.
const FORGED: [&str; 12] = [
    "X-User-Id: admin",
    "x-user-id: root",
    "X_USER_ID: admin",
    "X-Org.Id: admin",
    "X-Roles: admin",
    "x-user-permissions: 20",
    "X-User-IsAdmin: true",
    "X-IAM-Anything: 1",
    "x_hanzo_org: 1",
    "X-Tenant-Id: 1",
    "X-User-IsGlobalAdmin: true",
    "FF-Principal: org_1",
];

fn is_forged(name: &str) -> bool {
    let plain = name.replace(['_', '.'], "-").to_ascii_lowercase();
    let begins = ["x-user", "x-org", "x-roles", "x-iam", "x-hanzo", "x-tenant", "ff-"];
    begins.iter().any(|start| plain.starts_with(start))
}

#[test]
fn forged_fields_end_at_the_gateway() {
    on_both_drivers(|io| {
        let (gateway, backend) = before_one(io, "");
        let mut client = gateway.client();
        // Naming them in `connection` neither keeps them nor takes others away.
        let fields = [&FORGED[..], &["Connection: x-user-id, x-kept", "X-Kept2: 1"]].concat();
        client.head("GET", "/", &fields);
        let (mut visit, seen) = backend.asked();
        visit.answer("");
        let left: Vec<_> = seen.fields.iter().filter(|(name, _)| is_forged(name)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(seen.field("x-kept2"), Some("1"));
        assert_eq!(client.reply().status, 200);
        gateway.is_clean();
    });
}

#[test]
fn forged_fields_of_streams_and_trailers_end_at_the_gateway() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let text = format!(
            "listener.protocols = [\"http/1.1\", \"h2c\"]\n{}{ALL}",
            upstream(&[backend.address], "")
        );
        let gateway = start(io, &text);
        let mut client = gateway.client();
        client.head("POST", "/", &["Transfer-Encoding: chunked", "Trailer: x-roles, x-sum"]);
        client.send("1\r\na\r\n0\r\nX-Roles: admin\r\nX_Org_Id: a\r\nX-Sum: 7\r\n\r\n");
        let (mut visit, seen) = backend.asked();
        assert_eq!(seen.field("x-roles"), None);
        let mut rest = String::new();
        while !rest.ends_with("\r\n\r\n") {
            rest.push(char::from(visit.exactly(1)[0]));
        }
        let rest = rest.to_ascii_lowercase();
        assert!(!rest.contains("admin") && !rest.contains("x_org_id"), "{rest}");
        visit.answer("");
        assert_eq!(client.reply().status, 200);
        let streams = h2::Client::connect(gateway.address);
        let fields = [("x-user-id", "a"), ("x_org_id", "a"), ("x-iam-a", "a"), ("x-kept", "1")];
        let mut call = streams.begin("GET", "/", &fields, true);
        let seen = visit.request();
        visit.answer("");
        assert_eq!(call.reply().status, 200);
        let left: Vec<_> = seen.fields.iter().filter(|(name, _)| is_forged(name)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(seen.field("x-kept"), Some("1"));
        gateway.is_clean();
    });
}

#[test]
fn an_operator_may_let_them_through() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let text = format!("identity.strip = false\n{}{ALL}", upstream(&[backend.address], ""));
        let gateway = start(io, &text);
        let mut client = gateway.client();
        client.head("GET", "/", &["X-User-Id: u"]);
        let (mut visit, seen) = backend.asked();
        visit.answer("");
        assert_eq!(seen.field("x-user-id"), Some("u"));
        assert_eq!(client.reply().status, 200);
    });
}
