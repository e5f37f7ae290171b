//! Keys that stand in web pages (SPEC 11.6).

use otus::snapshot::server::Workers;

use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::issuer::guarded_text;
use crate::support::proxy;

use super::profile;

const WIDGET: &str = "[widgets.page]\norigins = [\"hanzo.ai\"]\nper_client = 5\n";

fn text() -> String {
    let route = "auth = \"main\"\nwidget = \"page\"\nerrors = \"hanzo\"";
    let more =
        "pass_prefixes = [\"hz_\"]\nbasic = true\nheaders = [\"authorization\", \"x-token\"]";
    guarded_text(route, &format!("{WIDGET}{}", profile(more)))
}

#[test]
fn keys_in_pages_are_good_on_the_pages_of_their_owner_alone() {
    on_both_drivers(|io| {
        let gateway = proxy::start(io, &text());
        let mut client = gateway.client();
        let basic = otus::tls::x509::base64(b"user:hz_key");
        for key in [
            "Authorization: Bearer hz_key",
            &format!("Authorization: Basic {basic}"),
            "X-Token: hz_key",
        ] {
            for page in [
                "Origin: https://evil.example",
                "User-Agent: kube-probe/1.30",
                "User-Agent: curl/8",
                "Referer: https://hanzo.ai.evil.example/",
            ] {
                let reply = client.ask("GET", "/", &[key, page], b"");
                assert_eq!(reply.status, 403, "{key} {page}");
                assert_eq!(reply.json()["error"], "forbidden");
            }
            let reply = client.ask("GET", "/", &[key, "Origin: https://app.hanzo.ai"], b"");
            assert_eq!(reply.status, 200, "{key}");
        }
        gateway.is_clean();
        gateway.finish();
    });
}

#[test]
fn keys_in_pages_are_counted_exactly_on_all_shards_together() {
    on_both_drivers(|io| {
        let mut snapshot = proxy::snapshot(io, &text());
        snapshot.server.workers = Workers::Count(2);
        let gateway = Gateway::start(io, |own| *own = snapshot);
        let fields = ["Authorization: Bearer hz_key", "Origin: https://hanzo.ai"];
        let mut clients: Vec<_> = (0..20).map(|_| gateway.client()).collect();
        for client in &mut clients {
            client.head("GET", "/", &fields);
        }
        let replies: Vec<_> = clients.iter_mut().map(|client| client.reply()).collect();
        let admitted = replies.iter().filter(|reply| reply.status == 200).count();
        // Two that come in the same instant on both shards may refuse each other.
        assert!((4..=5).contains(&admitted), "{admitted}");
        let refused = replies.iter().find(|reply| reply.status == 429).unwrap();
        assert_eq!(refused.json()["error"], "rate_limited");
        let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=61).contains(&wait), "{wait}");
        gateway.finish();
    });
}
