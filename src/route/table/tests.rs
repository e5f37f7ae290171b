//! Facts about lookups, and the table held against the plain explanation.

use super::*;
use crate::base::prng::Prng;
use crate::message::head::{Field, Method};
use crate::message::known::Known;
use crate::route::explain::{Loss, Rank};
use crate::route::host::HostPattern;
use crate::route::pattern::PathPattern;
use crate::route::rule::{HeaderRule, Headers};

/// `host path`, `host text*` or `path`, then methods and `name=value`s.
fn rule(text: &str) -> Rule {
    let mut words = text.split(' ');
    let first = words.next().unwrap();
    let (host, path) =
        if first.starts_with('/') { ("*", first) } else { (first, words.next().unwrap()) };
    let path = match path.strip_suffix('*') {
        Some(text) => PathPattern::string(text),
        None => PathPattern::path(path),
    };
    let mut rule = Rule::of_path(path.unwrap());
    rule.host = HostPattern::parse(host).unwrap();
    for word in words {
        if let Some((name, value)) = word.split_once('=') {
            let value = Some(value.to_owned()).filter(|value| value != "*");
            rule.headers.push(HeaderRule { name: name.to_owned(), value });
        } else if let Ok(priority) = word.parse() {
            rule.priority = priority;
        } else {
            rule.methods = Methods::of(word.split(','));
        }
    }
    rule
}

fn table(rules: &[&str]) -> Table {
    Table::new(rules.iter().map(|text| rule(text)).collect())
}

fn facts<'a>(host: &'a str, method: &'a str, path: &'a str) -> Facts<'a> {
    let method_text = method.as_bytes();
    Facts {
        host: host.as_bytes(),
        path: path.as_bytes(),
        method: Method::of(method_text),
        method_text,
        headers: Headers::default(),
    }
}

/// Each rule wins with its path, in the order given, although the table has them in any order.
#[track_caller]
fn check(rules: &[&str], cases: &[(&str, &str, &str, Option<usize>)]) {
    let table = table(rules);
    for (host, method, path, want) in cases {
        let facts = facts(host, method, path);
        let found = table.find(&facts).map(|found| found.route.index());
        assert_eq!(found, *want, "{method} {host}{path}");
        assert_eq!(table.explain(&facts).winner.map(RouteId::index), *want, "explained");
    }
}

#[test]
fn an_exact_host_wins_over_a_suffix_and_a_suffix_over_none() {
    check(
        &["/{*}", "*.com /{*}", "*.example.com /{*}", "api.example.com /{*}", "[::1] /{*}"],
        &[
            ("api.example.com", "GET", "/", Some(3)),
            ("API.Example.com.", "GET", "/a/b", Some(3)),
            ("x.api.example.com", "GET", "/", Some(2)),
            ("example.com", "GET", "/", Some(1)),
            ("com", "GET", "/", Some(0)),
            ("[::1]", "GET", "/", Some(4)),
            ("", "GET", "/", Some(0)),
        ],
    );
    // A host whose routes do not match leaves the request to the next.
    check(
        &["/{*}", "a.com /x", "*.com /y"],
        &[("a.com", "GET", "/x", Some(1)), ("a.com", "GET", "/y", Some(2))],
    );
    check(&["a.com /x"], &[("b.com", "GET", "/x", None), ("", "GET", "/x", None)]);
}

#[test]
fn an_exact_path_wins_over_prefixes_and_the_longest_prefix_over_shorter_ones() {
    check(
        &["/{*}", "/a/{*}", "/a/b/{*}", "/a/b", "/a/b/"],
        &[
            ("", "GET", "/", Some(0)),
            ("", "GET", "/ab", Some(0)),
            ("", "GET", "/a", Some(1)),
            ("", "GET", "/a/c", Some(1)),
            ("", "GET", "/a/b/c", Some(2)),
            ("", "GET", "/a/b", Some(3)),
            ("", "GET", "/a/b/", Some(4)),
        ],
    );
    check(
        &["/{x}/b/c/{*}", "/a/{*}"],
        &[("", "GET", "/a/b/c/d", Some(0)), ("", "GET", "/a/b/d", Some(1))],
    );
}

#[test]
fn a_literal_wins_over_a_parameter_from_left_to_right() {
    check(
        &["/{a}/{b}", "/{a}/y", "/x/{b}", "/x/y/z"],
        &[
            ("", "GET", "/x/y", Some(2)),
            ("", "GET", "/z/y", Some(1)),
            ("", "GET", "/z/z", Some(0)),
            ("", "GET", "/x/y/z", Some(3)),
            ("", "GET", "/x/y/y", None),
            ("", "GET", "/x", None),
        ],
    );
}

#[test]
fn a_text_wins_where_it_is_longer_than_the_prefix() {
    check(
        &["/{*}", "/api/*", "/api/{*}", "/api*", "/ap*", "/api/users/*"],
        &[
            ("", "GET", "/apix", Some(3)),
            ("", "GET", "/api", Some(2)),
            ("", "GET", "/api/x", Some(1)),
            ("", "GET", "/api/users", Some(1)),
            ("", "GET", "/api/users/7", Some(5)),
            ("", "GET", "/apx", Some(4)),
            ("", "GET", "/%61px", Some(4)),
            ("", "GET", "/x", Some(0)),
        ],
    );
}

#[test]
fn conditions_then_priority_then_order_decide() {
    check(
        &["/a", "/a GET", "/a GET,PUT", "/a 5", "/a PURGE"],
        &[
            ("", "GET", "/a", Some(1)),
            ("", "PUT", "/a", Some(2)),
            ("", "PURGE", "/a", Some(4)),
            ("", "POST", "/a", Some(3)),
            ("", "get", "/a", Some(3)),
        ],
    );
    // What matches the path and nothing else is passed over.
    check(
        &["/a/b GET", "/a/{x}", "/{*} PUT"],
        &[("", "POST", "/a/b", Some(1)), ("", "PUT", "/c", Some(2)), ("", "GET", "/c", None)],
    );
    let allowed = table(&["/a GET", "/{*} PUT,PURGE", "/b POST"]).allowed(&facts("", "X", "/a"));
    assert_eq!(allowed.text(), "GET, PUT, PURGE");
}

#[test]
fn fields_are_conditions() {
    let bytes = b"X-Version2Accepta";
    let field = |name, value| Field { name, value, known: Known::Other };
    let fields = [
        field(Span::between(0, 9), Span::between(9, 10)),
        field(Span::between(10, 16), Span::between(16, 17)),
    ];
    let with = Facts { headers: Headers { fields: &fields, bytes }, ..facts("", "GET", "/a") };
    let rules = ["/a", "/a x-version=2", "/a x-version=1 accept=*", "/a x-version=2 accept=*"];
    let found = |rules: &[&str], facts| table(rules).find(&facts).map(|found| found.route.index());
    assert_eq!(found(&rules, with), Some(3));
    assert_eq!(found(&rules[..3], with), Some(1));
    assert_eq!(found(&rules, facts("", "GET", "/a")), Some(0));
    let explanation = table(&rules).explain(&with);
    let loss = |place: usize| explanation.losers[place].1;
    assert_eq!((loss(0), loss(2)), (Loss::Rank(Rank::Conditions), Loss::Header(0)));
}

#[test]
fn parameters_and_the_matched_part_are_told() {
    let table = table(&["/u/{id}/f/{name}", "/p/{x}/{*rest}", "/t*"]);
    let path = "/u/7/f/%20b";
    let found = table.find(&facts("", "GET", path)).unwrap();
    let params: Vec<_> = found.params.spans().iter().map(|s| s.of(path.as_bytes())).collect();
    assert_eq!((params, found.matched.end()), (vec![&b"7"[..], b"%20b"], path.len()));
    let path = "/p/7/a/b";
    let found = table.find(&facts("", "GET", path)).unwrap();
    assert_eq!((found.params.spans().len(), found.matched.of(path.as_bytes())), (1, &b"/p/7"[..]));
    let found = table.find(&facts("", "GET", "/ten")).unwrap();
    assert_eq!((found.params.spans().len(), found.matched.end()), (0, 2));
}

#[test]
fn every_loser_is_told_why() {
    let table = table(&["a.com /x", "/y", "/x PUT", "/{*}", "/x", "/x 1", "/x", "/{z}"]);
    let explanation = table.explain(&facts("b.com", "GET", "/x"));
    assert_eq!(explanation.winner, Some(RouteId(5)));
    let losses: Vec<_> = explanation.losers.iter().map(|(id, loss)| (id.0, *loss)).collect();
    let rank = Loss::Rank;
    let want = [
        (0, Loss::Host),
        (1, Loss::Path),
        (2, Loss::Method),
        (3, rank(Rank::Exact)),
        (4, rank(Rank::Priority)),
        (6, rank(Rank::Priority)),
        (7, rank(Rank::Literal)),
    ];
    assert_eq!(losses, want);
    assert_eq!(Table::default().find(&facts("", "GET", "/")), None);
}

#[test]
fn rules_that_ask_for_the_same_are_known() {
    let same = |a: &str, b: &str| rule(a).question() == rule(b).question();
    assert!(same("/u/{a}", "/u/{b} 7") && same("/u a=1 b=2 GET,PUT", "/u b=2 a=1 PUT,GET"));
    for (a, b) in
        [("/u", "/u/"), ("/u", "/u/{*}"), ("/u", "/u GET"), ("/u", "a.b /u"), ("/u/*", "/u/{*}")]
    {
        assert!(!same(a, b), "{a} {b}");
    }
}

const SEGMENTS: [&str; 6] = ["a", "b", "ab", "{x}", "{y}", "a%20"];
const HOSTS: [&str; 5] = ["*", "a.com", "*.com", "*.a.com", "b.a.com"];
const REQUESTED: [&str; 8] = ["a", "b", "ab", "c", "a%20", "%61", "", "abc"];

struct Dice(Prng);

impl Dice {
    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[usize::try_from(self.0.below(list.len().try_into().unwrap())).unwrap()]
    }

    fn path(&mut self, segments: u64, list: &[&str]) -> String {
        (0..segments).flat_map(|_| ["/", self.pick(list)]).collect()
    }

    fn rule(&mut self) -> Option<Rule> {
        let count = self.0.below(4);
        let mut path = self.path(count, &SEGMENTS);
        let end = ["", "", "/", "/{*}", "*", "/*"];
        path += self.pick(&end);
        let path = match path.strip_suffix('*') {
            Some(text) if !text.ends_with('{') => PathPattern::string(text),
            _ => PathPattern::path(if path.is_empty() { "/" } else { &path }),
        };
        let mut rule = Rule::of_path(path.ok()?);
        rule.host = HostPattern::parse(self.pick(&HOSTS)).unwrap();
        if self.0.one_in(3) {
            rule.methods = Methods::of([self.pick(&["GET", "PUT", "PURGE"])]);
        }
        rule.priority = i32::try_from(self.0.below(3)).unwrap();
        Some(rule)
    }
}

#[test]
fn the_table_and_the_explanation_agree() {
    let mut dice = Dice(Prng::new(0x7ab1e));
    let mut matched = 0;
    for _ in 0..800 {
        let count = dice.0.below(24);
        let rules: Vec<Rule> = (0..count).filter_map(|_| dice.rule()).collect();
        let table = Table::new(rules);
        for _ in 0..40 {
            let host = dice.pick(&["", "a.com", "b.a.com", "c.b.a.com", "com", "x.com"]);
            let method = dice.pick(&["GET", "PUT", "PURGE", "POST"]);
            let count = dice.0.below(4) + 1;
            let raw = dice.path(count, &REQUESTED);
            let mut buffer = Vec::new();
            let normal = crate::message::path::normalise(raw.as_bytes(), &mut buffer).unwrap();
            let path = str::from_utf8(normal.text).unwrap();
            let facts = facts(host, method, path);
            let (found, explanation) = (table.find(&facts), table.explain(&facts));
            assert_eq!(
                found.map(|found| found.route),
                explanation.winner,
                "{method} {host}{path} {:#?}",
                table.rules()
            );
            assert_eq!(
                explanation.losers.len() + usize::from(found.is_some()),
                table.rules().len()
            );
            matched += usize::from(found.is_some());
        }
    }
    assert!(matched > 5000, "{matched}");
}
