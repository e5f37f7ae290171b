//! Where modules run, as a masterservice says (SPEC 8.2, 8.5, 8.6): what it is asked, what it
//! answers, and which of several instances is nearest.
//!
//! [`directory`] remembers answers and says when to ask again; [`page`] is their form on disk.

use std::sync::Arc;

use serde_json::Value;

use super::reply::Reply;
use super::request::Call;

pub mod directory;
pub mod page;

/// The module that knows the others.
pub const MASTER: &str = "masterservice";
/// What the service that a master names for sessions is called here. No element of a path holds a
/// slash, so that no request can name it.
pub const SESSION_HOST: &str = "session/host";
/// The service that sessions are asked of where the settings name one.
pub const SESSION: &str = "session";

/// Characters of the name of a module that a master is asked for.
const NAME_MAX: usize = 64;
/// Instances of one module; what a master says beyond is left out.
pub const INSTANCES_MAX: usize = 64;
/// Characters of the name of a host, a region or a group.
const TEXT_MAX: usize = 253;
/// Of an instance of which nothing else is said.
const WEIGHT: u32 = 1;
const WEIGHT_MAX: u32 = 1000;

/// What a master is asked for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Wanted {
    /// The module of this name.
    Module(Arc<str>),
    /// The service that knows sessions (SPEC 8.5).
    Session,
}

impl Wanted {
    /// The module that an element of a path names; `None` if no module has such a name: letters,
    /// digits and `-._` of ASCII, 64 at most. Clients choose it, and it is sent on.
    #[must_use]
    pub fn module(name: &str) -> Option<Self> {
        let proper = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(proper);
        is_name.then(|| Wanted::Module(name.into()))
    }

    /// What it is called among modules.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Wanted::Module(name) => name,
            Wanted::Session => SESSION_HOST,
        }
    }

    /// The question (SPEC 8.2): the module that is wanted is the subject, and what is asked stands
    /// in `IR` as well, where masters look.
    #[must_use]
    pub fn call(&self) -> Call<'_> {
        let (module, param) = match self {
            Wanted::Module(name) => (&**name, "getmicroservicebypath"),
            Wanted::Session => (MASTER, "getsessionhost"),
        };
        let (internal_param, internal_method) = (Some(param), Some("GET"));
        Call { module, param, method: "GET", internal_param, internal_method, ..Call::default() }
    }
}

/// One place where a module runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// A name or an address, without brackets.
    pub host: String,
    /// Its gRPC port; not 0.
    pub port: u16,
    /// Empty: the master does not say.
    pub region: String,
    /// Empty: the master does not say.
    pub group: String,
    /// How much of the calls is for it, among those that are as near; 1 to 1000.
    pub weight: u32,
}

/// Where a module runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// At least one.
    pub instances: Vec<Instance>,
    /// Whether only callers with a right `X-Sign` may reach it.
    pub internal: bool,
}

/// What a master says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// It runs there.
    Here(Place),
    /// It does not run.
    Nowhere,
    /// It has a row without host, or without port.
    Incomplete,
}

impl Said {
    /// Reads an answer: `instances` if they are there, else `host` and `port`. Nobody is believed
    /// who answers with an error: that says nothing of the module.
    ///
    /// # Errors
    /// Says what is wrong, for the log.
    pub fn read(reply: &Reply) -> Result<Self, String> {
        match reply.status() {
            // Of actions that it does not know, and of modules.
            404 => return Ok(Said::Nowhere),
            status if status >= 400 => {
                return Err(format!("it answers with status {status}"));
            }
            _ => {}
        }
        let internal = reply.value("isinternal").is_some_and(is_true);
        let list = reply.value("instances").and_then(|text| serde_json::from_str(text).ok());
        if let Some(Value::Array(list)) = list {
            let mut instances: Vec<_> =
                list.iter().filter_map(instance).take(INSTANCES_MAX).collect();
            // That a master names them in turn is no news.
            instances.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
            if !instances.is_empty() {
                return Ok(Said::Here(Place { instances, internal }));
            }
        }
        let host = text_of(reply.value("host"));
        let port = text_of(reply.value("port"));
        match (host.is_empty(), port.is_empty()) {
            (true, true) => return Ok(Said::Nowhere),
            (false, false) => {}
            _ => return Ok(Said::Incomplete),
        }
        let (Some(host), Some(port)) = (host_of(&host), port_of(&port)) else {
            return Err("it names a host or a port that is none".to_owned());
        };
        let (region, group) = (text_of(reply.value("region")), text_of(reply.value("group")));
        let instances = vec![Instance { host, port, region, group, weight: WEIGHT }];
        Ok(Said::Here(Place { instances, internal }))
    }
}

/// One of `instances`; `None` if it says no host and port.
pub(super) fn instance(value: &Value) -> Option<Instance> {
    let text = |key: &str| match value.get(key) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let label = |key: &str| Some(text(key)).filter(|label| label.len() <= TEXT_MAX);
    let weight = text("weight").parse().unwrap_or(WEIGHT).clamp(1, WEIGHT_MAX);
    Some(Instance {
        host: host_of(&text("host"))?,
        port: port_of(&text("port"))?,
        region: label("region").unwrap_or_default(),
        group: label("group").unwrap_or_default(),
        weight,
    })
}

/// A value as it is meant: masters write ports as texts and as numbers.
fn text_of(value: Option<&str>) -> String {
    let text = match value.map(serde_json::from_str) {
        Some(Ok(Value::String(text))) => text,
        Some(Ok(Value::Number(number))) => number.to_string(),
        _ => String::new(),
    };
    text.trim().to_owned()
}

fn is_true(value: &str) -> bool {
    matches!(value.trim_matches('"'), "true" | "1")
}

/// A host as it can stand in an authority: what else a master might say would be written into the
/// heads of requests.
fn host_of(text: &str) -> Option<String> {
    let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Some(text.to_owned());
    }
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_host = (1..=TEXT_MAX).contains(&text.len()) && text.bytes().all(proper);
    is_host.then(|| text.to_owned())
}

fn port_of(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// Where the gateway itself stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Home {
    /// Its region; empty: none.
    pub region: String,
    /// Its group; empty: none.
    pub group: String,
}

impl Home {
    /// How far an instance is: 0 in the same region, 1 in the same group, 2 elsewhere (SPEC 8.6).
    /// The nearest that can be used gets the calls.
    #[must_use]
    pub fn rank(&self, instance: &Instance) -> u16 {
        let same = |own: &str, other: &str| !own.is_empty() && own == other;
        if same(&self.region, &instance.region) {
            0
        } else if same(&self.group, &instance.group) {
            1
        } else {
            2
        }
    }
}

#[cfg(test)]
mod tests;
