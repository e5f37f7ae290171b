use std::sync::Barrier;

use super::*;

fn breaker(failures: u16, interval: u64, probes: u16) -> Rc<Breaker> {
    let (interval, open) = (Duration::from_secs(interval), Duration::from_secs(10));
    Rc::new(Breaker::new(Rule { name: "r".to_owned(), failures, interval, open, probes }))
}

fn at(millis: u64) -> Instant {
    Instant::START + Duration::from_millis(100_000 + millis)
}

fn told(breaker: &Rc<Breaker>, outcome: Outcome, millis: u64) {
    breaker.admit(at(millis)).unwrap().tell(outcome, at(millis));
}

fn opened(failures: u16, probes: u16) -> Rc<Breaker> {
    let breaker = breaker(failures, 0, probes);
    (0..failures).for_each(|_| told(&breaker, Outcome::Failure, 0));
    assert_eq!(breaker.reading(at(0)).state, State::Open);
    breaker
}

#[test]
fn failures_in_a_row_open_it_and_a_success_between_does_not() {
    let breaker = breaker(3, 0, 1);
    for outcome in [Outcome::Failure, Outcome::Failure, Outcome::Success, Outcome::Failure] {
        told(&breaker, outcome, 0);
    }
    told(&breaker, Outcome::Failure, 1);
    assert_eq!((breaker.reading(at(2)).state, breaker.reading(at(2)).failures), (State::Closed, 2));
    told(&breaker, Outcome::Failure, 5);
    let reading = breaker.reading(at(1005));
    assert_eq!((reading.state, reading.opened), (State::Open, Some(at(5))));
    assert_eq!(reading.retry_after, Duration::from_secs(9));
    assert_eq!(breaker.admit(at(1005)).unwrap_err(), Duration::from_secs(9));
}

#[test]
fn a_clock_that_is_behind_waits_no_longer_than_one_that_is_not() {
    let breaker = breaker(1, 0, 1);
    told(&breaker, Outcome::Failure, 9);
    assert_eq!(breaker.reading(at(0)).retry_after, Duration::from_secs(10));
    assert_eq!(breaker.admit(at(0)).unwrap_err(), Duration::from_secs(10));
}

#[test]
fn after_a_while_one_probe_decides() {
    let breaker = opened(2, 1);
    assert!(breaker.admit(at(9_999)).is_err());
    let probe = breaker.admit(at(10_000)).unwrap();
    assert!(probe.is_probe());
    assert_eq!(breaker.reading(at(10_000)).probes, 1);
    assert_eq!(breaker.admit(at(10_001)).unwrap_err(), Duration::from_secs(1));
    probe.tell(Outcome::Failure, at(10_500));
    assert_eq!(breaker.admit(at(10_501)).unwrap_err(), Duration::from_millis(9_999));
    breaker.admit(at(20_500)).unwrap().tell(Outcome::Success, at(20_600));
    let reading = breaker.reading(at(20_600));
    assert_eq!((reading.state, reading.failures, reading.opened), (State::Closed, 0, None));
    assert!(!breaker.admit(at(20_600)).unwrap().is_probe());
}

#[test]
fn clients_that_leave_count_as_nothing_and_give_the_place_of_a_probe_back() {
    let breaker = breaker(1, 0, 1);
    told(&breaker, Outcome::Nothing, 0);
    drop(breaker.admit(at(0)).unwrap());
    assert_eq!(breaker.reading(at(0)).state, State::Closed);
    told(&breaker, Outcome::Failure, 0);
    drop(breaker.admit(at(10_000)).unwrap());
    told(&breaker, Outcome::Nothing, 10_001);
    assert_eq!(breaker.reading(at(10_002)).probes, 0);
    assert!(breaker.admit(at(10_002)).is_ok());
}

#[test]
fn who_was_sent_before_it_opened_decides_nothing() {
    let breaker = breaker(1, 0, 1);
    let (late, later) = (breaker.admit(at(0)).unwrap(), breaker.admit(at(0)).unwrap());
    told(&breaker, Outcome::Failure, 0);
    late.tell(Outcome::Success, at(1));
    assert_eq!(breaker.reading(at(1)).state, State::Open);
    let probe = breaker.admit(at(10_000)).unwrap();
    later.tell(Outcome::Failure, at(10_001));
    assert_eq!(breaker.reading(at(10_001)).state, State::HalfOpen);
    probe.tell(Outcome::Success, at(10_002));
    assert_eq!(breaker.reading(at(10_002)).state, State::Closed);
}

#[test]
fn a_probe_of_an_earlier_round_decides_nothing() {
    let breaker = opened(1, 2);
    let slow = breaker.admit(at(10_000)).unwrap();
    breaker.admit(at(10_000)).unwrap().tell(Outcome::Failure, at(10_000));
    let probe = breaker.admit(at(20_001)).unwrap();
    slow.tell(Outcome::Success, at(20_002));
    let reading = breaker.reading(at(20_002));
    assert_eq!((reading.state, reading.probes), (State::HalfOpen, 1));
    drop(probe);
    assert_eq!(breaker.reading(at(20_003)).probes, 0);
}

#[test]
fn failures_that_are_old_do_not_count_if_there_is_an_interval() {
    let breaker = breaker(2, 60, 1);
    told(&breaker, Outcome::Failure, 0);
    told(&breaker, Outcome::Failure, 60_000);
    assert_eq!(breaker.reading(at(60_000)).failures, 1);
    told(&breaker, Outcome::Failure, 60_001);
    assert_eq!(breaker.reading(at(60_001)).state, State::Open);
}

#[test]
fn threads_never_have_more_probes_than_allowed() {
    let breaker = opened(1, 3);
    let barrier = Barrier::new(4);
    let count: usize = std::thread::scope(|scope| {
        let ask = || {
            let breaker = Breaker::clone(&breaker);
            let barrier = &barrier;
            scope.spawn(move || {
                let breaker = Rc::new(breaker);
                let permits: Vec<_> =
                    (0..1000).filter_map(|_| breaker.admit(at(10_000)).ok()).collect();
                // Nobody gives a place back before all have asked.
                barrier.wait();
                permits.len()
            })
        };
        let threads: Vec<_> = (0..4).map(|_| ask()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(count, 3);
}

#[test]
fn a_clock_that_goes_back_does_not_keep_it_open() {
    let breaker = opened(1, 1);
    assert!(breaker.admit(Instant::START).unwrap().is_probe());
}
