use super::super::Instance;
use super::*;

fn at(seconds: u64) -> Instant {
    Instant::START + Duration::from_secs(seconds)
}

fn name(text: &str) -> Wanted {
    Wanted::module(text).unwrap()
}

fn place(host: &str) -> Place {
    let instance = Instance {
        host: host.to_owned(),
        port: 1,
        region: String::new(),
        group: String::new(),
        weight: 1,
    };
    Place { instances: vec![instance], internal: false }
}

#[expect(clippy::unnecessary_wraps, reason = "as an answer comes")]
fn here(host: &str) -> Result<Said, String> {
    Ok(Said::Here(place(host)))
}

fn failed() -> Result<Said, String> {
    Err("refused".to_owned())
}

fn directory() -> Directory {
    Directory::new(Prng::new(7))
}

fn hosts(directory: &Directory, now: Instant) -> Vec<(String, String)> {
    let row = |(wanted, place, _): (&Wanted, &Place, Duration)| {
        (wanted.name().to_owned(), place.instances[0].host.clone())
    };
    directory.places(now).map(row).collect()
}

/// Asks for one name and answers.
fn ask(directory: &mut Directory, text: &str, said: Result<Said, String>, now: Instant) -> Change {
    assert_eq!(directory.want(&name(text), now), None);
    assert_eq!(directory.begin(9, now), [name(text)]);
    directory.answered(&name(text), said, now)
}

#[test]
fn one_question_is_under_way_for_all_who_want_the_same() {
    let mut directory = directory();
    assert_eq!(directory.want(&name("a"), at(1)), None);
    assert_eq!(directory.want(&name("a"), at(1)), None);
    assert_eq!(directory.begin(9, at(1)), [name("a")]);
    assert_eq!(directory.want(&name("a"), at(2)), None);
    assert_eq!(directory.begin(9, at(2)), []);
    let change = directory.answered(&name("a"), here("h"), at(2));
    assert_eq!(change, Change { places: true, ..Change::default() });
    assert_eq!(directory.want(&name("a"), at(3)), None);
    assert_eq!(directory.begin(9, at(3)), []);
}

#[test]
fn an_address_is_asked_for_again_before_it_is_old() {
    let mut directory = directory();
    ask(&mut directory, "a", here("h"), at(10));
    let due = directory.next_due();
    assert!(due > at(30) && due < at(40), "{due:?}");
    assert_eq!(directory.begin(9, at(40)), [name("a")]);
    assert_eq!(directory.answered(&name("a"), here("h"), at(40)), Change::default());
    assert_eq!(directory.begin(9, at(70)), [name("a")]);
    assert!(directory.answered(&name("a"), here("other"), at(70)).places);
    assert_eq!(hosts(&directory, at(70)), [("a".to_owned(), "other".to_owned())]);
}

#[test]
fn an_address_is_used_on_while_nobody_can_be_asked_and_forgotten_at_last() {
    let mut directory = directory();
    let rules = Rules { stale_max: Duration::from_mins(10), ..Rules::default() };
    directory.follow(rules, BTreeSet::new(), false, at(0));
    ask(&mut directory, "a", here("h"), at(10));
    let mut now = at(40);
    let mut lost = 0;
    while now < at(600) {
        for wanted in directory.begin(9, now) {
            let change = directory.answered(&wanted, failed(), now);
            assert!(!change.places && change.news.is_none());
            lost += u32::from(change.lost.is_some());
        }
        assert!(!directory.sweep(now));
        assert_eq!(hosts(&directory, now).len(), 1);
        now = now + Duration::from_secs(1);
    }
    assert_eq!(lost, 1, "it is told once");
    assert!(directory.sweep(at(700)));
    assert_eq!(hosts(&directory, at(700)), []);
    // A request asks for it anew.
    let change = ask(&mut directory, "a", here("h"), at(701));
    assert!(change.places && change.back);
}

#[test]
fn what_nobody_knows_is_not_asked_for_again_for_five_seconds() {
    let mut directory = directory();
    let change = ask(&mut directory, "a", Ok(Said::Nowhere), at(10));
    let news = |missing, seconds| {
        Some(News { wanted: name("a"), missing, quiet: Duration::from_secs(seconds) })
    };
    assert_eq!(change.news, news(Missing::Nowhere, 5));
    assert_eq!(directory.want(&name("a"), at(12)), news(Missing::Nowhere, 3));
    assert_eq!(directory.begin(9, at(12)), []);
    let change = ask(&mut directory, "a", Ok(Said::Incomplete), at(15));
    assert_eq!(change.news, news(Missing::Incomplete, 5));
    let change = ask(&mut directory, "a", failed(), at(20));
    assert_eq!(change.news, news(Missing::Unreachable, 1));
    assert_eq!(ask(&mut directory, "a", here("h"), at(21)).news, None);
}

#[test]
fn names_made_up_by_clients_cost_few_questions_and_no_lasting_memory() {
    let mut directory = directory();
    let mut asked = 0;
    for second in 0..100 {
        for n in 0..200 {
            let _ = directory.want(&name(&format!("n{second}x{n}")), at(second));
        }
        for wanted in directory.begin(usize::MAX, at(second)) {
            asked += 1;
            directory.answered(&wanted, Ok(Said::Nowhere), at(second));
        }
        assert!(directory.slots.len() <= UNKNOWN_MAX);
    }
    assert!(asked <= 64 + 100 * 20, "{asked}");
    directory.sweep(at(200));
    assert_eq!(directory.slots.len(), 0);
    assert_eq!(directory.next_due(), Instant::NEVER);
}

#[test]
fn a_master_that_began_anew_does_not_make_modules_vanish() {
    let mut directory = directory();
    ask(&mut directory, "a", here("h"), at(10));
    assert_eq!(directory.begin(9, at(40)), [name("a")]);
    let change = directory.answered(&name("a"), Ok(Said::Nowhere), at(40));
    assert_eq!(change, Change::default());
    // Asked again soon, and it is back.
    assert_eq!(directory.begin(9, at(45)), [name("a")]);
    assert_eq!(directory.answered(&name("a"), here("h"), at(45)), Change::default());
    // Else it is gone when that was said for as long as an address holds.
    let mut now = at(75);
    let mut gone = None;
    while gone.is_none() {
        for wanted in directory.begin(9, now) {
            if directory.answered(&wanted, Ok(Said::Nowhere), now).places {
                gone = Some(now);
            }
        }
        now = now + Duration::from_secs(1);
    }
    assert!(gone >= Some(at(75 + 60)) && gone < Some(at(75 + 70)), "{gone:?}");
    assert_eq!(hosts(&directory, now), []);
}

#[test]
fn what_is_pinned_is_asked_for_without_a_client_until_it_is_there() {
    let mut directory = directory();
    directory.follow(Rules::default(), [Wanted::Session].into(), false, at(0));
    let mut questions = 0;
    for second in 0..120 {
        for wanted in directory.begin(9, at(second)) {
            questions += 1;
            let change = directory.answered(&wanted, failed(), at(second));
            assert_eq!(change.lost.is_some(), questions == 1);
        }
        directory.sweep(at(second));
    }
    assert!((5..15).contains(&questions), "{questions}");
    // Other masters are asked at once.
    directory.follow(Rules::default(), [Wanted::Session].into(), true, at(121));
    assert_eq!(directory.begin(9, at(121)), [Wanted::Session]);
    assert!(directory.answered(&Wanted::Session, here("s"), at(121)).back);
    assert_eq!(directory.rows(at(121)).count(), 1);
}

#[test]
fn what_was_kept_is_used_until_a_master_says_otherwise() {
    let mut directory = directory();
    let hour = Duration::from_hours(1);
    directory.restore(name("a"), place("old"), hour, at(1));
    directory.restore(name("b"), place("older"), 24 * hour, at(1));
    assert_eq!(hosts(&directory, at(1)), [("a".to_owned(), "old".to_owned())]);
    let (_, _, age) = directory.places(at(61)).next().unwrap();
    assert_eq!(age, hour + Duration::from_mins(1));
    assert_eq!(directory.begin(9, at(1)), [name("a")]);
    assert!(directory.answered(&name("a"), here("new"), at(2)).places);
    // What a master said is not undone by a file.
    directory.restore(name("a"), place("old"), hour, at(3));
    assert_eq!(hosts(&directory, at(3)), [("a".to_owned(), "new".to_owned())]);
}

#[test]
fn a_throttle_lets_a_burst_and_then_its_rate_through() {
    let mut throttle = Throttle::new(Duration::from_millis(500), 4);
    let mut passed = |now| (0..10).filter(|_| throttle.pass(now)).count();
    assert_eq!((passed(at(1)), passed(at(2)), passed(at(100))), (4, 2, 4));
}
