use std::task::Wake;

use super::*;

fn gauge(max_in_flight: u32, max_per_client: u32, queue: u32) -> Rc<Gauge> {
    let name = "r".to_owned();
    let queue_timeout = Duration::from_secs(1);
    let (keys, grouping) = (16, Grouping::default());
    let rule = Rule { name, max_in_flight, max_per_client, queue, queue_timeout, keys, grouping };
    Rc::new(Gauge::new(rule))
}

#[test]
fn a_place_is_given_back_when_it_is_dropped() {
    let gauge = gauge(2, 0, 0);
    let first = gauge.enter(1).unwrap();
    let second = gauge.enter(1).unwrap();
    assert_eq!(gauge.enter(1).unwrap_err(), Full::Route);
    drop(first);
    assert_eq!(gauge.in_flight(), 1);
    let _third = gauge.enter(1).unwrap();
    drop(second);
    assert_eq!(gauge.in_flight(), 1);
}

#[test]
fn a_principal_has_its_own_count_and_a_full_route_costs_it_nothing() {
    let gauge = gauge(3, 2, 0);
    let held = [gauge.enter(1).unwrap(), gauge.enter(1).unwrap()];
    assert_eq!(gauge.enter(1).unwrap_err(), Full::Client);
    let _other = gauge.enter(2).unwrap();
    assert_eq!(gauge.enter(2).unwrap_err(), Full::Route);
    drop(held);
    let _again = [gauge.enter(2).unwrap(), gauge.enter(1).unwrap()];
    assert_eq!(gauge.enter(2).unwrap_err(), Full::Client);
}

#[test]
fn more_principals_than_places_share_a_count_until_there_is_one() {
    let gauge = gauge(0, 1, 0);
    let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let held: Vec<_> = (1..2000).filter_map(|n| gauge.enter(spread(n)).ok()).collect();
    assert_eq!(held.len(), 16 + 2, "sixteen places and a spill for each of two sets");
    drop(held);
    assert_eq!((1..200).filter(|n| gauge.enter(spread(*n)).is_ok()).count(), 199);
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn wait(gauge: &Rc<Gauge>, client: u64) -> Waiter {
    gauge.queue(client, Waker::noop().clone()).unwrap()
}

#[test]
fn who_waits_is_served_before_who_comes() {
    let gauge = gauge(1, 0, 1);
    let place = gauge.enter(1).unwrap();
    let bell = Arc::new(Bell::default());
    let mut waiter = gauge.queue(1, Waker::from(Arc::clone(&bell))).unwrap();
    assert!(gauge.queue(1, Waker::noop().clone()).is_none(), "the queue is full");
    assert!(waiter.place().is_none());
    assert_eq!((gauge.waiting(), bell.0.load(Ordering::Relaxed)), (1, 0));
    drop(place);
    assert_eq!((gauge.waiting(), bell.0.load(Ordering::Relaxed)), (0, 1));
    assert_eq!(gauge.enter(2).unwrap_err(), Full::Route, "the place was handed over");
    let held = waiter.place().unwrap();
    assert!(waiter.place().is_none(), "there is one place for one who waits");
    drop(waiter);
    assert_eq!(gauge.in_flight(), 1);
    drop(held);
    assert_eq!(gauge.in_flight(), 0);
}

#[test]
fn places_are_handed_over_in_the_order_of_arrival() {
    let gauge = gauge(2, 0, 9);
    let mut held = vec![gauge.enter(1).unwrap(), gauge.enter(1).unwrap()];
    let mut waiters: Vec<_> = (0..6).map(|_| wait(&gauge, 1)).collect();
    let mut order = Vec::new();
    while let Some(place) = held.pop() {
        drop(place);
        for (number, waiter) in waiters.iter_mut().enumerate() {
            if let Some(place) = waiter.place() {
                order.push(number);
                held.push(place);
            }
        }
    }
    assert_eq!(order, [0, 1, 2, 3, 4, 5]);
    assert_eq!((gauge.in_flight(), gauge.waiting()), (0, 0));
}

#[test]
fn of_several_principals_the_one_that_came_first_is_first() {
    let gauge = gauge(1, 1, 9);
    let mut held = Some(gauge.enter(9).unwrap());
    let mut waiters = [5, 3, 8, 1, 3].map(|client| wait(&gauge, client));
    let mut order = Vec::new();
    while let Some(place) = held.take() {
        drop(place);
        for (number, waiter) in waiters.iter_mut().enumerate() {
            if let Some(place) = waiter.place() {
                order.push(number);
                held = Some(place);
            }
        }
    }
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[test]
fn who_leaves_loses_its_turn_and_what_it_was_handed_goes_to_the_next() {
    let gauge = gauge(1, 0, 9);
    let place = gauge.enter(1).unwrap();
    let [first, second, mut third] = [1, 1, 1].map(|client| wait(&gauge, client));
    drop(first);
    assert_eq!(gauge.waiting(), 2);
    drop(place);
    assert!(third.place().is_none(), "it is the turn of the second");
    drop(second);
    let _place = third.place().unwrap();
    assert_eq!((gauge.in_flight(), gauge.waiting()), (1, 0));
}

#[test]
fn whose_principal_has_enough_is_passed_over_and_keeps_its_rank() {
    let gauge = gauge(2, 1, 9);
    let (mine, other) = (gauge.enter(1).unwrap(), gauge.enter(2).unwrap());
    let [mut first, mut second, mut third] = [1, 1, 3].map(|client| wait(&gauge, client));
    drop(other);
    let third = third.place().unwrap();
    assert!(first.place().is_none(), "its principal has a place");
    drop(third);
    drop(mine);
    let first = first.place().unwrap();
    assert!(second.place().is_none());
    drop(first);
    assert!(second.place().is_some());
}

#[test]
fn those_of_a_principal_that_has_enough_keep_nobody_else_out() {
    let gauge = gauge(3, 1, 2);
    let mine = gauge.enter(1).unwrap();
    let [mut first, mut second] = [1, 1].map(|client| wait(&gauge, client));
    let other = gauge.enter(2).unwrap();
    assert_eq!(gauge.enter(2).unwrap_err(), Full::Client);
    let _third = gauge.enter(3).unwrap();
    drop((other, mine));
    let taken = first.place().unwrap();
    assert_eq!(gauge.enter(1).unwrap_err(), Full::Client, "not before one that waits");
    drop(taken);
    assert!(second.place().is_some());
}

#[test]
fn a_principal_waits_for_itself_where_the_route_has_no_limit() {
    let gauge = gauge(0, 1, 2);
    let mine = gauge.enter(1).unwrap();
    let mut waiter = wait(&gauge, 1);
    let other = gauge.enter(2).unwrap();
    drop(other);
    assert!(waiter.place().is_none());
    drop(mine);
    let _mine = waiter.place().unwrap();
    assert_eq!(gauge.enter(1).unwrap_err(), Full::Client);
}

/// Wakes a thread.
struct Unpark(std::thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Nobody is called in time if one call is lost: then this fails in a minute.
fn place_of(gauge: &Rc<Gauge>, client: u64) -> Place {
    if let Ok(place) = gauge.enter(client) {
        return place;
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut waiter = gauge.queue(client, waker).unwrap();
    for _ in 0..60 {
        if let Some(place) = waiter.place() {
            return place;
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
    panic!("nobody called");
}

#[test]
fn of_threads_that_wait_for_each_other_none_is_forgotten() {
    for (max_in_flight, max_per_client) in [(1, 0), (2, 1), (0, 1), (3, 2)] {
        let gauge = gauge(max_in_flight, max_per_client, 9);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let gauge = Gauge::clone(&gauge);
                scope.spawn(move || {
                    let gauge = Rc::new(gauge);
                    for round in 0..5_000 {
                        let place = place_of(&gauge, (thread + round) % 3 * (u64::MAX / 3) + 1);
                        if round % 7 == 0 {
                            // Some come, and leave again.
                            drop(gauge.queue(1, Waker::noop().clone()));
                        }
                        drop(place);
                    }
                });
            }
        });
        assert_eq!((gauge.in_flight(), gauge.waiting()), (0, 0));
    }
}

#[test]
fn threads_never_have_more_places_than_there_are() {
    let gauge = gauge(3, 2, 0);
    let most = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (gauge, most) = (Gauge::clone(&gauge), &most);
            scope.spawn(move || {
                let gauge = Rc::new(gauge);
                for _ in 0..20_000 {
                    if let Ok(_place) = gauge.enter(client % 2 + 1) {
                        most.fetch_max(gauge.in_flight(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert!(most.load(Ordering::Relaxed) <= 3);
    assert_eq!(gauge.in_flight(), 0);
}

#[test]
fn what_is_under_way_is_known_after_a_reload() {
    let old = gauge(2, 0, 0);
    let place = old.enter(1).unwrap();
    let mut new = Gauge::clone(&gauge(1, 0, 0));
    new.carry_over(&old);
    let new = Rc::new(new);
    assert_eq!(new.enter(1).unwrap_err(), Full::Route);
    drop(place);
    assert!(new.enter(1).is_ok());
}
