//! What an operator does with the program itself: settings, encrypted values, start and stop.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use otus::config::vault::key::AesKey;
use otus::config::vault::sealed::{open, seal};

use crate::support::client::Client;
use crate::support::data;
use crate::support::folder::Folder;
use crate::support::gateway::{Gateway, on_both_drivers};
use crate::support::journal::eventually;
use crate::support::service::Service;

const EXAMPLE: &str = include_str!("../../config/gufo.example.toml");
const SIGN: &str = "0123456789abcdef0123456789abcdef";
const LEAST: &str = "[server]\nip = \"127.0.0.1\"\nport = PORT\nadmin = \"off\"\nsession = false\n\
                     access_log = \"off\"\nsign = \"0123456789abcdef\"\n\
                     debug = true\n[security]\nmode = \"sign\"\n";

/// A gateway in a process of its own.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(folder: &Folder, env: &[(&str, &str)]) -> Self {
        let mut command = folder.command(&["start", "-c", "settings.toml"], env);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it did not start:\n{told}")).unwrap();
            if let Some(url) = line.trim().strip_prefix("gateway  http://") {
                break url.split(' ').next().unwrap().parse().unwrap();
            }
            told = told + &line + "\n";
        };
        // Nobody may be kept waiting by a pipe that is full.
        std::thread::spawn(move || lines.for_each(drop));
        Process { child, address }
    }

    fn ended(&mut self) -> bool {
        let ended = || self.child.try_wait().unwrap();
        let mut ended = ended;
        eventually("the process ends", &mut ended).success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

#[test]
fn the_example_with_every_key_of_gufo_starts_unchanged() {
    let folder = Folder::new(EXAMPLE);
    let (passed, told) = folder.run(&["check", "settings.toml"], &[("GUFO_SIGN", SIGN)]);
    assert!(passed && told.contains("settings.toml: no fault, "), "{told}");
    assert!(!told.contains(SIGN) && !told.contains("of-the-example"), "{told}");
    let grpc_port = free_port();
    let mut env = vec![
        ("GUFO_SIGN", SIGN),
        ("GUFO_SERVER_PORT", "0"),
        ("GUFO_SERVER_IP", "127.0.0.1"),
        ("GUFO_SERVER_ADMIN", "127.0.0.1:0"),
        ("GUFO_SERVER_GRPC_PORT", &grpc_port),
        ("GUFO_SERVER_ACCESS_LOG", "off"),
    ];
    for name in ["MASTERSERVICE", "SESSION", "AUTH", "RIGHTS", "MAPS"] {
        let name = format!("GUFO_MICROSERVICES_{name}_HOST");
        env.push((Box::leak(name.into_boxed_str()), "127.0.0.1"));
    }
    let mut process = Process::start(&folder, &env);
    let info = Client::connect(process.address).get("/api/v3/info").data();
    assert_eq!(info["registration"], true);
    assert!(info["version"].as_str().unwrap().starts_with(env!("CARGO_PKG_VERSION")));
    for (method, path, status, code) in [
        ("GET", "/api/v1/health", 200, None),
        ("GET", "/api/v3/entrypoint/a", 401, Some("0000235")),
        ("POST", "/api/v3/entrypoint", 401, Some("0000235")),
        ("GET", "/api/v3/", 401, Some("0000235")),
        ("OPTIONS", "/api/v3/auth", 204, None),
        ("BREW", "/api/v3/auth", 204, None),
    ] {
        let reply = Client::connect(process.address).ask(method, path, &[], b"");
        let told = code.map(|_| reply.data()["code"].as_str().unwrap().to_owned());
        assert_eq!((reply.status, told.as_deref()), (status, code), "{method} {path}");
        for (name, value) in otus::snapshot::gufo::default_headers() {
            assert_eq!(reply.field(&name.to_ascii_lowercase()), Some(&*value), "{method} {path}");
        }
    }
    assert_eq!(Client::connect(process.address).get("/health").text(), "ok\n");
    assert_eq!(Client::connect(process.address).get("/exit").status, 404);
    let pid = process.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert!(process.ended());
}

#[test]
fn a_fault_in_the_example_is_told_with_its_line_and_column() {
    for (line, wrong, column, code) in [
        ("debug = false", "debug = flase", 9, "OT0101"),
        ("sentry = false", "sentri = false", 1, "OT0102"),
        ("port = \"8090\"", "port = [8090]", 8, "OT0103"),
        ("max_age = 120", "max_age = \"120\"", 11, "OT0104"),
        ("port = \"8090\"", "port = \"99999\"", 8, "OT0105"),
        ("ip = \"0.0.0.0\"", "ip = \"localhost\"", 6, "OT0106"),
        ("mode = \"sign\"", "mode = \"plain\"", 8, "OT0106"),
        ("lang = \"english\"", "lang = \"$2a##AAAA\"", 8, "OT0201"),
        ("host = \"session\"", "# no host", 8, "OT0201"),
        ("[microservices.rights]", "[microservices.info]", 8, "OT0203"),
        ("[memcached]", "[memcache]", 2, "OT0102"),
    ] {
        let text = EXAMPLE.replacen(&format!("\n{line}\n"), &format!("\n{wrong}\n"), 1);
        assert_ne!(text, EXAMPLE, "{line}");
        let folder = Folder::new(&text);
        let (passed, told) = folder.run(&["check", "settings.toml"], &[("GUFO_SIGN", SIGN)]);
        let mut at = 1 + text.lines().position(|own| own == wrong).unwrap();
        at += usize::from(wrong == "# no host" || wrong.starts_with("[microservices"));
        let want = format!("settings.toml:{at}:{column}: error[{code}");
        assert!(!passed && told.contains(&want), "{want}\n{told}");
        assert!(!told.contains(SIGN) && !told.contains("of-the-example"), "{told}");
    }
}

#[test]
fn values_may_be_encrypted_and_are_shown_to_nobody() {
    let key = AesKey::parse(b"0123456789abcdef").unwrap();
    let mut random = |bytes: &mut [u8]| {
        bytes.fill(7);
        true
    };
    let mut sealed = |text: &str| seal(&key, text, &mut random).unwrap();
    let text = LEAST.replace("PORT", &format!("\"{}\"", sealed("8123")));
    let text = text.replace("\"0123456789abcdef\"", &format!("\"{}\"", sealed(SIGN)));
    let folder = Folder::new(&format!("{text}aes_key_file = \"the.key\"\n"));
    let check = ["check", "settings.toml"];
    let (passed, told) = folder.run(&check, &[]);
    assert!(!passed, "{told}");
    assert!(told.contains("there is no key: GUFO_AES_KEY: is not set; the.key: "), "{told}");
    let (passed, told) = folder.run(&check, &[("GUFO_AES_KEY", "0123456789abcdef")]);
    assert!(passed, "{told}");
    fs::write(folder.0.join("the.key"), key.text()).unwrap();
    fs::set_permissions(folder.0.join("the.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let (passed, told) = folder.run(&check, &[]);
    assert!(passed && told.contains("listens on 127.0.0.1:8123"), "{told}");
    // What was encrypted is quoted in no fault.
    let wrong = text.replace("debug = true", &format!("io = \"{}\"", sealed("hunter2")));
    fs::write(folder.0.join("settings.toml"), format!("{wrong}aes_key_file = \"the.key\"\n"))
        .unwrap();
    let (passed, told) = folder.run(&check, &[]);
    assert!(!passed && told.contains("`io` is not one of its words"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains(SIGN), "{told}");
}

#[test]
fn settings_of_an_older_gufo_are_taken_over_and_their_key_is_changed() {
    let old: Vec<u8> = (0..16).collect();
    let text = "# mine\n[server]\nsign = \"$2a##EBESExQVFhcYGRobHB0eH2-LgQCEpzFnmQfnGIedm5o\" # s\n\
                session = false\n[security]\nmode = \"sign\"\naes_key_file = \"keys/secret.key\"\n\
                [database]\npassword = \"readable\"\n";
    let folder = Folder::new(text);
    fs::write(folder.0.join("old.key"), &old).unwrap();
    let (passed, told) = folder.run(&["migrate", "config"], &[]);
    assert!(!passed && told.contains("line 3: `server.sign` is encrypted"), "{told}");
    assert_eq!(folder.text("settings.toml"), text);
    assert!(!folder.0.join("keys").exists());
    let migrate = ["migrate", "config", "--legacy-key", "old.key"];
    let (passed, told) = folder.run(&migrate, &[]);
    assert!(passed && told.contains("    3  server.sign: was AES-CFB, is AES-GCM"), "{told}");
    assert!(told.contains("    9  database.password: was readable, is encrypted"), "{told}");
    let key_of = |folder: &Folder| {
        let path = folder.0.join("keys/secret.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        AesKey::parse(&fs::read(path).unwrap()).unwrap()
    };
    let values = |folder: &Folder, key: &AesKey| {
        let text = folder.text("settings.toml");
        assert!(text.starts_with("# mine\n") && text.contains("\" # s\n"), "{text}");
        let sealed = text.split('"').filter(|part| part.starts_with("$2a##"));
        let opened = sealed.map(|value| open([key].into_iter(), value).unwrap().0);
        opened.collect::<Vec<_>>()
    };
    let first = key_of(&folder);
    assert_eq!(values(&folder, &first), ["hunter2", "readable"]);
    let (passed, told) = folder.run(&migrate, &[]);
    assert!(passed && told.contains("nothing had to be done"), "{told}");
    fs::set_permissions(folder.0.join("settings.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let (passed, told) = folder.run(&["key", "rotate"], &[("GUFO_AES_KEY", "0123456789abcdef")]);
    assert!(!passed && told.contains("the key is in the variable GUFO_AES_KEY"), "{told}");
    let (passed, told) = folder.run(&["key", "rotate"], &[]);
    assert!(passed && told.contains("    3  server.sign: has the new key"), "{told}");
    let second = key_of(&folder);
    assert_ne!(first, second);
    assert_eq!(values(&folder, &second), ["hunter2", "readable"]);
    let mode = fs::metadata(folder.0.join("settings.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "as it was");
    let names = |path: &Path| {
        let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&folder.0), ["keys", "old.key", "settings.toml"]);
    assert_eq!(names(&folder.0.join("keys")), ["secret.key", "secret.key.old"]);
    assert!(folder.run(&["check"], &[]).0);
}

#[test]
fn a_gateway_is_stopped_by_its_configuration() {
    let folder = Folder::new(&LEAST.replace("PORT", &free_port()));
    let (passed, told) = folder.run(&["stop"], &[]);
    assert!(!passed && told.contains("/exit: nothing listens there"), "{told}");
    let mut process = Process::start(&folder, &[]);
    let (passed, told) = folder.run(&["stop"], &[]);
    assert!(passed && told.contains("finishes what it has begun"), "{told}");
    assert!(process.ended());
    let quiet = folder.text("settings.toml").replace("debug = true\n", "");
    fs::write(folder.0.join("settings.toml"), quiet).unwrap();
    let (passed, told) = folder.run(&["stop"], &[]);
    assert!(!passed && told.contains("/exit needs debug = true in [server]"), "{told}");
    let process = Process::start(&folder, &[]);
    let (passed, told) = folder.run(&["stop"], &[("GUFO_SERVER_DEBUG", "true")]);
    assert!(!passed && told.contains("has no /exit: it runs without server.debug"), "{told}");
    drop(process);
}

#[test]
fn the_version_has_a_commit_and_a_date() {
    let (passed, told) = Folder::new("").run(&["--version"], &[]);
    let rest = told.trim().strip_prefix(concat!("otus ", env!("CARGO_PKG_VERSION"), "  ("));
    let rest = rest.and_then(|rest| rest.strip_suffix(')')).unwrap_or_else(|| panic!("{told}"));
    assert!(passed && rest.split_once(", ").is_some(), "{told}");
}

#[test]
fn exit_drains_and_is_there_for_those_alone_who_may_ask() {
    on_both_drivers(|io| {
        let service = Service::start();
        let mut gateway = Gateway::start(io, |snapshot| {
            snapshot.add_module("storage", service.address);
            snapshot.gufo.exit_peers = vec!["127.0.0.0/8".parse().unwrap()];
        });
        for (method, field) in [
            ("GET", "X-Forwarded-For: 127.0.0.1"),
            ("GET", "Forwarded: for=127.0.0.1"),
            ("GET", "Via: 1.1 proxy"),
            ("POST", "X-A: b"),
        ] {
            assert_eq!(gateway.client().ask(method, "/exit", &[field], b"").status, 404, "{field}");
        }
        let body = data::bytes(1 << 20);
        let mark = service.journal.mark();
        let mut upload = gateway.client();
        let length = format!("Content-Length: {}", body.len());
        upload.head("PUT", "/api/v3/storage/upload", &[&length]);
        upload.send(&body[..body.len() / 2]);
        service.journal.begun(mark);
        let reply = gateway.client().get("/exit");
        assert_eq!((reply.status, reply.text().as_str()), (200, "Gufo is shutting down..."));
        assert_eq!(reply.field("content-type"), Some("text/plain; charset=utf-8"));
        upload.send(&body[body.len() / 2..]);
        assert_eq!(upload.reply().data()["files"][0]["sha256"], data::sha256(&body));
        assert_eq!(gateway.ended().0, ExitCode::SUCCESS);
        for peers in [vec![], vec!["192.0.2.0/24".parse().unwrap()]] {
            let gateway = Gateway::start(io, |snapshot| snapshot.gufo.exit_peers = peers);
            assert_eq!(gateway.client().get("/exit").status, 404);
        }
    });
}
