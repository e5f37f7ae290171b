//! The settings file that is written when there is none, made from the schema.

use std::fmt::Write as _;

use crate::base::hex;

use super::schema;
use super::schema::key::{Key, Kind, Reload};

/// Random bytes of each secret.
const SECRET_BYTES: usize = 32;

const FRONT: &str = "\
# Settings of Otus. A line with # shows a default; remove the # to change it.
# `otus check` tells every fault of this file. docs/config.md explains every key.
# Lengths of time and sizes need their unit: \"30s\", \"500ms\", \"64KiB\".
# GUFO_SERVER_PORT=8091 in the environment or in .env wins over `port` in [server].
";

const BACK: &str = "
# One table for each service that speaks the gRPC protocol `Reverse`. Its module is reached at
# /api/v3/<name>. Everything but host and port may be left out.
# [microservices.storage]
# host = \"127.0.0.1\"
# port = 4802
# timeout = \"5s\"
# stream_timeout = \"2m\"
";

/// The text of the file, with secrets from `random`.
#[must_use]
pub fn render(random: &mut dyn FnMut(&mut [u8])) -> String {
    let mut out = FRONT.to_owned();
    let mut table = "";
    for key in by_table() {
        let (own_table, name) = split(key);
        if own_table != table {
            // Writing into a text cannot fail.
            let _ = write!(out, "\n[{own_table}]\n");
            table = own_table;
        }
        let restart =
            if key.reload == Reload::Restart { " (takes effect at a restart)" } else { "" };
        let _ = writeln!(out, "# {}{restart}", key.help);
        let _ = match fixed(key.path) {
            Some(text) => writeln!(out, "{name} = {text}"),
            None => match (&key.kind, key.default) {
                // A secret that several hosts share is not made by one of them.
                (Kind::Secret, _) if key.path != "tls.ticket_secret" => {
                    writeln!(out, "{name} = \"{}\"", secret(random))
                }
                (kind, Some(default)) => writeln!(out, "# {name} = {}", as_toml(kind, default)),
                (_, None) => writeln!(out, "# {name} ="),
            },
        };
    }
    out.push_str(BACK);
    out
}

/// The keys that are written, each table in one piece: the schema may have its parts apart.
fn by_table() -> impl Iterator<Item = &'static Key> {
    let written = || schema::keys().filter(|key| is_written(key));
    let mut tables: Vec<&str> = Vec::new();
    for (table, _) in written().map(split) {
        if !tables.contains(&table) {
            tables.push(table);
        }
    }
    tables.into_iter().flat_map(move |table| written().filter(move |key| split(key).0 == table))
}

fn split(key: &'static Key) -> (&'static str, &'static str) {
    key.path.rsplit_once('.').unwrap_or(("", key.path))
}

/// Tables that mean nothing before they say whom or what they are about.
const APART: [&str; 7] =
    ["billing", "compat", "master", "otel", "rate_store", "revocation", "sentry"];

/// Whether a key stands in the file: those with an effect, and those whose absence is warned of.
fn is_written(key: &'static Key) -> bool {
    let used = !matches!(key.reload, Reload::NotYet | Reload::Kept);
    let effect = used && !key.path.contains('*') && !APART.contains(&split(key).0);
    effect || fixed(key.path).is_some()
}

/// What is written without a `#`.
fn fixed(path: &str) -> Option<&'static str> {
    match path {
        "server.ip" => Some("\"0.0.0.0\""),
        "server.port" => Some("8090"),
        "server.session" | "server.masterservice" => Some("false"),
        "security.mode" => Some("\"sign\""),
        _ => None,
    }
}

/// A default as it is written in TOML.
pub(super) fn as_toml(kind: &Kind, text: &str) -> String {
    match kind {
        Kind::Bool | Kind::Port { .. } | Kind::Integer(..) | Kind::Float(..) => text.to_owned(),
        Kind::Cidrs | Kind::Paths | Kind::Texts(_) => {
            let items = text.split(", ").filter(|item| !item.is_empty());
            let quoted: Vec<_> = items.map(|item| format!("\"{item}\"")).collect();
            format!("[{}]", quoted.join(", "))
        }
        _ => format!("\"{text}\""),
    }
}

/// Random bytes in hexadecimal digits.
fn secret(random: &mut dyn FnMut(&mut [u8])) -> String {
    let mut bytes = [0; SECRET_BYTES];
    random(&mut bytes);
    hex::text(&bytes)
}
