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

#[test]
fn claims_are_put_in_when_they_are_known() {
    for (route, text, path, claims, want) in [
        ("/me/{*}", "/users/{JWT.sub}", "/me/orders/7", &["sub"][..], "/users/a%2Fb/orders/7"),
        ("/me", "/users/{JWT.sub}/orders", "/me", &["sub"], "/users/a%2Fb/orders"),
        ("/me", "/{JWT.sub}/", "/me", &["sub"], "/a%2Fb/"),
        ("/{*}", "/u/{JWT.sub}", "/x", &["sub"], "/u/a%2Fb/x"),
        ("/o/{id}", "/{JWT.org.id}/{id}/{JWT.sub}", "/o/7", &["org.id", "sub"], "/a%2Fb/7/c"),
        ("/{id}", "/{id}/{JWT.sub}", "/%7BJWT.x%7D", &["sub"], "/%7BJWT.x%7D/a%2Fb"),
        ("/me*", "/u/{JWT.sub}/", "/mex", &["sub"], "/u/a%2Fb/x"),
    ] {
        let rewrite = Rewrite::replace(text, &pattern(route)).unwrap();
        assert_eq!(rewrite.claims(), claims, "{text}");
        let mut out = apply(&rewrite, route, path).unwrap().into_bytes();
        let values = [b"a%2Fb".to_vec(), b"c".to_vec()];
        fill(&values[..claims.len()], &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), want, "{text}");
    }
    assert_eq!(Rewrite::replace("/a", &pattern("/b")).unwrap().claims(), [""; 0]);
}

#[test]
fn a_path_with_a_hole_is_none() {
    for (path, values) in [
        ("/u/{JWT.sub}/o", &[""][..]),
        ("/u/{JWT.sub}/o", &[".."]),
        ("/u/{JWT.sub}/o", &["."]),
        ("/u/{JWT.sub}/o", &["a b"]),
        ("/u/{JWT.sub}/o", &["{JWT.sub}"]),
        ("/u/{JWT.sub}/o", &["%00"]),
        ("/u/{JWT.sub}/o", &[]),
        ("/u/{JWT.sub}/o", &["a", "b"]),
        ("/u/{JWT.sub/o", &["a"]),
        ("/u/{JWT.sub}/../o", &["a"]),
    ] {
        let values: Vec<_> = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        let mut out = path.as_bytes().to_vec();
        assert_eq!(fill(&values, &mut out), Err(Unsafe), "{path} {values:?}");
        assert_eq!(out, path.as_bytes(), "it stays as it was");
    }
}

#[test]
fn claims_that_are_no_whole_segment_are_refused() {
    use RewriteError as E;
    let replace = |text, route| Rewrite::replace(text, &pattern(route));
    for (text, why) in [
        ("/u-{JWT.sub}", E::Pattern(PatternError::Brace)),
        ("/{JWT.}", E::Pattern(PatternError::Name)),
        ("/{jwt.sub}", E::Pattern(PatternError::Name)),
        ("/{JWT.a/b}", E::Pattern(PatternError::Brace)),
        ("/{JWT.a%2F}", E::Pattern(PatternError::Name)),
        ("/{*JWT.sub}", E::Pattern(PatternError::Name)),
        ("/{JWT.sub}/{JWT.sub}", E::Pattern(PatternError::NameTwice)),
        ("/{JWT}", E::UnknownParam),
    ] {
        assert_eq!(replace(text, "/a/{*}"), Err(why), "{text}");
    }
    // The rest of such a path begins in the middle of a segment.
    assert_eq!(replace("/u/{JWT.sub}", "/me*"), Err(E::OpenClaim));
    assert_eq!(PathPattern::path("/{JWT.sub}"), Err(PatternError::Name));
    assert_eq!(PathPattern::prefix("/{JWT.sub}"), Err(PatternError::Name));
}
