//! Facts about paths that are rewritten.

use super::*;
use crate::message::head::Method;
use crate::route::rule::{Facts, Headers, Rule};
use crate::route::table::Table;

fn pattern(text: &str) -> PathPattern {
    match text.strip_suffix('*') {
        Some(text) if !text.ends_with('{') => PathPattern::string(text),
        _ => PathPattern::path(text),
    }
    .unwrap()
}

#[track_caller]
fn apply(rewrite: &Rewrite, route: &str, path: &str) -> Result<String, Unsafe> {
    let table = Table::new(vec![Rule::of_path(pattern(route))]);
    let facts = Facts {
        host: b"",
        path: path.as_bytes(),
        method: Method::Get,
        method_text: b"GET",
        headers: Headers::default(),
    };
    let found = table.find(&facts).expect("the route does not match");
    let mut out = b"before".to_vec();
    let done = rewrite.apply(path.as_bytes(), &found, &mut out);
    let text = String::from_utf8(out).unwrap();
    done.map(|()| text.strip_prefix("before").unwrap().to_owned())
}

#[track_caller]
fn strip(route: &str, prefix: &str, path: &str, want: Result<&str, Unsafe>) {
    let rewrite = Rewrite::strip(prefix, &pattern(route)).unwrap();
    assert_eq!(apply(&rewrite, route, path).as_deref(), want.as_ref().map(|w| *w), "{path}");
}

#[track_caller]
fn replace(route: &str, text: &str, path: &str, want: Result<&str, Unsafe>) {
    let rewrite = Rewrite::replace(text, &pattern(route)).unwrap();
    assert_eq!(apply(&rewrite, route, path).as_deref(), want.as_ref().map(|w| *w), "{path}");
}

#[test]
fn a_prefix_is_cut_off_and_a_slash_stays() {
    strip("/api/{*}", "/api", "/api/x/y", Ok("/x/y"));
    strip("/api/{*}", "/api/", "/api/x/y", Ok("/x/y"));
    strip("/api/{*}", "/api", "/api", Ok("/"));
    strip("/api/{*}", "/api", "/api/", Ok("/"));
    strip("/api/v1/x", "/api/v1", "/api/v1/x", Ok("/x"));
    strip("/api/{*}", "/api", "/%61pi/x", Ok("/x"));
    strip("/api/{*}", "/", "/api/x", Ok("/api/x"));
    strip("/api*", "/api", "/apix", Ok("/x"));
    strip("/api/*", "/api/", "/api/x", Ok("/x"));
}

#[test]
fn what_is_left_must_not_be_a_dot_segment() {
    strip("/a*", "/a", "/a../private", Err(Unsafe));
    strip("/a*", "/a", "/a./x", Err(Unsafe));
    strip("/a*", "/a", "/a...", Ok("/..."));
    replace("/a*", "/b/", "/a../private", Err(Unsafe));
}

#[test]
fn the_matched_part_is_replaced() {
    replace("/v1/{*}", "/api", "/v1/chat", Ok("/api/chat"));
    replace("/v1/{*rest}", "/api/{*rest}", "/v1/chat/x", Ok("/api/chat/x"));
    replace("/v1/{*}", "/api", "/v1", Ok("/api"));
    replace("/v1/{*}", "/", "/v1/chat", Ok("/chat"));
    replace("/v1/{*}", "/", "/v1", Ok("/"));
    replace("/{*}", "/all", "/x", Ok("/all/x"));
    replace("/v1/*", "/api/", "/v1/chat", Ok("/api/chat"));
    replace("/v1*", "/api", "/v1x", Ok("/apix"));
    replace("/old", "/new/", "/old", Ok("/new/"));
    replace("/u/{id}/f/{name}", "/files/{name}/of/{id}", "/u/7/f/a%20b", Ok("/files/a%20b/of/7"));
    replace("/u/{id}/{*rest}", "/{id}", "/u/7/x/y", Ok("/7/x/y"));
    replace("/x", "/a b".replace(' ', "%20").as_str(), "/x", Ok("/a%20b"));
}

#[test]
fn what_cannot_be_applied_is_refused() {
    use RewriteError as E;
    let strip = |text, route| Rewrite::strip(text, &pattern(route));
    assert_eq!(strip("/b", "/a/{*}"), Err(E::NotAPrefix));
    assert_eq!(strip("/a/b", "/a/{*}"), Err(E::NotAPrefix));
    assert_eq!(strip("/ab", "/abc/{*}"), Err(E::NotAPrefix));
    assert_eq!(strip("/ab", "/abc*").map(|_| ()), Ok(()));
    assert_eq!(strip("a", "/a"), Err(E::Pattern(PatternError::NotAbsolute)));
    let replace = |text, route| Rewrite::replace(text, &pattern(route));
    assert_eq!(replace("/{id}", "/a/{*}"), Err(E::UnknownParam));
    assert_eq!(replace("/b/{*rest}", "/a/{*other}"), Err(E::UnknownParam));
    assert_eq!(replace("/b/{*rest}", "/a"), Err(E::UnknownParam));
    assert_eq!(replace("/../b", "/a"), Err(E::Pattern(PatternError::Dots)));
}
