//! What `otus explain` prints.

use super::*;

const TEXT: &str = r#"
[upstreams.api]
endpoints = ["127.0.0.1:9001", "service:9002"]
first_byte_timeout = "9s"
[[route]]
id = "users"
match = { path = "/api/users/{id}", methods = "GET" }
allow = ["10.0.0.0/8", "10.1.0.0/16"]
max_body = "1MiB"
upstream = "api"
strip_prefix = "/api"
timeouts = { total = "1m" }
[[route]]
id = "api"
match = { prefix = "/api" }
upstream = "api"
[[route]]
id = "other"
match = { host = "other.example", headers = { x-a = "1" } }
redirect = { to = "https://x.example", status = 301 }
"#;

#[track_caller]
fn check(name: &str, url: &str, headers: &[&str], served: bool, want: &str) {
    let file = std::env::temp_dir().join(format!("otus-explain-{}-{name}", std::process::id()));
    std::fs::write(&file, TEXT).unwrap();
    let args = ExplainArgs {
        method: if name == "method" { "PUT".to_owned() } else { "GET".to_owned() },
        url: url.to_owned(),
        headers: headers.iter().map(|header| (*header).to_owned()).collect(),
        config: Some(file.clone()),
    };
    let mut out = Vec::new();
    let status = run(&args, &mut out);
    std::fs::remove_file(&file).unwrap();
    let text = String::from_utf8(out).unwrap().replace(&file.display().to_string(), "FILE");
    assert_eq!(text, want, "\n{text}");
    assert_eq!(status == ExitCode::SUCCESS, served);
}

#[test]
fn the_winner_is_told_with_its_upstream_and_timeouts() {
    check(
        "winner",
        "http://example.com/api//users/%37?x=y",
        &[],
        true,
        "route      users                    FILE:6
  lost     api                      matches, but its path is a prefix
  lost     other                    only host other.example
path       /api//users/%37
  normal   /api/users/7
  becomes  /users/7
policies   path_policy strict → addresses (allow 1, deny 0) → max_body 1MiB
upstream   api http://127.0.0.1:9001,service:9002 least_request
timeouts   connect 5s · first byte 9s · idle 60s · total 60s
",
    );
}

#[test]
fn a_redirect_shows_where_it_leads() {
    check(
        "redirect",
        "/a?b=c",
        &["Host: other.example:80", "x-a: 1"],
        true,
        "route      other                    FILE:18
  lost     users                    only path /api/users/{id}
  lost     api                      only path /api/{*}
path       /a
policies   path_policy strict
redirect   301 https://x.example/a?...
",
    );
}

#[test]
fn a_refusal_says_why() {
    check(
        "odd",
        "/api/a%2fb",
        &[],
        false,
        "route      none: 400: path_policy strict of api: an escaped slash
  lost     users                    only path /api/users/{id}
  lost     other                    only host other.example
",
    );
    let want = "route      none: 400: no path is like this: its .. leads above the root\n";
    check("root", "/../x", &[], false, want);
    check(
        "none",
        "http://other.example/x",
        &[],
        false,
        "route      none: 404: no route matches
  lost     users                    only path /api/users/{id}
  lost     api                      only path /api/{*}
  lost     other                    only with x-a: 1
",
    );
    check(
        "url",
        "example.com",
        &[],
        false,
        "\"example.com\" is no URL; write http://host/path, or /path with -H Host\n",
    );
    check("field", "/", &["x"], false, "-H \"x\" is no field; write -H 'Name: value'\n");
}
