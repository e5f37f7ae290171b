//! `otus explain`: what becomes of a request, and why.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::args::ExplainArgs;
use crate::config::fault::Faults;
use crate::config::load::load;
use crate::config::source::{self, PATHS, Source};
use crate::message::head::{Field, Method, Span};
use crate::message::known::Known;
use crate::message::path;
use crate::message::path::oddities::Oddities;
use crate::message::{authority, target};
use crate::route::explain::{Loss, Rank};
use crate::route::rule::{Facts, Headers, Match, RouteId};
use crate::route::select::{Refusal, Scratch, Selected};
use crate::snapshot::Snapshot;
use crate::snapshot::route::{Action, Route};
use crate::snapshot::upstream::{Endpoint, Protocol};

/// Prints the winner, each loser and why, the path, the upstream and the timeouts. The status is 1
/// if the request would be refused, or cannot be understood.
pub fn run(args: &ExplainArgs, out: &mut dyn Write) -> ExitCode {
    let Some(file) = args.config.clone().or_else(source::find) else {
        let [first, second] = PATHS;
        let _ = writeln!(out, "there is no {first} and no {second}; `otus start` writes one");
        return ExitCode::FAILURE;
    };
    let (text, is_served) = match (compile(&file), Asked::read(args)) {
        (Ok(snapshot), Ok(asked)) => asked.explain(&snapshot),
        (Err(faults), _) => (faults.to_string(), false),
        (_, Err(message)) => (format!("{message}\n"), false),
    };
    // Nobody is left to tell that the output is closed.
    let _ = out.write_all(text.as_bytes());
    if is_served { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compile(file: &Path) -> Result<Snapshot, Faults> {
    let (config, _) = load(Source::read(file)?)?;
    // Names are not resolved: where a request goes does not depend on it.
    let unresolved = |_: &str, port| Ok(vec![([0, 0, 0, 0], port).into()]);
    config.compile(1, &unresolved).map(|(snapshot, _)| snapshot)
}

/// The request that was asked about, with a buffer for what its spans point into.
struct Asked {
    bytes: Vec<u8>,
    method: Span,
    host: Span,
    path: Span,
    query: bool,
    fields: Vec<Field>,
}

impl Asked {
    fn read(args: &ExplainArgs) -> Result<Asked, String> {
        let mut bytes = Vec::new();
        let mut append = |text: &str| {
            let start = bytes.len();
            bytes.extend_from_slice(text.as_bytes());
            Span::between(start, bytes.len())
        };
        let (method, url) = (append(&args.method), append(&args.url));
        let mut fields = Vec::new();
        for header in &args.headers {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| format!("-H \"{header}\" is no field; write -H 'Name: value'"))?;
            let known = Known::of(name.as_bytes());
            fields.push(Field { name: append(name), value: append(value.trim()), known });
        }
        if !url.of(&bytes).iter().copied().all(target::is_target_byte) {
            return Err(format!("\"{}\" has characters that no URL has; escape them", args.url));
        }
        let parsed = target::parse(Method::of(method.of(&bytes)), &bytes, url);
        let parsed = parsed.map_err(|_| {
            format!("\"{}\" is no URL; write http://host/path, or /path with -H Host", args.url)
        })?;
        let given = fields.iter().find(|field| field.known == Known::Host).map(|f| f.value);
        let host = match (parsed.authority, given) {
            (Some((span, authority)), _) => {
                Span::between(span.start(), span.start() + authority.host_len)
            }
            (None, Some(span)) => {
                let authority = authority::parse(span.of(&bytes));
                let authority = authority.map_err(|_| "the Host is no host".to_owned())?;
                Span::between(span.start(), span.start() + authority.host_len)
            }
            (None, None) => Span::EMPTY,
        };
        let query = parsed.query.is_some();
        Ok(Asked { bytes, method, host, path: parsed.path, query, fields })
    }

    fn facts(&self) -> Facts<'_> {
        let method_text = self.method.of(&self.bytes);
        Facts {
            host: self.host.of(&self.bytes),
            path: self.path.of(&self.bytes),
            method: Method::of(method_text),
            method_text,
            headers: Headers { fields: &self.fields, bytes: &self.bytes },
        }
    }

    /// What becomes of it, and whether it is served.
    fn explain(&self, snapshot: &Snapshot) -> (String, bool) {
        if snapshot.routes.is_empty() {
            return (self.explain_gufo(snapshot), true);
        }
        let facts = self.facts();
        let mut scratch = Scratch::default();
        let mut text = String::new();
        let selected = snapshot.routes.table().select(&facts, &mut scratch);
        match selected {
            Ok(Selected { found, path }) => {
                let facts = facts.with_path(path);
                winner(&mut text, snapshot, found.route);
                losers(&mut text, snapshot, &facts);
                self.fate(&mut text, snapshot, &found, path);
            }
            Err(refusal) => {
                let mut buffer = Vec::new();
                let normal = path::normalise(facts.path, &mut buffer);
                let facts = facts.with_path(normal.map_or(facts.path, |normal| normal.text));
                refused(&mut text, snapshot, refusal, &facts);
                if normal.is_ok() {
                    losers(&mut text, snapshot, &facts);
                }
            }
        }
        (text, selected.is_ok())
    }

    /// Without routes, only the Gufo surface is served.
    fn explain_gufo(&self, snapshot: &Snapshot) -> String {
        let path = self.path.of(&self.bytes);
        let below = |prefix: &str| {
            let rest = path.strip_prefix(prefix.as_bytes());
            rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        };
        let base = snapshot.gufo.bases.iter().find(|base| below(&base.prefix));
        match (base, snapshot.gufo.upload_route(path)) {
            (Some(base), _) => format!("route      a module of Gufo, below {}\n", base.prefix),
            (None, Some(route)) => {
                format!("route      {}: an upload to {}\n", route.id, route.module)
            }
            (None, None) => "route      none: 404 (there are no routes)\n".to_owned(),
        }
    }

    /// What is done with a request that takes a route.
    fn fate(&self, text: &mut String, snapshot: &Snapshot, found: &Match, path: &[u8]) {
        let Some(route) = snapshot.routes.get(found.route) else { return };
        let mut new = Vec::new();
        let sent = self.path.of(&self.bytes);
        line(text, "path", &sent.escape_ascii().to_string());
        if path != sent {
            line(text, "  normal", &path.escape_ascii().to_string());
        }
        if route.rewrite.apply(path, found, &mut new).is_err() {
            line(text, "result", "400: the rewritten path would have dot segments");
            return;
        }
        if new != path {
            line(text, "  becomes", &new.escape_ascii().to_string());
        }
        let table = snapshot.routes.table();
        let policy = table.rule(found.route).map_or("", |rule| rule.path_policy.name());
        let name = |number: usize| {
            let profile = snapshot.auth.profiles.get(number);
            profile.map_or_else(String::new, |profile| profile.name.clone())
        };
        let asked = route.policies.iter().flat_map(|policies| policies.steps(name));
        let steps: Vec<_> = [format!("path_policy {policy}")].into_iter().chain(asked).collect();
        line(text, "policies", &steps.join(" → "));
        match &route.action {
            Action::Proxy(id) => {
                let Some(upstream) = snapshot.upstream(*id) else { return };
                let scheme = match (upstream.protocol, &upstream.tls) {
                    (Protocol::Grpc, _) => "grpc",
                    (Protocol::Http1, Some(_)) => "https",
                    (Protocol::Http1, None) => "http",
                };
                let names = upstream.origins.iter().map(ToString::to_string);
                let mut endpoints: Vec<_> = names.collect();
                if endpoints.is_empty() {
                    endpoints.extend(upstream.endpoints.iter().map(Endpoint::authority));
                }
                let balance = upstream.balance.name();
                let what =
                    format!("{} {scheme}://{} {balance}", upstream.name, endpoints.join(","));
                line(text, "upstream", &what);
                timeouts(text, route);
            }
            Action::Redirect(redirect) => {
                let mut location = Vec::new();
                redirect.location(&new, self.query.then_some(b"..."), &mut location);
                let what = format!("{} {}", redirect.status, location.escape_ascii());
                line(text, "redirect", &what);
            }
            Action::Reply(status) => line(text, "reply", &status.to_string()),
            Action::Gufo(_) => line(text, "gufo", "a module of the Gufo surface"),
            Action::Upload(_) => line(text, "gufo", "an upload to a module"),
        }
    }
}

fn line(text: &mut String, name: &str, what: &str) {
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{name:<10} {what}");
}

fn winner(text: &mut String, snapshot: &Snapshot, id: RouteId) {
    if let Some(route) = snapshot.routes.get(id) {
        line(text, "route", &format!("{:<24} {}", route.id, route.place));
    }
}

fn losers(text: &mut String, snapshot: &Snapshot, facts: &Facts<'_>) {
    let table = snapshot.routes.table();
    for (id, loss) in table.explain(facts).losers {
        let (Some(route), Some(rule)) = (snapshot.routes.get(id), table.rule(id)) else { continue };
        let why = match loss {
            Loss::Host => format!("only host {}", rule.host),
            Loss::Path => format!("only path {}", rule.path),
            Loss::Method => format!("only method {}", rule.methods.text()),
            Loss::Header(place) => {
                let header = rule.headers.get(place);
                let name = header.map_or("", |header| header.name.as_str());
                match header.and_then(|header| header.value.as_deref()) {
                    Some(value) => format!("only with {name}: {value}"),
                    None => format!("only with {name}"),
                }
            }
            Loss::Rank(rank) => format!("matches, but {}", rank_text(rank)),
        };
        line(text, "  lost", &format!("{:<24} {why}", route.id));
    }
}

const fn rank_text(rank: Rank) -> &'static str {
    match rank {
        Rank::Host => "its host is less exact",
        Rank::Exact => "its path is a prefix",
        Rank::Length => "its prefix is shorter",
        Rank::Segments => "its prefix is compared as a string",
        Rank::Literal => "it has a parameter where the winner has a literal",
        Rank::Conditions => "it has fewer conditions",
        Rank::Priority => "its priority is lower",
        Rank::Order => "it stands behind the winner",
    }
}

fn refused(text: &mut String, snapshot: &Snapshot, refusal: Refusal, facts: &Facts<'_>) {
    let table = snapshot.routes.table();
    let what = match refusal {
        Refusal::Path(error) => format!("400: no path is like this: {}", error.text()),
        Refusal::Odd(oddities) => {
            let id = table.find(facts).map(|found| found.route);
            let route = id.and_then(|id| snapshot.routes.get(id));
            let policy = id.and_then(|id| table.rule(id)).map_or("", |r| r.path_policy.name());
            let name = route.map_or("", |route| route.id.as_str());
            let way_out = if oddities == Oddities::DELIMITER {
                "; the path before it leads to another route"
            } else {
                ""
            };
            format!("400: path_policy {policy} of {name}: {}{way_out}", oddities.text())
        }
        Refusal::NoRoute => {
            let allowed = table.allowed(facts);
            if allowed.is_any() {
                "404: no route matches".to_owned()
            } else {
                format!("405: only {}", allowed.text())
            }
        }
    };
    line(text, "route", &format!("none: {what}"));
}

fn timeouts(text: &mut String, route: &Route) {
    let shown = |length: Duration| format!("{length:?}");
    let times = &route.timeouts;
    let total = times.total.map_or_else(|| "none".to_owned(), shown);
    let what = format!(
        "connect {} · first byte {} · idle {} · total {total}",
        shown(times.connect),
        shown(times.first_byte),
        shown(times.idle)
    );
    line(text, "timeouts", &what);
}

#[cfg(test)]
mod tests;
