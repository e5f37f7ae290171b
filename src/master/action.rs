//! What is answered to a call, and what it changes.

use serde_json::{Map, Value, json};

use super::call::{Action, Call, Question};
use super::change::Change;
use super::fault::Fault;
use super::row::{UUID_CHARACTERS, is_uuid, text};
use super::rules::Now;
use super::table::Table;

/// What is answered to a call, once its changes are kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// `Response.Data`, or why there is none.
    pub answer: Result<Map<String, Value>, Fault>,
    /// All or none of them.
    pub changes: Vec<Change>,
}

impl Decision {
    pub(super) fn new(answer: Value, changes: Vec<Change>) -> Self {
        let answer = if let Value::Object(map) = answer { map } else { Map::new() };
        Decision { answer: Ok(answer), changes }
    }
}

impl From<Fault> for Decision {
    fn from(fault: Fault) -> Self {
        Decision { answer: Err(fault), changes: Vec::new() }
    }
}

impl Table {
    /// What is answered to a call now. `chance` fills with bytes that nobody can guess.
    #[must_use]
    pub fn decide(&self, call: &Call, now: Now, chance: &mut dyn FnMut(&mut [u8])) -> Decision {
        let decided = call.question().and_then(|question| self.answer(&question, now, chance));
        decided.unwrap_or_else(Decision::from)
    }

    fn answer(
        &self,
        question: &Question<'_>,
        now: Now,
        chance: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Decision, Fault> {
        match question.action {
            Action::Health => Ok(Decision::new(json!({ "health": "OK" }), Vec::new())),
            Action::Info => Ok(Decision::new(info(), Vec::new())),
            Action::List => self.list(question, now),
            Action::ByPath => self.by_path(question, now),
            Action::SessionHost => self.session_host(question, now),
            Action::CheckByUuid => Ok(self.check_by_uuid(question, now)),
            Action::CheckIn => self.check_in(question, now, chance),
            Action::CheckOut => self.check_out(question),
            Action::CronMandate => self.cron_mandate(question, now, chance),
            Action::Move => self.move_to(question, now),
            Action::Heartbeat => self.heartbeat(question, now, chance),
        }
    }
}

fn info() -> Value {
    json!({
        "name": super::call::MODULE,
        "version": env!("CARGO_PKG_VERSION"),
        "description": "the master that is built into the gateway",
    })
}

/// The uuid that a question names, in its arguments or as `ParamID`.
pub(super) fn uuid(question: &Question<'_>) -> Result<String, Fault> {
    let named = text(&question.args, "uuid", UUID_CHARACTERS)?;
    let uuid = named.filter(|uuid| !uuid.is_empty()).unwrap_or_else(|| question.id.to_owned());
    if uuid.is_empty() {
        return Err(Fault::missing("uuid"));
    }
    Ok(uuid)
}

/// A text of 24 characters `a-z0-9`, each as likely.
pub(super) fn fresh_id(chance: &mut dyn FnMut(&mut [u8])) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut out = String::with_capacity(UUID_CHARACTERS);
    // Seven bytes in 256 are beyond the last multiple of 36: a source that gives nothing else is
    // broken, and is not waited for.
    for _ in 0..64 {
        let mut bytes = [0; 32];
        chance(&mut bytes);
        for byte in bytes.into_iter().filter(|byte| *byte < 252) {
            if let Some(letter) = LETTERS.get(usize::from(byte % 36)) {
                out.push(char::from(*letter));
            }
            if out.len() == UUID_CHARACTERS {
                return out;
            }
        }
    }
    debug_assert!(is_uuid(&out), "the source of chance is broken");
    out
}
