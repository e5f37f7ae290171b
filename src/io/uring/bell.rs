//! Waking a shard from another thread: one byte through a socket pair.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::io::{Bell, Ear, IoError};

use super::io_error;

/// Implements [`Bell`].
#[derive(Clone, Debug)]
pub struct RingBell {
    end: Arc<UnixStream>,
}

/// Implements [`Ear`].
#[derive(Debug)]
pub struct RingEar {
    end: UnixStream,
    waiter: monoio::net::UnixStream,
}

pub(super) fn pair() -> Result<(RingBell, RingEar), IoError> {
    let make = || {
        let (bell, ear) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        ear.set_nonblocking(true)?;
        let waiter = monoio::net::UnixStream::from_std(ear.try_clone()?)?;
        Ok((RingBell { end: Arc::new(bell) }, RingEar { end: ear, waiter }))
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
            match (&self.end).read(&mut heard) {
                // All bells are gone: nothing will ever be heard.
                Ok(0) => std::future::pending().await,
                Ok(_) => return,
                Err(_) => {}
            }
            if self.waiter.readable(false).await.is_err() {
                return;
            }
        }
    }
}
