//! Which form of the Reverse protocol a service speaks, and how its uploads end.

/// A wire form of the service `Reverse` (SPEC 4.1 to 4.3), chosen for each service.
///
/// Gateways and services of different years speak different ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Dialect {
    /// As B, with `InternalRequest` in field 25 and `Do` alone (SPEC 4.2).
    A,
    /// No package, optional scalars, `InternalRequest` in field 26, `Do` and `Stream` (SPEC 4.1).
    #[default]
    B,
    /// The package `gufo`: arguments in `query` and `body`, identity in `auth` (SPEC 4.3).
    C,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 3] = [Dialect::A, Dialect::B, Dialect::C];

    /// The dialect with this name in a configuration, in either case of letters.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| name.eq_ignore_ascii_case(dialect.name()))
    }

    /// The name that a configuration uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::A => "a",
            Dialect::B => "b",
            Dialect::C => "c",
        }
    }

    /// The `:path` of the unary method.
    #[must_use]
    pub const fn path_do(self) -> &'static str {
        match self {
            Dialect::A | Dialect::B => "/Reverse/Do",
            Dialect::C => "/gufo.Reverse/Do",
        }
    }

    /// The `:path` of the streaming method. Services of dialect A have none: nobody asks for it.
    #[must_use]
    pub const fn path_stream(self) -> &'static str {
        match self {
            Dialect::A | Dialect::B => "/Reverse/Stream",
            Dialect::C => "/gufo.Reverse/Stream",
        }
    }

    /// Whether files are streamed to its services; else each is one message (SPEC 6.2).
    #[must_use]
    pub const fn has_streams(self) -> bool {
        !matches!(self, Dialect::A)
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
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_name(dialect.name()), Some(dialect));
        }
        assert_eq!(Dialect::from_name("C"), Some(Dialect::C));
        assert_eq!(Dialect::from_name("z"), None);
        for marker in [EndMarker::Meta, EndMarker::EmptyChunk, EndMarker::Both] {
            assert_eq!(EndMarker::from_name(marker.name()), Some(marker));
        }
        assert_eq!(EndMarker::from_name("none"), None);
    }
}
