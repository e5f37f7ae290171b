//! Facts about paths of routes.

use super::*;

#[track_caller]
fn matches(pattern: &PathPattern, path: &str, want: Option<usize>) {
    assert_eq!(pattern.matches(path.as_bytes()), want, "{path} {pattern}");
}

#[track_caller]
fn exact(text: &str, yes: &[&str], no: &[&str]) {
    let pattern = PathPattern::path(text).unwrap();
    assert_eq!(pattern.to_string(), text);
    for path in yes {
        matches(&pattern, path, Some(path.len()));
    }
    for path in no {
        matches(&pattern, path, None);
    }
}

#[test]
fn an_exact_path_matches_itself_with_or_without_a_slash() {
    exact("/", &["/"], &["/a"]);
    exact("/a", &["/a", "/a/", "/%61"], &["/", "/b", "/a/b", "/ab", "/A"]);
    exact("/a/", &["/a/"], &["/a", "/a/b", "/"]);
    exact("/a/b", &["/a/b", "/a/b/"], &["/a", "/a/", "/a/b/c"]);
    exact("/a!", &["/a!", "/a%21"], &["/a"]);
    exact("/é", &["/%C3%A9"], &["/e"]);
}

#[test]
fn a_parameter_matches_one_segment_that_is_not_empty() {
    exact("/a/{id}", &["/a/x", "/a/x/", "/a/%20"], &["/a", "/a/", "/a/x/y"]);
    exact("/{a}/{b}/", &["/x/y/"], &["/x/y", "/x/", "/"]);
}

#[test]
fn a_prefix_matches_whole_segments() {
    for pattern in [PathPattern::path("/a/{*rest}"), PathPattern::prefix("/a")] {
        let pattern = pattern.unwrap();
        for (path, len) in [("/a", 2), ("/a/", 2), ("/a/b", 2), ("/a/b/c/", 2), ("/%61/b", 4)] {
            matches(&pattern, path, Some(len));
        }
        for path in ["/", "/ab", "/b/a"] {
            matches(&pattern, path, None);
        }
    }
    let all = PathPattern::path("/{*}").unwrap();
    assert_eq!(all.shape(), PathPattern::prefix("/").unwrap().shape());
    matches(&all, "/", Some(1));
    matches(&all, "/a/b", Some(1));
    let pattern = PathPattern::prefix("/u/{id}/").unwrap();
    matches(&pattern, "/u/7/x", Some(4));
    matches(&pattern, "/u/", None);
    assert_eq!(pattern.shape(), PathPattern::path("/u/{name}/{*all}").unwrap().shape());
}

#[test]
fn a_text_matches_inside_of_segments() {
    let pattern = PathPattern::string("/api/u").unwrap();
    matches(&pattern, "/api/users", Some(6));
    matches(&pattern, "/%61pi/u", Some(8));
    matches(&pattern, "/api/", None);
    let with_slash = PathPattern::string("/api/users/").unwrap();
    matches(&with_slash, "/api/users", None);
    matches(&with_slash, "/api/users/x", Some(11));
}

#[test]
fn what_is_no_path_is_refused() {
    use PatternError as E;
    for (text, want) in [
        ("", E::NotAbsolute),
        ("a", E::NotAbsolute),
        ("/a?b", E::Character),
        ("/a b", E::Character),
        ("/a;b", E::Character),
        ("/a\\b", E::Character),
        ("/a\u{7f}", E::Character),
        ("/a//b", E::EmptySegment),
        ("//", E::EmptySegment),
        ("/a/./b", E::Dots),
        ("/..", E::Dots),
        ("/%2e%2e", E::Escape),
        ("/a%2fb", E::Escape),
        ("/a%5c", E::Escape),
        ("/a%3b", E::Escape),
        ("/a%00", E::Escape),
        ("/a%", E::Escape),
        ("/a%zz", E::Escape),
        ("/a{b}", E::Brace),
        ("/{a}b", E::Brace),
        ("/{", E::Brace),
        ("/{}", E::Name),
        ("/{a-b}", E::Name),
        ("/{a}/{a}", E::NameTwice),
        ("/{a}/{*a}", E::NameTwice),
        ("/{*a}/b", E::RestInside),
        ("/{*a}/", E::RestInside),
        ("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", E::TooLong),
    ] {
        assert_eq!(PathPattern::path(text), Err(want), "{text}");
    }
    assert_eq!(PathPattern::path(&"/a".repeat(33)), Err(E::TooLong));
    assert_eq!(PathPattern::path(&format!("/{}", "a".repeat(256))), Err(E::TooLong));
    assert_eq!(PathPattern::string("/a/{b}"), Err(E::ParamsInText));
    assert_eq!(PathPattern::string(&"/abc".repeat(300)), Err(E::TooLong));
}
