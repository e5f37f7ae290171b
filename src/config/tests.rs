//! Facts about whole configurations.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::fault::{Code, Faults, Finding};
use super::load::load;
use super::place::Origin;
use super::source::{DotEnv, Source};
use super::values::Config;
use crate::base::size::MIB;
use crate::base::text::Text;
use crate::snapshot::Snapshot;
use crate::snapshot::gufo::Rate;
use crate::snapshot::observe::LogTarget;
use crate::snapshot::secret::Secret;
use crate::snapshot::server::{IoDriver, Serves, Steering, Workers};
use crate::snapshot::transport::Congestion;
use crate::snapshot::upstream::Protocol;
use crate::upstream::balance::Balance;

const SIGN: &str = "0123456789abcdef";
/// What every configuration needs, on one line.
const NEEDED: &str =
    "server = { sign = \"0123456789abcdef\", session = false }\nsecurity.mode = \"sign\"\n";

fn source(text: &str, dotenv: &str, env: &[(&str, &str)]) -> Source {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let dotenv = DotEnv { path: ".env".to_owned(), text: dotenv.to_owned() };
    let (path, text) = ("settings.toml".to_owned(), text.to_owned());
    Source { path, text, dotenv: Some(dotenv), env, ..Source::default() }
}

/// Knows two names.
fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        "storage" => Ok(vec![([10, 0, 0, 1], port).into(), ([10, 0, 0, 2], port).into()]),
        "twice" => Ok(vec![([10, 0, 0, 3], port).into(); 2]),
        _ => Err(io::Error::new(io::ErrorKind::NotFound, "nobody has this name")),
    }
}

#[track_caller]
fn loaded(source: Source) -> (Config, Vec<Finding>) {
    load(source).unwrap_or_else(|faults| panic!("{faults}"))
}

#[track_caller]
fn compiled(text: &str) -> Snapshot {
    let (config, notes) = loaded(source(text, "", &[]));
    assert!(notes.is_empty(), "{notes:?}");
    config.compile(1, &resolve).unwrap().0
}

#[track_caller]
fn faults(text: &str) -> Faults {
    load(source(text, "", &[])).expect_err("no fault was found")
}

/// `code: message` of every finding.
fn brief(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(|f| format!("{}: {}", f.code.text(), f.message)).collect()
}

#[test]
fn the_defaults_are_those_of_the_minimal_snapshot() {
    let mut want = Snapshot::minimal();
    want.server.listeners[0].address = "0.0.0.0:8090".parse().unwrap();
    want.server.admin = Some("127.0.0.1:9100".parse().unwrap());
    want.gufo.sign = Secret::new(SIGN);
    assert_eq!(compiled(NEEDED), want);
    // And those of a module with an address are those of one that code adds.
    let text = format!("{NEEDED}[microservices.storage]\nhost = \"127.0.0.1\"\nport = 4802\n");
    want.add_module("storage", "127.0.0.1:4802".parse().unwrap());
    assert_eq!(compiled(&text), want);
}

/// Every key, away from its default.
const EVERYTHING: &str = r#"
[server]
sign = "0123456789abcdef"
session = false
masterservice = false
ip = "::1"
port = "8443"
workers = [2, 0]
io = "epoll"
busy_poll = "200us"
steering = "core"
admin = "off"
metrics_token = "m"
shutdown_grace = "1s"
upload_grace = "2s"
trusted_peers = ["10.0.0.0/8"]
access_log = "/var/log/otus.log"
api_bases = ["/gw/v3"]
default_headers = false
lang = "german"
grpc_timeout = 7
[security]
mode = "SIGN"
[listener.transport]
congestion = "bbr"
send_buffer = "1MiB"
[timeouts]
idle = "61s"
body_rate = "2KiB"
[limits]
upload = "20GiB"
connections = 10
[settings]
registration = true
[microservices.storage]
host = "storage"
port = "4802"
type = "internal"
stream_timeout = "3m"
chunk = "32KiB"
end_marker = "meta"
max_size = "unlimited"
min_rate = "8KiB"
pool = { connections = 2, keep_alive = "off", idle = "1m" }
retry = { attempts = 1, budget = 0.5 }
transport = { not_sent_lowat = "system", nodelay = false }
[microservices.echo]
host = "twice"
port = 1
timeout = "1s"
"#;

#[test]
fn every_value_of_the_gateway_reaches_the_snapshot() {
    let snapshot = compiled(EVERYTHING);
    let server = &snapshot.server;
    assert_eq!(server.listeners[0].address, "[::1]:8443".parse().unwrap());
    assert_eq!(server.listeners[0].transport.congestion, Congestion::Named(Text::new(b"bbr")));
    assert_eq!(server.listeners[0].transport.send_buffer, Some(1 << 20));
    assert_eq!((&server.workers, server.io), (&Workers::Cores(vec![2, 0]), IoDriver::Epoll));
    assert_eq!((server.busy_poll, server.steering), (Duration::from_micros(200), Steering::Core));
    assert_eq!(server.admin, None);
    assert!(server.metrics_token.as_ref().unwrap().matches(b"m"));
    assert_eq!(server.shutdown_grace, Duration::from_secs(1));
    assert_eq!(server.upload_grace, Duration::from_secs(2));
    assert!(server.trusted_peers[0].contains("10.9.9.9".parse().unwrap()));
    assert_eq!(snapshot.observe.access_log, Some(LogTarget::File("/var/log/otus.log".into())));
    assert_eq!(snapshot.timeouts.idle, Duration::from_secs(61));
    assert_eq!(snapshot.timeouts.body_rate_bytes, 2048);
    assert_eq!(snapshot.limits.upload_bytes, Some(20 * 1024 * MIB));
    assert_eq!(snapshot.limits.connections, 10);
    let gufo = &snapshot.gufo;
    assert_eq!((gufo.bases[0].prefix.as_str(), gufo.bases[0].version.as_str()), ("/gw/v3", "v3"));
    assert_eq!((gufo.language.as_str(), gufo.registration), ("german", true));
    assert!(gufo.default_headers.is_empty());
}

#[test]
fn every_value_of_a_module_reaches_the_snapshot() {
    let snapshot = compiled(EVERYTHING);
    let gufo = &snapshot.gufo;
    let module = gufo.module(b"storage").unwrap();
    assert!(module.internal);
    assert_eq!(module.timeout, Duration::from_secs(7));
    assert_eq!(module.stream_timeout, Duration::from_mins(3));
    assert_eq!((module.upload.chunk_bytes, module.upload.end_marker.name()), (32_768, "meta"));
    assert_eq!(snapshot.upload_bytes_max(module), Some(u64::MAX));
    let rate = Rate { bytes: 8192, window: Duration::from_secs(30) };
    assert_eq!(snapshot.upload_rate(module), rate);
    let upstream = snapshot.upstream(module.upstream).unwrap();
    let authorities: Vec<_> = upstream.endpoints.iter().map(|e| e.address.to_string()).collect();
    assert_eq!(authorities, ["10.0.0.1:4802", "10.0.0.2:4802"]);
    assert_eq!(upstream.endpoints[1].authority(), "storage:4802");
    assert_eq!((upstream.pool.connections_max, upstream.pool.keep_alive_interval), (2, None));
    assert_eq!((upstream.retry.attempts_max, upstream.retry.budget_ratio), (1, 0.5));
    assert_eq!((upstream.transport.not_sent_lowat, upstream.transport.nodelay), (None, false));

    let module = gufo.module(b"echo").unwrap();
    assert_eq!(module.timeout, Duration::from_secs(1));
    assert_eq!(snapshot.upload_bytes_max(module), Some(20 * 1024 * MIB));
    assert_eq!(snapshot.upload_rate(module).bytes, 2048);
    assert_eq!(snapshot.upstream(module.upstream).unwrap().endpoints.len(), 1);
}

#[test]
fn routes_are_sorted_by_the_length_of_their_path() {
    let snapshot = compiled(&format!(
        "{NEEDED}microservices.storage = {{ host = \"::1\", port = 1 }}\n\
         [[route]]\nid = \"all\"\nmodule = \"storage\"\n\
         [[route]]\nid = \"in\"\npath = \"/in\"\nmodule = \"storage\"\nparam = \"x\"\n"
    ));
    let find = |path: &str| {
        let route = snapshot.gufo.upload_route(path.as_bytes()).unwrap();
        (route.id.clone(), route.param.clone())
    };
    assert_eq!(find("/in/a"), ("in".to_owned(), "x".to_owned()));
    assert_eq!(find("/other"), ("all".to_owned(), "upload".to_owned()));
}

#[test]
fn the_environment_wins_over_dotenv_and_dotenv_over_the_file() {
    let text = format!("{NEEDED}timeouts = {{ idle = \"1s\", head = \"1s\", write = \"1s\" }}\n");
    let dotenv = "GUFO_TIMEOUTS_HEAD=2s\nGUFO_TIMEOUTS_WRITE=2s\nGUFO_TIMEOUTS_IDLE=\n";
    let env = [("GUFO_TIMEOUTS_WRITE", "3s"), ("GUFO_TIMEOUTS_HEAD", "")];
    let (config, _) = loaded(source(&text, dotenv, &env));
    let seconds = |key: &str| config.duration(key).as_secs();
    assert_eq!(
        (seconds("timeouts.idle"), seconds("timeouts.head"), seconds("timeouts.write")),
        (1, 2, 3)
    );
    assert!(matches!(config.origin("timeouts.idle"), Origin::Settings(_)));
    assert!(matches!(config.origin("timeouts.head"), Origin::DotEnv { .. }));
    let variable = Origin::Variable("GUFO_TIMEOUTS_WRITE".to_owned());
    assert_eq!(config.origin("timeouts.write"), variable);
    assert_eq!(config.origin("timeouts.linger"), Origin::Default);
}

#[test]
fn variables_may_set_what_no_file_says() {
    let env = [
        ("SECURITY_MODE", "sign"),
        ("SERVER_SIGN", SIGN),
        ("GUFO_SERVER_SESSION", "false"),
        ("GUFO_SERVER_WORKERS", "2"),
        ("GUFO_MICROSERVICES_STORAGE_HOST", "127.0.0.1"),
        ("GUFO_MICROSERVICES_STORAGE_PORT", "4802"),
        ("GUFO_MICROSERVICES_STORAGE_STREAM_TIMEOUT", "9"),
        ("GUFO_MICROSERVICES_STORAGE_POOL_IDLE", "9s"),
        ("PATH", "/bin"),
    ];
    let (config, notes) = loaded(source("", "", &env));
    let lines: Vec<_> = notes.iter().map(Finding::line).collect();
    let want = "environment variable SECURITY_MODE: OT0309: read by an old name: SECURITY_MODE, \
                SERVER_SIGN; write GUFO_SECURITY_MODE, GUFO_SIGN";
    assert_eq!(lines, [want]);
    let snapshot = config.compile(1, &resolve).unwrap().0;
    let module = snapshot.gufo.module(b"storage").unwrap();
    assert_eq!(module.stream_timeout, Duration::from_secs(9));
    assert_eq!(snapshot.upstreams[0].pool.idle, Duration::from_secs(9));
    assert_eq!(snapshot.server.workers, Workers::Count(2));
}

#[test]
fn a_variable_of_a_module_goes_to_the_module_that_the_file_names() {
    let text = format!(
        "{NEEDED}microservices.session-eu = {{ host = \"::1\", port = 1 }}\n\
         microservices.a_stream = {{ host = \"::1\", port = 1 }}\n"
    );
    let env = [
        ("GUFO_MICROSERVICES_SESSION_EU_PORT", "2"),
        ("GUFO_MICROSERVICES_A_STREAM_TIMEOUT", "3s"),
    ];
    let (config, _) = loaded(source(&text, "", &env));
    assert_eq!(config.integer("microservices.session-eu.port"), Some(2));
    assert_eq!(config.duration("microservices.a_stream.timeout"), Duration::from_secs(3));
    assert_eq!(config.names("microservices"), ["a_stream", "session-eu"]);
}

#[test]
fn a_named_variable_wins_over_the_value_beside_it() {
    let text = "[server]\nsign = \"from the file itself\"\nsign_env = \"MINE\"\nsession = false\n\
                [security]\nmode = \"sign\"\n";
    let sign = |env: &[(&str, &str)]| {
        let (config, notes) = loaded(source(text, "", env));
        (config.secret("server.sign").unwrap().expose().to_owned(), brief(&notes))
    };
    assert_eq!(sign(&[("MINE", SIGN)]), (SIGN.to_owned(), Vec::new()));
    let both = [("MINE", SIGN), ("GUFO_SIGN", "from the environment")];
    assert_eq!(sign(&both).0, "from the environment");
    let unset = "OT0304: the variable MINE is not set".to_owned();
    assert_eq!(sign(&[]), ("from the file itself".to_owned(), vec![unset]));
}

#[test]
fn an_empty_configuration_lacks_mode_and_sign_alone() {
    let found = faults("");
    let want = ["OT0201: `security.mode` is not set", "OT0201: `server.sign` is not set"];
    assert_eq!(brief(found.list()), want);
    // A broken line may hold what seems to be missing.
    assert_eq!(faults("[server]\nsign = \"a\n").list().len(), 1);
    assert_eq!(brief(faults("security.mode = 1\nserver.sign = 2").list()).len(), 2);
}

#[test]
fn services_have_a_port_to_call_only_where_it_is_written() {
    let needed =
        format!("security.mode = \"sign\"\nserver.sign = \"{SIGN}\"\nserver.session = false\n");
    assert!(compiled(&needed).server.listeners.iter().all(|own| own.serves == Serves::Http));
    let snapshot = compiled(&format!("{needed}server.grpc_port = \"4890\"\n"));
    let [_, own] = &snapshot.server.listeners[..] else { panic!("two listeners") };
    assert_eq!((own.address, own.serves), ("0.0.0.0:4890".parse().unwrap(), Serves::Reverse));
    for (lines, want) in [
        ("server.grpc_tls_enabled = true", "services have no port to call"),
        ("server.grpc_port = 8090", "`server.grpc_port` is that of `server.port`"),
        ("server.grpc_port = 9100", "`server.grpc_port` is that of `server.admin`"),
        ("server.grpc_port = 1\nserver.grpc_tls_enabled = true", "`security.cert` is not set"),
        ("server.grpc_port = 1\nserver.grpc_mtls_enabled = true", "`security.ca_cert` is not set"),
    ] {
        let found = faults(&format!("{needed}{lines}"));
        assert!(found.list().iter().any(|fault| fault.message.contains(want)), "{found}");
    }
}

#[test]
fn a_mode_without_what_it_needs_is_refused() {
    for (lines, want) in [
        ("mode = \"hmac\"", "`security.hmac_secret` is not set"),
        ("mode = \"sign\"\nrest_mode = \"hmac\"", "`security.hmac_secret` is not set"),
        ("mode = \"sign\"\nrest_mode = \"mtls\"", "rest mode \"mtls\" asks for certificates"),
        ("mode = \"mtls\"\n[microservices.a]\nhost = \"::1\"\nport = 1", "mode \"mtls\" proves"),
        ("mode = \"sign\"\ncert_path = \"a.pem\"", "`security.cert` has no `security.key`"),
    ] {
        let found = faults(&format!("server.sign = \"{SIGN}\"\n[security]\n{lines}"));
        assert_eq!(found.list().len(), 1, "{found}");
        assert_eq!(found.list()[0].code, Code::Missing);
        assert!(found.list()[0].message.starts_with(want), "{found}");
    }
}

#[test]
fn values_that_do_not_go_together_are_refused() {
    for (line, want) in [
        ("limits.target = \"15KiB\"\nlimits.head = \"15KiB\"", "`limits.target` leaves no room"),
        ("limits.read_buffer = \"100KiB\"", "`limits.read_buffer` is no power of two"),
        ("limits.read_buffer = \"1MiB\"", "`limits.read_buffer` and 64KiB do not fit"),
        ("server.api_bases = []", "`api_bases` is empty"),
        ("server.api_bases = [\"/a\", \"/a\"]", "`api_bases` is empty"),
        ("server.admin = \"0.0.0.0:8090\"\nserver.metrics_token = \"a\"", "`server.admin` has the"),
        ("microservices.a.host = \"::1\"", "microservice \"a\" has a host and no port"),
        ("microservices.a.port = 1", "microservice \"a\" has a port and no host"),
        (
            "microservices.a = { endpoints = [\"::1\"] }",
            "`endpoints`: \"::1\" is no host with a port",
        ),
        (
            "microservices.a = { endpoints = [\"a:1\"], port = 1 }",
            "a microservice has `endpoints`, and",
        ),
        ("microservices.a = { host = \"a\", port = 1, hash_by = \"x\" }", "`hash_by` names no key"),
        ("microservices.info = { host = \"a\", port = 1 }", "the gateway answers paths named"),
        (
            "[microservices.a]\nretry.backoff = \"3s\"\nhost = \"::1\"\nport = 1",
            "`backoff` is longer",
        ),
        ("server.masterservice = true", "the masterservice is on, and has no host"),
        ("route = [{ id = \"a\", module = \"b\" }]", "there is no microservice \"b\""),
    ] {
        let needed = format!("server.sign = \"{SIGN}\"\nsecurity.mode = \"sign\"\n");
        let found = faults(&format!("{needed}{line}"));
        assert_eq!(found.list().len(), 1, "{found}");
        assert!(found.list()[0].message.starts_with(want), "{found}");
    }
}

#[test]
fn names_are_given_once() {
    let module = |name: &str| format!("microservices.{name} = {{ host = \"::1\", port = 1 }}\n");
    let found = faults(&format!("{NEEDED}{}{}", module("a-b"), module("a_b")));
    assert_eq!(brief(found.list()), ["OT0203: \"a_b\" and \"a-b\" are the same name"]);
    let route = "[[route]]\nid = \"a\"\nmodule = \"m\"\n";
    let found = faults(&format!("{NEEDED}{}{route}{route}[[route]]\npath = \"/b\"", module("m")));
    let want = [
        "OT0203: two routes have this id",
        "OT0203: two routes have this path",
        "OT0201: a route has no `id`",
        "OT0201: a route has no `module`",
    ];
    let mut got = brief(found.list());
    got.sort_by_key(|text| want.iter().position(|w| w == text));
    assert_eq!(got, want);
}

#[test]
fn what_has_no_effect_is_warned_of_once() {
    let text = format!(
        "server.sign = \"{SIGN}\"\nsecurity.mode = \"sign\"\n\
         database = {{ host = \"db\", password = \"x\" }}\nredis.tls = true\n"
    );
    let (_, notes) = loaded(source(&text, "", &[]));
    let mut got = brief(&notes);
    got.sort();
    assert_eq!(
        got,
        [
            "OT0301: there is no session service: every call goes on without a user",
            "OT0308: kept for services, not used by Otus: database.{host, password}, redis.tls",
        ]
    );
}

#[test]
fn metrics_are_open_to_all_only_for_names_that_others_have_open() {
    for (names, open, is_open, warnings) in [
        ("\"3x\"", "true", true, 0),
        ("\"gufo\", \"fold\"", "true", true, 0),
        ("\"3x\"", "false", false, 0),
        ("\"gufo\", \"hanzo\"", "true", false, 1),
    ] {
        let lines = format!("compat = {{ metrics = [{names}], open_metrics = {open} }}\n");
        let (config, notes) = loaded(source(&format!("{NEEDED}{lines}"), "", &[]));
        assert_eq!(notes.len(), warnings, "{lines}: {notes:?}");
        let (snapshot, _) = config.compile(1, &resolve).unwrap();
        assert_eq!(snapshot.observe.open_metrics.is_some(), is_open, "{lines}");
        assert_eq!(snapshot.observe.compat.hanzo, names.contains("hanzo"));
    }
}

#[test]
fn what_is_easy_to_abuse_is_warned_of() {
    let text = "[server]\nsign = \"short\"\nmetrics_token = \"gufo-metrics\"\nsession = false\n\
                [security]\nmode = \"sign\"\n";
    let (_, notes) = loaded(source(text, "", &[]));
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes.iter().all(|note| note.code == Code::Risky));
    let text = NEEDED.replace("session", "admin = \"0.0.0.0:9100\", session");
    let (_, notes) = loaded(source(&text, "", &[]));
    assert_eq!(notes.len(), 1, "{notes:?}");
}

#[test]
fn unknown_variables_of_ours_are_warned_of() {
    let env = [("GUFO_SERVER_PROT", "1"), ("GUFOX", "1"), ("SERVER_PORT", "1")];
    let (_, notes) = loaded(source(NEEDED, "GUFO_WHAT=hunter2\n", &env));
    assert_eq!(
        brief(&notes),
        [
            "OT0302: the variable GUFO_WHAT means nothing",
            "OT0302: the variable GUFO_SERVER_PROT means nothing",
        ]
    );
    assert!(notes.iter().all(|note| !note.to_string().contains("hunter2")));
}

#[test]
fn a_host_that_does_not_resolve_is_warned_of_and_has_no_endpoints() {
    let text = format!("{NEEDED}microservices.a = {{ host = \"nowhere\", port = 1 }}\n");
    let (config, _) = loaded(source(&text, "", &[]));
    let (snapshot, notes) = config.compile(7, &resolve).unwrap();
    assert_eq!(snapshot.generation, 7);
    assert!(snapshot.upstreams[0].endpoints.is_empty());
    let want = "OT0305: the host \"nowhere\" does not resolve now: nobody has this name";
    assert_eq!(brief(&notes), [want]);
}

#[test]
fn a_microservice_may_have_several_endpoints() {
    let text = format!(
        "{NEEDED}[microservices.a]\nendpoints = [\"10.0.0.1:1\", \"10.0.0.2:2\", \"_x._tcp.y\"]\n\
         balance = \"round_robin\"\noutlier.failures = 7\nhealth.kind = \"grpc\"\n\
         [[route]]\nid = \"up\"\nmodule = \"a\"\n"
    );
    let (config, notes) = loaded(source(&text, "", &[]));
    assert!(notes.is_empty(), "{notes:?}");
    let (snapshot, _) = config.compile(1, &resolve).unwrap();
    let upstream = &snapshot.upstreams[0];
    assert_eq!(upstream.protocol, Protocol::Grpc);
    let addresses: Vec<_> = upstream.endpoints.iter().map(|e| e.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.1:1", "10.0.0.2:2"]);
    assert_eq!(upstream.origins.len(), 3);
    assert_eq!((upstream.balance, upstream.outlier.failures), (Balance::RoundRobin, 7));
    assert!(upstream.health.is_some() && upstream.tls.is_none());
}

#[test]
fn no_secret_is_in_any_output() {
    let secret = "hunter2-hunter2-hunter2";
    let text = format!(
        "[server]\nsign = {{ value = \"{secret}\" }}\nmetrics_token = [\"{secret}\"]\n\
         port = \"x\"\nmy_token = \"{secret}\"\n[database]\npassword = \"{secret}\\u0007\"\n\
         [email]\npassword = \"{secret}\nredis = 1\n"
    );
    let dotenv = format!("GUFO_DB_PASS='{secret}' x\nGUFO_SIGN=\"{secret}\\n\"\n");
    let found = load(source(&text, &dotenv, &[("GUFO_JWT_SECRET", "hunter2\u{1}")])).unwrap_err();
    let all = format!("{found}{:?}{}", found, found.lines().collect::<String>());
    assert!(!all.contains("hunter2"), "{all}");
    assert!(found.list().len() >= 7, "{found}");
    let (config, _) = loaded(source(NEEDED, "", &[("GUFO_SIGN", secret)]));
    let snapshot = config.compile(1, &resolve).unwrap().0;
    assert!(!format!("{snapshot:?}").contains("hunter2"));
}

#[test]
fn no_configuration_makes_the_loader_fail() {
    let text = include_str!("../../config/gufo.example.toml");
    let mut prng = crate::base::prng::Prng::new(3);
    for _ in 0..300 {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=prng.below(4) {
            let at = usize::try_from(prng.below(u64::try_from(bytes.len()).unwrap())).unwrap();
            bytes[at] = b"[]{}=\"'\n.#, a1\\-"[usize::try_from(prng.below(16)).unwrap()];
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        match load(source(&text, "", &[("GUFO_SIGN", SIGN)])) {
            Ok((config, _)) => drop(config.compile(1, &resolve)),
            Err(faults) => assert!(!faults.to_string().is_empty()),
        }
    }
}
