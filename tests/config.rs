//! Configuration as an operator meets it: the examples load, and faults read as documented.

use std::fs;
use std::path::Path;

use otus::config::load::load;
use otus::config::reference;
use otus::config::source::{self, DotEnv, Source};
use otus::gufo::dialect::Dialect;
use otus::snapshot::gufo::Download;

const SIGN: (&str, &str) = ("GUFO_SIGN", "0123456789abcdef0123456789abcdef");

fn source(text: &str, env: &[(&str, &str)]) -> Source {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (path, text) = ("config/settings.toml".to_owned(), text.to_owned());
    Source { path, text, env, ..Source::default() }
}

/// Compares the whole output of a failed load.
#[track_caller]
fn check(text: &str, want: &str) {
    let faults = load(source(text, &[])).err();
    let faults = faults.map(|faults| faults.to_string()).unwrap_or_default();
    assert_eq!(faults, want, "\n{faults}");
}

#[test]
fn every_example_loads_and_compiles() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut seen = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".example.toml") {
            continue; // A file of somebody who works here.
        }
        let text = fs::read_to_string(&path).unwrap();
        let (config, notes) =
            load(source(&text, &[SIGN])).unwrap_or_else(|faults| panic!("{name}:\n{faults}"));
        let resolve = |_: &str, port| Ok(vec![([127, 0, 0, 1], port).into()]);
        let (snapshot, _) = config.compile(1, &resolve).unwrap();
        assert!(snapshot.gufo.modules().len() >= 2 || !snapshot.routes.is_empty(), "{name}");
        assert!(snapshot.gufo.sign.matches(SIGN.1.as_bytes()), "{name}");
        let quiet = !name.starts_with("gufo");
        assert!(!quiet || notes.is_empty(), "{name}: {notes:?}");
        seen += 1;
    }
    assert!(seen >= 2, "only {seen} examples");
}

#[test]
fn the_example_that_gufo_ships_starts_with_warnings() {
    let text = include_str!("../config/gufo.example.toml");
    let (_, notes) = load(source(text, &[SIGN])).unwrap_or_else(|faults| panic!("{faults}"));
    let lines: Vec<_> = notes.iter().map(otus::config::fault::Finding::line).collect();
    let one = |code: &str| {
        let mut found = lines.iter().filter(|line| line.contains(code));
        let line = found.next().unwrap_or_else(|| panic!("no {code}: {lines:?}"));
        assert!(found.next().is_none() || code == "OT0304", "{lines:?}");
        line.clone()
    };
    let line_of = |nth| {
        let header = |(_, line): &(usize, &str)| *line == "[microservices.session]";
        text.lines().enumerate().filter(header).nth(nth).unwrap().0 + 1
    };
    let want = format!(
        "config/settings.toml:{}:16: OT0303: the table [microservices.session] is written twice, \
         first in line {}; both are read as one; write its keys in one place",
        line_of(1),
        line_of(0)
    );
    assert_eq!(one("OT0303"), want);
    let kept = one("OT0308");
    for part in ["database.{charset, connectionssize,", "email.{", "redis.{", "memcached.{host, "] {
        assert!(kept.contains(part), "{part}: {kept}");
    }
}

#[test]
fn what_services_have_in_the_file_is_no_fault_whatever_it_says() {
    let text = "server.sign = \"0123456789abcdef\"\nserver.session = false\n\
                security.mode = \"sign\"\ndatabase.type = \"sqlite\"\nemail.port = [1]\n";
    let (_, notes) = load(source(text, &[])).unwrap_or_else(|faults| panic!("{faults}"));
    let lines: Vec<_> = notes.iter().map(otus::config::fault::Finding::line).collect();
    let want = [
        "config/settings.toml:4:17: OT0308: `type` is not one of its words; Otus does not use it; \
         write \"mysql\" or \"postgres\"",
        "config/settings.toml:5:14: OT0308: `port` is a list; Otus does not use it; write a port \
         from 1 to 65535",
    ];
    assert_eq!(lines, want);
}

#[test]
fn a_fault_has_its_place_its_line_and_a_way_out() {
    check(
        "server.sign = \"0123456789abcdef\"\nsecurity.mode = \"sign\"\n\
         [microservices.storage]\nhost = \"a\"\nport = 1\ntimeout = \"30\"\n",
        "config/settings.toml:6:11: error[OT0104]: `timeout = \"30\"` has no unit
  |
6 | timeout = \"30\"
  |           ^^^^ write \"30s\" or \"30ms\"
1 fault; nothing was changed
",
    );
}

#[test]
fn all_faults_are_told_at_once_and_no_secret_with_them() {
    check(
        "[server]\nprot = 8090\nport = \"http\"\nsign = 5 # a number\nip = \"localhost\n\
         [limits]\nhead = \"1MiB\"\n[security]\nmode = \"mtls\"\n[timeout]\nidle = \"5s\"\n",
        "config/settings.toml:2:1: error[OT0102]: unknown key `prot`
  |
2 | prot = 8090
  | ^^^^ did you mean `port`?
config/settings.toml:3:8: error[OT0106]: `port = \"http\"` is not a whole number
  |
3 | port = \"http\"
  |        ^^^^^^ write a port from 0 to 65535
config/settings.toml:4:8: error[OT0103]: `sign` is a whole number
  |
4 | sign = *** # a number
  |        ^^^ write text in quotes
config/settings.toml:5:16: error[OT0101]: invalid basic string
  |
5 | ip = \"localhost
  |                ^ expected `\"`
config/settings.toml:7:8: error[OT0105]: `head = \"1MiB\"` is out of range
  |
7 | head = \"1MiB\"
  |        ^^^^^^ write \"1KiB\" to \"16KiB\"
config/settings.toml:10:2: error[OT0102]: unknown table [timeout]
   |
10 | [timeout]
   |  ^^^^^^^ did you mean `timeouts`?
6 faults; nothing was changed
",
    );
}

#[test]
fn a_fault_of_a_variable_names_the_variable() {
    let mut source = source("security.mode = \"sign\"\n", &[SIGN, ("GUFO_SERVER_PORT", "99999")]);
    let text = "# mine\nGUFO_TIMEOUTS_IDLE=5\nGUFO_DB_PASS='hunter2' # x\n";
    source.dotenv = Some(DotEnv { path: ".env".to_owned(), text: text.to_owned() });
    let faults = load(source).unwrap_err();
    let want = ".env:2:20: error[OT0104]: `GUFO_TIMEOUTS_IDLE=5` has no unit
  |
2 | GUFO_TIMEOUTS_IDLE=5
  |                    ^ write \"5s\" or \"5ms\"
environment variable GUFO_SERVER_PORT: error[OT0105]: `GUFO_SERVER_PORT=99999` is not a port
   = write a port from 0 to 65535
2 faults; nothing was changed
";
    assert_eq!(faults.to_string(), want, "\n{faults}");
    let lines: Vec<_> = faults.lines().collect();
    let want = ".env:2:20: OT0104: `GUFO_TIMEOUTS_IDLE=5` has no unit; write \"5s\" or \"5ms\"";
    assert_eq!(lines[0], want);
}

#[test]
fn what_is_missing_is_said_of_the_file() {
    check(
        "",
        "config/settings.toml: error[OT0201]: `security.mode` is not set
   = write mode = \"sign\" in [security], or set SECURITY_MODE
config/settings.toml: error[OT0201]: `server.sign` is not set
   = write sign = \"...\" in [server], or set GUFO_SIGN; `openssl rand -hex 32` makes one
2 faults; nothing was changed
",
    );
}

#[test]
fn the_written_default_loads_without_a_warning_and_holds_new_secrets() {
    let render = |seed| {
        let mut next: u8 = seed;
        otus::config::default_file::render(&mut |bytes| {
            for byte in bytes {
                next = next.wrapping_add(1);
                *byte = next;
            }
        })
    };
    let (text, other) = (render(0), render(1));
    assert_ne!(text, other);
    let (config, notes) = load(source(&text, &[])).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(notes.is_empty(), "{notes:?}");
    let (snapshot, _) = config.compile(1, &source::resolve).unwrap();
    assert_eq!(snapshot.gufo.sign.expose().len(), 64);
    let token = snapshot.server.metrics_token.as_ref().unwrap();
    assert!(token.expose().len() == 64 && *token != snapshot.gufo.sign);
    // Every default that stands behind a `#` is right: with all of them read, nothing changes.
    let all: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") && !rest.contains("GUFO") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let all = all.split("# One table for each service").next().unwrap();
    let (config, _) = load(source(all, &[])).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(config.compile(1, &source::resolve).unwrap().0, snapshot);
}

/// `OTUS_WRITE=1 cargo test --test config` writes the reference anew.
#[test]
fn the_reference_is_the_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = reference::MARKS;
    let (front, rest) = text.split_once(begin).expect("no begin mark");
    let (_, back) = rest.split_once(end).expect("no end mark");
    let fresh = format!("{front}{begin}{}{end}{back}", reference::render());
    if std::env::var_os("OTUS_WRITE").is_some() {
        fs::write(&path, fresh).unwrap();
    } else {
        assert!(
            text == fresh,
            "docs/config.md is stale; run: OTUS_WRITE=1 cargo test --test config"
        );
    }
}

#[test]
fn what_the_bridge_and_files_need_is_asked_for() {
    let load = |text: &str| {
        let text = format!("security.mode = \"sign\"\nserver.session = false\n{text}");
        load(source(&text, &[SIGN])).map(|(config, _)| config)
    };
    let service = "microservices.m = { host = \"127.0.0.1\", port = 1 }\n";
    let service_b = "microservices.m = { host = \"::1\", port = 1, dialect = \"b\" }\n";
    for (text, want) in [
        ("mcp.path = \"/mcp\"", "`mcp.path` leads to no `mcp.module`"),
        ("mcp.module = \"m\"", "`mcp.module` has no `mcp.path`"),
        ("mcp = { path = \"/mcp\", module = \"m\" }", "MCP is spoken in dialect \"c\""),
        ("server.files = \"filedir\"", "`server.files` leads to no `server.filedir`"),
        ("server.files = \"filedir\"\nserver.filedir = \"x\"", "begins with a slash"),
    ] {
        let service = if text.starts_with("mcp = ") { service_b } else { service };
        let faults = load(&format!("{text}\n{service}")).err().map(|faults| faults.to_string());
        assert!(faults.as_ref().is_some_and(|text| text.contains(want)), "{text}: {faults:?}");
    }
    let text = "server.files = \"filedir\"\nserver.filedir = \"/srv\"\n\
                mcp = { path = \"/mcp\", module = \"m\" }\n\
                limits.websocket_message = \"64KiB\"\n\
                microservices.m = { host = \"127.0.0.1\", port = 1, \
                download = \"events\", websocket = false }";
    let config = load(text).unwrap_or_else(|faults| panic!("{faults}"));
    let resolve = |_: &str, port| Ok(vec![([127, 0, 0, 1], port).into()]);
    let (snapshot, _) = config.compile(1, &resolve).unwrap();
    let module = snapshot.gufo.module(b"m").unwrap();
    assert_eq!(module.dialect, Dialect::C, "MCP is spoken in no other");
    assert_eq!((module.download, module.websocket), (Download::Events, false));
    assert_eq!(snapshot.gufo.mcp.as_ref().unwrap().path, "/mcp");
    assert_eq!(&*snapshot.gufo.files.as_ref().unwrap().root, "/srv");
    assert_eq!(snapshot.limits.socket_message_bytes, 65_536);
}
