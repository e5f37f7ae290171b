use std::sync::Arc;

use super::*;
use crate::policy::identity::Identity;

fn verified(until: u64, bytes: usize) -> Rc<Verified> {
    let identity = Identity { scopes: vec!["x".repeat(bytes)], ..Identity::default() };
    let (claims, fields) = (serde_json::Map::new(), Vec::new());
    Rc::new(Verified { identity: Arc::new(identity), until, is_allowed: true, claims, fields })
}

fn name(number: usize) -> [u8; 40] {
    let mut token = [b'a'; 40];
    for (byte, own) in token.iter_mut().rev().zip(number.to_le_bytes()) {
        *byte = own;
    }
    token
}

#[test]
fn nothing_that_is_out_of_date_is_given() {
    let mut cache = Cache::new(Bounds { seconds: 60, ..Bounds::default() });
    cache.put(0, &name(1), &verified(110, 1), 100);
    cache.put(0, &name(2), &verified(1000, 1), 100);
    assert!(cache.get(0, &name(1), 109).is_some());
    assert!(cache.get(0, &name(1), 110).is_none());
    assert!(cache.get(0, &name(2), 159).is_some());
    assert!(cache.get(0, &name(2), 160).is_none());
    assert!(cache.get(0, &name(3), 100).is_none());
}

#[test]
fn a_profile_knows_nothing_of_what_another_believes() {
    let mut cache = Cache::new(Bounds::default());
    for number in 0..100 {
        cache.put(number % 2, &name(number), &verified(1000, 1), 0);
    }
    for number in 0..100 {
        assert!(cache.get(number % 2, &name(number), 0).is_some());
        assert!(cache.get((number + 1) % 2, &name(number), 0).is_none());
    }
    cache.forget(1);
    for number in 0..100 {
        assert_eq!(cache.get(number % 2, &name(number), 0).is_some(), number % 2 == 0);
    }
    assert_eq!(cache.len(), 50);
    cache.clear();
    assert!(cache.is_empty() && cache.bytes() == 0);
}

#[test]
fn tokens_that_end_alike_are_told_apart_by_every_byte() {
    let mut cache = Cache::new(Bounds::default());
    cache.put(0, &name(1), &verified(1000, 1), 0);
    for place in 0..40 {
        let mut other = name(1);
        other[place] ^= 1;
        assert!(cache.get(0, &other, 0).is_none());
        cache.put(0, &other, &verified(1000, 1), 0);
    }
    assert!(cache.get(0, &name(1)[1..], 0).is_none());
    assert_eq!(cache.len(), 41);
    assert!(!format!("{cache:?}").contains("97, 97"), "tokens are not shown");
}

#[test]
fn neither_number_nor_bytes_go_beyond_their_bounds() {
    let bounds = Bounds { entries: 50, bytes: 40_000, seconds: 300 };
    let mut cache = Cache::new(bounds);
    for number in 0..1000 {
        cache.put(0, &name(number), &verified(1000, number % 700), 0);
        assert!(cache.len() <= 50 && cache.bytes() <= 40_000 && !cache.is_empty());
        assert!(cache.get(0, &name(number), 0).is_some());
    }
    cache.put(0, &name(1), &verified(1000, 50_000), 0);
    assert!(cache.get(0, &name(1), 0).is_none());
}

#[test]
fn what_is_used_outlives_what_is_not() {
    let mut cache = Cache::new(Bounds { entries: 100, ..Bounds::default() });
    for number in 0..20 {
        cache.put(0, &name(number), &verified(10_000, 1), 0);
    }
    for number in 20..2000 {
        cache.put(0, &name(number), &verified(10_000, 1), 0);
        for used in 0..20 {
            assert!(cache.get(0, &name(used), 0).is_some(), "{used} after {number}");
        }
    }
}

#[test]
fn putting_a_token_twice_keeps_it_once() {
    let mut cache = Cache::new(Bounds::default());
    cache.put(0, &name(1), &verified(100, 10), 0);
    let bytes = cache.bytes();
    cache.put(0, &name(1), &verified(200, 10), 0);
    assert_eq!((cache.len(), cache.bytes()), (1, bytes));
    assert!(cache.get(0, &name(1), 150).is_some());
}
