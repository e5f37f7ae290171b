//! The master, as an operator runs it: within the gateway, and alone, in processes of their own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use otus::proto::reverse_a::{InternalRequest, Request, reverse_client::ReverseClient};
use otus::snapshot::server::IoDriver;
use prost::Message;
use prost_types::Any;
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::gateway::{SIGN, on_both_drivers};
use crate::support::journal::SOON;
use crate::support::service::Service;

/// A directory of its own for one test, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("otus-master-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn settings(&self, io: IoDriver, more: &str) {
        let io = if io == IoDriver::Epoll { "epoll" } else { "io_uring" };
        let text = format!(
            "[server]\nip = \"127.0.0.1\"\nport = 0\nadmin = \"off\"\nworkers = 1\nio = \"{io}\"\n\
             access_log = \"off\"\nsession = false\nmasterservice = \"embedded\"\n\
             sign = \"{SIGN}\"\n[security]\nmode = \"sign\"\n[master]\npath = \"{}\"\n{more}",
            self.0.join("sys").join("master.redb").display()
        );
        std::fs::write(self.0.join("settings.toml"), text).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, in a process of its own. Dropping it kills it.
struct Program {
    child: Child,
    /// Where it listens, as it says.
    address: SocketAddr,
}

impl Program {
    /// Starts it and waits for the line that begins with `mark`, behind which is its address.
    fn start(directory: &Directory, arguments: &[&str], mark: &str) -> Result<Self, String> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_otus"))
            .args(arguments)
            .current_dir(&directory.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let errors = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut told = String::new();
        while let Ok(line) = lines.recv_timeout(SOON) {
            if let Some(rest) = line.trim().strip_prefix(mark) {
                let address = rest.trim().trim_start_matches("http://");
                let address = address.split_whitespace().next().unwrap().parse().unwrap();
                return Ok(Program { child, address });
            }
            told.push_str(&line);
            told.push('\n');
        }
        let _ = child.kill();
        let _ = child.wait();
        Err(told)
    }

    fn gateway(directory: &Directory) -> Self {
        Program::start(directory, &["start", "-c", "settings.toml"], "gateway").unwrap()
    }

    fn alone(directory: &Directory) -> Self {
        let arguments = ["master", "-c", "settings.toml", "--listen", "127.0.0.1:0"];
        Program::start(directory, &arguments, "grpc").unwrap()
    }

    /// Asks the master through the gateway, as services do over REST.
    fn rest(&self, method: &str, action: &str, sign: &str, body: &Value) -> (u16, Value) {
        let path = format!("/api/v3/masterservice/{action}");
        let sign = format!("X-Sign: {sign}");
        let fields = [sign.as_str(), "Content-Type: application/json"];
        let mut client = Client::connect(self.address);
        let reply = if method == "GET" {
            client.head("GET", &path, &fields);
            client.reply()
        } else {
            client.ask(method, &path, &fields, body.to_string().as_bytes())
        };
        (reply.status, reply.json())
    }

    fn ask(&self, method: &str, action: &str, body: &Value) -> Value {
        let (status, answer) = self.rest(method, action, SIGN, body);
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    }

    fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn place(name: &str, host: &str) -> Value {
    json!({ "name": name, "host": host, "port": 4000, "version": "1.2" })
}

#[test]
fn services_check_in_are_listed_and_beat_through_the_gateway() {
    on_both_drivers(|io| {
        let directory = Directory::new();
        directory.settings(io, "");
        let gateway = Program::gateway(&directory);
        let uuid = gateway.ask("POST", "checkin", &place("users", "10.0.0.1"))["uuid"].clone();
        assert_eq!(uuid.as_str().unwrap().len(), 24);
        let listed = gateway.ask("GET", "list?limit=5", &Value::Null);
        assert_eq!(listed["mccount"], 1);
        let row = &listed["microservices"][0];
        assert_eq!((&row["host"], &row["port"]), (&json!("10.0.0.1"), &json!("4000")));
        assert_eq!((&row["version"], &row["isactive"]), (&json!("1.2"), &json!(true)));
        let beat = |host| gateway.ask("POST", "heartbeat", &place("jobs", host));
        let (first, second) = (beat("a"), beat("b"));
        assert_eq!((&first["cron"], &second["cron"]), (&json!(true), &json!(false)));
        assert_eq!((&first["ttl"], &first["epoch"]), (&json!(30), &json!(1)));
        let mandate = gateway.ask("POST", "getcronmandate", &json!({ "uuid": uuid }));
        assert_eq!((&mandate["mandate"], &mandate["epoch"]), (&json!(true), &json!(2)));
        let again = gateway.ask("POST", "getcronmandate", &json!({ "uuid": uuid }));
        assert_eq!(again["mandate"], false);
        let moved = gateway.ask("PATCH", "checkin", &json!({ "uuid": uuid, "port": 4001 }));
        assert_eq!(moved["uuid"], uuid);
        let (status, answer) = gateway.rest("POST", "checkin", SIGN, &json!({ "name": "x" }));
        assert_eq!(status, 406, "{answer}");
        // Nobody from outside reaches it without the shared secret.
        let (status, _) = gateway.rest("POST", "checkin", "wrong", &place("evil", "6.6.6.6"));
        assert_eq!(status, 401);
        let listed = gateway.ask("GET", "list", &Value::Null);
        assert_eq!(listed["mccount"], 3);
        assert!(gateway.terminate().success());
    });
}

#[test]
fn what_checked_in_is_served_and_what_is_down_is_passed_over() {
    on_both_drivers(|io| {
        let directory = Directory::new();
        directory.settings(io, "");
        let gateway = Program::gateway(&directory);
        let (first, second) = (Service::start(), Service::start());
        for service in [&first, &second] {
            let row = json!({
                "name": "echo", "host": "127.0.0.1", "port": service.address.port()
            });
            gateway.ask("POST", "checkin", &row);
        }
        let mut client = Client::connect(gateway.address);
        let mut get = || client.get("/api/v3/echo/hello").status;
        // Both are known by the first question; each is called sooner or later.
        let (one, other) = (first.journal.mark(), second.journal.mark());
        for _ in 0..64 {
            assert_eq!(get(), 200);
        }
        assert_eq!(first.journal.called(one).module.as_deref(), Some("echo"));
        assert_eq!(second.journal.called(other).module.as_deref(), Some("echo"));
        drop(first);
        for _ in 0..8 {
            assert_eq!(get(), 200);
        }
    });
}

#[test]
fn rows_and_epochs_outlive_a_restart_and_a_kill() {
    let directory = Directory::new();
    directory.settings(IoDriver::Epoll, "");
    let gateway = Program::gateway(&directory);
    gateway.ask("POST", "heartbeat", &place("jobs", "a"));
    gateway.ask("POST", "checkin", &place("users", "a"));
    assert!(gateway.terminate().success());
    let mut gateway = Program::gateway(&directory);
    assert_eq!(gateway.ask("GET", "list", &Value::Null)["mccount"], 2);
    assert_eq!(gateway.ask("POST", "heartbeat", &place("jobs", "b"))["cron"], false);
    let uuid = gateway.ask("POST", "checkin", &place("users", "b"))["uuid"].clone();
    assert_eq!(gateway.ask("POST", "getcronmandate", &json!({ "uuid": uuid }))["epoch"], 2);
    // Killed with SIGKILL right behind an answer: what was answered is kept.
    gateway.child.kill().unwrap();
    gateway.child.wait().unwrap();
    let gateway = Program::gateway(&directory);
    assert_eq!(gateway.ask("GET", "list", &Value::Null)["mccount"], 4);
    let other = gateway.ask("POST", "checkin", &place("other", "b"))["uuid"].clone();
    assert_eq!(gateway.ask("POST", "getcronmandate", &json!({ "uuid": other }))["epoch"], 3);
    assert_eq!(gateway.ask("POST", "heartbeat", &place("jobs", "b"))["cron"], false);
    let first = gateway.ask("POST", "heartbeat", &place("jobs", "a"));
    assert_eq!((&first["cron"], &first["epoch"]), (&json!(true), &json!(1)));
}

#[test]
fn a_row_without_a_sign_of_life_ends() {
    let directory = Directory::new();
    directory.settings(IoDriver::Epoll, "ttl = \"1s\"\nforget = \"1s\"\n");
    let gateway = Program::gateway(&directory);
    gateway.ask("POST", "checkin", &place("users", "a"));
    let ended = || gateway.ask("GET", "list", &Value::Null)["mccount"] == 0;
    crate::support::journal::eventually("the row is removed", || ended().then_some(()));
}

#[test]
fn a_store_that_is_not_to_be_used_is_told_and_nothing_starts() {
    let directory = Directory::new();
    directory.settings(IoDriver::Epoll, "");
    std::fs::create_dir_all(directory.0.join("sys")).unwrap();
    std::fs::write(directory.0.join("sys/master.redb"), "the minutes of a meeting").unwrap();
    let arguments = ["start", "-c", "settings.toml"];
    let told = Program::start(&directory, &arguments, "gateway").err().unwrap();
    assert!(told.contains("the embedded master did not start: "), "{told}");
    assert!(told.contains("master.redb: it is damaged, or no store of a master"), "{told}");
}

fn any(value: &Value) -> Any {
    Any {
        type_url: "type.googleapis.com/google.protobuf.BytesValue".to_owned(),
        value: value.to_string().into_bytes().encode_to_vec(),
    }
}

/// Asks a master that runs alone, as a service of dialect A does.
fn call(address: SocketAddr, module: &str, inner: (&str, &str), args: &Value) -> Value {
    let args = args.as_object().unwrap().iter();
    let args: BTreeMap<_, _> = args.map(|(name, value)| (name.clone(), any(value))).collect();
    let (method, param) = inner;
    let request = Request {
        module: Some(module.to_owned()),
        param: Some(param.to_owned()),
        method: Some(method.to_owned()),
        sign: Some(SIGN.to_owned()),
        ir: Some(InternalRequest {
            param: Some(param.to_owned()),
            method: Some(method.to_owned()),
            args: args.clone(),
            ..Default::default()
        }),
        args,
        ..Default::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answer = runtime.block_on(async {
        let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
        let channel = endpoint.unwrap().connect().await.unwrap();
        ReverseClient::new(channel).r#do(request).await.unwrap().into_inner()
    });
    let data = answer.data.iter().map(|(name, any)| {
        let text = Vec::<u8>::decode(any.value.as_slice()).unwrap();
        (name.clone(), serde_json::from_slice(&text).unwrap())
    });
    Value::Object(data.collect())
}

#[test]
fn a_master_alone_answers_and_stops_when_it_is_told_to() {
    let directory = Directory::new();
    directory.settings(IoDriver::Epoll, "");
    let master = Program::alone(&directory);
    let empty = json!({});
    let found = call(master.address, "users", ("GET", "getmicroservicebypath"), &empty);
    assert_eq!((&found["host"], &found["port"]), (&json!(""), &json!("")));
    for host in ["a", "b"] {
        call(master.address, "masterservice", ("POST", "checkin"), &place("users", host));
    }
    let mut hosts: Vec<_> = (0..2)
        .map(|_| {
            let ask = ("GET", "getmicroservicebypath");
            let found = call(master.address, "users", ask, &empty);
            assert_eq!(found["instances"].as_array().unwrap().len(), 2);
            found["host"].as_str().unwrap().to_owned()
        })
        .collect();
    hosts.sort();
    assert_eq!(hosts, ["a", "b"], "in turn");
    // Its file is its own as long as it runs.
    let arguments = ["master", "-c", "settings.toml", "--listen", "127.0.0.1:0"];
    let told = Program::start(&directory, &arguments, "grpc").err().unwrap();
    assert!(told.contains("another master has it open"), "{told}");
    assert!(master.terminate().success());
    let master = Program::alone(&directory);
    let listed = call(master.address, "masterservice", ("GET", "list"), &empty);
    assert_eq!(listed["mccount"], 2);
}
