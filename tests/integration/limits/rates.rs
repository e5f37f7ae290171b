use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::client::Client;
use crate::support::gateway::{Gateway, on_both_drivers};

use super::gateway;

/// What is admitted while more is offered all the time: in how long, how much, and how much is not.
fn admitted(gateway: &Gateway, spread: &str, path: &str) -> (Duration, u64, u64) {
    let [count, refused] = [0, 0].map(AtomicU64::new);
    let over = AtomicBool::new(false);
    let offer = |connections: usize, requests_each: usize| {
        let mut clients: Vec<Client> = (0..connections).map(|_| gateway.client()).collect();
        let mut turn = 0;
        while !over.load(Ordering::Relaxed) {
            turn += 1;
            let index = turn % connections;
            if turn % requests_each == 0 {
                clients[index] = gateway.client();
            }
            match clients[index].get(path).status {
                204 => _ = count.fetch_add(1, Ordering::Relaxed),
                429 => _ = refused.fetch_add(1, Ordering::Relaxed),
                other => panic!("status {other}"),
            }
        }
    };
    let begun = Instant::now();
    std::thread::scope(|scope| {
        match spread {
            // One connection is on one shard.
            "one" => _ = scope.spawn(|| offer(1, usize::MAX)),
            "even" => (0..2).for_each(|_| _ = scope.spawn(|| offer(8, usize::MAX))),
            _ => (0..2).for_each(|_| _ = scope.spawn(|| offer(2, 40))),
        }
        std::thread::sleep(Duration::from_millis(1500));
        over.store(true, Ordering::Relaxed);
    });
    let [count, refused] = [count, refused].map(|own| own.load(Ordering::Relaxed));
    (begun.elapsed(), count, refused)
}

#[test]
fn a_rate_is_exact_over_two_shards_whatever_the_spread() {
    on_both_drivers(|io| {
        let route = |name: &str| {
            format!(
                "[[route]]\nid = \"{name}\"\nmatch = {{ path = \"/{name}\" }}\nreply = 204\n\
                 rate_limit = {{ rate = \"1000/s\", burst = 500, by = \"route\" }}\n"
            )
        };
        let text = ["one", "even", "moving"].map(route).concat();
        let (gateway, _) = gateway(io, &text);
        for spread in ["one", "even", "moving"] {
            let (time, count, refused) = admitted(&gateway, spread, &format!("/{spread}"));
            let limit = 500.0 + 1000.0 * time.as_secs_f64();
            let found = f64::from(u32::try_from(count).unwrap());
            println!("{spread}: {count} of {limit:.0}, {refused} refused");
            // The last answers are under way when the time is read.
            let close = limit / 100.0 + 4.0;
            assert!(found <= limit + close, "{spread}: {count} of {limit}");
            // On a machine that is busy with other things nobody asks for as much as is allowed.
            // The burst outlasts whatever keeps clients that do from asking for a moment.
            let is_full = f64::from(u32::try_from(refused).unwrap()) > limit / 10.0;
            assert!(!is_full || found >= limit - close, "{spread}: {count} of {limit}");
        }
        for shard in [0, 1] {
            let name = format!("otus_shard_requests_total{{shard=\"{shard}\"}}");
            assert!(gateway.metric(&name) > 0, "both shards have served");
        }
        gateway.is_clean();
    });
}

/// What there was when its head began is gone; what has come since is there.
#[test]
fn a_request_whose_head_comes_slowly_asks_when_it_is_whole() {
    on_both_drivers(|io| {
        let (gateway, _settings) = gateway(
            io,
            "[[route]]\nid = \"slow\"\nreply = 204\nrate_limit = { rate = \"2/s\", burst = 1 }\n",
        );
        let mut slow = gateway.client();
        slow.send("GET /slow HTTP/1.1\r\n");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(gateway.client().get("/slow").status, 204);
        std::thread::sleep(Duration::from_millis(600));
        slow.send("Host: gateway.test\r\n\r\n");
        assert_eq!(slow.reply().status, 204);
    });
}

#[test]
fn clients_are_told_what_is_left_and_when_to_come_back() {
    on_both_drivers(|io| {
        let (gateway, _) = gateway(
            io,
            "[[route]]\nid = \"pub\"\nreply = 204\nerrors = \"3x\"\n\
             rate_limit = { rate = \"2.5/m\", burst = 2 }\n",
        );
        let mut client = gateway.client();
        let first = client.get("/x");
        assert_eq!(first.status, 204);
        assert_eq!(first.field("ratelimit-policy"), Some("\"pub\";q=5;w=120"));
        assert_eq!(first.field("ratelimit"), Some("\"pub\";r=1;t=24"));
        assert_eq!(first.field("x-ratelimit-route"), Some("pub"));
        assert_eq!(first.field("x-ratelimit-scope"), Some("ip"));
        assert_eq!(first.field("x-ratelimit-limit-rps"), Some("0.04"));
        assert_eq!(first.field("x-ratelimit-burst"), Some("2"));
        assert_eq!(first.field("x-ratelimit-remaining"), Some("1"));
        assert_eq!(first.field("retry-after"), None);
        let last = client.get("/x");
        assert_eq!((last.status, last.field("x-ratelimit-remaining")), (204, None));
        let refused = client.get("/x");
        assert_eq!(refused.status, 429);
        assert_eq!(refused.field("content-type"), Some("application/json"));
        let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=24).contains(&wait), "{wait}");
        let told = format!("\"pub\";r=0;t={wait}");
        assert_eq!(refused.field("ratelimit"), Some(told.as_str()));
        assert!(refused.field("x-ratelimit-reset").unwrap().parse::<u64>().unwrap() > wait);
        assert_eq!(
            refused.text(),
            format!(
                "{{\"error\":\"rate_limited\",\"route\":\"pub\",\"scope\":\"ip\",\
                 \"retry_after_seconds\":{wait}}}"
            )
        );
        // Another address has a bucket of its own; another of the same subscriber does not.
        let ask = |address: &str| {
            let field = format!("X-Forwarded-For: {address}");
            gateway.client().ask("GET", "/x", &[&field], b"").status
        };
        assert_eq!(["192.0.2.1"; 3].map(ask), [204, 204, 429]);
        assert_eq!(["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(ask), [204, 204, 429]);
        assert_eq!(ask("2001:db8:0:1::1"), 204);
        gateway.is_clean();
    });
}

#[test]
fn keys_are_fields_parameters_and_segments_and_the_order_is_shared_limits_first() {
    on_both_drivers(|io| {
        let route = |id: &str, by: &str| {
            format!(
                "[[route]]\nid = \"{id}\"\nmatch = {{ prefix = \"/{id}\" }}\nreply = 204\n\
                 rate_limit = {{ rate = \"1/h\", by = \"{by}\", fields = \"off\" }}\n"
            )
        };
        let text = [("f", "header:X-Key"), ("q", "query:key"), ("s", "segment:2")]
            .map(|(id, by)| route(id, by))
            .concat();
        let text = format!(
            "[rate_limits.all]\nrate = \"1/h\"\nburst = 12\nby = \"route\"\neverywhere = true\n\
             {text}"
        );
        let (gateway, _) = gateway(io, &text);
        let ask = |path: &str, field: &str| {
            let reply = gateway.client().ask("GET", path, &[field], b"");
            (reply.status, reply.field("ratelimit").unwrap().to_owned())
        };
        let none = "X-Other: 1";
        for (path, field, status) in [
            ("/f", "X-Key: a", 204),
            ("/f", "x-key: a", 429),
            ("/f", "X-Key: b", 204),
            ("/q?key=a%62", none, 204),
            ("/q?x=1&key=ab", none, 429),
            ("/q?key=b", none, 204),
            ("/q?key=c&key=d", none, 204),
            ("/q?key=e&key=f", none, 429),
            ("/s/1/x", none, 204),
            ("/s/1/y", none, 429),
            ("/s/2", none, 204),
            ("/f", none, 204),
            ("/f", "X-Key: c", 429), // The shared one is used up.
        ] {
            let (found, told) = ask(path, field);
            assert_eq!(found, status, "{path} {field}");
            assert!(told.starts_with("\"all\";r="), "{told}");
        }
        gateway.is_clean();
    });
}

#[test]
fn who_was_refused_stays_so_after_a_reload_unless_the_rule_is_another() {
    on_both_drivers(|io| {
        let text = |rate: &str| {
            format!(
                "[[route]]\nid = \"r\"\nreply = 204\nerrors = \"hanzo\"\nlegacy_503 = true\n\
                 rate_limit = {{ rate = \"{rate}\" }}\n"
            )
        };
        let (gateway, settings) = gateway(io, &text("1/h"));
        assert_eq!(gateway.client().get("/").status, 204);
        let refused = gateway.client().get("/");
        assert_eq!(refused.status, 503);
        assert_eq!(refused.text(), "{\"message\":\"rate limit exceeded\"}");
        for (generation, rate, status) in [(2, "1/h", 503), (3, "2/h", 204)] {
            settings.write(&text(rate));
            gateway.stopper.reload();
            gateway.wait_metric("otus_config_generation", generation);
            assert_eq!(gateway.client().get("/").status, status);
        }
        gateway.is_clean();
    });
}

#[test]
fn the_surface_of_gufo_has_one_bucket_at_the_rate_that_is_written() {
    on_both_drivers(|io| {
        let service = crate::support::service::Service::start();
        let (gateway, _) = gateway(
            io,
            &format!(
                "sign = \"0123456789abcdef\"\n[security]\nmode = \"sign\"\n[gufo]\nrate_limit_rps = 1\nrate_limit_burst = 1\n\
                 [microservices.storage]\nhost = \"127.0.0.1\"\nport = {}\n",
                service.address.port()
            ),
        );
        let mut client = gateway.client();
        // A burst that is not above the rate is replaced by twice the rate.
        let statuses = [(); 3].map(|()| client.get("/api/v3/storage/x").status);
        assert_eq!(statuses, [200, 200, 429]);
        let refused = client.get("/api/v3/storage/x");
        assert!(refused.text().contains("000429"), "{}", refused.text());
        assert_eq!(refused.field("x-ratelimit-burst"), None);
        gateway.is_clean();
    });
}

#[test]
fn a_shard_that_is_in_time_refuses_nothing() {
    on_both_drivers(|io| {
        let (gateway, _) = gateway(io, "[[route]]\nid = \"s\"\nreply = 204\nshed_delay = \"5s\"\n");
        let mut client = gateway.client();
        for _ in 0..30 {
            assert_eq!(client.get("/").status, 204);
            std::thread::sleep(Duration::from_millis(10));
        }
        gateway.is_clean();
    });
}
