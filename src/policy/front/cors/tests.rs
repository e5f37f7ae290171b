//! Facts about CORS.

use super::*;
use crate::message::head::{Field, Span};

fn spec(origins: &[&str]) -> CorsSpec {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    CorsSpec {
        origins: texts(origins),
        methods: texts(&["GET", "PUT"]),
        headers: texts(&["Authorization", "X-A"]),
        expose: texts(&["X-B"]),
        credentials: false,
        max_age: Some(Duration::from_mins(10)),
        private_network: false,
    }
}

fn preflight(cors: &Cors, origin: &str, private_network: bool) -> (bool, String) {
    let asked = Preflight { origin: origin.as_bytes(), method: b"PUT", private_network };
    let mut out = Vec::new();
    let admitted = cors.preflight(&asked, &mut out);
    (admitted, String::from_utf8(out).unwrap())
}

fn answer(cors: &Cors, origin: Option<&str>) -> String {
    let mut out = Vec::new();
    cors.answer(origin.map(str::as_bytes), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_listed_origin_is_told_what_it_may_do() {
    let cors = Cors::new(&spec(&["https://a.test", "https://*.b.test"])).unwrap();
    let (admitted, lines) = preflight(&cors, "https://a.test", true);
    assert!(admitted);
    assert_eq!(
        lines,
        "access-control-allow-origin: https://a.test\r\naccess-control-allow-methods: GET, PUT\r\n\
         access-control-allow-headers: Authorization, X-A\r\naccess-control-max-age: 600\r\n\
         vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
         Access-Control-Request-Private-Network\r\n"
    );
    assert!(preflight(&cors, "https://x.b.test", false).0);
    let want = "access-control-allow-origin: https://a.test\r\n\
                access-control-expose-headers: X-B\r\nvary: Origin\r\n";
    assert_eq!(answer(&cors, Some("https://a.test")), want);
}

#[test]
fn an_origin_that_is_not_listed_is_told_nothing_but_that_it_matters() {
    let cors = Cors::new(&spec(&["https://a.test"])).unwrap();
    for origin in ["https://b.test", "https://a.test.b.test", "http://a.test", "null", "*", ""] {
        let (admitted, lines) = preflight(&cors, origin, false);
        assert!(!admitted && !lines.contains("access-control-"), "{origin}: {lines}");
        assert_eq!(answer(&cors, Some(origin)), "vary: Origin\r\n");
    }
    assert_eq!(answer(&cors, None), "vary: Origin\r\n");
}

#[test]
fn any_origin_is_a_star_and_caches_may_keep_the_answer() {
    let cors = Cors::new(&spec(&["*"])).unwrap();
    let want = "access-control-allow-origin: *\r\naccess-control-expose-headers: X-B\r\n";
    assert_eq!(answer(&cors, Some("https://a.test")), want);
    assert_eq!(answer(&cors, None), want);
    assert!(preflight(&cors, "null", false).1.starts_with("access-control-allow-origin: *\r\n"));
}

#[test]
fn with_credentials_nothing_stands_for_everybody() {
    let with = |change: fn(&mut CorsSpec)| {
        let mut spec = CorsSpec { credentials: true, ..spec(&["https://a.test"]) };
        change(&mut spec);
        Cors::new(&spec).map_err(|error| (error.key, error.what))
    };
    let refused = |key| Err((key, CorsFault::WithCredentials));
    assert_eq!(with(|spec| spec.origins = vec!["*".to_owned()]), refused("origins"));
    assert_eq!(with(|spec| spec.origins.push("null".to_owned())), refused("origins"));
    assert_eq!(with(|spec| spec.methods = vec!["*".to_owned()]), refused("methods"));
    assert_eq!(with(|spec| spec.headers = vec!["*".to_owned()]), refused("headers"));
    assert_eq!(with(|spec| spec.expose = vec!["*".to_owned()]), refused("expose"));
    let cors = with(|_| {}).unwrap();
    let allowed = "access-control-allow-credentials: true\r\n";
    assert!(answer(&cors, Some("https://a.test")).contains(allowed));
    assert!(!answer(&cors, Some("https://b.test")).contains(allowed));
    assert!(!preflight(&cors, "https://b.test", false).1.contains(allowed));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let nothing = Cors::new(&spec(&[])).unwrap_err();
    assert_eq!((nothing.key, nothing.what), ("origins", CorsFault::Nothing));
    let error = Cors::new(&spec(&["a.test"])).unwrap_err();
    assert_eq!((error.key, error.item.as_str()), ("origins", "a.test"));
    let methods = vec!["GET\r\nx: y".to_owned()];
    let error = Cors::new(&CorsSpec { methods, ..spec(&["*"]) }).unwrap_err();
    assert_eq!((error.key, error.what), ("methods", CorsFault::Malformed));
}

#[test]
fn private_networks_are_opened_only_by_those_who_say_so() {
    let grant = "access-control-allow-private-network: true\r\n";
    let closed = Cors::new(&spec(&["https://a.test"])).unwrap();
    assert!(!preflight(&closed, "https://a.test", true).1.contains(grant));
    let open = CorsSpec { private_network: true, ..spec(&["https://a.test"]) };
    let open = Cors::new(&open).unwrap();
    assert!(preflight(&open, "https://a.test", true).1.contains(grant));
    assert!(!preflight(&open, "https://a.test", false).1.contains(grant));
    assert!(!preflight(&open, "https://b.test", true).1.contains(grant));
}

/// A head with these fields, and what its spans point into.
fn request(method: Method, fields: &[(&str, &str)]) -> (RequestHead, Vec<u8>) {
    let mut text = Vec::new();
    let mut span = |part: &str| {
        let start = text.len();
        text.extend_from_slice(part.as_bytes());
        Span::between(start, text.len())
    };
    let fields = fields.iter().map(|(name, value)| {
        let known = Known::of(name.as_bytes());
        Field { name: span(name), value: span(value), known }
    });
    let fields = fields.collect();
    (RequestHead { method, fields, ..RequestHead::default() }, text)
}

#[test]
fn only_real_preflights_are_taken_from_the_endpoint() {
    let is_preflight = |method, fields: &[(&str, &str)]| {
        let (head, text) = request(method, fields);
        Preflight::of(&head, &text).is_some()
    };
    let origin = ("Origin", "https://a.test");
    let asked = ("Access-Control-Request-Method", "PUT");
    assert!(is_preflight(Method::Options, &[origin, asked]));
    assert!(!is_preflight(Method::Options, &[origin]));
    assert!(!is_preflight(Method::Options, &[asked]));
    assert!(!is_preflight(Method::Get, &[origin, asked]));
    assert!(!is_preflight(Method::Options, &[origin, ("Origin", "https://b.test"), asked]));
    let odd = ("Access-Control-Request-Method", "P T");
    assert!(!is_preflight(Method::Options, &[origin, odd]));
}
