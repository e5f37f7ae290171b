//! Routes and what is done with the requests that take them.

use std::sync::Arc;
use std::time::Duration;

use super::upgrades::Upgrades;
use super::upstream::{Upstream, UpstreamId, UpstreamTimeouts};
use crate::base::limits;
use crate::message::path::PathPolicy;
use crate::policy::set::Policies;
use crate::route::rewrite::Rewrite;
use crate::route::rule::{RouteId, Rule};
use crate::route::table::Table;

/// All routes of one generation.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Routes {
    table: Table,
    list: Vec<Route>,
}

impl Routes {
    /// Routes with what each asks for, in the order of the configuration.
    #[must_use]
    pub fn new(routes: Vec<(Rule, Route)>) -> Self {
        let (rules, list) = routes.into_iter().unzip();
        Routes { table: Table::new(rules), list }
    }

    /// Whether there are none: then only the Gufo surface is served.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What finds the route of a request.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The route with this id; `None` if the id is of another snapshot.
    #[must_use]
    pub fn get(&self, id: RouteId) -> Option<&Route> {
        self.list.get(id.index())
    }

    /// What is asked by each route that asks anything.
    pub fn policies_mut(&mut self) -> impl Iterator<Item = &mut Arc<Policies>> {
        self.list.iter_mut().filter_map(|route| route.policies.as_mut())
    }

    /// All routes, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> &[Route] {
        &self.list
    }
}

/// What is done with the requests that take a route.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    /// Its name in logs and metrics; unique.
    pub id: String,
    /// Where it was written: `config/settings.toml:41`. Empty if no configuration says so.
    pub place: String,
    /// What is done.
    pub action: Action,
    /// How the path is changed before it is forwarded, or put into a redirect. For claims that are
    /// in it, the policies have to ask ([`PeopleRule::path_claims`](crate::policy::people)).
    pub rewrite: Rewrite,
    /// How long the endpoint may take.
    pub timeouts: RouteTimeouts,
    /// What connections may become.
    pub upgrades: Upgrades,
    /// What is asked of those who use it; `None`: nothing.
    pub policies: Option<Arc<Policies>>,
}

/// What is done with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is forwarded.
    Proxy(UpstreamId),
    /// The client is sent elsewhere.
    Redirect(Redirect),
    /// It is answered with this status and no more.
    Reply(u16),
    /// It is for the Gufo surface: it lies under the base with this place in `gufo.bases`.
    Gufo(usize),
    /// It is an upload: the place of its route in `gufo.upload_routes`.
    Upload(usize),
}

/// Where a client is sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// What stands before the path: `https://example.com`, perhaps with a path, without a slash at
    /// its end. Empty: the same host.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Redirect {
    /// Appends the value of `location`: the target, the path as it was rewritten, and the query as
    /// it came (RFC 9110 §10.2.2). Both are visible ASCII already.
    pub fn location(&self, path: &[u8], query: Option<&[u8]>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to.as_bytes());
        out.extend_from_slice(path);
        if let Some(query) = query {
            out.push(b'?');
            out.extend_from_slice(query);
        }
    }
}

/// How long an endpoint may take; of its upstream, where the route says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteTimeouts {
    /// From the start of a connection until it can carry requests.
    pub connect: Duration,
    /// From the end of the request to the head of the answer.
    pub first_byte: Duration,
    /// Without progress of a body, in either direction, and of a tunnel.
    pub idle: Duration,
    /// From the head of the request to the end of the answer; `None`: as long as it takes.
    pub total: Option<Duration>,
}

impl Route {
    /// A route to an upstream with every default.
    #[must_use]
    pub fn to_upstream(id: &str, upstream: UpstreamId) -> Self {
        Route {
            id: id.to_owned(),
            place: String::new(),
            action: Action::Proxy(upstream),
            rewrite: Rewrite::Keep,
            timeouts: RouteTimeouts::default(),
            upgrades: Upgrades::default(),
            policies: None,
        }
    }
}

impl RouteTimeouts {
    /// Those of an upstream.
    #[must_use]
    pub fn of(upstream: &Upstream) -> Self {
        let UpstreamTimeouts { first_byte, idle, total } = upstream.timeouts;
        RouteTimeouts { connect: upstream.connect_timeout, first_byte, idle, total }
    }
}

impl Default for RouteTimeouts {
    fn default() -> Self {
        let UpstreamTimeouts { first_byte, idle, total } = UpstreamTimeouts::default();
        RouteTimeouts { connect: limits::CONNECT_TIMEOUT, first_byte, idle, total }
    }
}

/// The path policy with this name in a configuration; the strict one if there is none.
#[must_use]
pub fn path_policy(name: &str) -> PathPolicy {
    PathPolicy::from_name(name).unwrap_or_default()
}
