//! From requests in any dialect to calls, and from answers back.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prost::Message;
use prost_types::value::Kind;
use prost_types::{Any, ListValue, Struct};
use serde_json::{Map, Number, Value, json};

use super::guard::Shown;
use super::keeper::Answer;
use crate::gufo::arguments::{Argument, ArgumentValue};
use crate::gufo::trust::arguments_digest;
use crate::master::call::{Call, Inner};
use crate::master::fault::Fault;
use crate::proto::{reverse_ab, reverse_c};

/// The type of an `Any` that holds a JSON value (SPEC 4.4).
const BYTES_VALUE: &str = "type.googleapis.com/google.protobuf.BytesValue";

/// A request of any dialect, and what it is signed with.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) call: Call,
    sign: String,
    path: String,
    method: String,
    digest: [u8; 32],
}

impl Heard {
    /// What the request shows to prove whose it is.
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown {
            sign: &self.sign,
            module: &self.call.module,
            path: &self.path,
            method: &self.method,
            digest: self.digest,
        }
    }
}

/// A request of dialect A or B.
pub(super) fn heard_ab(request: reverse_ab::Request) -> Heard {
    let path = path(&[&request.param, &request.param_id, &request.param_idd]);
    let digest = digest(&request.args, None);
    let inner = request.ir.or_else(|| {
        // In dialect B these are names of files, which are no requests or at least name no action.
        request
            .either
            .iter()
            .find_map(|bytes| reverse_ab::InternalRequest::decode(bytes.as_slice()).ok())
    });
    let inner = inner.map(|inner| Inner {
        param: inner.param,
        param_id: inner.param_id,
        method: inner.method.to_ascii_uppercase(),
        args: values(&inner.args),
    });
    let call = Call {
        module: request.module,
        param: request.param,
        param_id: request.param_id,
        method: request.method.to_ascii_uppercase(),
        args: values(&request.args),
        inner,
    };
    Heard { call, sign: request.sign, path, method: request.method, digest }
}

/// A request of dialect C.
pub(super) fn heard_c(request: reverse_c::Request) -> Heard {
    let path = path(&[&request.param, &request.param_id, &request.param_idd]);
    let method = match request.method() {
        reverse_c::Method::Unspecified => "",
        method => method.as_str_name(),
    };
    let method = method.to_owned();
    let body = request.body.as_ref();
    let body_text = body.and_then(json_text).unwrap_or_default();
    let query: Vec<Argument<'_>> = request
        .query
        .iter()
        .map(|(name, text)| Argument {
            name: Cow::Borrowed(name),
            value: ArgumentValue::Text(Cow::Borrowed(text)),
        })
        .collect();
    let body_text = str::from_utf8(&body_text).ok().filter(|text| !text.is_empty());
    let digest = arguments_digest(&query, body_text);
    let texts = request.query.iter();
    let mut args: Map<String, Value> =
        texts.map(|(name, text)| (name.clone(), Value::String(text.clone()))).collect();
    if let Some(Value::Object(members)) = body.and_then(value) {
        args.extend(members);
    }
    let call = Call {
        module: request.module,
        param: request.param,
        param_id: request.param_id,
        method: method.clone(),
        args,
        inner: None,
    };
    Heard { call, sign: request.auth.unwrap_or_default().sign, path, method, digest }
}

fn path(parts: &[&str]) -> String {
    let given: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    given.join("/")
}

fn digest(args: &BTreeMap<String, Any>, body: Option<&str>) -> [u8; 32] {
    let texts: Vec<(&String, Vec<u8>)> =
        args.iter().filter_map(|(name, any)| Some((name, json_text(any)?))).collect();
    let arguments: Vec<Argument<'_>> = texts
        .iter()
        .filter_map(|(name, text)| {
            let value = ArgumentValue::Json(str::from_utf8(text).ok()?);
            Some(Argument { name: Cow::Borrowed(name), value })
        })
        .collect();
    arguments_digest(&arguments, body)
}

/// The JSON text that an argument is, if it is one.
fn json_text(any: &Any) -> Option<Vec<u8>> {
    let is_bytes = type_of(any) == "google.protobuf.BytesValue";
    // `Vec<u8>` is prost's BytesValue.
    if is_bytes { Vec::<u8>::decode(any.value.as_slice()).ok() } else { None }
}

fn type_of(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

fn values(args: &BTreeMap<String, Any>) -> Map<String, Value> {
    args.iter().filter_map(|(name, any)| Some((name.clone(), value(any)?))).collect()
}

/// The value that an argument holds; `None`: it is of a type that holds none.
fn value(any: &Any) -> Option<Value> {
    let bytes = any.value.as_slice();
    match type_of(any) {
        "google.protobuf.BytesValue" => {
            let text = Vec::<u8>::decode(bytes).ok()?;
            let as_text = || Value::String(String::from_utf8_lossy(&text).into_owned());
            Some(serde_json::from_slice(&text).unwrap_or_else(|_| as_text()))
        }
        "google.protobuf.StringValue" => String::decode(bytes).ok().map(Value::String),
        "google.protobuf.Struct" => Struct::decode(bytes).ok().map(object),
        "google.protobuf.Value" => prost_types::Value::decode(bytes).ok().map(plain),
        "google.protobuf.ListValue" => ListValue::decode(bytes).ok().map(list),
        _ => None,
    }
}

/// Nesting ends where prost's decoder ends it.
fn plain(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => {
            Number::from_f64(number).map_or(Value::Null, Value::Number)
        }
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::BoolValue(flag)) => Value::Bool(flag),
        Some(Kind::StructValue(fields)) => object(fields),
        Some(Kind::ListValue(items)) => list(items),
    }
}

fn object(value: Struct) -> Value {
    Value::Object(value.fields.into_iter().map(|(name, value)| (name, plain(value))).collect())
}

fn list(value: ListValue) -> Value {
    Value::Array(value.values.into_iter().map(plain).collect())
}

/// An answer in dialect A or B: faults are data (SPEC 4.8).
pub(super) fn said_ab(answer: Answer) -> reverse_ab::Response {
    reverse_ab::Response { data: encoded(answer.unwrap_or_else(|fault| fault_data(&fault))) }
}

/// An answer in dialect C. Faults are data as well, for gateways that look there.
pub(super) fn said_c(answer: Answer) -> reverse_c::Response {
    let fault = match answer {
        Ok(data) => return reverse_c::Response { data: encoded(data), ..Default::default() },
        Err(fault) => fault,
    };
    let error = reverse_c::Error {
        code: fault.code.parse().unwrap_or(0),
        key: fault.code.to_owned(),
        message: fault.message.clone().into_owned(),
        retryable: fault.status == 503,
        ..Default::default()
    };
    let meta = reverse_c::ResponseMeta { status: fault.status.into(), ..Default::default() };
    reverse_c::Response {
        data: encoded(fault_data(&fault)),
        error: Some(error),
        meta: Some(meta),
        ..Default::default()
    }
}

fn fault_data(fault: &Fault) -> Map<String, Value> {
    let data = json!({
        "httpcode": fault.status, "code": fault.code, "message": fault.message.as_ref(),
    });
    if let Value::Object(map) = data { map } else { Map::new() }
}

fn encoded(data: Map<String, Value>) -> BTreeMap<String, Any> {
    let entries = data.into_iter().map(|(name, value)| {
        let value = value.to_string().into_bytes().encode_to_vec();
        (name, Any { type_url: BYTES_VALUE.to_owned(), value })
    });
    entries.collect()
}

#[cfg(test)]
mod tests;
