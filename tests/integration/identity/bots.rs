//! Programs that say what they are (SPEC 11.7).

use crate::support::backend::Backend;
use crate::support::gateway::on_both_drivers;
use crate::support::proxy::{start, upstream};

const RULES: &str = "[bots.usual]\nempty_is_bot = true\nallow = [\"Good Bot\"]\n\
                     deny = [\"Bad One\"]\npatterns = [\"(?i)bot\"]\n";

#[test]
fn bots_are_turned_away_where_a_route_says_so() {
    on_both_drivers(|io| {
        let backend = Backend::listen();
        let (address, count) =
            backend.serve(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
        let route = |id: &str, more: &str| {
            format!("[[route]]\nid = \"{id}\"\nmatch.path = \"/{id}\"\nupstream = \"a\"\n{more}\n")
        };
        let text = format!(
            "{RULES}{}{}{}{}",
            upstream(&[address], ""),
            route("open", ""),
            route("shut", "bots = \"usual\""),
            route("old", "bots = \"usual\"\nerrors = \"hanzo\""),
        );
        let gateway = start(io, &text);
        let mut client = gateway.client();
        for (agent, is_bot) in [
            ("User-Agent: Good Bot", false),
            ("User-Agent: a bOt", true),
            ("User-Agent: Bad One", true),
            ("User-Agent: Bad One 2", false),
            ("User-Agent: curl/8", false),
            ("User-Agent:", true),
            ("X-Nothing: 1", true),
        ] {
            let want = if is_bot { 403 } else { 200 };
            // Twice: the second time it is remembered.
            for _ in 0..2 {
                client.head("GET", "/shut", &[agent]);
                let reply = client.reply();
                assert_eq!(reply.status, want, "{agent}");
                assert!(!is_bot || reply.text().contains("bot_refused"), "{}", reply.text());
            }
            client.head("GET", "/open", &[agent]);
            assert_eq!(client.reply().status, 200, "{agent}");
        }
        client.head("GET", "/old", &["User-Agent: bot"]);
        let reply = client.reply();
        assert_eq!((reply.status, reply.text().as_str()), (403, ""));
        client.head("GET", "/shut", &["User-Agent: curl/8", "User-Agent: bot"]);
        assert_eq!(client.reply().status, 403, "who is two of them is a bot");
        assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 13);
        gateway.is_clean();
    });
}
