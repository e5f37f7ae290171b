//! The four forms of a request target (RFC 9112 §3.2).

use super::authority::{self, Authority, AuthorityError};
use super::head::{Method, Span};

/// Which form a target has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Form {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, for CONNECT only.
    Authority,
    /// `*`, for OPTIONS only: the server as a whole.
    Asterisk,
}

/// A target in its parts. Spans lie in the same buffer as the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Its form. OPTIONS with an absolute target without a path is [`Form::Asterisk`] (RFC 9112
    /// §3.2.4).
    pub form: Form,
    /// The authority and where it lies, if the target has one.
    pub authority: Option<(Span, Authority)>,
    /// The path, beginning with `/`. An absolute target may lack one, which means `/` (RFC 9110
    /// §4.2.3); the span then shows the slash before its authority.
    pub path: Span,
    /// What follows the first `?`.
    pub query: Option<Span>,
}

/// Why a text is not the target of a request with that method.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetError {
    /// No bytes.
    Empty,
    /// None of the four forms, or a scheme that is neither `http` nor `https`.
    Form,
    /// A form that the method does not take.
    Method,
    /// A byte that is not visible ASCII, or `#`, which begins a fragment.
    Byte,
    /// The authority in it.
    Authority(AuthorityError),
}

/// Takes the bytes of a target apart. `target` lies in `bytes`.
///
/// The caller has checked each byte with [`is_target_byte`]; HTTP/2, which brings no target, does
/// not come here.
pub fn parse(method: Method, bytes: &[u8], target: Span) -> Result<Target, TargetError> {
    let text = target.of(bytes);
    match (method, text) {
        (_, []) => Err(TargetError::Empty),
        (Method::Connect, _) => authority_form(text, target),
        (_, [b'/', ..]) => {
            let (path, query) = split_query(text, target.start(), 0);
            Ok(Target { form: Form::Origin, authority: None, path, query })
        }
        (Method::Options, [b'*']) => {
            Ok(Target { form: Form::Asterisk, authority: None, path: target, query: None })
        }
        (_, [b'*']) => Err(TargetError::Method),
        (_, _) => absolute_form(method, text, target.start()),
    }
}

/// Whether `byte` may be part of a target: visible ASCII but `#`.
#[inline]
#[must_use]
pub const fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b'#'
}

fn authority_form(text: &[u8], target: Span) -> Result<Target, TargetError> {
    let authority = authority::parse(text).map_err(TargetError::Authority)?;
    if authority.port.is_none() {
        return Err(TargetError::Authority(AuthorityError::Port));
    }
    Ok(Target {
        form: Form::Authority,
        authority: Some((target, authority)),
        path: Span::EMPTY,
        query: None,
    })
}

/// `start` is where `text` lies in the buffer.
fn absolute_form(method: Method, text: &[u8], start: usize) -> Result<Target, TargetError> {
    let skip = scheme_len(text).ok_or(TargetError::Form)?;
    let rest = text.get(skip..).unwrap_or_default();
    let len = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let name = rest.get(..len).unwrap_or_default();
    let authority = authority::parse(name).map_err(TargetError::Authority)?;
    let span = Span::between(start + skip, start + skip + len);
    let (path, query) = split_query(text, start, skip + len);
    let (form, path) = match (method, path.is_empty(), query) {
        (Method::Options, true, None) => (Form::Asterisk, Span::EMPTY),
        (_, true, _) => (Form::Absolute, Span::between(start + skip - 1, start + skip)),
        (_, false, _) => (Form::Absolute, path),
    };
    Ok(Target { form, authority: Some((span, authority)), path, query })
}

/// Bytes of `http://` or `https://` at the start, in any case.
fn scheme_len(text: &[u8]) -> Option<usize> {
    ["http://", "https://"].iter().map(|scheme| scheme.len()).find(|len| {
        text.get(..*len).is_some_and(|start| {
            start.eq_ignore_ascii_case(b"http://") || start.eq_ignore_ascii_case(b"https://")
        })
    })
}

/// Splits what lies behind the first `from` bytes of `text` at its first `?`.
fn split_query(text: &[u8], start: usize, from: usize) -> (Span, Option<Span>) {
    let end = start + text.len();
    let rest = text.get(from..).unwrap_or_default();
    match memchr::memchr(b'?', rest) {
        Some(at) => {
            let mark = start + from + at;
            (Span::between(start + from, mark), Some(Span::between(mark + 1, end)))
        }
        None => (Span::between(start + from, end), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthorityError as A;
    use TargetError as E;

    #[test]
    fn origin_form_is_a_path_and_a_query() {
        ok(Method::Get, "/", (Form::Origin, "", "/", None));
        ok(Method::Get, "/a/b", (Form::Origin, "", "/a/b", None));
        ok(Method::Post, "/a?", (Form::Origin, "", "/a", Some("")));
        ok(Method::Get, "/a?b=c?d", (Form::Origin, "", "/a", Some("b=c?d")));
        ok(Method::Options, "/*", (Form::Origin, "", "/*", None));
        ok(Method::Get, "//h/a", (Form::Origin, "", "//h/a", None));
    }

    #[test]
    fn absolute_form_names_its_authority() {
        ok(Method::Get, "http://h/a?b", (Form::Absolute, "h", "/a", Some("b")));
        ok(Method::Get, "HTTPS://H.example:8443/", (Form::Absolute, "H.example:8443", "/", None));
        ok(Method::Get, "http://[::1]:80/x", (Form::Absolute, "[::1]:80", "/x", None));
        ok(Method::Get, "http://h//x", (Form::Absolute, "h", "//x", None));
    }

    #[test]
    fn an_absolute_target_without_a_path_means_the_root() {
        ok(Method::Get, "http://h", (Form::Absolute, "h", "/", None));
        ok(Method::Get, "http://h?q", (Form::Absolute, "h", "/", Some("q")));
        ok(Method::Options, "http://h", (Form::Asterisk, "h", "", None));
        ok(Method::Options, "http://h?q", (Form::Absolute, "h", "/", Some("q")));
    }

    #[test]
    fn the_asterisk_is_for_options_only() {
        ok(Method::Options, "*", (Form::Asterisk, "", "*", None));
        err(Method::Get, "*", E::Method);
        err(Method::Other, "*", E::Method);
        err(Method::Options, "**", E::Form);
    }

    #[test]
    fn connect_takes_an_authority_with_a_port_and_nothing_else() {
        ok(Method::Connect, "h:443", (Form::Authority, "h:443", "", None));
        err(Method::Connect, "h", E::Authority(A::Port));
        err(Method::Connect, "h:", E::Authority(A::Port));
        err(Method::Connect, "/a", E::Authority(A::Byte));
        err(Method::Connect, "http://h:443", E::Authority(A::Port));
        err(Method::Get, "h:443", E::Form);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["a", "a/b", "?a", "h/a", "ftp://h/", "http:/h", "http:h", "http//h/", "://h"] {
            err(Method::Get, text, E::Form);
        }
        err(Method::Get, "", E::Empty);
        err(Method::Get, "http://", E::Authority(A::Empty));
        err(Method::Get, "http:///a", E::Authority(A::Empty));
        err(Method::Get, "http://u@h/", E::Authority(A::Byte));
        err(Method::Get, "http://u:p@h/", E::Authority(A::Port));
        err(Method::Get, "http://h\\@i/", E::Authority(A::Byte));
        err(Method::Get, "http://h\\i", E::Authority(A::Byte));
        err(Method::Get, "http://h%2f/", E::Authority(A::Byte));
        err(Method::Get, "http://a:b/", E::Authority(A::Port));
    }

    #[track_caller]
    fn ok(method: Method, text: &str, want: (Form, &str, &str, Option<&str>)) {
        let bytes = [b"GET ", text.as_bytes(), b" HTTP/1.1"].concat();
        let target = parse(method, &bytes, Span::between(4, 4 + text.len())).unwrap();
        let show = |span: Span| String::from_utf8(span.of(&bytes).to_vec()).unwrap();
        assert_eq!(target.form, want.0, "{text}");
        assert_eq!(target.authority.map(|(span, _)| show(span)).unwrap_or_default(), want.1);
        assert_eq!(show(target.path), want.2, "{text}");
        assert_eq!(target.query.map(show).as_deref(), want.3, "{text}");
    }

    #[track_caller]
    fn err(method: Method, text: &str, want: TargetError) {
        let got = parse(method, text.as_bytes(), Span::between(0, text.len()));
        assert_eq!(got, Err(want), "{text}");
    }
}
