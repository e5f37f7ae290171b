//! Facts about what routes share, as operators write it.

use std::io;
use std::time::Duration;

use super::*;
use crate::config::load::load;
use crate::config::source::Source;
use crate::policy::auth::profile::Proof;
use crate::policy::people::iam::permissions::AdminRule;
use crate::snapshot::Snapshot;

const UPSTREAMS: &str = "upstreams.a.endpoints = \"127.0.0.1:1\"\n\
                         upstreams.g = { endpoints = \"127.0.0.1:2\", protocol = \"grpc\" }\n";

fn source(text: &str) -> Source {
    let (path, text) = ("s.toml".to_owned(), format!("{UPSTREAMS}{text}"));
    Source { path, text, ..Source::default() }
}

#[track_caller]
fn compiled(text: &str) -> Snapshot {
    let (config, notes) = load(source(text)).unwrap_or_else(|faults| panic!("{faults}"));
    assert!(notes.is_empty(), "{notes:?}");
    let nobody = |_: &str, _| Err(io::Error::new(io::ErrorKind::NotFound, "nobody"));
    config.compile(1, &nobody).unwrap().0
}

/// `line code message` of the only fault, counted from behind the upstreams.
#[track_caller]
fn fault(text: &str) -> String {
    let faults = load(source(text)).expect_err("no fault was found");
    assert_eq!(faults.list().len(), 1, "{faults}");
    faults.list()[0].line()
}

#[test]
fn identity_fields_are_taken_away_unless_somebody_says_otherwise() {
    assert!(compiled("").people.strip);
    assert!(!compiled("identity.strip = false").people.strip);
}

#[test]
fn routes_name_what_they_ask_for() {
    let snapshot = compiled(
        "bots.one.deny = [\"x\"]\nbots.two.patterns = [\"(?i)bot\"]\n\
         widgets.page = { origins = [\"a.example\"], per_client = 3 }\n\
         billing = { upstream = \"a\", token = \"t\", on_error = \"closed\" }\n\
         [[route]]\nid = \"r\"\nupstream = \"a\"\nbots = \"two\"\nwidget = \"page\"\n\
         billing = true\n\
         [[route]]\nid = \"s\"\nupstream = \"a\"\nmatch.path = \"/s\"\n",
    );
    let rule = snapshot.routes.list()[0].policies.as_ref().unwrap().people.clone().unwrap();
    assert_eq!((rule.bots, rule.widget, rule.billing), (Some(1), Some(0), true));
    assert!(snapshot.routes.list()[1].policies.is_none(), "a plain route pays for nothing");
    let people = &snapshot.people;
    assert_eq!(people.widgets[0].origins, ["a.example"]);
    let billing = people.billing.as_ref().unwrap();
    assert_eq!(billing.rule.on_error, OnError::Closed);
    assert_eq!(billing.rule.exempt, ["/v1/commerce"]);
    assert!(billing.token.matches(b"t"));
    assert_eq!(billing.keep.allowed_for, Duration::from_secs(10));
}

#[test]
fn filters_of_revocations_have_the_size_that_was_asked_for() {
    assert_eq!(compiled("").people.revocations, None);
    let text = "revocation = { token_keys = [\"jti\"], elements = 1000, false_positives = 0.01 }";
    let revocations = compiled(text).people.revocations.unwrap();
    assert_eq!(revocations.rule().shape.bits, 9586);
    assert_eq!(revocations.rule().ttl, Duration::from_hours(1));
}

#[test]
fn profiles_of_people_have_defaults_of_their_own() {
    let snapshot = compiled(
        "auth.k = { kind = \"api_key\", upstream = \"g\" }\n\
         [auth.i]\nkind = \"iam\"\nurl = \"http://127.0.0.1:1/k\"\nsubject = \"uid\"\n\
         public_paths = [\"/healthz\"]\nadmin_bit = \"any_admin\"\n",
    );
    let [iam, keys] = &snapshot.auth.profiles[..] else { panic!("two profiles") };
    assert_eq!(iam.places.fields, ["authorization", "x-authorization"]);
    assert_eq!((iam.places.cookies.len(), iam.places.basic), (4, true));
    assert!(iam.passed.is_empty(), "no key passes by its beginning alone");
    assert!(iam.public.contains(b"", b"/healthz") && keys.public.is_empty());
    let Proof::Token { rules, .. } = &iam.proof else { panic!("{:?}", iam.proof) };
    assert_eq!(rules.iam, Some(AdminRule::AnyAdmin));
    assert_eq!((rules.algorithms.len(), rules.key_name_needed), (9, false));
    assert_eq!(rules.claims.leeway, Duration::from_mins(2));
    assert_eq!(rules.claims.subject.len(), 1, "what is written counts");
    assert_eq!(
        (&keys.places.fields[..], keys.places.basic),
        (&["authorization".to_owned()][..], false)
    );
    assert_eq!(keys.proof, Proof::Key(0));
    let service = &snapshot.people.key_services[0];
    assert_eq!((service.name.as_str(), service.keep.allowed), ("k", 10_000));
    assert_eq!(service.keep.allowed_for, Duration::from_secs(30));
}

#[test]
fn mistakes_are_told_where_they_are() {
    let route = "[[route]]\nid = \"r\"\nupstream = \"a\"\n";
    for (text, want) in [
        ("bots.b.patterns = [\"a\", \"(\"]\n".to_owned(), "`patterns`: 2: error: unclosed group"),
        (format!("{route}bots = \"b\"\n"), "there is no [bots.b]"),
        (format!("{route}widget = \"w\"\n"), "there is no [widgets.w]"),
        (format!("{route}billing = true\n"), "nobody is asked who can pay"),
        ("billing.token = \"t\"\n".to_owned(), "[billing] does not say who is asked"),
        ("billing.upstream = \"b\"\n".to_owned(), "there is no upstream \"b\""),
        ("billing.upstream = \"g\"\n".to_owned(), "upstream \"g\" does not speak http"),
        (
            "billing = { upstream = \"a\", exempt = [\"x\"] }\n".to_owned(),
            "\"x\" is no beginning of a path",
        ),
        ("revocation.ttl = \"2h\"\n".to_owned(), "nothing can be revoked"),
        ("auth.k.kind = \"api_key\"\n".to_owned(), "[auth.k] does not say who is asked"),
        (
            "auth.k = { kind = \"api_key\", upstream = \"a\" }\n".to_owned(),
            "upstream \"a\" does not speak grpc",
        ),
        (
            "identity.strip = false\nauth.k = { kind = \"api_key\", upstream = \"g\" }\n"
                .to_owned(),
            "clients could write what [auth.k] tells",
        ),
        (
            "[revocation]\ntoken_keys = [\"jti\"]\nelements = 30000000\nfalse_positives = 1e-12\n"
                .to_owned(),
            "more than 128 MiB each",
        ),
    ] {
        let told = fault(&text);
        assert!(told.contains(want), "{told}");
    }
}
