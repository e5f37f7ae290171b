//! How the gateway, its services and its callers know each other (SPEC part 7).

use std::sync::Arc;

use super::fault::{Code, Finding};
use super::values::Config;
use crate::gufo::trust::SigningKey;
use crate::snapshot::files::Files;
use crate::snapshot::gufo::{Mcp, OnError, ReadOnly, RestMode, SecurityMode, SessionRule, Trust};

/// Below so many characters, a shared secret can be guessed.
const SECRET_CHARACTERS_MIN: usize = 16;
const SECRET: &str = "security.hmac_secret";
const FILES: &str = "server.files";
const FILEDIR: &str = "server.filedir";
const MCP_PATH: &str = "mcp.path";
const MCP_MODULE: &str = "mcp.module";

impl Config {
    pub(super) fn trust(&self) -> Trust {
        let secret = self.secret(SECRET).filter(|secret| !secret.is_empty());
        let wanted = self.signs();
        let key = secret.filter(|_| wanted).map(|secret| {
            let key = SigningKey::new(secret.expose().as_bytes());
            (key, secret)
        });
        Trust {
            mode: match self.text("security.mode").as_deref() {
                Some("hmac") => SecurityMode::Hmac,
                Some("mtls") => SecurityMode::Mtls,
                _ => SecurityMode::Sign,
            },
            rest: match self.text("security.rest_mode").as_deref() {
                Some("sign") => RestMode::Sign,
                Some("hmac") => RestMode::Hmac,
                Some("mtls") => RestMode::Mtls,
                _ => RestMode::None,
            },
            key,
            max_age: self.duration("security.max_age"),
            nonces: Arc::default(),
        }
    }

    /// How sessions are checked, if they are.
    pub(super) fn session(&self) -> Option<SessionRule> {
        let is = |key, word| self.text(key).as_deref() == Some(word);
        let rule = SessionRule {
            on_error: if is("session.on_error", "503") {
                OnError::Refuse
            } else {
                OnError::Anonymous
            },
            readonly: if is("session.readonly", "writes") {
                ReadOnly::Writes
            } else {
                ReadOnly::All
            },
        };
        (self.boolean("server.session") == Some(true)).then_some(rule)
    }

    /// The bridge to a module that speaks MCP, if path and module are given.
    pub(super) fn mcp(&self) -> Option<Mcp> {
        Some(Mcp { path: self.text(MCP_PATH)?, module: self.text(MCP_MODULE)? })
    }

    /// The files that services may answer with, if they may.
    pub(super) fn files(&self) -> Option<Files> {
        let root = self.text(FILEDIR).filter(|root| root.starts_with('/'))?;
        let is_on = self.text(FILES).as_deref() == Some("filedir");
        is_on.then(|| Files { root: root.into(), asks: None })
    }

    /// What serving files needs.
    pub(super) fn check_files(&self, findings: &mut Vec<Finding>) {
        if self.text(FILES).as_deref() == Some("filedir") && self.files().is_none() {
            let message = "`server.files` leads to no `server.filedir` that begins with a slash";
            let way_out = "write filedir = \"/...\" in [server]";
            findings.push(self.finding(Code::Missing, FILES, message, way_out));
        }
    }

    /// What the bridge needs.
    pub(super) fn check_mcp(&self, findings: &mut Vec<Finding>) {
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let (path, module) = (self.is_given(MCP_PATH), self.text(MCP_MODULE));
        let Some(module) = module else {
            if path {
                let way_out = "write module = \"...\" in [mcp]";
                find(Code::Missing, MCP_PATH, "`mcp.path` leads to no `mcp.module`", way_out);
            }
            return;
        };
        let dialect = format!("microservices.{module}.dialect");
        if !path {
            let way_out = "write path = \"/mcp\" in [mcp]";
            find(Code::Missing, MCP_MODULE, "`mcp.module` has no `mcp.path`", way_out);
        } else if self.names("microservices").contains(&module)
            && self.is_given(&dialect)
            && self.text(&dialect).as_deref() != Some("c")
        {
            let message =
                format!("MCP is spoken in dialect \"c\", and \"{module}\" speaks another");
            let way_out = format!("write dialect = \"c\" in [microservices.{module}]");
            find(Code::Missing, MCP_MODULE, &message, &way_out);
        }
    }

    /// Whether anything is signed, or signatures are asked for.
    fn signs(&self) -> bool {
        let is_hmac = |key| self.text(key).as_deref() == Some("hmac");
        is_hmac("security.mode") || is_hmac("security.rest_mode")
    }

    /// What trust needs and what would leave it without effect.
    pub(super) fn check_trust(&self, findings: &mut Vec<Finding>) {
        let mut find = |code, path: &str, message: &str, way_out: &str| {
            findings.push(self.finding(code, path, message, way_out));
        };
        let secret = self.secret(SECRET).filter(|secret| !secret.is_empty());
        let way_out = "write hmac_secret = \"...\" in [security]; `openssl rand -hex 32` makes one";
        match secret {
            None if self.signs() => {
                let message = "`security.hmac_secret` is not set, and mode \"hmac\" signs with it";
                find(Code::Missing, "security.mode", message, way_out);
            }
            Some(secret) if secret.expose().chars().count() < SECRET_CHARACTERS_MIN => {
                let message = "`hmac_secret` is short enough to be guessed";
                find(Code::Risky, SECRET, message, "write 16 characters or more");
            }
            _ => {}
        }
        let rest = self.text("security.rest_mode");
        if rest.as_deref() == Some("mtls") && !self.is_given("tls.client_ca") {
            let message = "rest mode \"mtls\" asks for certificates, and no listener does";
            let way_out = "write cert, key and client_ca in [tls]";
            find(Code::Missing, "security.rest_mode", message, way_out);
        }
        if self.text("security.mode").as_deref() != Some("mtls") {
            return;
        }
        for name in self.names("microservices") {
            let table = format!("microservices.{name}");
            if !self.has_client_certificate(&table) {
                let message = format!(
                    "mode \"mtls\" proves calls by a certificate, and \"{name}\" gets none"
                );
                let way_out = "write cert and key in [security], or in the [...tls] of each";
                find(Code::Missing, &self.first_below(&table), &message, way_out);
            }
        }
    }
}
