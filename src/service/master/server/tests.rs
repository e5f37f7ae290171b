use std::collections::BTreeMap;
use std::future::Future;
use std::time::SystemTime;

use prost::Message;
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::base::time::UnixTime;
use crate::gufo::trust::{SigningKey, Subject, arguments_digest};
use crate::master::rules::Rules;
use crate::master::settings::StoreKind;
use crate::proto::reverse_a::reverse_client::ReverseClient as ClientA;
use crate::proto::reverse_c::reverse_client::ReverseClient as ClientC;
use crate::proto::{reverse, reverse_a};
use crate::snapshot::gufo::{SecurityMode, Trust};
use crate::snapshot::secret::Secret;

const SIGN: &str = "0123456789abcdef";

fn by_sign() -> (Secret, Trust) {
    (Secret::new(SIGN), Trust::default())
}

fn by_hmac() -> (Secret, Trust) {
    let secret = Secret::new("an hmac secret of the test");
    let key = SigningKey::new(secret.expose().as_bytes());
    let trust = Trust { mode: SecurityMode::Hmac, key: Some((key, secret)), ..Trust::default() };
    (Secret::default(), trust)
}

/// Runs a master that keeps nothing, and a connection to it.
fn with_master<F: Future<Output = ()>>(
    shared: (Secret, Trust),
    test: impl FnOnce(Channel, Arc<Guard>) -> F,
) {
    let settings =
        MasterSettings { listen: None, store: StoreKind::Memory, rules: Rules::default() };
    let guard = Arc::new(Guard::new(shared));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = spawn(&settings, Arc::clone(&guard), any).unwrap();
    let target = format!("http://{}", server.address());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Endpoint::from_shared(target).unwrap().connect().await.unwrap();
        tokio::time::timeout(Duration::from_mins(1), test(channel, guard)).await.unwrap();
    });
    drop(runtime);
    server.stop();
}

fn data(any: &BTreeMap<String, prost_types::Any>) -> Value {
    let values = any.iter().map(|(name, any)| {
        let text = Vec::<u8>::decode(any.value.as_slice()).unwrap();
        (name.clone(), serde_json::from_slice(&text).unwrap())
    });
    Value::Object(values.collect())
}

fn args(value: &Value) -> BTreeMap<String, prost_types::Any> {
    let any = |value: &Value| prost_types::Any {
        type_url: "type.googleapis.com/google.protobuf.BytesValue".to_owned(),
        value: value.to_string().into_bytes().encode_to_vec(),
    };
    value.as_object().unwrap().iter().map(|(name, value)| (name.clone(), any(value))).collect()
}

fn in_a(method: &str, param: &str, sign: &str, values: &Value) -> reverse_a::Request {
    reverse_a::Request {
        module: Some("masterservice".to_owned()),
        param: Some(param.to_owned()),
        method: Some(method.to_owned()),
        sign: Some(sign.to_owned()),
        args: args(values),
        ..Default::default()
    }
}

async fn ask(channel: &Channel, request: reverse_a::Request) -> Value {
    let mut client = ClientA::new(channel.clone());
    data(&client.r#do(request).await.unwrap().into_inner().data)
}

fn place(host: &str) -> Value {
    serde_json::json!({ "name": "users", "host": host, "port": 4000 })
}

#[test]
fn all_dialects_are_answered() {
    with_master(by_sign(), |channel, _| async move {
        let answer = ask(&channel, in_a("POST", "checkin", SIGN, &place("hé"))).await;
        assert_eq!(answer["code"], "000007", "{answer}");
        let answer = ask(&channel, in_a("POST", "checkin", SIGN, &place("a"))).await;
        assert_eq!(answer["uuid"].as_str().unwrap().len(), 24);
        // Dialect A: the inner request in field 25, long enough that it is no text of UTF-8.
        let inner = reverse_a::InternalRequest {
            param: Some("getmicroservicebypath".to_owned()),
            method: Some("GET".to_owned()),
            args: args(&serde_json::json!({ "region": "e".repeat(60), "group": "" })),
            ..Default::default()
        };
        let mut request = in_a("GET", "getmicroservicebypath", SIGN, &serde_json::json!({}));
        request.module = Some("users".to_owned());
        request.ir = Some(inner);
        let answer = ask(&channel, request).await;
        assert_eq!((&answer["host"], &answer["port"]), (&"a".into(), &"4000".into()));
        assert_eq!(answer["instances"][0]["host"], "a");
        // Dialect B: in field 26.
        let mut client = reverse::reverse_client::ReverseClient::new(channel.clone());
        let inner = reverse::InternalRequest {
            param: Some("heartbeat".to_owned()),
            method: Some("POST".to_owned()),
            ..Default::default()
        };
        let request = reverse::Request {
            module: Some("masterservice".to_owned()),
            sign: Some(SIGN.to_owned()),
            args: args(&place("a")),
            ir: Some(inner),
            ..Default::default()
        };
        let answer = data(&client.r#do(request).await.unwrap().into_inner().data);
        assert_eq!((&answer["cron"], &answer["epoch"]), (&true.into(), &1.into()), "{answer}");
        // Dialect C.
        let mut client = ClientC::new(channel);
        let request = reverse_c::Request {
            module: "users".to_owned(),
            param: "getmicroservicebypath".to_owned(),
            auth: Some(reverse_c::AuthContext { sign: SIGN.to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let answer = data(&client.r#do(request).await.unwrap().into_inner().data);
        assert_eq!(answer["host"], "a");
    });
}

#[test]
fn who_does_not_sign_is_refused_first() {
    with_master(by_sign(), |channel, guard| async move {
        for sign in ["", "0123456789abcdeX", "0123456789abcdef0"] {
            let answer = ask(&channel, in_a("GET", "nothing", sign, &place("a"))).await;
            assert_eq!((&answer["httpcode"], &answer["code"]), (&401.into(), &"00001".into()));
        }
        // A secret that was changed: calls under way have the one before.
        guard.change((Secret::new("fedcba9876543210"), Trust::default()));
        for sign in [SIGN, "fedcba9876543210"] {
            let answer = ask(&channel, in_a("GET", "health", sign, &place("a"))).await;
            assert_eq!(answer["health"], "OK");
        }
    });
}

#[test]
fn signatures_of_both_versions_pass_and_the_second_passes_once() {
    with_master(by_hmac(), |channel, _| async move {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let now = UnixTime(now + Duration::from_secs(1));
        let (_, trust) = by_hmac();
        let key = trust.key.unwrap().0;
        let first = key.sign_1("masterservice", now);
        let empty = serde_json::json!({});
        let ok = ask(&channel, in_a("GET", "health", first.as_str(), &empty)).await;
        assert_eq!(ok["health"], "OK", "{ok}");
        let other = key.sign_1("users", now);
        let no = ask(&channel, in_a("GET", "health", other.as_str(), &empty)).await;
        assert_eq!(no["httpcode"], 401);
        let digest = arguments_digest(&[], None);
        let subject = Subject { module: "masterservice", path: "health", method: "GET", digest };
        let second = key.sign_2(&subject, [7; 16], now);
        let changed = in_a("GET", "info", second.as_str(), &empty);
        assert_eq!(ask(&channel, changed).await["httpcode"], 401);
        let request = in_a("GET", "health", second.as_str(), &empty);
        assert_eq!(ask(&channel, request.clone()).await["health"], "OK");
        assert_eq!(ask(&channel, request).await["httpcode"], 401, "a second time");
        let old = key.sign_1("masterservice", UnixTime(Duration::from_secs(1_700_000_000)));
        let no = ask(&channel, in_a("GET", "health", old.as_str(), &empty)).await;
        assert_eq!(no["httpcode"], 401);
    });
}

#[test]
fn a_call_that_is_too_large_is_refused() {
    with_master(by_sign(), |channel, _| async move {
        let large = serde_json::json!({ "description": "d".repeat(CALL_BYTES_MAX) });
        let mut client = ClientA::new(channel);
        let error = client.r#do(in_a("POST", "checkin", SIGN, &large)).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::OutOfRange);
    });
}

#[test]
fn an_address_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let settings =
        MasterSettings { listen: None, store: StoreKind::Memory, rules: Rules::default() };
    let guard = Arc::new(Guard::new(by_sign()));
    let error = spawn(&settings, guard, taken.local_addr().unwrap()).unwrap_err();
    assert!(error.starts_with("cannot listen on 127.0.0.1:"), "{error}");
}
