use super::*;

#[test]
fn a_buffer_goes_home_and_comes_out_again_first() {
    let pool = BufferPool::default();
    let (mut a, b) = (pool.small(), pool.small());
    assert_eq!(a.append(b"abc"), 3);
    assert_eq!(pool.out(), 2);
    drop(b);
    drop(a);
    assert_eq!(pool.out(), 0);
    let again = pool.small();
    assert!(again.is_empty());
    assert_eq!(again.range(0..3), b"abc", "the one that came home last");
}

#[test]
fn consumed_bytes_make_room_after_compacting() {
    let pool = BufferPool::default();
    let mut buffer = pool.small();
    let full = buffer.room();
    buffer.append(b"hello world");
    buffer.consume(6);
    assert_eq!((buffer.filled(), buffer.position()), (&b"world"[..], 6));
    buffer.compact();
    assert_eq!((buffer.filled(), buffer.room()), (&b"world"[..], full - 5));
    buffer.consume(100);
    assert!(buffer.is_empty());
}

#[test]
#[should_panic(expected = "more bytes than there was room for")]
fn more_bytes_than_room_are_refused() {
    BufferPool::default().small().fill(usize::MAX);
}

#[test]
fn bytes_are_moved_together_and_narrowed_to() {
    let pool = BufferPool::default();
    let mut buffer = pool.small();
    buffer.append(b"..ab..cd..");
    buffer.shift(6..8, 4);
    buffer.refill(2..6);
    assert_eq!((buffer.filled(), buffer.position()), (&b"abcd"[..], 2));
    buffer.truncate(3);
    assert_eq!(buffer.filled(), b"abc");
    buffer.refill(0..usize::MAX);
    assert_eq!(buffer.room(), 0, "no further than there is memory");
}
