//! The path that was authorised is the path that any back end, however lenient, will read.

use super::*;
use crate::message::head::Method;
use crate::route::pattern::PathPattern;
use crate::route::rule::{Headers, Rule};

/// `/open` and `/private`, and `/` if there is a third policy.
fn table(open: PathPolicy, private: PathPolicy, all: Option<PathPolicy>) -> Table {
    let rule = |path: &str, path_policy| Rule {
        path_policy,
        ..Rule::of_path(PathPattern::prefix(path).unwrap())
    };
    let mut rules = vec![rule("/open", open), rule("/private", private)];
    rules.extend(all.map(|policy| rule("/", policy)));
    Table::new(rules)
}

fn facts(path: &str) -> Facts<'_> {
    Facts {
        host: b"",
        path: path.as_bytes(),
        method: Method::Get,
        method_text: b"GET",
        headers: Headers::default(),
    }
}

#[track_caller]
fn check(table: &Table, path: &str, want: Result<(usize, &str), Refusal>) {
    let mut scratch = Scratch::default();
    let got = table.select(&facts(path), &mut scratch);
    let got = got.map(|s| (s.found.route.index(), str::from_utf8(s.path).unwrap()));
    assert_eq!(got, want, "{path}");
}

const STRICT: PathPolicy = PathPolicy::Strict;

#[test]
fn a_strict_route_takes_what_everybody_reads_alike() {
    let table = table(STRICT, STRICT, None);
    check(&table, "/open/a.pdf", Ok((0, "/open/a.pdf")));
    check(&table, "/open/%61%2Epdf", Ok((0, "/open/a.pdf")));
    check(&table, "//private//x", Ok((1, "/private/x")));
    check(&table, "/priv%61te/x", Ok((1, "/private/x")));
    check(&table, "/other", Err(Refusal::NoRoute));
    check(&table, "/open/..%00", Err(Refusal::Path(PathError::Break)));
    check(&table, "/open/../../etc/passwd", Err(Refusal::Path(PathError::AboveRoot)));
}

#[test]
fn a_strict_route_refuses_what_can_be_read_in_two_ways() {
    let table = table(STRICT, STRICT, Some(STRICT));
    for (path, oddity) in [
        ("/open/../private/x", Oddities::DOTS),
        ("/open//%2e%2e/private/x", Oddities::DOTS),
        ("/priv%61te/%2e/x", Oddities::DOTS),
        ("/open/..%2fprivate/x", Oddities::SLASH),
        ("/%2fprivate/x", Oddities::SLASH),
        ("/open/..\\private\\x", Oddities::BACKSLASH),
        ("/open/%252e%252e/private/x", Oddities::DOUBLE),
        ("/open/..;/private/x", Oddities::PARAMETER),
        ("/open/x/..%3b/private", Oddities::PARAMETER),
        ("/private%3ba/x", Oddities::PARAMETER),
        ("/open/..%ef%bc%8fprivate", Oddities::ALIKE),
    ] {
        check(&table, path, Err(Refusal::Odd(oddity)));
    }
}

#[test]
fn an_escaped_query_must_not_lead_to_another_route() {
    let table = table(STRICT, STRICT, Some(STRICT));
    check(&table, "/open/who%3F", Ok((0, "/open/who%3F")));
    check(&table, "/private%3fx", Err(Refusal::Odd(Oddities::DELIMITER)));
    check(&table, "/open/%23", Ok((0, "/open/%23")));
}

#[test]
fn a_decoding_route_forwards_what_a_lenient_back_end_reads() {
    let decode = PathPolicy::Decode;
    let table = table(decode, STRICT, Some(decode));
    check(&table, "/open/a%2Fb;v=1/c", Ok((0, "/open/a/b/c")));
    check(&table, "/open/..%2Fprivate/x", Ok((1, "/private/x")));
    check(&table, "/open/%252e%252e%255cprivate", Ok((1, "/private")));
    check(&table, "/private%3bx/y", Ok((1, "/private/y")));
    check(&table, "/%2fopen/x", Ok((0, "/open/x")));
    check(&table, "/open/..%2f..%2f..", Err(Refusal::Path(PathError::AboveRoot)));
    check(&table, "/open/%25ef%25bc%258f", Err(Refusal::Odd(Oddities::ALIKE)));
    check(&table, "/open/a%2fcaf%e9", Err(Refusal::Odd(Oddities::NOT_UTF8)));
    check(&table, "/open/%25c0%25ae%25c0%25ae/", Err(Refusal::Path(PathError::Overlong)));
    check(&table, "/open/a%2fwho%3F", Ok((0, "/open/a/who%3F")));
    check(&table, "/private%253Fx", Err(Refusal::Odd(Oddities::DELIMITER)));
}

#[test]
fn a_passing_route_keeps_escapes_that_lead_nowhere_else() {
    let pass = PathPolicy::Passthrough;
    let table = table(pass, STRICT, Some(pass));
    for path in ["/open/group%2Frepo", "/open/a;v=1/b", "/open/a%5Cb", "/open/a%252Fb", "/open/%E9"]
    {
        check(&table, path, Ok((0, path)));
    }
    for path in [
        "/open/..%2Fprivate/x",
        "/open/a%2F%2e%2e%2Fb",
        "/open/..;/private",
        "/open/%252e%252e/x",
        "/%2Fprivate/x",
        "/private;a/x",
        "/private%3Ba/x",
        "/private%5Cx",
        "/%EF%BC%8Fprivate",
        "/private%252Fx",
        "/private%3Fx",
        "/open/%25c0%25ae%25c0%25ae/private/x",
    ] {
        let got = table.select(&facts(path), &mut Scratch::default()).map(|s| s.found.route);
        assert!(matches!(got, Err(Refusal::Odd(_))), "{path} {got:?}");
    }
}
