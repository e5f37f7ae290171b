//! The keys of what is asked of an identity and told of it.

use crate::config::fault::Code;
use crate::config::routes::Reader;
use crate::policy::auth::path::ClaimPath;
use crate::policy::people::PeopleRule;

/// Kinds of profiles whose proof is a token with claims.
const CLAIM_KINDS: [&str; 3] = ["jwt", "hs256", "iam"];

/// What a route asks for; `None`: nothing.
pub(super) fn read(reader: &mut Reader<'_>, number: &str, claims: &[String]) -> Option<PeopleRule> {
    if !claims.is_empty() && reader.whole {
        check_claims(reader, number);
    }
    let rule = PeopleRule {
        bots: place(reader, number, "bots", "bots"),
        widget: place(reader, number, "widget", "widgets"),
        billing: bills(reader, number),
        path_claims: claims.iter().map(ClaimPath::new).collect(),
    };
    (rule != PeopleRule::default()).then_some(rule)
}

/// Complains of a path with claims where nobody would have them, or nobody would get it.
fn check_claims(reader: &mut Reader<'_>, number: &str) {
    let path = format!("route.{number}.rewrite");
    if !reader.given(number, "upstream") {
        let message = "`rewrite` names a claim, and nothing is forwarded";
        reader.find(Code::Contradiction, &path, message, "write the path without {JWT.…}");
        return;
    }
    let config = reader.config;
    let names = config.texts(&format!("route.{number}.auth"));
    let has_claims = |name: &String| {
        let kind = config.text(&format!("auth.{name}.kind"));
        kind.is_some_and(|kind| CLAIM_KINDS.contains(&kind.as_str()))
    };
    if !names.iter().any(has_claims) {
        let message =
            "`rewrite` names a claim of a token, and `auth` asks for no token that has any";
        let way_out = "write auth = [\"<name>\"] with the name of a profile of kind jwt, hs256 or \
                       iam, or write the path without {JWT.…}";
        reader.find(Code::Contradiction, &path, message, way_out);
    }
}

/// The place of the named table among all of its kind.
fn place(reader: &mut Reader<'_>, number: &str, key: &str, table: &str) -> Option<usize> {
    let name = reader.text(number, key)?;
    let place = reader.config.names(table).iter().position(|own| *own == name);
    if place.is_none() && reader.whole {
        let message = format!("there is no [{table}.{name}]");
        let path = format!("route.{number}.{key}");
        reader.find(Code::Dangling, &path, &message, &format!("write [{table}.{name}]"));
    }
    place
}

fn bills(reader: &mut Reader<'_>, number: &str) -> bool {
    let path = format!("route.{number}.billing");
    if reader.config.boolean(&path) != Some(true) {
        return false;
    }
    if reader.whole && !reader.config.is_given("billing.upstream") {
        let way_out = "write upstream = \"...\" in [billing]";
        reader.find(Code::Dangling, &path, "nobody is asked who can pay", way_out);
    }
    true
}
