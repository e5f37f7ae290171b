//! The bridge to a module that speaks MCP: JSON-RPC in and out, byte for byte (SPEC 5.5).

use crate::gufo::json;
use crate::gufo::request::Call;
use crate::io::Io;

use super::body::RequestBody;
use super::call::{self, Memory, with_call};
use super::exchange::{Exchange, Target};
use super::reason::{Blame, Reason};
use super::record::Record;
use super::reply::Reply;
use super::session;
use super::trust;

/// The value of the service's answer that is ours.
const ANSWER: &str = "mcp";
/// "Internal error" of JSON-RPC.
const INTERNAL: &str = "-32603";

/// Hands a message to the module, and its answer to the client. `memory` is empty.
pub(super) async fn run<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    body: &mut RequestBody<'_, I>,
    memory: &mut Memory,
    record: &mut Record,
) -> Result<Reply, Reason> {
    memory.collect(body).await?;
    trust::check(exchange, &target.path, target.shown, memory.body()).await?;
    session::check(exchange, target).await?;
    if json::value(memory.body()).is_err() {
        return Ok(Reply::text(400, "the body is not JSON\n"));
    }
    let id = id_of(memory.body());
    let result = ask(exchange, target, memory, record).await;
    let reason = match result {
        Ok(()) => match answer_of(memory) {
            Some(answer) => return Ok(Reply::json(200, answer)),
            // A notification has no answer.
            None if id.is_none() && memory.answer().status() < 400 => {
                return Ok(Reply::empty(202));
            }
            None => Reason::AnswerMalformed,
        },
        Err(reason) if reason.row().blame == Blame::Client => return Err(reason),
        Err(reason) => reason,
    };
    Ok(Reply::json(502, failure(id.as_deref().unwrap_or("null"), reason)))
}

async fn ask<I: Io>(
    exchange: &Exchange<'_, I>,
    target: &Target<'_>,
    memory: &mut Memory,
    record: &mut Record,
) -> Result<(), Reason> {
    let (head, text) = (exchange.head, exchange.text);
    let api_token = head.by_name(text, "x-api-token").and_then(|own| str::from_utf8(own).ok());
    let meta = [("mcp", "true"), ("x_api_token", api_token.unwrap_or_default())];
    let meta = meta.get(..1 + usize::from(api_token.is_some())).unwrap_or_default();
    let json = memory.take_body();
    let body = str::from_utf8(&json).map_err(|_| Reason::BodyMalformed)?;
    with_call(exchange, target, &[], Some(body), |call| {
        let mut call = Call { meta, ..*call };
        if let (None, Some(token)) = (call.token, api_token) {
            (call.token, call.token_type) = (Some(token), Some("ApiToken"));
        }
        memory.encode(&call, target.module.dialect)
    })?;
    drop(json);
    call::ask(exchange, target, memory, record).await
}

/// The answer as its service wrote it. A text is taken for JSON that was wrapped once more.
fn answer_of(memory: &Memory) -> Option<Vec<u8>> {
    let value = memory.answer().value(ANSWER)?;
    match json::string(value) {
        Some(text) => Some(text.into_owned().into_bytes()),
        None => Some(value.as_bytes().to_vec()),
    }
}

/// The `id` of a request, as it was written. A list of requests has none.
fn id_of(body: &[u8]) -> Option<String> {
    let members = json::members(body).ok()?;
    let id = members.iter().find(|member| member.key == "id")?.value;
    let first = id.bytes().next()?;
    (first == b'"' || first == b'-' || first.is_ascii_digit()).then(|| id.to_owned())
}

fn failure(id: &str, reason: Reason) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    for part in ["{\"jsonrpc\":\"2.0\",\"id\":", id, ",\"error\":{\"code\":", INTERNAL] {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b",\"message\":");
    json::put_string(&mut out, reason.row().detail);
    out.extend_from_slice(b"}}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_as_it_was_written() {
        for (body, want) in [
            (r#"{"jsonrpc":"2.0","id":7}"#, Some("7")),
            (r#"{"id":"a\"b"}"#, Some(r#""a\"b""#)),
            (r#"{"id":-1.0}"#, Some("-1.0")),
            (r#"{"id":null}"#, None),
            (r#"{"id":{"x":1}}"#, None),
            (r#"[{"id":1}]"#, None),
            ("{}", None),
        ] {
            assert_eq!(id_of(body.as_bytes()).as_deref(), want, "{body}");
        }
    }

    #[test]
    fn a_failure_is_an_error_of_json_rpc() {
        let text = String::from_utf8(failure("7", Reason::UpstreamTimedOut)).unwrap();
        let want = "{\"jsonrpc\":\"2.0\",\"id\":7,\"error\":{\"code\":-32603,\
                    \"message\":\"the service did not answer in time\"}}";
        assert_eq!(text, want);
    }
}
