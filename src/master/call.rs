//! A call as all dialects mean it, and which action it asks for.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::fault::Fault;

/// The module that the master is.
pub const MODULE: &str = "masterservice";

/// A request, whichever dialect it came in.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Call {
    /// `Request.Module`.
    pub module: String,
    /// `Request.Param`.
    pub param: String,
    /// `Request.ParamID`.
    pub param_id: String,
    /// `Request.Method`, in capitals; empty for none.
    pub method: String,
    /// `Request.Args`, or query and body.
    pub args: Map<String, Value>,
    /// `Request.IR`.
    pub inner: Option<Inner>,
}

/// What one service asks another.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Inner {
    /// `IR.Param`.
    pub param: String,
    /// `IR.ParamID`.
    pub param_id: String,
    /// `IR.Method`.
    pub method: String,
    /// `IR.Args`.
    pub args: Map<String, Value>,
}

/// What the master can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// `GET health`
    Health,
    /// `GET info`
    Info,
    /// `GET list`
    List,
    /// `GET getmicroservicebypath`
    ByPath,
    /// `GET getsessionhost`
    SessionHost,
    /// `GET checkbyuuid`
    CheckByUuid,
    /// `POST checkin`
    CheckIn,
    /// `POST checkout`
    CheckOut,
    /// `POST getcronmandate`
    CronMandate,
    /// `PATCH checkin`
    Move,
    /// `POST heartbeat`
    Heartbeat,
}

/// A call whose action is known.
#[derive(Clone, PartialEq, Debug)]
pub struct Question<'a> {
    /// What is to be done.
    pub action: Action,
    /// The module that it is about.
    pub module: &'a str,
    /// `Param` of the request, which may be part of a path.
    pub param: &'a str,
    /// `ParamID` of the request, or else of its inner one.
    pub id: &'a str,
    /// Whether the request itself has a `ParamID`.
    pub is_path: bool,
    /// All arguments.
    pub args: Cow<'a, Map<String, Value>>,
}

impl Action {
    fn of(method: &str, param: &str) -> Option<Self> {
        // Services take no method for GET (SPEC 4.3).
        let method = if method.is_empty() { "GET" } else { method };
        Some(match (method, param) {
            ("GET", "health") => Action::Health,
            ("GET", "info") => Action::Info,
            ("GET", "list") => Action::List,
            ("GET", "getmicroservicebypath") => Action::ByPath,
            ("GET", "getsessionhost") => Action::SessionHost,
            ("GET", "checkbyuuid") => Action::CheckByUuid,
            ("POST", "checkin") => Action::CheckIn,
            ("POST", "checkout") => Action::CheckOut,
            ("POST", "getcronmandate") => Action::CronMandate,
            ("PATCH", "checkin") => Action::Move,
            ("POST", "heartbeat") => Action::Heartbeat,
            _ => return None,
        })
    }
}

impl Call {
    /// Which action it asks for: `Method` and `Param` if the module is the master itself, else
    /// those of the inner request, with the module as what it is about (SPEC 8.1). Where these name
    /// no action the others are tried: gateways fill both sides differently, and dialect C has no
    /// inner request.
    pub fn question(&self) -> Result<Question<'_>, Fault> {
        let own = Action::of(&self.method, &self.param);
        let inner = self.inner.as_ref().and_then(|inner| Action::of(&inner.method, &inner.param));
        let action = if self.module == MODULE { own.or(inner) } else { inner.or(own) };
        let action = action.ok_or_else(|| Fault::unknown("there is no such action"))?;
        let inner_id = self.inner.as_ref().map_or("", |inner| inner.param_id.as_str());
        let id = if self.param_id.is_empty() { inner_id } else { &self.param_id };
        Ok(Question {
            action,
            module: &self.module,
            param: &self.param,
            id,
            is_path: !self.param_id.is_empty(),
            args: self.all_args(),
        })
    }

    /// The arguments of both requests; what is in `payload` counts as an argument (SPEC 8.4).
    fn all_args(&self) -> Cow<'_, Map<String, Value>> {
        let has_inner = self.inner.as_ref().is_some_and(|inner| !inner.args.is_empty());
        if !has_inner && !self.args.get("payload").is_some_and(Value::is_object) {
            return Cow::Borrowed(&self.args);
        }
        let mut all = self.args.clone();
        if let Some(inner) = &self.inner {
            all.extend(inner.args.clone());
        }
        if let Some(Value::Object(payload)) = all.remove("payload") {
            all.extend(payload);
        }
        Cow::Owned(all)
    }
}
