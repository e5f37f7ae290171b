//! Who may call, as far as it is not a route's own: what several routes share, and who is asked.

use std::sync::Arc;
use std::time::Duration;

use super::secret::Secret;
use super::upstream::UpstreamId;
use crate::policy::people::abuse::bots::BotRule;
use crate::policy::people::abuse::widget::Widget;
use crate::policy::people::billing::Rule;
use crate::policy::people::revocation::rotation::Revocations;
use crate::policy::verdicts::Keep;

/// What several routes share.
#[derive(Clone, PartialEq, Debug)]
pub struct People {
    /// Whether fields that say who the client is are taken away from requests.
    pub strip: bool,
    /// Lists of bots; routes name them by their place.
    pub bots: Vec<Arc<BotRule>>,
    /// Rules for keys in pages, likewise.
    pub widgets: Vec<Widget>,
    /// Who knows whether clients can pay.
    pub billing: Option<Billing>,
    /// Who knows API keys.
    pub key_services: Vec<KeyService>,
    /// Tokens that are refused before they end.
    pub revocations: Option<Arc<Revocations>>,
}

/// Who knows whether clients can pay.
#[derive(Clone, PartialEq, Debug)]
pub struct Billing {
    /// Who is asked, over HTTP.
    pub upstream: UpstreamId,
    /// What we prove ourselves with.
    pub token: Secret,
    /// Which requests are asked about, and how.
    pub rule: Rule,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long it is believed.
    pub keep: Keep,
}

/// Who knows API keys.
#[derive(Clone, PartialEq, Debug)]
pub struct KeyService {
    /// The name of its profile.
    pub name: String,
    /// Who is asked, over gRPC.
    pub upstream: UpstreamId,
    /// The path of the method.
    pub method: String,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long it is believed.
    pub keep: Keep,
}

impl Default for People {
    fn default() -> Self {
        People {
            strip: true,
            bots: Vec::new(),
            widgets: Vec::new(),
            billing: None,
            key_services: Vec::new(),
            revocations: None,
        }
    }
}

impl People {
    /// Takes over what has happened so far: a reload neither forgets revocations nor gives anybody
    /// his uses again.
    pub fn follow(&mut self, running: &People) {
        if let (Some(new), Some(old)) = (&mut self.revocations, &running.revocations) {
            *new = old.follow(new.rule().clone());
        }
        for new in &mut self.widgets {
            let same = running.widgets.iter().find(|old| old.name == new.name);
            if let Some(old) = same.filter(|old| old.log.is_like(&new.log)) {
                new.log = Arc::clone(&old.log);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Instant;
    use crate::policy::people::abuse::sliding_log::SlidingLog;

    fn people(per_client: u32) -> People {
        let log = Arc::new(SlidingLog::new(per_client, 10, Duration::from_mins(1)));
        let (name, prefix) = ("page".to_owned(), Widget::PREFIX.to_owned());
        let widgets = vec![Widget { name, prefix, origins: Vec::new(), log }];
        People { widgets, ..People::default() }
    }

    #[test]
    fn a_reload_gives_nobody_his_uses_again() {
        let client = "10.0.0.1".parse().unwrap();
        let running = people(1);
        running.widgets[0].log.admit(client, Instant::START).unwrap();
        let (mut same, mut other) = (people(1), people(2));
        same.follow(&running);
        other.follow(&running);
        assert!(same.widgets[0].log.admit(client, Instant::START).is_err());
        assert!(other.widgets[0].log.admit(client, Instant::START).is_ok());
    }
}
