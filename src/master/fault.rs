//! Why a call was not done, as Gufo's clients know it: a status, a code and a sentence.

use std::borrow::Cow;

/// What is answered instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The status of HTTP.
    pub status: u16,
    /// Six digits (SPEC 8.1).
    pub code: &'static str,
    /// What is wrong. Quotes nothing that could be a secret.
    pub message: Cow<'static, str>,
}

impl Fault {
    fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Fault { status, code, message: message.into() }
    }

    /// What is needed is not there.
    pub(super) fn missing(names: &str) -> Self {
        Fault::new(406, "000012", format!("missing: {names}"))
    }

    /// What is there cannot be meant.
    pub(super) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(400, "000007", message)
    }

    /// What is asked for cannot be had.
    pub(super) fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(500, "000013", message)
    }

    /// There is no such action, or nothing that it could be about.
    pub(super) fn unknown(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(404, "000012", message)
    }

    /// The caller has not shown that it may call.
    #[must_use]
    pub fn unsigned() -> Self {
        Fault::new(401, "00001", "the sign is wrong")
    }

    /// The master cannot keep what it would have to.
    #[must_use]
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(503, "000014", message)
    }
}
