//! Connections that are served by threads: one for each, and a bound on how many there are at once.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// After a failure of the listener, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes connections for as long as the listener gives them, and serves each on a thread of this
/// name. One that comes while `most` are served is closed.
pub fn serve_each(
    listener: &TcpListener,
    name: &str,
    most: usize,
    serve: impl Fn(TcpStream) + Send + Sync + 'static,
) {
    let (open, serve) = (Arc::new(AtomicUsize::new(0)), Arc::new(serve));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(PAUSE);
            continue;
        };
        let Some(place) = Place::take(&open, most) else { continue };
        let serve = Arc::clone(&serve);
        // Where no thread is to be had, what it would have owned is dropped.
        let _ = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _place = place;
            serve(stream);
        });
    }
}

/// One of those that are served. It is given back even by a panic.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(open: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let before = open.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(open));
        (before < most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_place_is_given_back_even_by_a_panic_and_one_too_many_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            serve_each(&listener, "panics", 1, |mut stream| {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                panic!("as it is meant to");
            });
        });
        let is_closed = |stream: &mut TcpStream| stream.read(&mut [0]).is_ok_and(|len| len == 0);
        let mut first = TcpStream::connect(address).unwrap();
        let mut second = TcpStream::connect(address).unwrap();
        assert!(is_closed(&mut second));
        // Its end is said by the panic, a moment before the place is free again.
        first.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(is_closed(&mut first));
        let free = || {
            let mut third = TcpStream::connect(address).unwrap();
            third.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            !is_closed(&mut third)
        };
        while !free() {}
    }
}
