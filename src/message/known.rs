//! The fields that the gateway itself reads, writes or strips, as an enum.

/// Makes [`Known`] and its tables from one list.
macro_rules! known {
    ($($variant:ident => $name:literal),+ $(,)?) => {
        /// A field name that means something to the gateway.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Known {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )+
            /// Any other name.
            Other,
        }

        const NAMES: &[(&str, Known)] = &[$(($name, Known::$variant)),+];

        impl Known {
            /// The name in lower case; empty for [`Known::Other`].
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Known::$variant => $name,)+
                    Known::Other => "",
                }
            }
        }
    };
}

known! {
    Accept => "accept",
    AcceptEncoding => "accept-encoding",
    AcceptLanguage => "accept-language",
    AccessControlRequestHeaders => "access-control-request-headers",
    AccessControlRequestMethod => "access-control-request-method",
    Age => "age",
    Authorization => "authorization",
    CacheControl => "cache-control",
    ClientCert => "client-cert",
    ClientCertChain => "client-cert-chain",
    Connection => "connection",
    ContentDisposition => "content-disposition",
    ContentEncoding => "content-encoding",
    ContentLength => "content-length",
    ContentRange => "content-range",
    ContentType => "content-type",
    Cookie => "cookie",
    Date => "date",
    Etag => "etag",
    Expect => "expect",
    Forwarded => "forwarded",
    GrpcTimeout => "grpc-timeout",
    Host => "host",
    Http2Settings => "http2-settings",
    IfMatch => "if-match",
    IfModifiedSince => "if-modified-since",
    IfNoneMatch => "if-none-match",
    IfRange => "if-range",
    KeepAlive => "keep-alive",
    LastEventId => "last-event-id",
    LastModified => "last-modified",
    Location => "location",
    MaxForwards => "max-forwards",
    Origin => "origin",
    ProxyAuthenticate => "proxy-authenticate",
    ProxyAuthorization => "proxy-authorization",
    ProxyConnection => "proxy-connection",
    Range => "range",
    Referer => "referer",
    RetryAfter => "retry-after",
    SecWebSocketAccept => "sec-websocket-accept",
    SecWebSocketExtensions => "sec-websocket-extensions",
    SecWebSocketKey => "sec-websocket-key",
    SecWebSocketProtocol => "sec-websocket-protocol",
    SecWebSocketVersion => "sec-websocket-version",
    Server => "server",
    SetCookie => "set-cookie",
    Te => "te",
    Traceparent => "traceparent",
    Tracestate => "tracestate",
    Trailer => "trailer",
    TransferEncoding => "transfer-encoding",
    Upgrade => "upgrade",
    UserAgent => "user-agent",
    Vary => "vary",
    Via => "via",
    WwwAuthenticate => "www-authenticate",
    XApiKey => "x-api-key",
    XFilename => "x-filename",
    XForwardedFor => "x-forwarded-for",
    XForwardedHost => "x-forwarded-host",
    XForwardedPort => "x-forwarded-port",
    XForwardedProto => "x-forwarded-proto",
    XHttpMethodOverride => "x-http-method-override",
    XRealIp => "x-real-ip",
    XRequestId => "x-request-id",
    XSign => "x-sign",
}

const SLOTS: usize = 256;

/// Names longer than that are not known.
const NAME_BYTES_MAX: usize = 32;

/// A name in lower case as its length and four words, which may overlap.
#[derive(Clone, Copy)]
struct Packed {
    len: usize,
    first: u64,
    last: u64,
    second: u64,
    third: u64,
}

impl Packed {
    const NONE: Packed = Packed { len: 0, first: 0, last: 0, second: 0, third: 0 };

    /// Equality without branches.
    #[inline]
    fn is(&self, other: &Packed) -> bool {
        let ends = (self.first ^ other.first) | (self.last ^ other.last);
        let middle = (self.second ^ other.second) | (self.third ^ other.third);
        (ends | middle) == 0 && self.len == other.len
    }
}

/// Open addressing, filled at compile time: the index into [`NAMES`] plus one, or zero.
static TABLE: [u8; SLOTS] = build();
static PACKED: [Packed; NAMES.len()] = pack_all();

impl Known {
    /// The field of that name, in any case.
    #[inline]
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "the slot is taken modulo the table's length")]
    pub fn of(name: &[u8]) -> Known {
        let Some(packed) = pack(name) else { return Known::Other };
        let mut slot = slot(&packed);
        while let Some(index) = usize::from(TABLE[slot % SLOTS]).checked_sub(1) {
            match (PACKED.get(index), NAMES.get(index)) {
                (Some(found), Some((_, known))) if found.is(&packed) => return *known,
                _ => slot += 1,
            }
        }
        Known::Other
    }

    /// Whether the field is about this connection only and is never passed on: those of RFC 9110
    /// §7.6.1, and credentials for a proxy, which end at the first one (§11.7.2).
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Known::Connection
                | Known::Http2Settings
                | Known::KeepAlive
                | Known::ProxyAuthenticate
                | Known::ProxyAuthorization
                | Known::ProxyConnection
                | Known::Te
                | Known::Trailer
                | Known::TransferEncoding
                | Known::Upgrade
        )
    }

    /// Whether a peer may have the field stripped by naming it in `connection`. Those that carry
    /// framing, routing, identity, forwarding or tracing may not: a client could otherwise hide
    /// them from a back end.
    #[must_use]
    pub const fn may_be_nominated(self) -> bool {
        matches!(self, Known::Other) || self.is_hop_by_hop()
    }
}

/// A name as words: its first eight bytes, its last eight, and those between. `None` if it is empty
/// or too long to be known.
///
/// Bytes from `@` to `_` gain 0x20. The known names have none of the bytes that others than letters
/// become so; with the length, two packed names are equal only if the names are.
#[inline]
const fn pack(name: &[u8]) -> Option<Packed> {
    let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        (_, _) => (short_word(name), 0),
    };
    let (second, third) = match name.len() {
        0 => return None,
        1..=16 => (0, 0),
        17..=24 => (word_at(name, 8), 0),
        25..=NAME_BYTES_MAX => (word_at(name, 8), word_at(name, 16)),
        _ => return None,
    };
    Some(Packed {
        len: name.len(),
        first: fold(first),
        last: fold(last),
        second: fold(second),
        third: fold(third),
    })
}

#[inline]
const fn fold(word: u64) -> u64 {
    word | (word & 0x4040_4040_4040_4040) >> 1
}

/// The eight bytes at `at`; zero if they are not there.
#[inline]
const fn word_at(bytes: &[u8], at: usize) -> u64 {
    let (_, rest) = bytes.split_at(at);
    match rest.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => 0,
    }
}

/// Up to seven bytes as a word.
#[inline]
#[expect(clippy::as_conversions, reason = "const; widens")]
const fn short_word(bytes: &[u8]) -> u64 {
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            u32::from_le_bytes(*first) as u64 | (u32::from_le_bytes(*last) as u64) << 32
        }
        (_, _, [first, .., last]) => {
            let (_, tail) = bytes.split_at(1);
            let [second, ..] = tail else { return 0 };
            *first as u64 | (*second as u64) << 8 | (*last as u64) << 16
        }
        (_, _, [only]) => *only as u64,
        (_, _, []) => 0,
    }
}

/// Where to begin looking for a name.
#[inline]
#[expect(clippy::as_conversions, reason = "const; widens, and then it is below 256")]
const fn slot(packed: &Packed) -> usize {
    let mix = packed.first ^ packed.last.rotate_left(21) ^ (packed.len as u64) << 11;
    (mix.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}

#[expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "const; a fault stops the build"
)]
const fn build() -> [u8; SLOTS] {
    let mut table = [0; SLOTS];
    let packed = pack_all();
    let mut number: u8 = 0;
    while (number as usize) < NAMES.len() {
        let mut at = slot(&packed[number as usize]);
        number += 1;
        while table[at % SLOTS] != 0 {
            at += 1;
        }
        table[at % SLOTS] = number;
    }
    assert!(NAMES.len() < 128, "the table stays at most half full");
    table
}

#[expect(clippy::indexing_slicing, reason = "const; a fault stops the build")]
const fn pack_all() -> [Packed; NAMES.len()] {
    let mut out = [Packed::NONE; NAMES.len()];
    let mut index = 0;
    while index < NAMES.len() {
        // A test finds every name, so none is too long.
        if let Some(packed) = pack(NAMES[index].0.as_bytes()) {
            out[index] = packed;
        }
        index += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        for (name, known) in NAMES {
            assert_eq!(Known::of(name.as_bytes()), *known);
            assert_eq!(Known::of(name.to_ascii_uppercase().as_bytes()), *known);
            assert_eq!(known.name(), *name);
        }
    }

    #[test]
    fn a_name_that_is_nearly_known_is_other() {
        for (name, known) in NAMES {
            for at in 0..name.len() {
                for byte in 0..=255 {
                    let mut near = name.as_bytes().to_vec();
                    near[at] = byte;
                    let same = byte.eq_ignore_ascii_case(&name.as_bytes()[at]);
                    assert_eq!(Known::of(&near) == *known, same, "{name} at {at}: {byte}");
                }
            }
            for byte in 0..=255 {
                let longer = [name.as_bytes(), &[byte]].concat();
                assert_ne!(Known::of(&longer), *known, "{longer:?}");
            }
            assert_ne!(Known::of(&name.as_bytes()[1..]), *known);
            assert_ne!(Known::of(&name.as_bytes()[..name.len() - 1]), *known);
        }
        assert_eq!(Known::of(b""), Known::Other);
        assert_eq!(Known::of(b"x"), Known::Other);
        assert_eq!(Known::of(&[b'x'; 300]), Known::Other);
    }

    #[test]
    fn names_are_found_within_few_probes() {
        let mut run = 0;
        let mut longest = 0;
        for entry in TABLE.iter().chain(TABLE.iter()) {
            run = if *entry == 0 { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        assert!(longest <= 8, "{longest}");
    }

    #[test]
    fn fields_of_identity_and_framing_may_not_be_nominated() {
        for known in [Known::Host, Known::ContentLength, Known::Authorization, Known::XForwardedFor]
        {
            assert!(!known.may_be_nominated(), "{known:?}");
        }
        assert!(Known::Other.may_be_nominated());
        assert!(Known::KeepAlive.may_be_nominated());
    }
}
