//! The keys of authentication.

use crate::config::auth::ANONYMOUS;
use crate::config::fault::Code;
use crate::config::routes::Reader;
use crate::policy::auth::AuthRule;

/// What a route asks for; `None`: nothing.
pub(super) fn read(reader: &mut Reader<'_>, number: &str) -> Option<AuthRule> {
    let path = format!("route.{number}.auth");
    let strips = reader.text(number, "forward_authorization").as_deref() == Some("strip");
    if !reader.given(number, "auth") {
        if strips {
            let message = "`forward_authorization` means nothing without `auth`";
            let path = format!("route.{number}.forward_authorization");
            reader.find(Code::Contradiction, &path, message, "write auth = [\"<name>\"]");
        }
        return None;
    }
    let known = reader.config.names("auth");
    let mut wanted = reader.config.texts(&path);
    let anonymous = wanted.last().is_some_and(|name| name == ANONYMOUS);
    if anonymous {
        wanted.pop();
    }
    let mut profiles = Vec::new();
    for name in &wanted {
        match known.iter().position(|own| own == name) {
            Some(place) if !profiles.contains(&place) => profiles.push(place),
            Some(_) => {
                let message = format!("`auth` names \"{name}\" twice");
                reader.find(Code::Contradiction, &path, &message, "write it once");
            }
            None if name == ANONYMOUS => {
                let message = "`auth` names \"anonymous\" before others, which would not be asked";
                reader.find(Code::Contradiction, &path, message, "write it as the last");
            }
            None => {
                let message = format!("there is no `[auth.{name}]`");
                let way_out = match known.as_slice() {
                    [] => "write a table [auth.<name>] with kind and url".to_owned(),
                    known => format!("write one of \"{}\"", known.join("\", \"")),
                };
                reader.find(Code::Dangling, &path, &message, &way_out);
            }
        }
    }
    if wanted.is_empty() {
        let message = "`auth` names no profile: anybody may use the route";
        reader.find(Code::Missing, &path, message, "name one, or leave `auth` out");
    }
    Some(AuthRule { profiles, anonymous, strips })
}
