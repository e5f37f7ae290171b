//! A calendar that is set forward or back while the gateway runs: what is dated follows it, and
//! what is waited for does not.

use std::time::Duration;

use otus::base::time::UnixTime;
use otus::gufo::trust::{SigningKey, Subject, request_digest};
use otus::protocol::h1::encode::http_date;
use otus::snapshot::server::IoDriver;
use serde_json::json;

use crate::support::backend::{Backend, ok};
use crate::support::client::{Client, Reply};
use crate::support::clock::{Clock, on_a_clock};
use crate::support::dns::{Data, NameServer};
use crate::support::gateway::Gateway;
use crate::support::issuer::{Issuer, guarded_text, signer, status};
use crate::support::journal::eventually;
use crate::support::process::Launch;
use crate::support::proxy::{self, ALL, upstream};
use crate::support::service::Service;
use crate::support::tls::Authority;

const HOUR: i64 = 3600;
const YEARS: i64 = 20 * 365 * 24 * HOUR;
/// In that time a wait that counts by the calendar would have ended.
const WHILE: Duration = Duration::from_millis(500);
const SECRET: &str = "the-secret-of-gateway-and-services";

/// The year that an answer is dated with.
fn year(reply: &Reply) -> String {
    reply.field("date").unwrap().split(' ').nth(3).unwrap().to_owned()
}

/// The year that the calendar shows.
fn year_of(ahead: i64) -> String {
    let date = http_date(Clock::shows(ahead));
    String::from_utf8(date.to_vec()).unwrap().split(' ').nth(3).unwrap().to_owned()
}

#[test]
fn nothing_is_waited_for_by_the_calendar() {
    on_a_clock(|io, clock| {
        let (patient, hasty) = (Backend::listen(), Backend::listen());
        let text = format!(
            "[upstreams.patient]\nendpoints = [\"{}\"]\n[upstreams.hasty]\nendpoints = [\"{}\"]\n\
             first_byte_timeout = \"300ms\"\nretry = {{ attempts = 1 }}\n\
             [[route]]\nid = \"hasty\"\nmatch = {{ path = \"/hasty\" }}\nupstream = \"hasty\"\n\
             [[route]]\nid = \"all\"\nupstream = \"patient\"\n",
            patient.address, hasty.address
        );
        let gateway = clock.start(&Launch::new(io, &text));
        let mut client = gateway.client();
        let mut visit = None;
        for (before, after) in [(0, YEARS), (YEARS, -YEARS), (-YEARS, 0)] {
            clock.jump(before);
            client.head("GET", "/", &[]);
            let waits = visit.get_or_insert_with(|| patient.accept());
            waits.request();
            // No time is up when it is years later or earlier.
            clock.jump(after);
            assert!(client.is_quiet_for(WHILE));
            waits.answer("at last");
            let reply = client.reply();
            assert_eq!((reply.text().as_str(), year(&reply)), ("at last", year_of(after)));
            // And what is up in a moment is so even if that is years ago.
            clock.jump(before);
            client.head("GET", "/hasty", &[]);
            let (_held, _) = hasty.asked();
            clock.jump(after);
            let reply = client.reply();
            assert_eq!((reply.status, &reply.json()["code"]), (504, &"upstream_timed_out".into()));
        }
        gateway.is_clean();
        assert!(gateway.stopped().success());
    });
}

#[test]
fn limits_are_not_refilled_by_the_calendar() {
    on_a_clock(|io, clock| {
        let route = |name: &str, rate: &str| {
            format!(
                "[[route]]\nid = \"{name}\"\nmatch = {{ path = \"/{name}\" }}\nreply = 204\n\
                 rate_limit = {{ rate = \"{rate}\", burst = 1, by = \"route\" }}\n"
            )
        };
        let text = route("slow", "1/h") + &route("fast", "20/s");
        let gateway = clock.start(&Launch::new(io, &text));
        let mut client = gateway.client();
        assert_eq!(client.get("/slow").status, 204);
        for ahead in [YEARS, -YEARS, 0] {
            clock.jump(ahead);
            assert_eq!(client.get("/slow").status, 429);
            // What is due within a moment comes, whatever the date is.
            assert!(matches!(client.get("/fast").status, 204 | 429));
            eventually("it is refilled", || (client.get("/fast").status == 204).then_some(()));
        }
        gateway.is_clean();
    });
}

#[test]
fn tokens_are_good_by_the_calendar_and_no_longer() {
    on_a_clock(|io, clock| {
        let ours = signer("k");
        let issuer = Issuer::start(&[&ours]);
        let profile = format!("[auth.main]\n{}", issuer.profile(""));
        let text = guarded_text("auth = [\"main\"]", &profile);
        let gateway = clock.start(&Launch::new(io, &text));
        let mut client = gateway.client();
        let until = |ahead: i64| {
            let end = Clock::shows(ahead).seconds() + 600;
            ours.token(&json!({"sub": "alice", "exp": end}))
        };
        let (now, later) = (until(0), until(HOUR));
        assert_eq!([&now, &later].map(|token| status(&mut client, token)), [200, 200]);
        // What is known to be good is not good for that when its time is over.
        clock.jump(HOUR);
        assert_eq!([&now, &later].map(|token| status(&mut client, token)), [401, 200]);
        clock.jump(2 * HOUR);
        assert_eq!([&now, &later].map(|token| status(&mut client, token)), [401, 401]);
        clock.jump(0);
        assert_eq!([&now, &later].map(|token| status(&mut client, token)), [200, 200]);
        gateway.is_clean();
    });
}

/// A signature of a call of `echo/hello` with this content.
fn signed(time: UnixTime, body: &str, nonce: u8) -> String {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let digest = request_digest(b"", body.as_bytes());
    let subject = Subject { module: "echo", path: "hello", method, digest };
    let key = SigningKey::new(SECRET.as_bytes());
    format!("X-Sign: {}", key.sign_2(&subject, [nonce; 16], time))
}

#[test]
fn a_signature_counts_once_however_often_its_time_comes() {
    on_a_clock(|io, clock| {
        let service = Service::start();
        let text = format!("[microservices.echo]\nendpoints = [\"{}\"]\n", service.address);
        let security =
            format!("mode = \"hmac\"\nrest_mode = \"hmac\"\nhmac_secret = \"{SECRET}\"\n");
        let gateway = clock.start(&Launch { security: &security, ..Launch::new(io, &text) });
        let mut client = gateway.client();
        let mut asked = |field: &str| {
            client.head("GET", "/api/v3/echo/hello", &[field]);
            client.reply().status
        };
        // What was signed in the second of the start is refused; what is ahead waits for its own.
        let first = signed(Clock::shows(1), "", 1);
        assert_eq!([asked(&first), asked(&first)], [200, 401]);
        clock.jump(HOUR);
        let second = signed(Clock::shows(HOUR), "", 2);
        assert_eq!([asked(&first), asked(&second), asked(&second)], [401, 200, 401]);
        // Its time has come again, and that of the other is to come again.
        clock.jump(0);
        assert_eq!([asked(&first), asked(&second)], [401, 401]);
        assert_eq!(asked(&signed(Clock::shows(1), "", 3)), 200);
        gateway.is_clean();
    });
}

#[test]
fn a_signature_that_is_years_ahead_since_the_clock_was_put_back_is_not_waited_for() {
    on_a_clock(|io, clock| {
        let service = Service::start();
        let text = format!("[microservices.echo]\nendpoints = [\"{}\"]\n", service.address);
        let security =
            format!("mode = \"hmac\"\nrest_mode = \"hmac\"\nhmac_secret = \"{SECRET}\"\n");
        clock.jump(-YEARS);
        let gateway = clock.start(&Launch { security: &security, ..Launch::new(io, &text) });
        clock.jump(0);
        let (body, mut client) = (r#"{"a":1}"#, gateway.client());
        let sign = signed(Clock::shows(0), body, 1);
        let length = format!("Content-Length: {}", body.len());
        client.head("POST", "/api/v3/echo/hello", &[&sign, &length]);
        gateway.wait_metric("otus_requests_started_total", 1);
        clock.jump(-YEARS + HOUR);
        client.send(body);
        assert_eq!(client.reply().status, 401);
        gateway.is_clean();
    });
}

/// A gateway before this back end that speaks TLS, with a certificate of our days.
fn secure(io: IoDriver, authority: &Authority) -> Gateway {
    let files = authority.leaf_with("far", &["127.0.0.1"], |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    });
    let (address, _) = Backend::listen().serve(|_, _| ok("served").into_bytes());
    let text = format!("[tls]\n{}{}{ALL}", files.text(), upstream(&[address], ""));
    proxy::start(io, &text)
}

#[test]
fn certificates_are_good_by_the_calendar() {
    on_a_clock(|io, clock| {
        let authority = Authority::new();
        let far = secure(io, &authority);
        let ca = authority.file();
        let more = format!(
            "tls.on = true\ntls.ca = \"{}\"\nretry.attempts = 1\noutlier.ejection = \"100ms\"\n",
            ca.display()
        );
        let text = format!("{}{ALL}", upstream(&[far.address], &more));
        for (ahead, want) in [(YEARS, 502), (0, 200), (-YEARS, 502)] {
            clock.jump(ahead);
            let gateway = clock.start(&Launch::new(io, &text));
            let mut client = gateway.client();
            let reply = client.get("/");
            assert_eq!(reply.status, want, "{ahead}");
            if want == 502 {
                assert_eq!(reply.json()["code"], "tls_untrusted");
                // As soon as the date is right the certificate is.
                clock.jump(0);
                eventually("it is served", || (client.get("/").status == 200).then_some(()));
            }
            // A connection that was made in good time is used on.
            clock.jump(YEARS);
            assert_eq!(client.get("/").text(), "served");
            gateway.is_clean();
        }
        far.finish();
    });
}

#[test]
fn names_are_asked_for_again_when_their_time_is_over_and_not_by_the_calendar() {
    on_a_clock(|io, clock| {
        let (address, _) = Backend::listen().serve(|_, _| ok("served").into_bytes());
        for ttl in [3600, 0] {
            let server = NameServer::start(ttl);
            server.set("api.test", &[Data::V4([127, 0, 0, 1])]);
            let text = format!(
                "[dns]\nservers = [\"{}\"]\nmin_ttl = \"100ms\"\n\
                 [upstreams.a]\nendpoints = [\"api.test:{}\"]\n{ALL}",
                server.address,
                address.port()
            );
            let gateway = clock.start(&Launch::new(io, &text));
            let is_served = |client: &mut Client| assert_eq!(client.get("/").text(), "served");
            let mut client = gateway.client();
            is_served(&mut client);
            for ahead in [YEARS, -YEARS, 0] {
                let before = server.asked().0;
                clock.jump(ahead);
                if ttl == 0 {
                    let is_asked = || (server.asked().0 >= before + 4).then_some(());
                    eventually("it is asked for again", is_asked);
                } else {
                    std::thread::sleep(WHILE);
                    assert_eq!(server.asked().0, before);
                }
                is_served(&mut client);
            }
            gateway.is_clean();
        }
    });
}
