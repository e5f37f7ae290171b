//! What the system says of names: `/etc/resolv.conf` and `/etc/hosts`.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Of a file that is read at most.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Servers that are asked at most, and domains that are searched, as in the C library.
const SERVERS_MAX: usize = 3;
const DOMAINS_MAX: usize = 6;
/// The port that name servers have.
const PORT: u16 = 53;

/// Whom to ask, and how names are completed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Setup {
    pub(super) servers: Vec<SocketAddr>,
    /// Domains that are appended to names.
    search: Vec<String>,
    /// Names with so many dots are asked for as they are first.
    dots: usize,
}

impl Setup {
    /// These servers; names are asked for as they are.
    pub(super) fn of(servers: &[SocketAddr]) -> Self {
        Setup { servers: servers.to_vec(), search: Vec::new(), dots: 0 }
    }

    /// What `/etc/resolv.conf` says now.
    pub(super) fn of_system() -> Self {
        Setup::parse(&read("/etc/resolv.conf"))
    }

    pub(super) fn parse(text: &str) -> Self {
        let mut setup = Setup { servers: Vec::new(), search: Vec::new(), dots: 1 };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // A zone (`fe80::1%eth0`) is not supported.
                    let ip = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    if setup.servers.len() < SERVERS_MAX {
                        setup.servers.extend(ip.map(|ip| SocketAddr::new(ip, PORT)));
                    }
                }
                Some("search" | "domain") => {
                    let domains = words.take(DOMAINS_MAX).map(|word| word.trim_matches('.'));
                    let domains = domains.filter(|domain| !domain.is_empty());
                    setup.search = domains.map(str::to_owned).collect();
                }
                Some("options") => {
                    let dots = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    setup.dots = dots.unwrap_or(setup.dots).min(15);
                }
                _ => {}
            }
        }
        if setup.servers.is_empty() {
            setup.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        setup
    }

    /// The names to ask for, one after the other, until one is found.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') || self.search.is_empty() {
            return vec![name.to_owned()];
        }
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let mut names: Vec<_> =
            self.search.iter().map(|domain| format!("{name}.{domain}")).collect();
        let at = if dots >= self.dots { 0 } else { names.len() };
        names.insert(at, name.to_owned());
        names
    }
}

/// The addresses that `/etc/hosts` has for a name now; `None` if it does not have the name.
pub(super) fn hosts(name: &str) -> Option<Vec<IpAddr>> {
    find_host(&read("/etc/hosts"), name)
}

pub(super) fn find_host(text: &str, name: &str) -> Option<Vec<IpAddr>> {
    let name = name.trim_end_matches('.');
    let mut found = None;
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(ip) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) {
            found.get_or_insert_with(Vec::new).push(ip);
        }
    }
    // No name server has to be asked who we are (RFC 6761 §6.3).
    let is_local = name.eq_ignore_ascii_case("localhost");
    found.or_else(|| is_local.then(|| vec![Ipv4Addr::LOCALHOST.into()]))
}

/// A file's text; none if it cannot be read.
fn read(path: &str) -> String {
    let mut bytes = Vec::new();
    let _ = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}
