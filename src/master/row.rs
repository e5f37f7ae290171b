//! One instance of a service.

use serde_json::{Map, Value, json};

use super::fault::Fault;

/// Characters of a uuid and of a mandate's id: enough that nobody guesses one.
pub const UUID_CHARACTERS: usize = 24;
/// Of a name, a group and a region.
const NAME_MAX: usize = 64;
/// Of a host (RFC 1035 §2.3.4).
const HOST_MAX: usize = 253;
/// Of a version.
const VERSION_MAX: usize = 64;
/// Of an author.
const AUTHOR_MAX: usize = 256;
/// Of a description.
const DESCRIPTION_MAX: usize = 1024;
/// The most of an instance's share.
const WEIGHT_MAX: u64 = 100;

/// One instance of a service, as it said itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are columns of the protocol")]
pub struct Row {
    /// 24 characters of `a-z0-9`, made by the master. Who knows it may change the row.
    pub uuid: String,
    /// Of the service; `-` and `_` are the same.
    pub name: String,
    /// Where it runs.
    pub host: String,
    /// Its gRPC port, not zero.
    pub port: u16,
    /// The module that it belongs to, or another label; may be empty.
    pub group: String,
    /// The region that it serves; may be empty.
    pub region: String,
    /// Whether only signed requests may reach it.
    pub is_internal: bool,
    /// Whether it keeps sessions.
    pub is_session: bool,
    /// Whether it had not ended when the row was written.
    pub is_active: bool,
    /// Whether it ever sent a heartbeat.
    pub beats: bool,
    /// Its last sign of life that was written, seconds since 1970.
    pub echo: u64,
    /// What it is.
    pub description: String,
    /// Whose it is.
    pub author: String,
    /// Its version.
    pub version: String,
    /// The version of its entry point.
    pub entrypoint_version: String,
    /// Its share among the instances of its name, 0 to 100; 0: only if there is no other.
    pub weight: u64,
}

/// What makes an instance the same one: service, group and place.
pub type Identity = (String, String, String, u16);

impl Row {
    /// What makes this instance the same one.
    #[must_use]
    pub fn identity(&self) -> Identity {
        (fold(&self.name), fold(&self.group), self.host.clone(), self.port)
    }

    /// The service that it is an instance of: whose jobs one of them runs.
    #[must_use]
    pub fn service(&self) -> String {
        format!("{}/{}", fold(&self.group), fold(&self.name))
    }

    /// As a store keeps it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "uuid": self.uuid, "name": self.name, "host": self.host, "port": self.port,
            "group": self.group, "region": self.region, "isinternal": self.is_internal,
            "issession": self.is_session, "isactive": self.is_active, "beats": self.beats,
            "echo": self.echo, "description": self.description, "author": self.author,
            "version": self.version, "entrypointversion": self.entrypoint_version,
            "weight": self.weight,
        })
    }

    /// From what a store kept; `None`: it is no row.
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        let uuid = map.get("uuid")?.as_str()?;
        let mut row = Row { uuid: uuid.to_owned(), is_active: true, ..Row::default() };
        row.weight = 1;
        row.take(map).ok()?;
        let flag = |key| map.get(key).and_then(Value::as_bool);
        row.is_active = flag("isactive")?;
        row.beats = flag("beats").unwrap_or(false);
        row.echo = map.get("echo")?.as_u64()?;
        (is_uuid(&row.uuid) && !row.name.is_empty() && row.port != 0).then_some(row)
    }

    /// Takes over what these arguments say of an instance.
    pub(super) fn take(&mut self, args: &Map<String, Value>) -> Result<(), Fault> {
        if let Some(name) = text(args, "name", NAME_MAX)? {
            self.name = label("name", name)?;
        }
        if let Some(host) = text(args, "host", HOST_MAX)? {
            self.host = self::host(host)?;
        }
        if let Some(port) = port(args)? {
            self.port = port;
        }
        if let Some(group) = text(args, "group", NAME_MAX)? {
            self.group = label("group", group)?;
        }
        if let Some(region) = text(args, "region", NAME_MAX)? {
            self.region = label("region", region)?;
        }
        if let Some(flag) = boolean(args, "isinternal")? {
            self.is_internal = flag;
        }
        if let Some(flag) = boolean(args, "issession")? {
            self.is_session = flag;
        }
        for (key, max, own) in [
            ("description", DESCRIPTION_MAX, &mut self.description),
            ("author", AUTHOR_MAX, &mut self.author),
            ("version", VERSION_MAX, &mut self.version),
            ("entrypointversion", VERSION_MAX, &mut self.entrypoint_version),
        ] {
            if let Some(said) = text(args, key, max)? {
                *own = said;
            }
        }
        if let Some(weight) = number(args, "weight")? {
            if weight > WEIGHT_MAX {
                return Err(Fault::malformed(format!("weight is more than {WEIGHT_MAX}")));
            }
            self.weight = weight;
        }
        Ok(())
    }
}

/// A name as it is compared: `-` and `_` are the same (SPEC 8.2).
#[must_use]
pub fn fold(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether a text may be a uuid or the id of a mandate.
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    let own = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() == UUID_CHARACTERS && text.bytes().all(own)
}

/// A text of at most `max` characters; one that is null counts as not there.
pub(super) fn text(
    args: &Map<String, Value>,
    key: &'static str,
    max: usize,
) -> Result<Option<String>, Fault> {
    let text = match args.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(Fault::malformed(format!("{key} is no text"))),
    };
    if text.chars().count() > max {
        return Err(Fault::malformed(format!("{key} has more than {max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::malformed(format!("{key} has control characters")));
    }
    Ok(Some(text))
}

/// A whole number, also in quotes, as queries have them.
pub(super) fn number(args: &Map<String, Value>, key: &'static str) -> Result<Option<u64>, Fault> {
    let number = match args.get(key) {
        None | Some(Value::Null) => return Ok(None),
        // A `Struct` of protobuf holds all numbers as doubles.
        Some(Value::Number(number)) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(Value::String(text)) => plain(text),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| Fault::malformed(format!("{key} is no whole number")))
}

fn plain(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A double that is a whole number and not so large that doubles leave some out.
fn whole(number: f64) -> Option<u64> {
    let is_whole = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    if is_whole { format!("{number:.0}").parse().ok() } else { None }
}

/// True or false; also in quotes, or as 1 and 0.
fn boolean(args: &Map<String, Value>, key: &'static str) -> Result<Option<bool>, Fault> {
    match args.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(Value::String(text)) => match text.as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" | "" => Ok(Some(false)),
            _ => Err(Fault::malformed(format!("{key} is neither true nor false"))),
        },
        Some(_) => match number(args, key)? {
            Some(number @ 0..=1) => Ok(Some(number == 1)),
            _ => Err(Fault::malformed(format!("{key} is neither true nor false"))),
        },
    }
}

fn port(args: &Map<String, Value>) -> Result<Option<u16>, Fault> {
    let Some(number) = number(args, "port")? else { return Ok(None) };
    match u16::try_from(number) {
        Ok(port) if port != 0 => Ok(Some(port)),
        _ => Err(Fault::malformed("port is not 1 to 65535")),
    }
}

/// A word that may stand in a path.
fn label(key: &str, text: String) -> Result<String, Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.bytes().all(plain) {
        return Ok(text);
    }
    Err(Fault::malformed(format!("{key} has more than letters, digits, -, _ and .")))
}

/// A name or an address, without scheme and port.
fn host(text: String) -> Result<String, Fault> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(inner) = inner.filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()) {
        return Ok(inner.to_owned());
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.bytes().all(plain) || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text);
    }
    Err(Fault::malformed("host is no name and no address"))
}
