use super::*;
use crate::snapshot::auth::KeyUrl;

fn keys(kid: &str) -> Arc<KeySet> {
    let text = format!(
        r#"{{"kty":"oct","kid":"{kid}","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#
    );
    Arc::new(KeySet::parse(text.as_bytes(), true).unwrap().0)
}

fn auth(urls: &[&str]) -> Auth {
    let source = |url: &&str| KeySource {
        name: Arc::from(*url),
        place: KeyPlace::Url(KeyUrl::parse(url).unwrap(), None),
        refresh: Duration::from_mins(5),
        timeout: Duration::from_secs(3),
        cooldown: Duration::from_secs(10),
    };
    Auth { profiles: Vec::new(), sources: urls.iter().map(source).collect() }
}

fn at(seconds: f64) -> Instant {
    Instant::START + Duration::from_secs_f64(seconds)
}

const URL: &str = "http://a/";

/// A schedule that has looked once, and the source.
fn looked() -> (Schedule, Arc<KeySource>) {
    let mut schedule = Schedule::new(Prng::new(1));
    schedule.follow(&auth(&[URL]), at(0.0));
    let source = schedule.begin(8, at(0.0)).remove(0);
    let (news, change) = schedule.ended(&source, Some(keys("1")), at(0.1)).unwrap();
    assert_eq!((news.keys.unwrap().len(), news.quiet, change), (1, Duration::ZERO, Change::Keys));
    (schedule, source)
}

#[test]
fn keys_are_looked_for_at_once_and_before_they_are_old() {
    let (mut schedule, source) = looked();
    let due = schedule.next_due();
    assert!(due > at(239.0) && due < at(300.0), "{due:?}");
    assert!(schedule.begin(8, at(239.0)).is_empty());
    assert_eq!(schedule.begin(8, due).len(), 1);
    assert!(schedule.begin(8, due).is_empty(), "two looks at once");
    assert_eq!(schedule.next_due(), Instant::NEVER);
    let (_, change) = schedule.ended(&source, Some(keys("1")), due).unwrap();
    assert_eq!(change, Change::Nothing);
    let due = schedule.next_due();
    schedule.begin(8, due);
    assert_eq!(schedule.ended(&source, Some(keys("2")), due).unwrap().1, Change::Keys);
}

fn ask(source: &str, has_none: bool) -> KeyAsk {
    KeyAsk { source: source.into(), has_none }
}

#[test]
fn a_shard_that_has_not_heard_yet_brings_about_no_look() {
    let (mut schedule, _source) = looked();
    let told = schedule.want(&ask(URL, true), at(1.0)).unwrap();
    assert!(told.keys.is_some());
    assert!(schedule.begin(8, at(1.0)).is_empty());
}

#[test]
fn a_flood_of_unknown_keys_brings_about_one_look_per_cooldown() {
    let (mut schedule, source) = looked();
    let mut looks = 0;
    for step in 0..600 {
        let now = at(1.0 + f64::from(step) / 10.0);
        let told = schedule.want(&ask(URL, false), now);
        let begun = schedule.begin(8, now);
        assert!(schedule.want(&ask("other", false), now).is_none());
        assert_ne!(told.is_some(), !begun.is_empty());
        if begun.is_empty() {
            let quiet = told.unwrap().quiet;
            assert!(quiet > Duration::ZERO && quiet <= Duration::from_secs(10));
        } else {
            looks += 1;
            assert!(schedule.want(&ask(URL, false), now).is_none(), "the look that runs answers");
            let (news, _) = schedule.ended(&source, Some(keys("1")), now).unwrap();
            assert_eq!(news.quiet, Duration::from_secs(10));
        }
    }
    assert_eq!(looks, 6);
}

#[test]
fn the_last_good_keys_stay_while_there_are_no_others() {
    let (mut schedule, source) = looked();
    let mut now = schedule.next_due();
    let mut waits = Vec::new();
    for number in 0..8 {
        assert_eq!(schedule.begin(8, now).len(), 1);
        let (news, change) = schedule.ended(&source, None, now).unwrap();
        assert_eq!(news.keys.unwrap().len(), 1);
        assert_eq!(change, if number == 0 { Change::Lost } else { Change::StillLost });
        waits.push((schedule.next_due() - now).as_secs());
        now = schedule.next_due();
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
    schedule.begin(8, now);
    assert_eq!(schedule.ended(&source, Some(keys("1")), now).unwrap().1, Change::Back);
}

#[test]
fn without_any_keys_shards_are_told_when_the_next_look_is() {
    let mut schedule = Schedule::new(Prng::new(1));
    schedule.follow(&auth(&[URL]), at(0.0));
    let source = schedule.begin(8, at(0.0)).remove(0);
    let (news, _) = schedule.ended(&source, None, at(1.0)).unwrap();
    assert!(news.keys.is_none());
    assert_eq!(news.quiet, Duration::from_secs(1));
}

#[test]
fn a_source_that_stays_the_same_keeps_its_keys() {
    let (mut schedule, source) = looked();
    schedule.follow(&auth(&["http://b/", URL]), at(1.0));
    let begun = schedule.begin(8, at(1.0));
    assert_eq!(begun.len(), 1);
    assert_eq!(&*begun[0].name, "http://b/");
    schedule.follow(&auth(&["http://b/"]), at(2.0));
    assert!(schedule.ended(&source, Some(keys("1")), at(2.0)).is_none(), "nobody needs it");
    assert!(schedule.begin(8, at(2.0)).is_empty(), "it is being looked for");
}
