//! The JSON around each answer of the Gufo surface (SPEC 5.2, 5.3).

use super::fault::GufoFault;
use super::json;
use super::reply::Reply;
use crate::base::decimal;
use crate::base::time::UnixTime;

/// The language when nothing names another.
pub const LANG_DEFAULT: &str = "eng";

/// Who the user is, as far as clients are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Session<'a> {
    /// The user.
    pub uid: &'a str,
    /// 1 for administrators.
    pub is_admin: i32,
    /// When the session ends, seconds since 1970.
    pub session_end: i32,
    /// 1 when the registration is complete.
    pub completed: i32,
    /// 1 when the user may only read.
    pub readonly: i32,
}

/// What an envelope says besides its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Envelope<'a> {
    /// The time of the answer.
    pub time: UnixTime,
    /// The language, unless the data names one.
    pub lang: &'a str,
    /// The session, when the user is known.
    pub session: Option<Session<'a>>,
}

impl Envelope<'_> {
    /// Appends a service's answer. Its status is [`Reply::status`].
    pub fn reply(&self, out: &mut Vec<u8>, reply: &Reply) {
        out.extend_from_slice(b"{\"data\":{");
        for (at, member) in reply.data().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            out.extend_from_slice(member);
        }
        out.push(b'}');
        self.put_rest(out, &reply.lang().unwrap_or(self.lang.into()));
        if let Some(error) = reply.error() {
            out.extend_from_slice(b",\"error\":{\"code\":");
            decimal::push(out, error.code);
            if let Some((key, _)) = &error.key {
                out.extend_from_slice(b",\"key\":");
                json::put_string(out, key);
            }
            out.extend_from_slice(b",\"message\":");
            json::put_string(out, &error.message);
            if let Some((_, retryable)) = &error.key {
                let flag = if *retryable { "true" } else { "false" };
                out.extend_from_slice(b",\"retryable\":");
                out.extend_from_slice(flag.as_bytes());
            }
            out.push(b'}');
        }
        if let Some(meta) = reply.meta() {
            out.extend_from_slice(b",\"meta\":{\"status\":");
            decimal::push(out, meta.status);
            for (name, text) in [
                ("trace_id", &meta.trace_id),
                ("request_id", &meta.request_id),
                ("node", &meta.node),
            ] {
                out.push(b',');
                json::put_string(out, name);
                out.push(b':');
                json::put_string(out, text);
            }
            out.push(b'}');
        }
        out.push(b'}');
    }

    /// Appends an answer of the gateway's own. Values are JSON text.
    pub fn data(&self, out: &mut Vec<u8>, values: &[(&str, &str)]) {
        out.extend_from_slice(b"{\"data\":{");
        for (at, (key, json)) in values.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            json::put_string(out, key);
            out.push(b':');
            out.extend_from_slice(json.as_bytes());
        }
        out.push(b'}');
        self.put_rest(out, self.lang);
        out.push(b'}');
    }

    /// Appends an error. Code and message are texts.
    pub fn error(&self, out: &mut Vec<u8>, code: &str, message: &str) {
        out.extend_from_slice(b"{\"data\":{\"code\":");
        json::put_string(out, code);
        out.extend_from_slice(b",\"message\":");
        json::put_string(out, message);
        out.push(b'}');
        self.put_rest(out, self.lang);
        out.push(b'}');
    }

    /// Appends a fault of the gateway's table. Its status is [`GufoFault::status`].
    pub fn fault(&self, out: &mut Vec<u8>, fault: GufoFault) {
        self.error(out, fault.code(), fault.message());
    }

    /// What follows the data, but for the last bracket.
    fn put_rest(&self, out: &mut Vec<u8>, lang: &str) {
        out.extend_from_slice(b",\"session\":");
        match self.session {
            Some(session) => put_session(out, &session),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"timestamp\":");
        decimal::push(out, self.time.seconds());
        out.extend_from_slice(b",\"lang\":");
        json::put_string(out, lang);
    }
}

/// Clients know the end of the session under a name that was misspelt once and stayed.
fn put_session(out: &mut Vec<u8>, session: &Session<'_>) {
    out.extend_from_slice(b"{\"uid\":");
    json::put_string(out, session.uid);
    for (key, number) in [
        (",\"isAdmin\":", session.is_admin),
        (",\"Sesionexp\":", session.session_end),
        (",\"completed\":", session.completed),
        (",\"readonly\":", session.readonly),
    ] {
        out.extend_from_slice(key.as_bytes());
        decimal::push(out, number);
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PLAIN: Envelope<'_> =
        Envelope { time: UnixTime(Duration::from_secs(17)), lang: LANG_DEFAULT, session: None };
    const REST: &str = ",\"session\":null,\"timestamp\":17,\"lang\":\"eng\"}";

    #[test]
    fn an_answer_is_its_values_without_the_status() {
        let mut reply = Reply::new();
        check(|out| PLAIN.reply(out, &reply), &format!("{{\"data\":{{}}{REST}"));
        reply.set("id", "12345678901234567890");
        reply.set("httpcode", "201");
        reply.set("a\"b", "[1.10]");
        let data = "{\"id\":12345678901234567890,\"a\\\"b\":[1.10]}";
        check(|out| PLAIN.reply(out, &reply), &format!("{{\"data\":{data}{REST}"));
    }

    #[test]
    fn the_language_of_the_data_counts_and_stays_there() {
        let mut reply = Reply::new();
        reply.set("lang", "\"deu\"");
        let want =
            "{\"data\":{\"lang\":\"deu\"},\"session\":null,\"timestamp\":17,\"lang\":\"deu\"}";
        check(|out| PLAIN.reply(out, &reply), want);
    }

    #[test]
    fn a_known_user_has_a_session() {
        let session =
            Session { uid: "u\"1", is_admin: 1, session_end: -5, completed: 1, readonly: 0 };
        let envelope = Envelope { session: Some(session), ..PLAIN };
        let want = "{\"data\":{\"health\":\"OK\"},\"session\":{\"uid\":\"u\\\"1\",\"isAdmin\":1,\
                    \"Sesionexp\":-5,\"completed\":1,\"readonly\":0},\
                    \"timestamp\":17,\"lang\":\"eng\"}";
        check(|out| envelope.data(out, &[("health", "\"OK\"")]), want);
    }

    #[test]
    fn errors_have_a_code_and_a_message() {
        let want =
            format!("{{\"data\":{{\"code\":\"0000235\",\"message\":\"Wrong module\"}}{REST}");
        check(|out| PLAIN.fault(out, GufoFault::WrongModule), &want);
        let want = format!("{{\"data\":{{\"code\":\"1\",\"message\":\"a\\nb\"}}{REST}");
        check(|out| PLAIN.error(out, "1", "a\nb"), &want);
    }

    #[track_caller]
    fn check(write: impl Fn(&mut Vec<u8>), want: &str) {
        let mut out = Vec::new();
        write(&mut out);
        assert!(json::value(&out).is_ok());
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
