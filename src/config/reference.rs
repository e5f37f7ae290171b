//! The reference of every key, for `docs/config.md`, made from the schema.

use std::fmt::Write as _;

use super::default_file::as_toml;
use super::fault::Code;
use super::schema;
use super::schema::key::{Key, Kind, Reload};
use super::value::duration_text;
use crate::base::size::ByteSize;

/// Marks in `docs/config.md` between which the reference stands.
pub const MARKS: (&str, &str) = ("<!-- reference: begin -->\n", "<!-- reference: end -->\n");

/// The tables of keys, variables and codes in Markdown.
#[must_use]
pub fn render() -> String {
    let mut out = String::new();
    // Writing into a text cannot fail.
    let _ = keys(&mut out);
    let _ = variables(&mut out);
    let _ = codes(&mut out);
    out
}

fn keys(out: &mut String) -> std::fmt::Result {
    let mut table = None;
    let used = |key: &&Key| !matches!(key.reload, Reload::NotYet | Reload::Kept);
    for key in schema::keys().filter(used) {
        let (own_table, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if table != Some(own_table) {
            writeln!(out, "\n### {}\n", title(own_table))?;
            writeln!(out, "| key | value | default | reload | meaning |\n|---|---|---|---|---|")?;
            table = Some(own_table);
        }
        let (default, value, reload) = (default(key), range(&key.kind), reload(key));
        let name = if name == "*" { "<name>" } else { name };
        writeln!(out, "| `{name}` | {value} | {default} | {reload} | {} |", key.help)?;
    }
    writeln!(out, "\n### Accepted, without effect yet\n")?;
    writeln!(out, "| key | value | meaning |\n|---|---|---|")?;
    for key in schema::keys().filter(|key| key.reload == Reload::NotYet) {
        writeln!(out, "| `{}` | {} | {} |", key.path, range(&key.kind), key.help)?;
    }
    writeln!(out, "\n### Kept for Gufo's services, not used by Otus\n")?;
    writeln!(out, "| key | value | default | meaning |\n|---|---|---|---|")?;
    for key in schema::keys().filter(|key| key.reload == Reload::Kept) {
        let default = default(key);
        writeln!(out, "| `{}` | {} | {default} | {} |", key.path, range(&key.kind), key.help)?;
    }
    Ok(())
}

fn default(key: &Key) -> String {
    key.default.map_or("–".to_owned(), |text| format!("`{}`", as_toml(&key.kind, text)))
}

/// `[microservices.<name>.pool]` or `[[route]]`, as code: Markdown would swallow `<name>`.
fn title(table: &str) -> String {
    match table {
        "route.*" => "`[[route]]`".to_owned(),
        _ if table.starts_with("route.*.") => format!("`[{}]`", table.replace("*.", "")),
        _ => format!("`[{}]`", table.replace('*', "<name>")),
    }
}

fn reload(key: &Key) -> &'static str {
    match key.reload {
        Reload::Live => "live",
        Reload::Restart => "restart",
        Reload::NotYet | Reload::Kept => "–",
    }
}

/// What a value of this kind is, with its range.
fn range(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Switch(words) => {
            let quoted: Vec<_> = words.iter().map(|word| format!(", `\"{word}\"`")).collect();
            format!("`true`, `false`{}", quoted.concat())
        }
        Kind::Text => "text".to_owned(),
        Kind::Secret => "text, never shown".to_owned(),
        Kind::Port { zero: true } => "0 (any free) to 65535".to_owned(),
        Kind::Port { zero: false } => "1 to 65535".to_owned(),
        Kind::Ip => "IP address".to_owned(),
        Kind::Host => "name or IP address".to_owned(),
        Kind::AddressOrOff => "`\"address:port\"` or `\"off\"`".to_owned(),
        Kind::Integer(min, max) => format!("{min} to {max}"),
        Kind::Float(min, max) => format!("{min:?} to {max:?}"),
        Kind::Duration(span) => {
            let off = if span.off { ", `\"off\"`" } else { "" };
            let bare = if span.bare_seconds { "; a bare number: seconds" } else { "" };
            format!("{} to {}{off}{bare}", duration_text(span.min), duration_text(span.max))
        }
        Kind::Size { min, max, none } => {
            let none = none.map_or(String::new(), |word| format!(", `\"{word}\"`"));
            match *max {
                u64::MAX => format!("{} or more{none}", ByteSize(*min)),
                max => format!("{} to {}{none}", ByteSize(*min), ByteSize(max)),
            }
        }
        Kind::Choice(words) => {
            let quoted: Vec<_> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            quoted.join(", ")
        }
        Kind::Workers => "`\"auto\"`, 1 to 1024, or a list such as `[0, 2]`".to_owned(),
        Kind::Cidrs => "list of ranges such as `\"10.0.0.0/8\"`".to_owned(),
        Kind::Paths => "list of paths".to_owned(),
        Kind::Texts(what) => format!("list of {what}, or one"),
        Kind::Path => "path".to_owned(),
        Kind::Log => "`\"stdout\"`, `\"stderr\"`, `\"off\"`, or the path of a file".to_owned(),
        Kind::Congestion => "`\"auto\"`, `\"system\"` or a name such as `\"bbr\"`".to_owned(),
    }
}

fn variables(out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n### Variables with names of their own\n")?;
    writeln!(out, "| variable | key |\n|---|---|")?;
    for (variable, path) in schema::VARIABLES {
        writeln!(out, "| `{variable}` | `{path}` |")?;
    }
    Ok(())
}

fn codes(out: &mut String) -> std::fmt::Result {
    writeln!(out, "\n### Codes\n\n| code | meaning |\n|---|---|")?;
    for code in Code::ALL {
        writeln!(out, "| {} | {} |", code.text(), code.meaning())?;
    }
    Ok(())
}
