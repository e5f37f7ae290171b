//! Label values that are bounded by the configuration, never by what a peer sends.

use crate::base::limits::LABELS_MAX;

/// A dense number for a name that the operator wrote: a route or an upstream.
///
/// It stays the same for the life of the process, so that counters outlive a reload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Label(u16);

impl Label {
    /// What matched no route, or names for which there was no more room.
    pub const OTHER: Label = Label(0);
    /// The gateway's own health answers.
    pub const HEALTH: Label = Label(1);
    /// The gateway's own info answer.
    pub const INFO: Label = Label(2);
    /// The metrics page.
    pub const METRICS: Label = Label(3);

    /// Names that every process has, in the order of their labels.
    const FIXED: [&str; 4] = ["other", "health", "info", "metrics"];

    /// Whether it stands for no name of the operator's.
    pub fn is_fixed(self) -> bool {
        self.place() < Self::FIXED.len()
    }

    /// Where a table keeps what belongs to this label.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// The label kept at `place`, if any label can be.
    pub fn at(place: usize) -> Option<Label> {
        u16::try_from(place).ok().filter(|_| place < LABELS_MAX).map(Label)
    }
}

/// The names behind the labels. Control keeps one for routes and one for upstreams; it only grows,
/// up to [`LABELS_MAX`] names. Those beyond share [`Label::OTHER`].
#[derive(Clone, Debug)]
pub struct Names {
    names: Vec<String>,
}

impl Default for Names {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    /// The fixed names alone.
    pub fn new() -> Self {
        Names { names: Label::FIXED.map(String::from).to_vec() }
    }

    /// The label of `name`, given to it now if it has none yet.
    pub fn label(&mut self, name: &str) -> Label {
        if let Some(place) = self.names.iter().position(|known| known == name) {
            return Label::at(place).unwrap_or(Label::OTHER);
        }
        let Some(label) = Label::at(self.names.len()) else {
            return Label::OTHER;
        };
        self.names.push(name.to_owned());
        label
    }

    /// The name behind `label`.
    pub fn name(&self, label: Label) -> &str {
        self.names.get(label.place()).map_or("other", String::as_str)
    }
}

/// A request method as it stands in labels: the nine of RFC 9110 §9.3 and RFC 5789, or `_OTHER`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Method {
    /// Any method that is not one of the others, as OpenTelemetry names it.
    Other,
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// `CONNECT`.
    Connect,
    /// `OPTIONS`.
    Options,
    /// `TRACE`.
    Trace,
    /// `PATCH`.
    Patch,
}

impl Method {
    /// Every method, in the order of [`Method::place`].
    pub const ALL: [Method; 10] = [
        Method::Other,
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Connect,
        Method::Options,
        Method::Trace,
        Method::Patch,
    ];

    /// The method that a request line names. Methods are case-sensitive (RFC 9110 §9.1).
    pub fn of(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"CONNECT" => Method::Connect,
            b"OPTIONS" => Method::Options,
            b"TRACE" => Method::Trace,
            b"PATCH" => Method::Patch,
            _ => Method::Other,
        }
    }

    /// As it stands in a label.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Other => "_OTHER",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Connect => "CONNECT",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
            Method::Patch => "PATCH",
        }
    }

    /// Where a table keeps what belongs to this method: below [`Method::ALL`]'s length.
    #[expect(clippy::as_conversions, reason = "a fieldless enum to its place in ALL")]
    pub const fn place(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_label() {
        let mut names = Names::new();
        let storage = names.label("storage");
        let users = names.label("users");
        assert_ne!(storage, users);
        assert_eq!(names.label("storage"), storage);
        assert_eq!(names.name(storage), "storage");
        assert!(!storage.is_fixed());
    }

    #[test]
    fn a_fixed_name_gives_its_fixed_label() {
        let mut names = Names::new();
        assert_eq!(names.label("other"), Label::OTHER);
        assert_eq!(names.label("health"), Label::HEALTH);
        assert_eq!(names.label("info"), Label::INFO);
        assert_eq!(names.label("metrics"), Label::METRICS);
        assert!(Label::METRICS.is_fixed());
    }

    #[test]
    fn names_beyond_the_bound_share_one_label() {
        let mut names = Names::new();
        for n in 0..2 * LABELS_MAX {
            names.label(&format!("m{n}"));
        }
        assert_eq!(names.label("one more"), Label::OTHER);
        assert_eq!(names.names.len(), LABELS_MAX);
    }

    #[test]
    fn a_method_is_known_by_its_exact_name() {
        for (place, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method.place(), place);
            assert_eq!(Method::of(method.name().as_bytes()), method);
        }
        assert_eq!(Method::of(b"get"), Method::Other);
        assert_eq!(Method::of(b"M17"), Method::Other);
        assert_eq!(Method::of(b""), Method::Other);
    }
}
