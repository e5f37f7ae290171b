//! Waking a shard from another thread: one byte through a socket pair.

use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use socket2::SockRef;

use crate::io::{Bell, Ear, IoError};

use super::reactor::{Side, Source};
use super::{Shared, io_error};

/// Implements [`Bell`].
#[derive(Clone, Debug)]
pub struct RingBell {
    end: Arc<UnixStream>,
}

/// Implements [`Ear`].
#[derive(Debug)]
pub struct RingEar {
    end: Source,
}

pub(super) fn pair(shared: &Rc<Shared>) -> Result<(RingBell, RingEar), IoError> {
    let make = || {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        Ok((RingBell { end: Arc::new(bell) }, RingEar { end: Source::new(shared, ear.into())? }))
    };
    make().map_err(|error: std::io::Error| io_error(&error))
}

impl Bell for RingBell {
    fn ring(&self) {
        // A full pair has unheard rings in it already, a closed one nobody who could hear.
        let _ = (&*self.end).write(&[1]);
    }
}

impl Ear for RingEar {
    async fn listen(&self) {
        let mut heard = [0; 64];
        loop {
            match (&*SockRef::from(&self.end.fd())).read(&mut heard) {
                // All bells are gone: nothing will ever be heard.
                Ok(0) => std::future::pending().await,
                Ok(_) => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => self.end.is_drained(Side::Read),
            }
            poll_fn(|cx| {
                let ready = self.end.poll_ready(Side::Read, false, cx.waker());
                if ready { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }
}
