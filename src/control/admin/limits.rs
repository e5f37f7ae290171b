//! What routes allow, and how that stands at this moment: read from what the shards share, which
//! none of them stops for.

use std::time::Duration;

use crate::base::time::{Instant, UnixTime};
use crate::control::state::{State, unix_now};
use crate::policy::breaker::Breaker;
use crate::policy::limit::LimitRule;
use crate::policy::limit::rule::{By, Live, RateRule};
use crate::snapshot::Snapshot;

use super::json::Json;
use super::report::count;

/// `/-/limits`
pub(super) fn now(state: &State, snapshot: &Snapshot) -> Vec<u8> {
    let now = state.now();
    Json::list_of(|json| {
        for route in snapshot.routes.list() {
            let limit = route.policies.as_ref().and_then(|policies| policies.limit.as_ref());
            json.object(|json| {
                json.key("route").text(&route.id);
                if let Some(live) = limit.and_then(|limit| limit.live.as_ref()) {
                    live_state(json, live, now);
                }
            });
        }
    })
}

fn live_state(json: &mut Json, live: &Live, now: Instant) {
    if let Some(gauge) = &live.gauge {
        json.key("concurrency").object(|json| {
            json.key("max_in_flight").number(u64::from(gauge.rule.max_in_flight));
            json.key("in_flight").number(u64::from(gauge.in_flight()));
            if gauge.rule.queue > 0 {
                json.key("waiting").number(u64::from(gauge.waiting()));
            }
        });
    }
    if let Some(breaker) = &live.breaker {
        json.key("circuit_breaker").object(|json| breaker_state(json, breaker, now));
    }
    if !live.rates.is_empty() {
        json.key("rates").list(|json| {
            for (_, limiter) in &live.rates {
                let reading = limiter.reading(now.as_nanos());
                json.object(|json| {
                    json.key("name").text(&limiter.rule().name);
                    json.key("keys").number(count(reading.keys));
                    json.key("keys_max").number(count(reading.keys_max));
                    if let Some(left) = reading.left {
                        json.key("left").number(left);
                    }
                });
            }
        });
    }
}

fn breaker_state(json: &mut Json, breaker: &Breaker, now: Instant) {
    let reading = breaker.reading(now);
    json.key("state").text(reading.state.name());
    json.key("failures").number(u64::from(reading.failures));
    match reading.opened {
        Some(opened) => {
            let time = UnixTime(unix_now().0.saturating_sub(now - opened));
            json.key("opens_at").text(&time.to_string());
        }
        None => json.key("opens_at").raw("null"),
    }
    json.key("retry_after_seconds").number(ceiling(reading.retry_after));
    json.key("half_open_in_flight").number(u64::from(reading.probes));
}

/// What a route allows, as the original told it. The first rate is shown: it knew one.
pub(super) fn rules(json: &mut Json, limit: Option<&LimitRule>) {
    json.key("rate_limit").object(|json| {
        let rate = limit.and_then(|limit| limit.rates.first());
        json.key("enabled").boolean(rate.is_some());
        if let Some(rate) = rate {
            let hundredths = rate.rule.rate.hundredths();
            json.key("rps").raw(&decimal(hundredths));
            json.key("burst").number(u64::from(rate.rule.burst));
            json.key("scope").text(scope(rate));
        }
    });
    let most = limit.and_then(|limit| limit.concurrency.as_ref()).map_or(0, |c| c.max_in_flight);
    json.key("concurrency").object(|json| {
        json.key("max_in_flight").number(u64::from(most));
    });
    json.key("circuit_breaker").object(|json| {
        let breaker = limit.and_then(|limit| limit.breaker.as_ref());
        json.key("enabled").boolean(breaker.is_some());
        if let Some(breaker) = breaker {
            json.key("failure_threshold").number(u64::from(breaker.failures));
            json.key("open_seconds").number(ceiling(breaker.open));
            json.key("half_open_max_in_flight").number(u64::from(breaker.probes));
        }
    });
}

fn scope(rate: &RateRule) -> &'static str {
    match rate.by {
        By::All => "route",
        By::Address => "ip",
        By::Principal => "user",
        By::Field(_) => "header",
        By::Query(_) => "query",
        By::Segment(_) => "segment",
    }
}

/// Hundredths, without zeros at the end.
fn decimal(hundredths: u64) -> String {
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn ceiling(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_two_digits_at_most_and_no_zeros_behind() {
        for (hundredths, want) in [(500, "5"), (50, "0.5"), (1, "0.01"), (1234, "12.34")] {
            assert_eq!(decimal(hundredths), want);
        }
        assert_eq!(ceiling(Duration::from_millis(1001)), 2);
        assert_eq!(ceiling(Duration::from_secs(1)), 1);
    }
}
