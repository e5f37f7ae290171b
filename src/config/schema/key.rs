//! What a key is: its kind of value, its default, and when a change of it takes effect.

use std::time::Duration;

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Parts joined by dots; `*` stands for any name.
    pub path: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// As it would be written in a variable; `None`: there is no value unless it is written.
    pub default: Option<&'static str>,
    /// When a change of it takes effect.
    pub reload: Reload,
    /// What it means, without a full stop.
    pub help: &'static str,
}

/// When a change of a key takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reload {
    /// With the next reload.
    Live,
    /// When the process starts again.
    Restart,
    /// The key is accepted and its type is checked; what it asks for is not built yet.
    NotYet,
    /// It is of Gufo's services, which may read the same file: whatever it says, nothing is used.
    Kept,
}

/// What the value of a key is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// `true`, `false`, or one of these words, each of which is a kind of `true`.
    Switch(&'static [&'static str]),
    /// Any text without control characters.
    Text,
    /// A text that no output shows.
    Secret,
    /// A port; zero, meaning any free one, only where it says so.
    Port {
        /// Whether zero is one.
        zero: bool,
    },
    /// An IP address.
    Ip,
    /// A host name or an IP address.
    Host,
    /// An IP address with a port, or `off`.
    AddressOrOff,
    /// A whole number, both ends included.
    Integer(u64, u64),
    /// A number, both ends included.
    Float(f64, f64),
    /// A length of time with its unit.
    Duration(Span),
    /// A number of bytes with its unit, both ends included.
    Size {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// The word that says that there is none.
        none: Option<&'static str>,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `auto`, a number of shards, or a list of cores.
    Workers,
    /// A list of address ranges.
    Cidrs,
    /// A list of paths that begin with a slash.
    Paths,
    /// A list of texts, or one text; what they are, for the documentation.
    Texts(&'static str),
    /// One path that begins with a slash.
    Path,
    /// `off`, `stdout`, `stderr`, or the path of a file.
    Log,
    /// `auto`, `system`, or the name of a congestion control.
    Congestion,
}

/// The range of a length of time.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The least.
    pub min: Duration,
    /// The most.
    pub max: Duration,
    /// Whether a number without a unit means seconds, as in Gufo's files.
    pub bare_seconds: bool,
    /// Whether `off` is a value.
    pub off: bool,
}

/// A range from milliseconds to seconds; the unit must be written.
pub(super) const fn between(min_ms: u64, max_s: u64) -> Kind {
    let (min, max) = (Duration::from_millis(min_ms), Duration::from_secs(max_s));
    Kind::Duration(Span { min, max, bare_seconds: false, off: false })
}

/// As [`between`]; a number without a unit means seconds.
pub(super) const fn seconds(min_ms: u64, max_s: u64) -> Kind {
    let (min, max) = (Duration::from_millis(min_ms), Duration::from_secs(max_s));
    Kind::Duration(Span { min, max, bare_seconds: true, off: false })
}

/// As [`between`]; or `off`.
pub(super) const fn between_or_off(min_ms: u64, max_s: u64) -> Kind {
    let (min, max) = (Duration::from_millis(min_ms), Duration::from_secs(max_s));
    Kind::Duration(Span { min, max, bare_seconds: false, off: true })
}

/// A key that takes effect with the next reload.
pub(super) const fn live(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { path, kind, default: Some(default), reload: Reload::Live, help }
}

/// A key that takes effect with the next reload, and has no default.
pub(super) const fn open(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, default: None, reload: Reload::Live, help }
}

/// A key that takes effect when the process starts again.
pub(super) const fn restart(
    path: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { path, kind, default: Some(default), reload: Reload::Restart, help }
}

/// The same without a default.
pub(super) const fn restart_open(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, default: None, reload: Reload::Restart, help }
}

/// A key that is accepted and has no effect yet.
pub(super) const fn not_yet(path: &'static str, kind: Kind, help: &'static str) -> Key {
    Key { path, kind, default: None, reload: Reload::NotYet, help }
}

/// A key of Gufo's services, with the default that they document.
pub(super) const fn kept(
    path: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    help: &'static str,
) -> Key {
    Key { path, kind, default, reload: Reload::Kept, help }
}
