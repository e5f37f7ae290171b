use super::*;

fn line(record: &AccessRecord) -> String {
    let mut out = Vec::new();
    write_line(&mut out, &mut Calendar::default(), LineForm::Otus, record);
    String::from_utf8(out).unwrap()
}

fn upload() -> AccessRecord {
    AccessRecord {
        time: UnixTime(Duration::from_millis(1_798_761_599_042)),
        method: Text::new(b"PUT"),
        path: Text::new(b"/api/v3/storage/upload"),
        route: Text::new(b"storage"),
        upstream: Text::new(b"storage"),
        request_id: Text::new(b"r-1"),
        user_agent: Text::new(b"curl/8"),
        client: Some(IpAddr::from([127, 0, 0, 1])),
        version: "1.1",
        reason: "",
        status: 200,
        grpc_status: Some(0),
        shard: 1,
        attempts: 1,
        request_bytes: 1_000_000,
        response_bytes: 99,
        times: Times {
            total: Duration::from_nanos(1_500_999),
            upstream_ttfb: Some(Duration::from_micros(900)),
            ..Times::default()
        },
        upload: Some(Upload { files: 2, bytes: 999_000 }),
    }
}

#[test]
fn a_record_is_one_line_with_the_agreed_names() {
    let want = concat!(
        r#"{"timestamp":"2026-12-31T23:59:59.042Z","severity_text":"INFO","#,
        r#""http.request.method":"PUT","url.path":"/api/v3/storage/upload","#,
        r#""http.route":"storage","http.response.status_code":200,"#,
        r#""http.request.body.size":1000000,"http.response.body.size":99,"#,
        r#""network.protocol.name":"http","network.protocol.version":"1.1","#,
        r#""client.address":"127.0.0.1","user_agent.original":"curl/8","#,
        r#""rpc.grpc.status_code":0,"gateway.request_id":"r-1","gateway.shard":1,"#,
        r#""gateway.upstream":"storage","gateway.attempts":1,"#,
        r#""gateway.upload.files":2,"gateway.upload.bytes":999000,"#,
        r#""gateway.time.total_us":1500,"gateway.time.upstream_ttfb_us":900}"#,
        "\n"
    );
    assert_eq!(line(&upload()), want);
}

#[test]
fn what_did_not_happen_is_left_out() {
    let line = line(&AccessRecord::default());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    let names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "gateway.shard",
            "gateway.time.total_us",
            "http.request.body.size",
            "http.request.method",
            "http.response.body.size",
            "network.protocol.name",
            "severity_text",
            "timestamp",
            "url.path",
        ]
    );
}

#[test]
fn severity_follows_from_the_status() {
    for (status, want) in
        [(0, "WARN"), (200, "INFO"), (404, "INFO"), (500, "ERROR"), (507, "ERROR")]
    {
        let line = line(&AccessRecord { status, ..AccessRecord::default() });
        assert!(line.contains(&format!("\"severity_text\":\"{want}\"")), "{line}");
    }
}

#[test]
fn no_field_can_forge_a_line() {
    let evil = b"\n{\"severity_text\":\"INFO\"}\"\\\r\x1b[31m\xff\xe2\x80\xa8";
    let record = AccessRecord {
        method: Text::new(evil),
        path: Text::new(evil),
        route: Text::new(evil),
        upstream: Text::new(evil),
        request_id: Text::new(evil),
        user_agent: Text::new(evil),
        client: Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
        ..upload()
    };
    let line = line(&record);
    assert_eq!(line.lines().count(), 1);
    assert!(line.trim_end().chars().all(|c| !c.is_control() && c != '\u{2028}'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["url.path"], Text::<PATH_BYTES>::new(evil).as_str());
    assert_eq!(value["client.address"], "2001:db8::1");
}

#[test]
fn a_full_ring_drops_and_counts() {
    let counters = ShardCounters::new();
    let (sender, receiver) = ring_of(2);
    for status in [200, 201, 202] {
        sender.push(AccessRecord { status, ..AccessRecord::default() }, &counters);
    }
    assert_eq!(counters.reader().get(Counter::LogDropped), 1);
    assert_eq!(receiver.ring.pop().unwrap().status, 200);
    assert_eq!(receiver.ring.len(), 1);
}

#[test]
fn a_ring_of_records_takes_little_memory() {
    let bytes = size_of::<AccessRecord>() * limits::LOG_RECORDS_MAX;
    assert!(bytes <= 8 * 1024 * 1024, "{bytes} bytes");
}

#[test]
fn other_gateways_names_are_written_for_who_reads_those() {
    let record = AccessRecord {
        method: Text::new(b"PUT"),
        path: Text::new(b"/api/v3/a"),
        route: Text::new(b"a"),
        request_id: Text::new(b"r1"),
        client: Some("10.0.0.1".parse().unwrap()),
        status: 502,
        reason: "connect_refused",
        response_bytes: 7,
        times: Times { total: Duration::from_micros(1500), ..Times::default() },
        ..AccessRecord::default()
    };
    for (form, want) in [
        (
            LineForm::Gufo,
            concat!(
                r#"{"time":"1970-01-01T00:00:00.000Z","level":"ERROR","caller":"gateway","#,
                r#""msg":"request","method":"PUT","path":"/api/v3/a","module":"a","status":502,"#,
                r#""ip":"10.0.0.1","request_id":"r1","reason":"connect_refused","#,
                r#""duration_us":1500}"#
            ),
        ),
        (
            LineForm::Threex,
            concat!(
                r#"{"time":"1970-01-01T00:00:00.000Z","level":"ERROR","msg":"http_request","#,
                r#""rid":"r1","route":"a","method":"PUT","path":"/api/v3/a","#,
                r#""remote":"10.0.0.1","status":502,"bytes":7,"duration":1500000}"#
            ),
        ),
    ] {
        let mut out = Vec::new();
        write_line(&mut out, &mut Calendar::default(), form, &record);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{want}\n"));
    }
}
