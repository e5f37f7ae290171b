//! Which form of the Reverse protocol a service speaks, and how its uploads end.

/// A wire form of the service `Reverse` (SPEC 4.1 to 4.3), chosen for each service.
///
/// Only B exists yet. A (internal request in field 25, `Do` only) and C (package `gufo`) join here
/// and every `match` on this type then says what has to be written for them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Dialect {
    /// No package, optional scalars, `InternalRequest` in field 26, `Do` and `Stream` (SPEC 4.1).
    #[default]
    B,
}

impl Dialect {
    /// The dialect with this name in a configuration, in either case of letters.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("b") { Some(Dialect::B) } else { None }
    }

    /// The name that a configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::B => "b",
        }
    }

    /// The `:path` of the unary method.
    #[must_use]
    pub const fn path_do(self) -> &'static str {
        match self {
            Dialect::B => "/Reverse/Do",
        }
    }

    /// The `:path` of the streaming method.
    #[must_use]
    pub const fn path_stream(self) -> &'static str {
        match self {
            Dialect::B => "/Reverse/Stream",
        }
    }

    /// What precedes the name of a message of ours in an `Any`'s type URL.
    #[must_use]
    pub const fn type_url_prefix(self) -> &'static str {
        match self {
            Dialect::B => "type.googleapis.com/",
        }
    }
}

/// How a service learns that a file of an upload is complete (SPEC 6.1, 20 item 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum EndMarker {
    /// A `meta` message with the phase `end` only.
    Meta,
    /// A chunk without data only.
    EmptyChunk,
    /// The `meta` message, then the empty chunk. Each kind of service ignores the other's marker.
    #[default]
    Both,
}

impl EndMarker {
    /// The marker with this name in a configuration: `meta`, `empty_chunk` or `both`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "meta" => Some(EndMarker::Meta),
            "empty_chunk" => Some(EndMarker::EmptyChunk),
            "both" => Some(EndMarker::Both),
            _ => None,
        }
    }

    /// The name that a configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EndMarker::Meta => "meta",
            EndMarker::EmptyChunk => "empty_chunk",
            EndMarker::Both => "both",
        }
    }

    /// Whether a `meta` message with the phase `end` is sent.
    #[must_use]
    pub const fn has_meta(self) -> bool {
        matches!(self, EndMarker::Meta | EndMarker::Both)
    }

    /// Whether an empty chunk is sent.
    #[must_use]
    pub const fn has_empty_chunk(self) -> bool {
        matches!(self, EndMarker::EmptyChunk | EndMarker::Both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(Dialect::from_name(Dialect::B.name()), Some(Dialect::B));
        assert_eq!(Dialect::from_name("B"), Some(Dialect::B));
        assert_eq!(Dialect::from_name("z"), None);
        for marker in [EndMarker::Meta, EndMarker::EmptyChunk, EndMarker::Both] {
            assert_eq!(EndMarker::from_name(marker.name()), Some(marker));
        }
        assert_eq!(EndMarker::from_name("none"), None);
    }
}
