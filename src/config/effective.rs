//! The configuration as it took effect, for operators: every key with its value and where that came
//! from. Secrets are masked.

use std::fmt::Display;
use std::sync::Arc;

use super::place::{Origin, Place};
use super::schema;
use super::schema::key::Kind;
use super::value::Value;
use super::values::Config;
use crate::base::decimal;
use crate::gufo::json::put_string;

impl Config {
    /// A JSON object of `{"key": {"value": ..., "origin": "..."}}`.
    pub(super) fn effective(&self) -> Arc<str> {
        let mut out = b"{".to_vec();
        let plain = schema::keys().filter(|key| !key.path.contains('*'));
        let plain = plain.filter(|key| key.default.is_some()).map(|key| key.path.to_owned());
        let mut paths: Vec<String> = plain.chain(self.values.keys().cloned()).collect();
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            if out.len() > 1 {
                out.push(b',');
            }
            put_string(&mut out, &path);
            out.extend_from_slice(b":{\"value\":");
            let is_secret = self.sealed.contains_key(&path)
                || schema::find(&path).is_none_or(|key| matches!(key.kind, Kind::Secret));
            match self.value(&path) {
                Some(value) if !is_secret => put_value(&mut out, &value),
                Some(_) => put_string(&mut out, "***"),
                None => out.extend_from_slice(b"null"),
            }
            out.extend_from_slice(b",\"origin\":");
            put_string(&mut out, &self.origin_text(&path));
            out.push(b'}');
        }
        out.push(b'}');
        String::from_utf8(out).unwrap_or_default().into()
    }

    fn origin_text(&self, path: &str) -> String {
        let origin = self.origin(path);
        if origin == Origin::Default {
            return "default".to_owned();
        }
        match self.files.place(&origin) {
            Place::Line(at) => format!("{}:{}", at.file, at.line),
            Place::File(name) => name,
            Place::Variable(name) => format!("variable {name}"),
        }
    }
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Integer(number) => decimal::push(out, *number),
        Value::Float(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Size(Some(bytes)) => decimal::push(out, *bytes),
        Value::Text(text) => put_string(out, text),
        Value::Secret(_) => put_string(out, "***"),
        Value::Ip(ip) => put_string(out, &ip.to_string()),
        Value::Address(Some(address)) => put_string(out, &address.to_string()),
        Value::Duration(Some(length)) => put_string(out, &format!("{length:?}")),
        Value::Workers(workers) => put_string(out, &format!("{workers:?}")),
        Value::Log(Some(target)) => put_string(out, &format!("{target:?}")),
        Value::Congestion(name) => put_string(out, &format!("{name:?}")),
        Value::Cidrs(list) => put_list(out, list),
        Value::Paths(list) | Value::Texts(list) => put_list(out, list),
        Value::Address(None) | Value::Duration(None) | Value::Size(None) | Value::Log(None) => {
            out.extend_from_slice(b"null");
        }
    }
}

fn put_list<T: Display>(out: &mut Vec<u8>, list: &[T]) {
    out.push(b'[');
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_string(out, &item.to_string());
    }
    out.push(b']');
}
