//! One look for keys: a file, or one GET that follows nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::source::read_file;
use crate::policy::auth::keys::{KeySet, SET_BYTES_MAX, Skipped};
use crate::snapshot::auth::{KeyPlace, KeySource, KeyUrl};
use crate::tls::client::ClientTls;

use super::super::web::{self, Question};

/// Who asks, in the log of the issuer.
const USER_AGENT: &str = concat!("otus/", env!("CARGO_PKG_VERSION"), " (keys)");
/// Keys, and what of the set is not used.
pub(super) type Found = (Arc<KeySet>, Vec<Skipped>);

/// Looks once.
pub(super) fn look(source: &KeySource) -> Result<Found, String> {
    let (text, secrets) = match &source.place {
        KeyPlace::Fixed(keys) => return Ok((Arc::clone(keys), Vec::new())),
        KeyPlace::File(path, _) => (file(path)?, true),
        KeyPlace::Url(url, tls) => (get(url, tls.as_deref(), source.timeout)?, false),
    };
    let (keys, skipped) = KeySet::parse(&text, secrets).map_err(str::to_owned)?;
    Ok((Arc::new(keys), skipped))
}

fn file(path: &Path) -> Result<Vec<u8>, String> {
    let content = read_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(content.bytes)
}

/// The body of the answer to a GET. Redirections are not followed: the operator has said where the
/// keys are.
fn get(url: &KeyUrl, tls: Option<&ClientTls>, patience: Duration) -> Result<Vec<u8>, String> {
    let question = Question {
        url,
        tls,
        fields: &[
            ("user-agent", USER_AGENT),
            ("accept", "application/jwk-set+json, application/json"),
            ("accept-encoding", "identity"),
        ],
        body: None,
    };
    let answer = web::ask(&question, Instant::now() + patience)?;
    if answer.head.status != 200 {
        return Err(format!("it answered {}", answer.head.status));
    }
    answer.body(SET_BYTES_MAX)
}
