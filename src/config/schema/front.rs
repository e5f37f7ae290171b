//! The keys of CORS, addresses, hosts, and of what browsers are told.

use super::key::{Key, Kind, between, live, open};
use super::otus::DAY;
use crate::base::size::KIB;

const TEN_YEARS: u64 = 315_360_000;

/// Keys of routes.
pub const ROUTE: &[Key] = &[
    open(
        "route.*.cors",
        Kind::Text,
        "which pages of other origins may read: a name of `[cors.<name>]`",
    ),
    open(
        "route.*.security_headers",
        Kind::Text,
        "what browsers are told: a name of `[security_headers.<name>]`",
    ),
    open(
        "route.*.allowed_hosts",
        Kind::Texts("hosts: `\"example.com\"`, `\"*.example.com\"`"),
        "requests for other hosts are answered with 421",
    ),
    live(
        "route.*.https",
        Kind::Choice(&["off", "redirect"]),
        "off",
        "`redirect`: requests without TLS are sent to the same URL over TLS",
    ),
    open("route.*.allow", Kind::Cidrs, "only clients with these addresses are served; 403"),
    open(
        "route.*.deny",
        Kind::Cidrs,
        "clients with these addresses are not, whatever `allow` says",
    ),
    open(
        "route.*.allow_file",
        Kind::Text,
        "file with more of `allow`: one range a line, `#` comments",
    ),
    open("route.*.deny_file", Kind::Text, "file with more of `deny`"),
    open(
        "route.*.max_head",
        Kind::Size { min: 128, max: 16 * KIB, none: None },
        "a request head, if less than `limits.head`; 431",
    ),
    open(
        "route.*.max_body",
        Kind::Size { min: 0, max: u64::MAX, none: Some("unlimited") },
        "a request body, by its announced length and while it passes; 413",
    ),
];

/// Other keys.
pub const KEYS: &[Key] = &[
    open(
        "cors.*.origins",
        Kind::Texts("origins: `\"https://example.com\"`, `\"https://*.example.com\"`, `\"*\"`"),
        "whose pages may read; required",
    ),
    live(
        "cors.*.methods",
        Kind::Texts("methods, or `\"*\"`"),
        "GET, HEAD, POST",
        "what they may ask for",
    ),
    open(
        "cors.*.headers",
        Kind::Texts("request fields, or `\"*\"` for all but `Authorization`"),
        "what they may set besides the fields that always may be",
    ),
    open(
        "cors.*.expose",
        Kind::Texts("answer fields, or `\"*\"`"),
        "what they may read besides the fields that always may be",
    ),
    live(
        "cors.*.credentials",
        Kind::Bool,
        "false",
        "whether cookies may be sent; not together with any `\"*\"`",
    ),
    live(
        "cors.*.max_age",
        between(0, DAY),
        "2h",
        "how long browsers keep the answer to a preflight",
    ),
    live(
        "cors.*.private_network",
        Kind::Bool,
        "false",
        "whether pages of public networks may ask a gateway in a private one",
    ),
    open("security_headers.*.frame", Kind::Text, "`X-Frame-Options`: `DENY` or `SAMEORIGIN`"),
    live("security_headers.*.nosniff", Kind::Bool, "true", "`X-Content-Type-Options: nosniff`"),
    open("security_headers.*.referrer", Kind::Text, "`Referrer-Policy`"),
    open("security_headers.*.csp", Kind::Text, "`Content-Security-Policy`"),
    open("security_headers.*.permissions", Kind::Text, "`Permissions-Policy`"),
    live(
        "security_headers.*.browser_xss",
        Kind::Bool,
        "false",
        "`X-XSS-Protection: 1; mode=block`",
    ),
    open(
        "security_headers.*.hsts",
        between(0, TEN_YEARS),
        "`Strict-Transport-Security`, over TLS: browsers ask with TLS alone for so long",
    ),
    live("security_headers.*.hsts_subdomains", Kind::Bool, "false", "hosts below this one as well"),
    live("security_headers.*.hsts_preload", Kind::Bool, "false", "adds `preload`"),
    live(
        "security_headers.*.hsts_force",
        Kind::Bool,
        "false",
        "also without TLS, where a proxy before the gateway speaks it",
    ),
];
