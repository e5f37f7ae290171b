//! The keys of authentication.

use super::key::{Key, Kind, between, live, open};

/// Keys of routes.
pub const ROUTE: &[Key] = &[
    open(
        "route.*.auth",
        Kind::Texts("names of `[auth.<name>]`, and `anonymous` as the last"),
        "who may use the route: profiles, tried in this order; `anonymous` lets those pass that \
         bring nothing at all",
    ),
    live(
        "route.*.forward_authorization",
        Kind::Choice(&["keep", "strip"]),
        "keep",
        "whether the endpoint gets the fields that tokens are looked for in; cookies stay",
    ),
];

/// Keys of profiles.
pub const KEYS: &[Key] = &[
    open(
        "auth.*.kind",
        Kind::Choice(&["jwt", "iam", "hs256", "static", "api_key", "mtls"]),
        "`jwt`: tokens signed by an issuer; `iam`: the same, and endpoints are told of people in \
         fields such as `X-User-Id`, with more defaults (docs/identity.md); `hs256`: signed with a \
         shared secret; `static`: one token; `api_key`: keys that a service knows; \
         `mtls`: the certificate that `tls.client_ca` has verified",
    ),
    open("auth.*.url", Kind::Text, "where the issuer publishes its keys (JWKS)"),
    open("auth.*.file", Kind::Text, "keys in a file, read anew when it changes"),
    open("auth.*.secret", Kind::Secret, "the shared secret of `hs256`"),
    live("auth.*.short_secret", Kind::Bool, "false", "take a `secret` shorter than its hash"),
    open("auth.*.token", Kind::Secret, "the token of `static`"),
    live("auth.*.allow_dev_token", Kind::Bool, "false", "take `dev-token` on any address"),
    open(
        "auth.*.algorithms",
        Kind::Texts("`RS256` to `RS512`, `PS…`, `ES…`, `EdDSA`, `HS…`"),
        "with what tokens may be signed; `RS256` for `jwt`, `HS256` for `hs256`",
    ),
    open("auth.*.issuers", Kind::Texts("texts"), "`iss` must be one of these"),
    open("auth.*.audiences", Kind::Texts("texts"), "`aud` must name one of these"),
    live("auth.*.audience_match", Kind::Choice(&["any", "all"]), "any", "one of them, or all"),
    live("auth.*.leeway", between(0, 3600), "30s", "how far clocks may be apart"),
    live(
        "auth.*.subject",
        Kind::Texts("claims"),
        "sub",
        "claims that say who it is, the first that there is; for `static`, who it is",
    ),
    live(
        "auth.*.key_by",
        Kind::Choice(&["kid", "x5t", "x5t#s256", "kid_x5t"]),
        "kid",
        "by what tokens name their key",
    ),
    live(
        "auth.*.key_name",
        Kind::Choice(&["required", "optional"]),
        "required",
        "`optional`: a token that names no key is tried with up to 8",
    ),
    open("auth.*.roles", Kind::Texts("roles"), "one of these is needed, else 403"),
    live("auth.*.roles_claim", Kind::Text, "roles", "where they stand; `realm.roles` goes inside"),
    open("auth.*.scopes", Kind::Texts("scopes"), "one of these is needed, else 403"),
    live("auth.*.scopes_claim", Kind::Text, "scope", "where they stand"),
    live("auth.*.scopes_match", Kind::Choice(&["any", "all"]), "any", "one of them, or all"),
    open(
        "auth.*.propagate",
        Kind::Texts("`<field>: <claim>`"),
        "claims that endpoints are told in fields; what the client sends there does not pass",
    ),
    live(
        "auth.*.headers",
        Kind::Texts("names of fields"),
        "authorization",
        "where tokens are looked for first",
    ),
    open("auth.*.cookies", Kind::Texts("names"), "cookies that tokens are looked for in then"),
    live("auth.*.basic", Kind::Bool, "false", "the password of `Basic` is a token as well"),
    open(
        "auth.*.pass_prefixes",
        Kind::Texts("beginnings of tokens"),
        "tokens that begin so pass unseen, without an identity: the endpoint judges them",
    ),
    live("auth.*.refresh", between(1000, 86_400), "5m", "after so long, keys are looked for again"),
    live("auth.*.timeout", between(100, 60), "3s", "how long looking for keys may take"),
    live(
        "auth.*.cooldown",
        between(1000, 3600),
        "10s",
        "between two looks for keys that tokens with an unknown key bring about",
    ),
    live(
        "auth.*.patience",
        between(0, 30),
        "4s",
        "how long a request waits for keys that are looked for because of it",
    ),
    open("auth.*.ca", Kind::Text, "authorities for `url` (PEM), in place of the system's"),
    open(
        "auth.*.fingerprints",
        Kind::Texts("base64url of SHA-256"),
        "one of the certificates that the host of `url` shows must have one of these public keys, \
         besides all else that is verified",
    ),
    live("auth.*.plain_http", Kind::Bool, "false", "let `url` be plain HTTP beyond this machine"),
];
