//! What the connections of a route may become.

/// The protocols that a route lets through; WebSocket if nothing is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrades(Vec<String>);

/// Names of one route.
const NAMES_MAX: usize = 16;

impl Default for Upgrades {
    fn default() -> Self {
        Upgrades(vec!["websocket".to_owned()])
    }
}

impl Upgrades {
    /// Those with these names, such as `websocket` or `spdy/3.1`; or what is wrong about them.
    pub fn new(names: Vec<String>) -> Result<Self, String> {
        if names.len() > NAMES_MAX {
            return Err(format!("more than {NAMES_MAX} names"));
        }
        for name in &names {
            let protocol = name.split('/').next().unwrap_or_default();
            // Behind these lie requests that would pass unseen (RFC 9110 §7.8, RFC 2817).
            let hides = ["h2c", "h2", "h3", "http", "tls", "ssl"];
            if hides.iter().any(|other| protocol.eq_ignore_ascii_case(other)) {
                return Err(format!("\"{name}\" would hide requests, and is never passed on"));
            }
            if name.split('/').count() > 2 || !name.split('/').all(is_token) {
                return Err(format!("\"{name}\" is no protocol"));
            }
        }
        Ok(Upgrades(names))
    }

    /// None at all.
    #[must_use]
    pub const fn none() -> Self {
        Upgrades(Vec::new())
    }

    /// Whether this protocol is among them; capitals and small letters are alike.
    #[must_use]
    pub fn contain(&self, name: &[u8]) -> bool {
        self.0.iter().any(|own| own.as_bytes().eq_ignore_ascii_case(name))
    }
}

fn is_token(text: &str) -> bool {
    crate::message::token::is_token(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_hidden_by_no_upgrade() {
        for name in ["h2c", "H2C", "HTTP/2.0", "http", "TLS/1.0", "h2c/1", "", "/", "a/b/c", "a b"]
        {
            assert!(Upgrades::new(vec![name.to_owned()]).is_err(), "{name}");
        }
        let upgrades = Upgrades::new(vec!["SPDY/3.1".to_owned(), "tcp".to_owned()]).unwrap();
        assert!(upgrades.contain(b"spdy/3.1") && upgrades.contain(b"TCP"));
        assert!(!upgrades.contain(b"spdy") && !upgrades.contain(b"websocket"));
        assert!(Upgrades::default().contain(b"WebSocket") && !Upgrades::none().contain(b"x"));
        assert!(Upgrades::new(vec!["x".to_owned(); NAMES_MAX + 1]).is_err());
    }
}
