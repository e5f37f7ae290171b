//! What comes before all else: CORS, hosts, addresses, sizes, and what browsers are told.
//!
//! Start with [`FrontRule`], the table of contents.

pub mod address;
pub mod cors;
pub mod host;
pub mod origin;
pub mod security;

use std::sync::Arc;

use super::names::Names;
use crate::base::size::ByteSize;

/// What a route asks for, in the order in which it is asked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FrontRule {
    /// Which pages of other origins may read answers.
    pub cors: Option<cors::Cors>,
    /// What browsers are told to be careful about.
    pub security: Option<security::SecurityHeaders>,
    /// Fields of the endpoint's answers that the two above write themselves.
    pub replaced: Option<Arc<Names>>,
    /// Which hosts are served; `None`: those that the route matches.
    pub hosts: Option<host::Hosts>,
    /// The port of HTTPS that requests without TLS are sent to; `None`: they are served.
    pub https: Option<u16>,
    /// Which clients are served.
    pub address: Option<address::AddressRule>,
    /// Bytes that a request head may have.
    pub head_max: Option<u64>,
    /// Bytes that a request body may have.
    pub body_max: Option<u64>,
}

impl FrontRule {
    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == FrontRule::default()
    }

    /// What is asked, in its order, for people.
    #[must_use]
    pub fn steps(&self) -> Vec<String> {
        let FrontRule { cors, security, replaced: _, hosts, https, address, .. } = self;
        let mut steps = Vec::new();
        steps.extend(security.iter().map(|_| "security headers".to_owned()));
        steps.extend(cors.iter().map(|_| "cors".to_owned()));
        steps.extend(hosts.iter().map(|_| "allowed hosts".to_owned()));
        if let Some(address) = address {
            let allow = address
                .allow
                .as_ref()
                .map_or_else(|| "all".to_owned(), |allow| allow.len().to_string());
            steps.push(format!("addresses (allow {allow}, deny {})", address.deny.len()));
        }
        steps.extend(https.iter().map(|port| format!("https (port {port})")));
        steps.extend(self.head_max.iter().map(|max| format!("max_head {}", ByteSize(*max))));
        steps.extend(self.body_max.iter().map(|max| format!("max_body {}", ByteSize(*max))));
        steps
    }

    /// Notes which fields of endpoints are replaced by the lines of this rule.
    pub fn replace(&mut self) {
        let cors = self.cors.iter().map(|_| "access-control-*");
        let security = self.security.iter().flat_map(|rule| rule.names().iter().copied());
        let names = Names::new(cors.chain(security));
        self.replaced = (!names.is_empty()).then(|| Arc::new(names));
    }
}
