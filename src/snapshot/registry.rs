//! Modules that are found through a masterservice (SPEC 8.2): what is asked for, and what becomes
//! of an answer.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::Snapshot;
use super::dns::Origin;
use super::gufo::Module;
use super::upstream::{Endpoint, Upstream, UpstreamId};
use crate::base::limits::ENDPOINTS_MAX;
use crate::gufo::registry::directory::Rules;
use crate::gufo::registry::{Home, Instance, Place, SESSION, SESSION_HOST, Wanted};
use crate::upstream::balance::Share;

/// How modules are found. There is one only where a masterservice is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct Registry {
    /// How long answers hold.
    pub rules: Rules,
    /// Where the gateway stands: instances near it are preferred.
    pub home: Home,
    /// Where answers are kept for the next start; `None`: nowhere.
    pub file: Option<PathBuf>,
    /// How modules are called that have a table and no address in it.
    pub templates: Vec<Template>,
    /// How all others are.
    pub general: Template,
    /// Whether the service that knows sessions is found so as well.
    pub finds_session: bool,
}

/// How calls to a module are made, but for where it runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Template {
    /// All but its upstream.
    pub module: Module,
    /// All but its endpoints.
    pub upstream: Upstream,
}

impl Registry {
    /// Every default: dialect B, no file, no region.
    #[must_use]
    pub fn new() -> Self {
        // The address does not matter: it is replaced.
        let upstream = Upstream::grpc("", SocketAddr::from(([127, 0, 0, 1], 0)));
        let module = Module::new("", UpstreamId::at(0));
        Registry {
            rules: Rules::default(),
            home: Home::default(),
            file: None,
            templates: Vec::new(),
            general: Template { module, upstream },
            finds_session: false,
        }
    }

    /// What is asked for also while no client wants it: what has a table, and the session service.
    #[must_use]
    pub fn pinned(&self) -> BTreeSet<Wanted> {
        let named = self.templates.iter().filter_map(|own| Wanted::module(&own.module.name));
        let session = self.finds_session.then_some(Wanted::Session);
        named.filter(|wanted| wanted.name() != SESSION).chain(session).collect()
    }

    fn template(&self, name: &str) -> &Template {
        // A session host is called as the settings say of the session service.
        let name = if name == SESSION_HOST { SESSION } else { name };
        let fold = |text: &str| text.replace('-', "_");
        let own = self.templates.iter().find(|own| fold(&own.module.name) == fold(name));
        own.unwrap_or(&self.general)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Registry::new()
    }
}

impl Snapshot {
    /// Serves these modules, in the place of those that were found before. One that the settings
    /// know where to find stays theirs.
    pub fn place_found<'a>(&mut self, found: impl Iterator<Item = (&'a Wanted, &'a Place)>) {
        let before = self.gufo.modules().iter().filter(|module| module.found);
        // They were added behind all others.
        if let Some(first) = before.map(|module| module.upstream.index()).min() {
            self.upstreams.truncate(first);
        }
        self.gufo.forget_found();
        let Some(registry) = self.gufo.registry.clone() else { return };
        for (wanted, place) in found {
            let name = wanted.name();
            if self.gufo.module(name.as_bytes()).is_some() {
                continue;
            }
            let Template { module, upstream } = registry.template(name);
            let id = UpstreamId::at(self.upstreams.len());
            let is_taken = self.upstreams.iter().any(|other| other.name == name);
            let called = if is_taken { format!("{name} (found)") } else { name.to_owned() };
            self.upstreams.push(located(upstream, called, &registry.home, place));
            self.gufo.insert(Module {
                name: name.to_owned(),
                upstream: id,
                internal: module.internal || place.internal,
                found: true,
                ..module.clone()
            });
        }
    }
}

/// The upstream with these instances. Those that are named get their addresses from the resolver.
fn located(template: &Upstream, name: String, home: &Home, place: &Place) -> Upstream {
    let instances = || place.instances.iter().take(ENDPOINTS_MAX);
    let share = |own: &Instance| Share {
        rank: home.rank(own),
        weight: own.weight.saturating_mul(Share::ONE).max(1),
    };
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for own in instances() {
        let Ok(ip) = own.host.parse::<IpAddr>() else { continue };
        let address = SocketAddr::new(ip, own.port);
        if endpoints.iter().all(|other| other.address != address) {
            endpoints.push(Endpoint { host: own.host.clone(), address, share: share(own) });
        }
    }
    let origin = |own: &Instance| match own.host.parse::<IpAddr>() {
        Ok(ip) => Origin::Address(SocketAddr::new(ip, own.port)),
        Err(_) => Origin::Host { name: own.host.clone(), port: own.port },
    };
    let origins: Vec<_> = instances().map(origin).collect();
    let are_fixed = origins.iter().all(|origin| matches!(origin, Origin::Address(_)));
    let (origins, shares) = if are_fixed {
        (Vec::new(), Vec::new())
    } else {
        (origins, instances().map(share).collect())
    };
    Upstream { name, endpoints, origins, shares, ..template.clone() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::gufo::dialect::Dialect;

    fn instance(host: &str, region: &str) -> Instance {
        let (region, group) = (region.to_owned(), String::new());
        Instance { host: host.to_owned(), port: 7, region, group, weight: 2 }
    }

    fn place(instances: Vec<Instance>) -> Place {
        Place { instances, internal: false }
    }

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::minimal();
        snapshot.add_module("own", "127.0.0.1:1".parse().unwrap());
        snapshot.add_http_upstream("taken", &["127.0.0.1:2".parse().unwrap()]);
        let mut registry = Registry::new();
        let mut template = registry.general.clone();
        template.module.name = "user_data".to_owned();
        template.module.dialect = Dialect::A;
        registry.templates.push(template);
        registry.home.region = "eu".to_owned();
        snapshot.gufo.registry = Some(Arc::new(registry));
        snapshot
    }

    fn served(snapshot: &Snapshot, name: &str) -> Vec<(String, u16, u32)> {
        let module = snapshot.gufo.module(name.as_bytes()).unwrap();
        let endpoints = &snapshot.upstream(module.upstream).unwrap().endpoints;
        let text = |e: &Endpoint| (e.address.to_string(), e.share.rank, e.share.weight);
        endpoints.iter().map(text).collect()
    }

    #[test]
    fn what_is_found_is_served_as_its_table_says() {
        let mut snapshot = snapshot();
        let wanted = ["user-data", "own", "taken"].map(|name| Wanted::module(name).unwrap());
        let near = place(vec![instance("10.0.0.1", "us"), instance("10.0.0.2", "eu")]);
        for _ in 0..2 {
            snapshot.place_found(wanted.iter().map(|wanted| (wanted, &near)));
            assert_eq!(snapshot.upstreams.len(), 4);
        }
        let want = [("10.0.0.1:7", 2, 2000), ("10.0.0.2:7", 0, 2000)];
        let want = want.map(|(address, rank, weight)| (address.to_owned(), rank, weight));
        assert_eq!(served(&snapshot, "user_data"), want);
        assert_eq!(snapshot.gufo.module(b"user-data").unwrap().dialect, Dialect::A);
        assert_eq!(snapshot.gufo.module(b"taken").unwrap().dialect, Dialect::B);
        // The settings win, and an upstream of that name stays the only one.
        assert_eq!(served(&snapshot, "own"), [("127.0.0.1:1".to_owned(), 0, 1000)]);
        let names: Vec<_> = snapshot.upstreams.iter().map(|own| own.name.as_str()).collect();
        assert_eq!(names, ["own", "taken", "user-data", "taken (found)"]);

        snapshot.place_found(std::iter::empty());
        assert_eq!((snapshot.upstreams.len(), snapshot.gufo.modules().len()), (2, 1));
    }

    #[test]
    fn names_are_left_to_the_resolver_with_their_shares() {
        let mut snapshot = snapshot();
        let wanted = Wanted::module("users").unwrap();
        let place = place(vec![instance("users.local", "eu"), instance("10.0.0.2", "us")]);
        snapshot.place_found(std::iter::once((&wanted, &place)));
        let upstream = snapshot.upstreams.last().unwrap();
        assert_eq!(upstream.origins.len(), 2);
        let ranks: Vec<_> = upstream.shares.iter().map(|share| share.rank).collect();
        assert_eq!(ranks, [0, 2]);
        assert_eq!(upstream.endpoints.len(), 1);
    }

    #[test]
    fn the_session_service_that_is_found_is_called_as_the_settings_say_of_it() {
        let mut registry = Registry::new();
        let mut template = registry.general.clone();
        template.module.name = "session".to_owned();
        template.module.dialect = Dialect::A;
        registry.templates.push(template);
        registry.finds_session = true;
        assert_eq!(registry.pinned(), [Wanted::Session].into());
        let mut snapshot = Snapshot::minimal();
        snapshot.gufo.registry = Some(Arc::new(registry));
        let place = place(vec![instance("10.0.0.1", "")]);
        snapshot.place_found(std::iter::once((&Wanted::Session, &place)));
        assert_eq!(snapshot.gufo.session_module().unwrap().1.dialect, Dialect::A);
    }
}
