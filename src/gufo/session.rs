//! Who a request comes from, as the session service says (SPEC 10.1).

use std::borrow::Cow;

use super::arguments::{ArgumentValue, from_query};
use super::json;
use super::reply::Reply;
use crate::base::time::UnixTime;

/// Characters of a credential: longer ones are none that a session service gave out.
const CREDENTIAL_MAX: usize = 8 * 1024;
/// What a token in the query, or one without a kind, is.
const BEARER: &str = "Bearer";
/// What a token in `X-API-Token` is.
const API_TOKEN: &str = "ApiToken";

/// What a token of an application is.
const APP: &str = "APP";

/// What a client shows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential<'a> {
    /// Its kind: one that services know in their letters, another as it was written.
    pub kind: Cow<'a, str>,
    /// The token.
    pub token: Cow<'a, str>,
    /// Both with a blank between them, where a request has them so.
    words: Option<&'a str>,
}

impl Credential<'_> {
    /// Kind and token with a blank between them.
    #[must_use]
    pub fn words(&self) -> Cow<'_, str> {
        match self.words {
            Some(words) => words.into(),
            None => [&*self.kind, " ", &*self.token].concat().into(),
        }
    }
}

/// An `Authorization` that is not a kind and a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// The credential of a request: of `Authorization`, else of `X-API-Token`, else of the parameter
/// `access_token` with `token_type`.
///
/// # Errors
/// A field that is there and cannot be read is not taken for nothing.
pub fn credential<'a>(
    authorization: Option<&'a [u8]>,
    api_token: Option<&'a [u8]>,
    query: &'a [u8],
) -> Result<Option<Credential<'a>>, Malformed> {
    if let Some(value) = authorization {
        let text = str::from_utf8(value).map_err(|_| Malformed)?;
        let blank = value.iter().position(|byte| *byte == b' ').ok_or(Malformed)?;
        let (kind, token) = text.split_at_checked(blank).ok_or(Malformed)?;
        let token = token.trim_start_matches(' ');
        let usual = usual(kind);
        if !(is_word(usual) && is_word(token)) {
            return Err(Malformed);
        }
        let is_so = usual == kind && text.len() == kind.len() + 1 + token.len();
        let words = is_so.then_some(text);
        return Ok(Some(Credential { kind: usual.into(), token: token.into(), words }));
    }
    if let Some(value) = api_token {
        let token = str::from_utf8(value).ok().filter(|token| is_word(token)).ok_or(Malformed)?;
        let (kind, token) = (API_TOKEN.into(), token.into());
        return Ok(Some(Credential { kind, token, words: None }));
    }
    if memchr::memmem::find(query, b"access_token").is_none() {
        return Ok(None);
    }
    let mut found = (None, None);
    for argument in from_query(query).unwrap_or_default() {
        if let ArgumentValue::Text(value) = argument.value {
            match &*argument.name {
                "access_token" => found.0 = Some(value),
                "token_type" => found.1 = Some(value),
                _ => {}
            }
        }
    }
    let (Some(token), kind) = found else { return Ok(None) };
    let kind = kind.unwrap_or(BEARER.into());
    if !is_word(&kind) || !is_word(&token) {
        return Err(Malformed);
    }
    Ok(Some(Credential { kind, token, words: None }))
}

/// Schemes of HTTP have no case, services compare letters.
fn usual(kind: &str) -> &str {
    if kind == BEARER {
        return BEARER; // Nearly always.
    }
    let mut known = [BEARER, APP, API_TOKEN].into_iter();
    known.find(|name| name.eq_ignore_ascii_case(kind)).unwrap_or(kind)
}

/// The session with what a service changed of it on the way back (SPEC 4.6 item 7).
#[must_use]
pub fn updated<'a>(session: Option<&'a Session>, reply: &Reply) -> Option<Cow<'a, Session>> {
    let Some(back) = reply.request_back() else { return session.map(Cow::Borrowed) };
    let mut own = session.cloned().unwrap_or_default();
    if let Some(uid) = back.uid.as_ref().filter(|uid| !uid.is_empty()) {
        own.uid.clone_from(uid);
    }
    own.is_admin = back.is_admin.unwrap_or(own.is_admin);
    own.end = back.session_end.unwrap_or(own.end);
    own.completed = back.completed.unwrap_or(own.completed);
    own.readonly = back.readonly.unwrap_or(own.readonly);
    (!own.uid.is_empty()).then_some(Cow::Owned(own))
}

/// Visible ASCII without a blank.
fn is_word(text: &str) -> bool {
    (1..=CREDENTIAL_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A session that was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Session {
    /// The user.
    pub uid: String,
    /// 1 for administrators.
    pub is_admin: i32,
    /// When it ends, seconds since 1970; 0: nobody says.
    pub end: i32,
    /// 1 when the registration is complete.
    pub completed: i32,
    /// 1 when the user may only read.
    pub readonly: i32,
}

impl Session {
    /// What the session service answered; `None`: there is none.
    #[must_use]
    pub fn of(reply: &Reply) -> Option<Self> {
        if reply.value("error").is_some_and(|error| error != "null") || reply.status() >= 400 {
            return None;
        }
        let uid = match reply.string("uid") {
            Some(text) => text.into_owned(),
            // A number, which some services use.
            None => reply.value("uid").filter(|text| is_digits(text))?.to_owned(),
        };
        let number = |key| reply.value(key).map_or(0, number);
        // Services and gateways never agreed on the name.
        let end = match number("sessionend") {
            0 => number("session_expired"),
            end => end,
        };
        let (is_admin, completed) = (number("isadmin"), number("completed"));
        let readonly = number("readonly");
        (!uid.is_empty()).then_some(Session { uid, is_admin, end, completed, readonly })
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self, now: UnixTime) -> bool {
        u64::try_from(self.end).is_ok_and(|end| end != 0 && end <= now.seconds())
    }
}

/// Whether a text is digits, and one at least.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number as services write it: 1, "1", 1.0, true.
fn number(value: &str) -> i32 {
    let text = json::string(value).unwrap_or(Cow::Borrowed(value));
    match text.trim() {
        "true" => 1,
        text => {
            let whole = text.split_once(['.', 'e', 'E']).map_or(text, |(whole, _)| whole);
            whole.parse::<i64>().map_or(0, |n| i32::try_from(n).unwrap_or(i32::MAX))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::gufo::dialect::Dialect;

    fn found<'a>(
        authorization: Option<&'a str>,
        api_token: Option<&'a str>,
        query: &'a str,
    ) -> Result<Option<(String, String)>, Malformed> {
        let bytes = |text: Option<&'a str>| text.map(str::as_bytes);
        let found = credential(bytes(authorization), bytes(api_token), query.as_bytes())?;
        Ok(found.map(|own| {
            assert_eq!(own.words(), format!("{} {}", own.kind, own.token));
            (own.kind.into_owned(), own.token.into_owned())
        }))
    }

    fn pair(kind: &str, token: &str) -> (String, String) {
        (kind.to_owned(), token.to_owned())
    }

    #[test]
    fn a_credential_is_found_where_clients_put_it() {
        assert_eq!(found(None, None, ""), Ok(None));
        assert_eq!(
            found(Some("bearer  a.b"), Some("x"), "access_token=q"),
            Ok(Some(pair("Bearer", "a.b")))
        );
        assert_eq!(found(Some("app x"), None, ""), Ok(Some(pair("APP", "x"))));
        assert_eq!(found(Some("APP  x"), None, ""), Ok(Some(pair("APP", "x"))));
        assert_eq!(found(Some("APP x"), None, ""), Ok(Some(pair("APP", "x"))));
        assert_eq!(found(Some("Other x"), None, ""), Ok(Some(pair("Other", "x"))));
        assert_eq!(found(None, Some("x"), "access_token=q"), Ok(Some(pair("ApiToken", "x"))));
        assert_eq!(found(None, None, "a=1&access_token=q%2B"), Ok(Some(pair("Bearer", "q+"))));
        assert_eq!(found(None, None, "access_token=q&token_type=APP"), Ok(Some(pair("APP", "q"))));
        assert_eq!(found(None, None, "xaccess_token=q"), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_not_nothing() {
        for value in
            ["", "Bearer", "Bearer ", "Bearer a b", " Bearer a", "Bearer\ta", "Bearer \u{e9}"]
        {
            assert_eq!(found(Some(value), None, ""), Err(Malformed), "{value}");
        }
        assert_eq!(found(None, Some("a b"), ""), Err(Malformed));
        assert_eq!(found(None, None, "access_token=a%20b"), Err(Malformed));
    }

    #[test]
    fn a_session_is_read_in_all_the_ways_services_write_one() {
        let read = |values: &[(&str, &str)]| {
            let mut reply = Reply::new();
            for (key, json) in values {
                reply.set(key, json);
            }
            Session::of(&reply)
        };
        let uid = ("uid", "\"u1\"");
        let session = Session { uid: "u1".to_owned(), is_admin: 1, end: 99, ..Session::default() };
        for end in ["sessionend", "session_expired"] {
            assert_eq!(read(&[uid, ("isadmin", "1"), (end, "99.0")]), Some(session.clone()));
            assert_eq!(read(&[uid, ("isadmin", "\"1\""), (end, "99")]), Some(session.clone()));
        }
        assert_eq!(read(&[("uid", "7")]).unwrap().uid, "7");
        assert_eq!(read(&[uid, ("readonly", "true")]).unwrap().readonly, 1);
        assert_eq!(read(&[uid, ("error", "\"000011\"")]), None);
        assert_eq!(read(&[uid, ("httpcode", "401")]), None);
        assert_eq!(read(&[("uid", "\"\"")]), None);
        assert_eq!(read(&[]), None);
        assert!(updated(None, &Reply::new()).is_none());
        assert_eq!(updated(Some(&session), &Reply::new()).unwrap().uid, "u1");
        let at = |seconds| UnixTime(Duration::from_secs(seconds));
        assert!(session.is_over(at(99)) && !session.is_over(at(98)));
        assert!(!Session::default().is_over(at(99)));
    }

    #[test]
    fn what_a_service_gives_back_changes_the_session() {
        let said = |request: &[u8]| {
            let len = u8::try_from(request.len()).unwrap();
            let mut reply = Reply::new();
            reply.merge(Dialect::B, &[&[0x12, len], request].concat()).unwrap();
            reply
        };
        let session = Session { uid: "u1".to_owned(), end: 99, ..Session::default() };
        // UID = "u2", IsAdmin = 1.
        let reply = said(b"\x92\x01\x02u2\x98\x01\x01");
        let want = Session { uid: "u2".to_owned(), is_admin: 1, ..session.clone() };
        assert_eq!(updated(Some(&session), &reply).unwrap().into_owned(), want);
        assert_eq!(updated(None, &reply).unwrap().uid, "u2");
        // Nobody does not become somebody, nor somebody nobody, by an empty UID.
        let reply = said(b"\x92\x01\x00\x98\x01\x01");
        assert!(updated(None, &reply).is_none());
        assert_eq!(updated(Some(&session), &reply).unwrap().uid, "u1");
    }
}
