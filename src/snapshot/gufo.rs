//! The Gufo surface: base paths, trust, and the modules that requests name.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::cidr::Cidr;
use super::files::Files;
use super::registry::Registry;
use super::secret::Secret;
use super::upstream::UpstreamId;
use crate::base::limits;
use crate::base::time::UnixTime;
use crate::gufo::dialect::{Dialect, EndMarker};
use crate::gufo::nonces::Nonces;
use crate::gufo::registry::{SESSION, SESSION_HOST};
use crate::gufo::request::Call;
use crate::gufo::trust::{NONCE_BYTES, SigningKey, Subject, arguments_digest, path_of};
use crate::policy::set::Policies;

/// The Gufo surface.
#[derive(Clone, PartialEq, Debug)]
pub struct Gufo {
    /// The prefixes under which modules are reached. Both stay served (SPEC 8.3, 20 item 1).
    pub bases: Vec<ApiBase>,
    /// What `Request.Sign` carries, and what an `X-Sign` must equal.
    pub sign: Secret,
    /// How services know that a call comes from this gateway, and how callers are known.
    pub trust: Trust,
    /// How sessions are checked; `None`: they are not.
    pub session: Option<SessionRule>,
    /// The language of calls that name none: `english`.
    pub language: String,
    /// Whether faults have the statuses of the original, such as 400 for a service that is down
    /// (SPEC 5.3); else those that they have elsewhere.
    pub legacy_status: bool,
    /// Fields put on every answer of the surface (SPEC 2.6). Empty when switched off.
    pub default_headers: Vec<(String, String)>,
    /// What `info` answers as version: `0.1.0  (commit, date)`.
    pub version_text: String,
    /// What `info` answers as registration.
    pub registration: bool,
    /// Who may end the gateway by `GET /exit`; empty: there is no such path (SPEC 5.1).
    pub exit_peers: Vec<Cidr>,
    /// Paths outside the bases that are uploads to a module, longest first.
    pub upload_routes: Vec<UploadRoute>,
    /// Files of this host that services may answer with; `None`: they may not.
    pub files: Option<Files>,
    /// The bridge to a module that speaks MCP; `None`: there is none.
    pub mcp: Option<Mcp>,
    /// What is asked of those who use the surface; `None`: nothing.
    pub policies: Option<Arc<Policies>>,
    /// How modules are found that the settings do not place; `None`: they are not.
    pub registry: Option<Arc<Registry>>,
    /// Modules that the settings name and do not place, where none are found.
    pub unplaced: Vec<String>,
    /// Sorted by name, `-` read as `_`. The index is the module's dense id.
    modules: Vec<Module>,
}

/// A prefix under which modules are reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiBase {
    /// With a leading and without a trailing slash: `/api/v3`.
    pub prefix: String,
    /// The `APIVersion` of calls below it: `v3`.
    pub version: String,
}

/// How services know that a call comes from this gateway (SPEC part 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SecurityMode {
    /// `Request.Sign` carries the shared secret.
    #[default]
    Sign,
    /// It carries a signature of the single call (SPEC 7.2).
    Hmac,
    /// It is empty: the certificate of the connection is the proof.
    Mtls,
}

/// What callers from outside must show (SPEC 7.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RestMode {
    /// Nothing; a wrong `X-Sign` is refused.
    #[default]
    None,
    /// `X-Sign` with the shared secret.
    Sign,
    /// `X-Sign` with a signature of the request.
    Hmac,
    /// A certificate.
    Mtls,
}

/// How sessions are checked (SPEC 10.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionRule {
    /// When the session service cannot be asked.
    pub on_error: OnError,
    /// What users may not do who may only read.
    pub readonly: ReadOnly,
}

/// What becomes of a call when nobody can say whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnError {
    /// It goes on without a user.
    #[default]
    Anonymous,
    /// It is refused.
    Refuse,
}

/// What users may not do who may only read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReadOnly {
    /// Anything, as Gufo has it.
    #[default]
    All,
    /// Whatever changes something.
    Writes,
}

/// Trust between the gateway, its services and its callers.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Towards services.
    pub mode: SecurityMode,
    /// Towards callers.
    pub rest: RestMode,
    /// Of the mode `hmac`, and what it was made of.
    pub key: Option<(SigningKey, Secret)>,
    /// How long a signature holds.
    pub max_age: Duration,
    /// Those that came; kept by the generations of one process.
    pub nonces: Arc<Nonces>,
}

impl Default for Trust {
    /// The shared secret towards services, nothing towards callers.
    fn default() -> Self {
        Trust {
            mode: SecurityMode::default(),
            rest: RestMode::default(),
            key: None,
            max_age: limits::SIGNATURE_AGE_MAX,
            nonces: Arc::default(),
        }
    }
}

impl Trust {
    /// A process begins: what was signed before may have come to the one before.
    pub fn begin(&mut self, now: UnixTime) {
        self.nonces = Arc::new(Nonces::new(now));
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        let secret = |trust: &Self| trust.key.as_ref().map(|(_, secret)| secret.clone());
        (self.mode, self.rest, self.max_age) == (other.mode, other.rest, other.max_age)
            && secret(self) == secret(other)
    }
}

/// A path whose requests with a body, of any method, are uploads to a module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UploadRoute {
    /// Its name in logs and metrics; unique.
    pub id: String,
    /// Every path that is this one or lies below it: `/` is all.
    pub path: String,
    /// The name of the module.
    pub module: String,
    /// The `Param` of the call.
    pub param: String,
}

/// A service and how calls to it are made.
#[derive(Clone, PartialEq, Debug)]
pub struct Module {
    /// Its name in paths; unique, `-` and `_` being the same.
    pub name: String,
    /// Where it runs.
    pub upstream: UpstreamId,
    /// The form of the protocol that it speaks.
    pub dialect: Dialect,
    /// Which version of signatures it is sent: 1 or 2 (SPEC 7.2).
    pub sign_version: u8,
    /// Whether only requests whose `X-Sign` is the shared secret may reach it (SPEC 7.1).
    pub internal: bool,
    /// From the start of a unary call to its answer.
    pub timeout: Duration,
    /// Without progress of a stream. There is no total timeout.
    pub stream_timeout: Duration,
    /// How files are sent to it.
    pub upload: Upload,
    /// Whether a masterservice said where it is; else the settings do.
    pub found: bool,
    /// How its answers to GET and HEAD come.
    pub download: Download,
    /// Whether `WebSockets` are opened to it.
    pub websocket: bool,
}

/// How the answers of a module to GET and HEAD come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Download {
    /// As one message; that may say that a stream follows.
    #[default]
    Call,
    /// As a stream: a file, or events for those who ask for them.
    Stream,
    /// As a stream of events.
    Events,
}

/// The bridge to a module that speaks MCP (SPEC 5.5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mcp {
    /// Where it is reached.
    pub path: String,
    /// The module, of dialect C.
    pub module: String,
}

/// How files are sent to a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Upload {
    /// Payload bytes of one message, at most (SPEC 6.1: 65,536).
    pub chunk_bytes: u32,
    /// How the end of a file is told.
    pub end_marker: EndMarker,
    /// Bytes of the body; `None`: what `limits.upload_bytes` says.
    pub max_bytes: Option<u64>,
    /// What the client must bring; `None`: what `timeouts.body_rate_*` say.
    pub min_rate: Option<Rate>,
}

/// So many bytes in each such time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// So many bytes ...
    pub bytes: u64,
    /// ... in each such time.
    pub window: Duration,
}

impl Gufo {
    /// The module that a path element names; `-` and `_` are the same (SPEC 8.2).
    #[must_use]
    pub fn module(&self, name: &[u8]) -> Option<&Module> {
        self.find(name).map(|(_, module)| module)
    }

    /// As [`Gufo::module`], with the module's dense id: its place in [`Gufo::modules`].
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<(usize, &Module)> {
        let index =
            self.modules.binary_search_by(|m| compare_names(m.name.as_bytes(), name)).ok()?;
        self.modules.get(index).map(|module| (index, module))
    }

    /// All modules, in the order of their dense ids.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// The same, to be changed in place. Names must not change: they are the order.
    pub fn modules_mut(&mut self) -> &mut [Module] {
        &mut self.modules
    }

    /// Adds a module, or replaces the one of that name.
    pub fn insert(&mut self, module: Module) {
        let name = module.name.as_bytes();
        match self.modules.binary_search_by(|m| compare_names(m.name.as_bytes(), name)) {
            Ok(index) => {
                if let Some(old) = self.modules.get_mut(index) {
                    *old = module;
                }
            }
            Err(index) => self.modules.insert(index, module),
        }
    }

    /// Forgets the modules that a masterservice named.
    pub(super) fn forget_found(&mut self) {
        self.modules.retain(|module| !module.found);
    }

    /// The module that sessions are asked of: that of the settings, else the one that was found.
    #[must_use]
    pub fn session_module(&self) -> Option<(usize, &Module)> {
        let own = self.find(SESSION.as_bytes()).filter(|(_, module)| !module.found);
        own.or_else(|| self.find(SESSION_HOST.as_bytes()))
    }

    /// Whether the settings name a module without its place.
    #[must_use]
    pub fn is_unplaced(&self, name: &[u8]) -> bool {
        self.unplaced.iter().any(|own| compare_names(own.as_bytes(), name) == Ordering::Equal)
    }

    /// Hands `then` the call with the `Sign` that its module asks for. `nonce`: bytes that nobody
    /// can guess.
    pub fn with_sign<T>(
        &self,
        module: &Module,
        call: &Call<'_>,
        time: UnixTime,
        nonce: impl FnOnce() -> [u8; NONCE_BYTES],
        then: impl FnOnce(&Call<'_>) -> T,
    ) -> T {
        match (self.trust.mode, &self.trust.key) {
            (SecurityMode::Sign, _) => then(&Call { sign: self.sign.expose(), ..*call }),
            (SecurityMode::Hmac, Some((key, _))) => {
                let sign = if module.sign_version == 2 {
                    let digest = arguments_digest(call.args, call.body);
                    let path = path_of(call);
                    let (module, method) = (call.module, call.method);
                    key.sign_2(&Subject { module, path: &path, method, digest }, nonce(), time)
                } else {
                    key.sign_1(call.module, time)
                };
                then(&Call { sign: sign.as_str(), ..*call })
            }
            (SecurityMode::Mtls, _) | (SecurityMode::Hmac, None) => then(call),
        }
    }

    /// The upload route that a path falls under; the longest wins.
    #[must_use]
    pub fn upload_route(&self, path: &[u8]) -> Option<&UploadRoute> {
        self.upload_routes.iter().find(|route| {
            let prefix = route.path.trim_end_matches('/').as_bytes();
            path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        })
    }
}

/// Orders names of modules; `-` and `_` are the same.
fn compare_names(a: &[u8], b: &[u8]) -> Ordering {
    let fold = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
    a.iter().map(fold).cmp(b.iter().map(fold))
}

impl Module {
    /// A module with every default.
    #[must_use]
    pub fn new(name: &str, upstream: UpstreamId) -> Self {
        Module {
            name: name.to_owned(),
            upstream,
            dialect: Dialect::B,
            sign_version: 1,
            internal: false,
            timeout: limits::CALL_TIMEOUT,
            stream_timeout: limits::STREAM_IDLE_TIMEOUT,
            upload: Upload::default(),
            found: false,
            download: Download::default(),
            websocket: true,
        }
    }
}

impl Default for Upload {
    fn default() -> Self {
        Upload {
            chunk_bytes: u32::try_from(limits::UPLOAD_CHUNK_BYTES).unwrap_or(u32::MAX),
            end_marker: EndMarker::Both,
            max_bytes: None,
            min_rate: None,
        }
    }
}

impl Default for Gufo {
    /// Both bases, no modules, and a sign that matches nothing.
    fn default() -> Self {
        Gufo {
            bases: ["v3", "v1"].map(ApiBase::of_version).to_vec(),
            sign: Secret::default(),
            trust: Trust::default(),
            session: None,
            language: "english".to_owned(),
            legacy_status: true,
            default_headers: default_headers(),
            version_text: VERSION_TEXT.to_owned(),
            registration: false,
            exit_peers: Vec::new(),
            upload_routes: Vec::new(),
            files: None,
            mcp: None,
            policies: None,
            registry: None,
            unplaced: Vec::new(),
            modules: Vec::new(),
        }
    }
}

impl ApiBase {
    /// `/api/` and the version.
    #[must_use]
    pub fn of_version(version: &str) -> Self {
        ApiBase { prefix: format!("/api/{version}"), version: version.to_owned() }
    }
}

/// The fields of SPEC 2.6 that Gufo's clients expect on every answer. The content type is not
/// among them, as files keep their own.
#[must_use]
pub fn default_headers() -> Vec<(String, String)> {
    [
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Methods", "POST, GET, OPTIONS, PUT, DELETE, TRACE, PATCH, HEAD"),
        ("Access-Control-Allow-Headers", "Authorization, Content-Type"),
        ("Server", "Gufo"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// The dialect with this name in a configuration; the default if there is none.
#[must_use]
pub fn dialect(name: &str) -> Dialect {
    Dialect::from_name(name).unwrap_or_default()
}

/// The end marker with this name in a configuration; the default if there is none.
#[must_use]
pub fn end_marker(name: &str) -> EndMarker {
    EndMarker::from_name(name).unwrap_or_default()
}

/// Version, commit and date of this build, as Gufo writes it: `0.1.0  (commit, date)`. `build.rs`
/// says where commit and date are from.
pub const VERSION_TEXT: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "  (",
    env!("OTUS_COMMIT"),
    ", ",
    env!("OTUS_BUILD_DATE"),
    ")"
);
