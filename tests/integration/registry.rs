//! Modules that are found through a masterservice (SPEC 8.2, 8.5, 8.6).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otus::gufo::trust::{SigningKey, Token};
use otus::proto::reverse::{self, reverse_server};
use otus::proto::reverse_a;
use otus::snapshot::gufo::{OnError, SecurityMode, SessionRule, Trust};
use otus::snapshot::registry::Registry;
use otus::snapshot::secret::Secret;
use otus::snapshot::server::{IoDriver, Workers};
use serde_json::{Value, json};
use tonic::{Request, Response, Status, Streaming};

use crate::support::backend::nobody;
use crate::support::client::{Client, Reply};
use crate::support::dns::{Data, NameServer};
use crate::support::gateway::{Gateway, SIGN, on_both_drivers};
use crate::support::journal::eventually;
use crate::support::proxy::{snapshot, start, start_to_reload};
use crate::support::service::{Service, Serving, answer, json_any};

const ADMIN: &str = "server.admin_key = \"0123456789abcdef\"\n";

/// Keys and their JSON text.
type Values = Vec<(&'static str, String)>;

/// What a master knows, and what it was asked.
#[derive(Clone, Default)]
struct Book {
    rows: Arc<Mutex<BTreeMap<String, Values>>>,
    asked: Arc<Mutex<Vec<reverse_a::Request>>>,
}

impl Book {
    fn row(&self, name: &str, values: &[(&'static str, String)]) {
        self.rows.lock().unwrap().insert(name.to_owned(), values.to_vec());
    }

    /// A module runs here.
    fn runs(&self, name: &str, address: SocketAddr) {
        let port = format!("\"{}\"", address.port());
        self.row(name, &[("host", "\"127.0.0.1\"".to_owned()), ("port", port)]);
    }

    /// How often it was asked for a module.
    fn asked(&self, name: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|request| request.module.as_deref() == Some(name)).count()
    }
}

#[tonic::async_trait]
impl reverse_a::reverse_server::Reverse for Book {
    async fn r#do(
        &self,
        request: Request<reverse_a::Request>,
    ) -> Result<Response<reverse_a::Response>, Status> {
        let request = request.into_inner();
        self.asked.lock().unwrap().push(request.clone());
        // As published: the subject is the module, and what is asked stands in `IR`.
        let (subject, param) = match request.module.as_deref() {
            Some("masterservice") => (String::new(), request.param),
            module => (module.unwrap_or_default().to_owned(), request.ir.unwrap().param),
        };
        let rows = self.rows.lock().unwrap();
        let row = match param.as_deref() {
            Some("getsessionhost") => rows.get("issession"),
            Some("getmicroservicebypath") => rows.get(&subject),
            _ => return Err(Status::internal("no such action")),
        };
        let nothing = vec![("host", "\"\"".to_owned()), ("port", "\"\"".to_owned())];
        let values = row.unwrap_or(&nothing);
        let data = values.iter().map(|(name, json)| ((*name).to_owned(), json_any(json)));
        Ok(Response::new(reverse_a::Response { data: data.collect(), ..Default::default() }))
    }
}

fn master_at(address: SocketAddr, book: &Book) -> Serving {
    let book = book.clone();
    Serving::start(address, move |mut server| {
        server.add_service(reverse_a::reverse_server::ReverseServer::new(book))
    })
}

fn master() -> (Serving, Book) {
    let book = Book::default();
    (master_at("127.0.0.1:0".parse().unwrap(), &book), book)
}

/// Answers hold for longer than a test takes.
fn settings(master: SocketAddr) -> String {
    let hold = "masterregistry.ttl = \"1h\"\nmasterregistry.refresh_interval = \"1h\"\n";
    format!("{hold}{}", located(master))
}

fn located(master: SocketAddr) -> String {
    let port = master.port();
    format!(
        "server.masterservice = true\n{ADMIN}[microservices.masterservice]\n\
         host = \"127.0.0.1\"\nport = {port}\n"
    )
}

fn get(gateway: &Gateway, path: &str) -> Reply {
    gateway.client().get(path)
}

fn code(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.data()["code"].clone())
}

/// What the operator sees.
fn registry(gateway: &Gateway) -> Value {
    let mut client = Client::connect(gateway.admin);
    client.head("GET", "/-/registry", &["X-Admin-Key: 0123456789abcdef"]);
    let reply = client.reply();
    assert_eq!(reply.status, 200);
    reply.json()
}

/// What is told of one module that was found.
fn found(gateway: &Gateway, name: &str) -> Value {
    let page = registry(gateway);
    let rows = page["found"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).cloned().unwrap_or(Value::Null)
}

fn directory() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("otus-registry-{}-{next}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_module_is_asked_for_once_however_many_want_it() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let service = Service::start();
        book.runs("echo", service.address);
        let mut snapshot = snapshot(io, &settings(master.address));
        snapshot.server.workers = Workers::Count(2);
        let gateway = Gateway::start(io, |own| *own = snapshot);
        let address = gateway.address;
        let ask = move || Client::connect(address).get("/api/v3/echo/hello").status;
        let clients: Vec<_> = (0..12).map(|_| std::thread::spawn(ask)).collect();
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
        let upload = gateway.client().ask("PUT", "/api/v3/echo/up", &["X-Filename: a"], b"bytes");
        assert_eq!(upload.status, 200, "{}", upload.text());
        assert_eq!(book.asked("echo"), 1);
        let asked = book.asked.lock().unwrap();
        let request = asked.iter().find(|own| own.module.as_deref() == Some("echo")).unwrap();
        let (ir, param) = (request.ir.as_ref().unwrap(), Some("getmicroservicebypath"));
        assert_eq!((request.param.as_deref(), request.method.as_deref()), (param, Some("GET")));
        assert_eq!((ir.param.as_deref(), ir.method.as_deref()), (param, Some("GET")));
        assert_eq!(request.sign.as_deref(), Some(SIGN));
        drop(asked);
        assert_eq!(found(&gateway, "echo")["state"], "fresh");
        gateway.is_clean();
    });
}

#[test]
fn an_upload_waits_for_its_module_before_its_body_is_asked_for() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let service = Service::start();
        book.runs("storage", service.address);
        let gateway = start(io, &settings(master.address));
        let fields = ["X-Filename: a.bin", "Expect: 100-continue"];
        let mut client = gateway.client();
        let mut reply = client.ask("PUT", "/api/v3/storage/up", &fields, b"some bytes");
        if reply.status == 100 {
            reply = client.reply(); // It was asked for the body before that had arrived.
        }
        assert_eq!(reply.status, 200, "{}", reply.text());
        gateway.is_clean();
    });
}

#[test]
fn what_nobody_knows_is_refused_and_asked_for_once() {
    on_both_drivers(|io| {
        let (master, book) = master();
        book.row("half", &[("host", "\"127.0.0.1\"".to_owned())]);
        let gateway = start(io, &settings(master.address));
        for _ in 0..3 {
            let reply = get(&gateway, "/api/v3/nobody/x");
            assert_eq!(code(&reply), (500, json!("0000501")), "{}", reply.text());
            assert_eq!(code(&get(&gateway, "/api/v3/half/x")), (500, json!("0000238")));
        }
        assert_eq!((book.asked("nobody"), book.asked("half")), (1, 1));
        // What cannot be a name is not sent on.
        assert_eq!(code(&get(&gateway, "/api/v3/no%20body/x")), (500, json!("0000501")));
        assert_eq!(book.asked("no body"), 0);
        // It may come later: then it is found.
        let service = Service::start();
        book.runs("nobody", service.address);
        eventually("it is asked for again", || {
            (get(&gateway, "/api/v3/nobody/x").status == 200).then_some(())
        });
        gateway.is_clean();
    });
}

#[test]
fn made_up_names_do_not_flood_the_master() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let service = Service::start();
        book.runs("echo", service.address);
        let gateway = start(io, &settings(master.address));
        assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
        let began = std::time::Instant::now();
        let mut client = gateway.client();
        for n in 0..600 {
            assert_eq!(client.get(&format!("/api/v3/made-up-{n}/x")).status, 500);
        }
        let most = 64 + 20 * (began.elapsed().as_secs() + 1);
        let asked = u64::try_from(book.asked.lock().unwrap().len()).unwrap();
        assert!(asked <= most + 5, "{asked} questions, of at most {most}");
        assert_eq!(client.get("/api/v3/echo/x").status, 200);
        gateway.is_clean();
    });
}

#[test]
fn addresses_are_used_on_while_the_master_is_away() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let (service, second) = (Service::start(), Service::start());
        book.runs("echo", service.address);
        let hold = "masterregistry.ttl = \"1s\"\nmasterregistry.refresh_interval = \"1s\"\n\
            masterregistry.sweeper_interval = \"1s\"\n";
        let address = master.address;
        let gateway = start(io, &format!("{hold}{}", located(address)));
        assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
        drop(master);
        eventually("the address is old", || {
            (found(&gateway, "echo")["state"] == "stale").then_some(())
        });
        assert_eq!(registry(&gateway)["masters_answer"], false);
        assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
        let reply = get(&gateway, "/api/v3/late/x");
        assert_eq!(code(&reply), (500, json!("0000501")));
        let text = "Cannot resolve service: registry and masterservice unavailable";
        assert_eq!(reply.data()["message"], text);

        book.runs("late", second.address);
        book.runs("echo", second.address);
        let _master = master_at(address, &book);
        eventually("the master is asked again", || {
            (get(&gateway, "/api/v3/late/x").status == 200).then_some(())
        });
        let mark = second.journal.mark();
        eventually("the new address is used", || {
            let port = found(&gateway, "echo")["instances"][0]["port"].clone();
            (port == second.address.port()).then_some(())
        });
        drop(service);
        eventually("the shard uses it", || {
            (get(&gateway, "/api/v3/echo/moved").status == 200).then_some(())
        });
        assert_eq!(second.journal.called(mark).module.as_deref(), Some("echo"));
        gateway.is_clean();
    });
}

#[test]
fn what_was_found_is_known_at_the_next_start() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let service = Service::start();
        book.runs("echo", service.address);
        let directory = directory();
        let file = directory.join("registry.json");
        let text =
            format!("server.sysdir = \"{}\"\n{}", directory.display(), settings(master.address));
        std::fs::write(&file, "no such file").unwrap();
        let gateway = start(io, &text);
        assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
        gateway.finish();
        drop(master);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let gateway = start(io, &text);
        assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
        assert_eq!(code(&get(&gateway, "/api/v3/other/x")), (500, json!("0000501")));
        gateway.is_clean();
        drop(gateway);
        std::fs::remove_dir_all(directory).unwrap();
    });
}

#[test]
fn the_nearest_instance_is_used_and_then_the_next() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let services = ["us", "eu", ""].map(|region| (region, Service::start()));
        let row = |(region, service): &(&str, Service)| {
            let group = if region.is_empty() { "blue" } else { "green" };
            let port = service.address.port();
            json!({"host": "127.0.0.1", "port": port, "region": region, "group": group})
        };
        let rows: Vec<_> = services.iter().map(row).collect();
        book.row("echo", &[("instances", Value::Array(rows).to_string())]);
        let home = "server.region = \"eu\"\nserver.group = \"blue\"\n";
        let gateway = start(io, &format!("{home}{}", settings(master.address)));
        let mut services = services.map(|(_, service)| Some(service));
        // The same region, then the same group, then any other.
        for near in [1, 2, 0] {
            let service = services[near].take().unwrap();
            let mark = service.journal.mark();
            for _ in 0..4 {
                assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
            }
            assert_eq!(service.journal.called(mark).module.as_deref(), Some("echo"));
        }
        let told: Vec<_> = found(&gateway, "echo")["instances"].as_array().unwrap().clone();
        let mut ranks: Vec<_> = told.iter().map(|own| own["rank"].as_u64().unwrap()).collect();
        ranks.sort_unstable();
        assert_eq!(ranks, [0, 1, 2]);
        gateway.is_clean();
    });
}

#[test]
fn masters_are_asked_in_their_order_until_one_knows() {
    on_both_drivers(|io| {
        let ((first, knows_a), (second, knows_b)) = (master(), master());
        let service = Service::start();
        knows_a.runs("a", service.address);
        knows_b.runs("a", nobody());
        knows_b.runs("b", service.address);
        let text = format!(
            "server.registry_mode = \"master\"\n{ADMIN}[microservices.masterservice]\n\
             hosts = [\"{}\", \"{}\"]\n",
            first.address, second.address
        );
        let gateway = start(io, &text);
        assert_eq!(get(&gateway, "/api/v3/a/x").status, 200);
        assert_eq!(get(&gateway, "/api/v3/b/x").status, 200);
        assert_eq!((knows_b.asked("a"), knows_a.asked("b"), knows_b.asked("b")), (0, 1, 1));
        drop(first);
        knows_b.runs("c", service.address);
        assert_eq!(get(&gateway, "/api/v3/c/x").status, 200);
        gateway.is_clean();
    });
}

#[test]
fn the_settings_win_and_say_how_found_modules_are_called() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let (own, other) = (Service::start(), Service::start());
        book.runs("echo", other.address);
        book.runs("hidden", other.address);
        let port = own.address.port();
        let text = format!(
            "{}[microservices.echo]\nhost = \"127.0.0.1\"\nport = {port}\n\
             [microservices.hidden]\ntype = \"internal\"\n",
            settings(master.address)
        );
        let (gateway, _) = start_to_reload(io, &text);
        let mark = own.journal.mark();
        assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
        assert_eq!(own.journal.called(mark).module.as_deref(), Some("echo"));
        assert_eq!(book.asked("echo"), 0);
        // It has a table, and is asked for before anybody wants it.
        eventually("it is found", || (found(&gateway, "hidden")["state"] == "fresh").then_some(()));
        eventually("it runs", || {
            (code(&get(&gateway, "/api/v3/hidden/x")) == (401, json!("0000234"))).then_some(())
        });
        let mut client = gateway.client();
        client.head("GET", "/api/v3/hidden/x", &[&format!("X-Sign: {SIGN}")]);
        assert_eq!(client.reply().status, 200);

        let generation = gateway.metric("otus_config_generation");
        gateway.stopper.reload();
        eventually("a reload", || {
            (gateway.metric("otus_config_generation") > generation).then_some(())
        });
        client.head("GET", "/api/v3/hidden/x", &[&format!("X-Sign: {SIGN}")]);
        assert_eq!(client.reply().status, 200);
        assert_eq!(book.asked("hidden"), 1);
        gateway.is_clean();
    });
}

/// Knows one session.
#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<u32>>);

#[tonic::async_trait]
impl reverse_server::Reverse for Sessions {
    type StreamStream = tokio_stream::Empty<Result<reverse::Response, Status>>;

    async fn r#do(
        &self,
        request: Request<reverse::Request>,
    ) -> Result<Response<reverse::Response>, Status> {
        *self.0.lock().unwrap() += 1;
        let values = match request.into_inner().token.as_deref() {
            Some("Bearer good") => [("uid", "\"u7\"")],
            _ => [("error", "\"000011\"")],
        };
        Ok(Response::new(answer(&values)))
    }

    async fn stream(
        &self,
        _: Request<Streaming<reverse::Request>>,
    ) -> Result<Response<Self::StreamStream>, Status> {
        Err(Status::unimplemented("none"))
    }
}

fn start_with_sessions(io: IoDriver, text: &str, rule: SessionRule) -> Gateway {
    let mut snapshot = snapshot(io, text);
    let registry = snapshot.gufo.registry.as_ref().unwrap();
    let found = Registry { finds_session: true, ..(**registry).clone() };
    snapshot.gufo.registry = Some(Arc::new(found));
    snapshot.gufo.session = Some(rule);
    Gateway::start(io, |own| *own = snapshot)
}

#[test]
fn the_session_service_is_found_and_what_it_said_outlives_new_modules() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let (service, sessions) = (Service::start(), Sessions::default());
        let own = sessions.clone();
        let serving = Serving::start("127.0.0.1:0".parse().unwrap(), move |mut server| {
            server.add_service(reverse_server::ReverseServer::new(own))
        });
        book.runs("issession", serving.address);
        for name in ["a", "b", "c"] {
            book.runs(name, service.address);
        }
        let rule = SessionRule::default();
        let gateway = start_with_sessions(io, &settings(master.address), rule);
        let mut client = gateway.client();
        let began = std::time::Instant::now();
        for name in ["a", "b", "c"] {
            let fields = ["Authorization: Bearer good"];
            client.head("GET", &format!("/api/v3/{name}/x"), &fields);
            let reply = client.reply();
            assert_eq!(reply.status, 200, "{}", reply.text());
            let envelope: Value = serde_json::from_str(&reply.text()).unwrap();
            assert_eq!(envelope["session"]["uid"], "u7", "{name}");
        }
        // What was said holds for five seconds.
        if began.elapsed() < Duration::from_secs(4) {
            assert_eq!(*sessions.0.lock().unwrap(), 1);
        }
        assert_eq!(found(&gateway, "session/host")["state"], "fresh");
        gateway.is_clean();
    });
}

#[test]
fn while_no_session_service_is_found_calls_are_of_nobody_or_refused() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let service = Service::start();
        book.runs("echo", service.address);
        for (on_error, want) in [(OnError::Anonymous, 200), (OnError::Refuse, 503)] {
            let rule = SessionRule { on_error, ..SessionRule::default() };
            let gateway = start_with_sessions(io, &settings(master.address), rule);
            let mut client = gateway.client();
            client.head("GET", "/api/v3/echo/x", &["Authorization: Bearer good"]);
            assert_eq!(client.reply().status, want);
            // Who shows nothing is nobody anyway.
            assert_eq!(client.get("/api/v3/echo/x").status, 200);
            gateway.is_clean();
        }
    });
}

#[test]
fn a_host_that_is_a_name_is_resolved_by_the_rules_of_the_settings() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let service = Service::start();
        let port = service.address.port().to_string();
        book.row("echo", &[("host", "\"echo.test\"".to_owned()), ("port", port)]);
        let server = NameServer::start(60);
        server.set("echo.test", &[Data::V4([127, 0, 0, 1])]);
        let dns = format!("dns.servers = [\"{}\"]\n", server.address);
        let gateway = start(io, &format!("{dns}{}", settings(master.address)));
        assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
        assert_eq!(book.asked("echo"), 1);
        gateway.is_clean();
    });
}

#[test]
fn questions_are_signed_as_calls_are() {
    on_both_drivers(|io| {
        let (master, book) = master();
        let service = Service::start();
        book.runs("echo", service.address);
        let key = || SigningKey::new(b"a-secret-of-all");
        let mut snapshot = snapshot(io, &settings(master.address));
        snapshot.gufo.trust = Trust {
            mode: SecurityMode::Hmac,
            key: Some((key(), Secret::new("a-secret-of-all"))),
            ..Trust::default()
        };
        let gateway = Gateway::start(io, |own| *own = snapshot);
        assert_eq!(get(&gateway, "/api/v3/echo/x").status, 200);
        let asked = book.asked.lock().unwrap();
        let sign = asked[0].sign.clone().unwrap();
        let token = Token::parse(sign.as_bytes()).unwrap();
        assert!(key().holds_1(&token, "echo"));
        drop(asked);
        gateway.is_clean();
    });
}
