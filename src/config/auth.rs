//! From `[auth.<name>]` tables to profiles, with what is wrong about them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::{Code, Finding};
use super::iam::iam_algorithms;
use super::source;
use super::values::Config;
use crate::policy::auth::algorithm::Algorithm;
use crate::policy::auth::claims::{ClaimRules, Grants};
use crate::policy::auth::credential::{Places, is_name};
use crate::policy::auth::fixed::FixedToken;
use crate::policy::auth::jwk::Key;
use crate::policy::auth::keys::{KeyBy, KeySet};
use crate::policy::auth::path::ClaimPath;
use crate::policy::auth::profile::{Profile, Proof};
use crate::policy::auth::propagate::Propagated;
use crate::policy::auth::verify::TokenRules;
use crate::snapshot::auth::{Auth, KeyPlace, KeySource, KeyUrl};
use crate::tls::client::{ClientSpec, ClientTls};
use crate::tls::pinned::pin;

/// The name that stands for those who bring nothing.
pub(super) const ANONYMOUS: &str = "anonymous";
/// Below so many characters, a token can be guessed.
const TOKEN_CHARACTERS_MIN: usize = 16;
/// The token of the published example (SPEC 10.3).
const DEV_TOKEN: &[u8] = b"dev-token";

/// What tokens of a kind are verified with.
const fn kind_keys(kind: &str) -> &'static [&'static str] {
    match kind.as_bytes() {
        b"jwt" | b"iam" => &["url", "file"],
        b"hs256" => &["secret"],
        b"static" => &["token"],
        _ => &[],
    }
}

impl Config {
    /// What is wrong about profiles. What files hold is found when the configuration is compiled.
    pub(super) fn check_auth(&self, findings: &mut Vec<Finding>) {
        for name in self.names("auth") {
            self.check_profile(&name, findings);
        }
    }

    fn check_profile(&self, name: &str, findings: &mut Vec<Finding>) {
        let key = |key: &str| format!("auth.{name}.{key}");
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        if name == ANONYMOUS {
            let message = "\"anonymous\" stands for those who bring nothing";
            find(
                Code::Contradiction,
                &self.first_below("auth.anonymous"),
                message,
                "take another name",
            );
        }
        let Some(kind) = self.text(&key("kind")) else {
            let (message, path) = (format!("`[auth.{name}]` has no `kind`"), key("kind"));
            let table = format!("auth.{name}");
            let path = if self.is_given(&path) { path } else { self.first_below(&table) };
            find(Code::Missing, &path, &message, "write kind = \"jwt\"");
            return;
        };
        let needed = kind_keys(&kind);
        let given: Vec<_> = needed.iter().filter(|part| self.is_given(&key(part))).collect();
        if !needed.is_empty() && given.len() != 1 {
            let message = format!("`kind = \"{kind}\"` needs `{}`", needed.join("` or `"));
            let way_out = match kind.as_str() {
                "jwt" | "iam" => "write one of url = \"https://…\" and file = \"keys.json\"",
                "hs256" => "write secret_env = \"NAME\": the variable that holds it",
                _ => "write token_env = \"NAME\": the variable that holds it",
            };
            find(Code::Missing, &key("kind"), &message, way_out);
        }
        for part in ["url", "file", "secret", "token"] {
            if self.is_given(&key(part)) && !needed.contains(&part) {
                let message = format!("`{part}` means nothing with `kind = \"{kind}\"`");
                find(Code::Contradiction, &key(part), &message, "leave one of them out");
            }
        }
        if kind == "mtls" && !self.is_given("tls.client_ca") {
            let message = "`kind = \"mtls\"`: nobody is asked for a certificate";
            let way_out = "write client_ca = \"authorities.pem\" in [tls]";
            find(Code::Missing, &key("kind"), message, way_out);
        }
        self.check_secrets(name, findings);
        self.check_url(name, findings);
        self.check_pins(name, findings);
        self.check_words(name, &kind, findings);
    }

    fn check_secrets(&self, name: &str, findings: &mut Vec<Finding>) {
        let key = |key: &str| format!("auth.{name}.{key}");
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        if let Some(token) = self.secret(&key("token")) {
            let is_local = self.ip("server.ip").is_some_and(|ip| ip.is_loopback());
            let is_allowed = self.boolean(&key("allow_dev_token")) == Some(true);
            if token.matches(DEV_TOKEN) && !is_local && !is_allowed {
                let message = "`token` is the one of the published example, and other hosts \
                               reach `server.ip`";
                let way_out = "write one of your own (`openssl rand -hex 32` makes one), or \
                               allow_dev_token = true";
                find(Code::Contradiction, &key("token"), message, way_out);
            } else if token.expose().chars().count() < TOKEN_CHARACTERS_MIN {
                let way_out = "write 16 characters or more; `openssl rand -hex 32` makes 64";
                find(Code::Risky, &key("token"), "`token` is short enough to be guessed", way_out);
            }
        }
        let Some(secret) = self.secret(&key("secret")) else { return };
        let is_short = self.boolean(&key("short_secret")) == Some(true);
        for algorithm in self.algorithms(name, "hs256").iter().flatten() {
            let fault = match Key::shared(*algorithm, secret.expose().as_bytes()) {
                Err(fault) if algorithm.is_shared() => fault,
                _ => continue,
            };
            if secret.is_empty() || !is_short {
                let message = format!("{fault}, {algorithm}");
                let way_out = "write 64 characters (`openssl rand -hex 32` makes them), or \
                               short_secret = true until its issuer has a longer one";
                find(Code::OutOfRange, &key("secret"), &message, way_out);
            } else {
                let way_out = "write 64 characters; `openssl rand -hex 32` makes them";
                find(Code::Risky, &key("secret"), "`secret` can be guessed", way_out);
            }
            return;
        }
    }

    fn check_url(&self, name: &str, findings: &mut Vec<Finding>) {
        let key = |key: &str| format!("auth.{name}.{key}");
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let Some(text) = self.text(&key("url")) else { return };
        let Some(url) = KeyUrl::parse(&text) else {
            let message = format!("`url = \"{text}\"` is no URL of http or https");
            let way_out = "write \"https://id.example/.well-known/jwks.json\"";
            find(Code::Malformed, &key("url"), &message, way_out);
            return;
        };
        if !url.secure && !url.is_local() && self.boolean(&key("plain_http")) != Some(true) {
            let message = "`url` is plain HTTP: whoever is in between may put in keys of his own";
            let way_out = "write \"https://…\", or plain_http = true if the way is safe";
            find(Code::Contradiction, &key("url"), message, way_out);
        }
        if !url.secure && self.is_given(&key("ca")) {
            let message = "`ca` means nothing: `url` is plain HTTP";
            find(Code::Contradiction, &key("ca"), message, "leave one of them out");
        }
    }

    fn check_pins(&self, name: &str, findings: &mut Vec<Finding>) {
        let path = format!("auth.{name}.fingerprints");
        if !self.is_given(&path) {
            return;
        }
        let mut find = |code, message: &str, way_out: &str| {
            findings.push(self.finding(code, &path, message, way_out));
        };
        let url = self.text(&format!("auth.{name}.url"));
        if url.is_none_or(|text| text.starts_with("http://")) {
            let message = "`fingerprints` means nothing: no keys are fetched over HTTPS";
            find(Code::Contradiction, message, "write url = \"https://…\", or leave it out");
        }
        let pins = self.texts(&path);
        if pins.is_empty() {
            let message = "`fingerprints` is empty: any certificate would do";
            find(Code::Missing, message, "write one, or leave it out");
        }
        for odd in pins.iter().filter(|text| pin(text).is_none()) {
            let message = format!("`fingerprints`: \"{odd}\" is no base64url of 32 bytes");
            let way_out = "write the SHA-256 of the SubjectPublicKeyInfo of a certificate; \
                           docs/auth.md says how to get it";
            find(Code::Malformed, &message, way_out);
        }
    }

    /// Lists of words that mean something.
    fn check_words(&self, name: &str, kind: &str, findings: &mut Vec<Finding>) {
        let key = |key: &str| format!("auth.{name}.{key}");
        let mut find = |path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(Code::Malformed, &key(path), message, way_out));
        };
        let algorithms = self.algorithms(name, kind);
        for odd in algorithms.iter().filter_map(|algorithm| algorithm.as_ref().err()) {
            let message = format!("`algorithms`: \"{odd}\" is none that is known");
            let all: Vec<_> = Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
            find("algorithms", &message, &format!("write some of {}", all.join(", ")));
        }
        let is_shared = |algorithm: &Algorithm| algorithm.is_shared();
        let known: Vec<_> = algorithms.iter().flatten().collect();
        if algorithms.is_empty() {
            find("algorithms", "`algorithms` is empty", "write algorithms = [\"RS256\"]");
        } else if kind == "hs256" && known.iter().any(|algorithm| !is_shared(algorithm)) {
            let message = "`algorithms`: a shared secret signs with HS256, HS384 or HS512 only";
            find("algorithms", message, "write algorithms = [\"HS256\"]");
        } else if self.is_given(&key("url")) && known.iter().any(|algorithm| is_shared(algorithm)) {
            let message = "`algorithms`: what is published at `url` is no shared secret";
            find("algorithms", message, "leave out HS256, HS384 and HS512");
        }
        let told = self.texts(&key("propagate"));
        for odd in told.iter().filter(|text| Propagated::parse(text).is_none()) {
            let message = format!("`propagate`: \"{odd}\" names no field of ours and a claim");
            find("propagate", &message, "write \"x-user-id: sub\"");
        }
        for field in self.texts(&key("headers")) {
            if !is_name(&field) {
                let message = format!("`headers`: \"{field}\" is no name of a field");
                find("headers", &message, "write headers = [\"authorization\"]");
            }
        }
        for cookie in self.texts(&key("cookies")) {
            if !is_name(&cookie) {
                let message = format!("`cookies`: \"{cookie}\" is no name of a cookie");
                find("cookies", &message, "write cookies = [\"access_token\"]");
            }
        }
        if self.texts(&key("pass_prefixes")).iter().any(String::is_empty) {
            let message = "`pass_prefixes` holds an empty text: every token would pass";
            find("pass_prefixes", message, "write the beginnings of keys, as \"sk-\"");
        }
        if self.texts(&key("subject")).is_empty() {
            find("subject", "`subject` is empty", "write subject = [\"sub\"]");
        }
    }

    /// With what tokens may be signed; a name that is none is an error.
    fn algorithms(&self, name: &str, kind: &str) -> Vec<Result<Algorithm, String>> {
        let path = format!("auth.{name}.algorithms");
        if !self.is_given(&path) {
            return match kind {
                "hs256" => vec![Ok(Algorithm::Hs256)],
                "iam" => iam_algorithms().map(Ok).collect(),
                _ => vec![Ok(Algorithm::Rs256)],
            };
        }
        self.texts(&path).into_iter().map(|text| Algorithm::of(&text).ok_or(text)).collect()
    }

    /// All profiles. What could not be read is told, and then there is no snapshot.
    pub(super) fn auth(&self, findings: &mut Vec<Finding>) -> Auth {
        let mut auth = Auth::default();
        for name in self.names("auth") {
            let proof = self.proof(&name, &mut auth.sources, findings);
            let texts = |key: &str| self.texts(&format!("auth.{name}.{key}"));
            let lower = |text: String| text.to_ascii_lowercase();
            let places = Places {
                fields: self.iam_texts(&name, "headers").into_iter().map(lower).collect(),
                cookies: self.iam_texts(&name, "cookies"),
                basic: self.is_basic(&name),
            };
            let passed = texts("pass_prefixes");
            let public = self.public(&name);
            auth.profiles.push(Profile { name, proof, places, passed, public });
        }
        auth
    }

    fn proof(
        &self,
        name: &str,
        sources: &mut Vec<KeySource>,
        findings: &mut Vec<Finding>,
    ) -> Proof {
        let key = |key: &str| format!("auth.{name}.{key}");
        let kind = self.text(&key("kind")).unwrap_or_default();
        match kind.as_str() {
            "mtls" => return Proof::Certificate,
            "api_key" => {
                // Checked before: without a service there is no place, and no key is known.
                let place = self.key_profiles().iter().position(|own| own == name);
                return Proof::Key(place.unwrap_or(usize::MAX));
            }
            "static" => {
                let token = self.secret(&key("token")).unwrap_or_default();
                let given = self.is_given(&key("subject")).then(|| self.texts(&key("subject")));
                let subject = given.map_or_else(|| name.to_owned(), |words| words.join(" "));
                return Proof::Fixed(vec![FixedToken::new(token.expose().as_bytes(), subject)]);
            }
            _ => {}
        }
        let Some(place) = self.key_place(name, &kind, findings) else {
            return Proof::Fixed(Vec::new());
        };
        let source = KeySource {
            name: Arc::from(name),
            place,
            refresh: self.duration(&key("refresh")),
            timeout: self.duration(&key("timeout")),
            cooldown: self.duration(&key("cooldown")),
        };
        // Profiles that ask the same place in the same way share what they get.
        let is_same = |other: &KeySource| {
            KeySource { name: Arc::clone(&other.name), ..source.clone() } == *other
        };
        let place = sources.iter().position(is_same).unwrap_or_else(|| {
            sources.push(source.clone());
            sources.len() - 1
        });
        let (rules, patience) = (self.token_rules(name, &kind), self.duration(&key("patience")));
        Proof::Token { rules: Box::new(rules), source: place, patience }
    }

    fn token_rules(&self, name: &str, kind: &str) -> TokenRules {
        let key = |key: &str| format!("auth.{name}.{key}");
        let is = |path: &str, word: &str| self.text(&key(path)).as_deref() == Some(word);
        let grants = |what: &str, all: bool| Grants {
            claim: ClaimPath::new(self.text(&key(&format!("{what}_claim"))).unwrap_or_default()),
            wanted: self.texts(&key(what)),
            all,
        };
        let claims = ClaimRules {
            issuers: self.texts(&key("issuers")),
            audiences: self.texts(&key("audiences")),
            all_audiences: is("audience_match", "all"),
            leeway: self.leeway(name),
            subject: self.iam_texts(name, "subject").into_iter().map(ClaimPath::new).collect(),
            roles: grants("roles", false),
            scopes: grants("scopes", is("scopes_match", "all")),
        };
        let told = self.texts(&key("propagate"));
        TokenRules {
            algorithms: self.algorithms(name, kind).into_iter().filter_map(Result::ok).collect(),
            key_by: KeyBy::of(&self.text(&key("key_by")).unwrap_or_default()).unwrap_or_default(),
            key_name_needed: !self.is_key_optional(name),
            claims,
            propagated: told.iter().filter_map(|text| Propagated::parse(text)).collect(),
            iam: self.admin_rule(name),
        }
    }

    /// Where the keys of a profile are; `None`: that was told.
    fn key_place(&self, name: &str, kind: &str, findings: &mut Vec<Finding>) -> Option<KeyPlace> {
        let key = |key: &str| format!("auth.{name}.{key}");
        if kind == "hs256" {
            let secret = self.secret(&key("secret"))?;
            let algorithms: Vec<_> =
                self.algorithms(name, kind).into_iter().filter_map(Result::ok).collect();
            let key = Key::of_secret(&algorithms, secret.expose().as_bytes()).ok()?;
            return Some(KeyPlace::Fixed(Arc::new(KeySet::single(key))));
        }
        if let Some(path) = self.text(&key("file")).map(PathBuf::from) {
            return match keys_of(&path) {
                Ok(keys) => Some(KeyPlace::File(path, keys)),
                Err(message) => {
                    let way_out = "check the path and its rights, and that it holds a JWK set";
                    findings.push(self.finding(Code::Malformed, &key("file"), &message, way_out));
                    None
                }
            };
        }
        let url = KeyUrl::parse(&self.text(&key("url"))?)?;
        if !url.secure {
            return Some(KeyPlace::Url(url, None));
        }
        let authorities = self.text(&key("ca")).map(PathBuf::from);
        let pins = self.texts(&key("fingerprints")).iter().filter_map(|text| pin(text)).collect();
        let spec = ClientSpec { authorities, pins, ..ClientSpec::default() };
        match ClientTls::build(spec, &source::read_file) {
            Ok(tls) => Some(KeyPlace::Url(url, Some(Box::new(tls)))),
            Err((_, message)) => {
                let path = if self.is_given(&key("ca")) { key("ca") } else { key("url") };
                let way_out = "check the path, its rights, and that it is PEM";
                findings.push(self.finding(Code::Malformed, &path, &message, way_out));
                None
            }
        }
    }
}

fn keys_of(path: &Path) -> Result<Arc<KeySet>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let content = source::read_file(path).map_err(|error| wrong(&error))?;
    let (keys, _) = KeySet::parse(&content.bytes, true).map_err(|error| wrong(&error))?;
    Ok(Arc::new(keys))
}

#[cfg(test)]
mod tests;
