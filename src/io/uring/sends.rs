//! Writes that leave together: queued in the ring while tasks run, and handed to the kernel with
//! the call that every turn makes anyway.
//!
//! A write says that it does not wait, so the kernel takes it or refuses it while it is handed
//! over. What is queued belongs to this table until the kernel has said what became of it: neither
//! its bytes nor its descriptor can be given away meanwhile, whoever stops waiting.

use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::io::gather::Gather;

use super::{RingSocket, Shared};

/// One write that was queued.
struct Send {
    /// Its bytes. They are not looked at until the kernel has answered.
    out: Gather,
    /// Keeps the descriptor open, and its number from being given to another.
    _socket: RingSocket,
    /// The kernel's answer: how many bytes it took, or an error below zero.
    answer: Option<i32>,
    /// Who waits for it; nobody once the future is gone.
    writer: Writer,
}

enum Writer {
    /// Was not asked yet.
    Soon,
    Waits(Waker),
    Gone,
}

/// The writes of a thread that wait for the kernel's answer, or to be told it.
#[derive(Default)]
pub(super) struct Sends {
    slots: RefCell<Slots>,
}

#[derive(Default)]
struct Slots {
    sends: Vec<Option<Send>>,
    free: Vec<u32>,
}

impl Slots {
    fn get(&mut self, place: u32) -> Option<&mut Option<Send>> {
        self.sends.get_mut(usize::try_from(place).ok()?)
    }

    fn take(&mut self, place: u32) -> Option<Send> {
        let send = self.get(place)?.take()?;
        self.free.push(place);
        Some(send)
    }
}

impl Sends {
    /// Keeps a write; its place.
    fn insert(&self, send: Send) -> u32 {
        let mut slots = self.slots.borrow_mut();
        let place = slots.free.pop().unwrap_or_else(|| {
            slots.sends.push(None);
            u32::try_from(slots.sends.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(slot) = slots.get(place) {
            *slot = Some(send);
        }
        place
    }

    /// The kernel has answered.
    pub(super) fn answered(&self, place: u32, answer: i32) {
        let mut slots = self.slots.borrow_mut();
        let Some(Some(send)) = slots.get(place) else { return };
        send.answer = Some(answer);
        match std::mem::replace(&mut send.writer, Writer::Soon) {
            Writer::Soon => {}
            Writer::Waits(waker) => waker.wake(),
            Writer::Gone => {
                let send = slots.take(place);
                // Its end may close the connection, which asks for other tables.
                drop(slots);
                drop(send);
            }
        }
    }

    /// Whether the kernel may still look at bytes of ours.
    pub(super) fn are_under_way(&self) -> bool {
        self.slots.borrow().sends.iter().flatten().any(|send| send.answer.is_none())
    }

    /// How many writes waited at once, at most.
    #[cfg(test)]
    pub(super) fn peak(&self) -> usize {
        self.slots.borrow().sends.len()
    }

    fn poll(&self, place: u32, waker: &Waker) -> Poll<Option<Send>> {
        let mut slots = self.slots.borrow_mut();
        match slots.get(place) {
            Some(Some(send)) if send.answer.is_none() => {
                send.writer = Writer::Waits(waker.clone());
                Poll::Pending
            }
            _ => Poll::Ready(slots.take(place)),
        }
    }

    fn leave(&self, place: u32) {
        let mut slots = self.slots.borrow_mut();
        if let Some(Some(send)) = slots.get(place) {
            if send.answer.is_none() {
                send.writer = Writer::Gone;
                return;
            }
            let send = slots.take(place);
            drop(slots);
            drop(send);
        }
    }
}

/// A wait for the kernel's answer. Who drops it hears nothing of it; the bytes may leave.
struct Ticket<'a> {
    shared: &'a Rc<Shared>,
    place: u32,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.shared.reactor.sends().leave(self.place);
    }
}

/// Queues a write of what `out` consists of, which is one slice, and waits for the kernel's answer:
/// how many bytes it took (zero: there was no room), or an error.
pub(super) async fn send(
    shared: &Rc<Shared>,
    socket: &RingSocket,
    out: Gather,
) -> (std::io::Result<usize>, Gather) {
    let reactor = &shared.reactor;
    let bytes = out.single(0).unwrap_or_default();
    let (bytes, len) = (bytes.as_ptr(), u32::try_from(bytes.len()).unwrap_or(0));
    let fd = socket.fd().as_raw_fd();
    let send = Send { out, _socket: socket.clone(), answer: None, writer: Writer::Soon };
    let place = reactor.sends().insert(send);
    #[expect(unsafe_code, reason = "the kernel reads the bytes later")]
    // SAFETY: `bytes` are `len` bytes on the heap, of the vector or the buffer that `out` owns, and
    // `fd` is the descriptor of `socket`. Both were moved into the table, which moves neither bytes
    // nor descriptor, lends them to nobody, and lets go of them only in `poll`, `leave` and
    // `answered` when there is an answer, or below, where nothing was queued. What is in the table
    // at the end of the thread stays for ever: it holds `Shared`, which holds the table.
    let queued = unsafe { reactor.queue(fd, bytes, len, place) };
    if let Err(error) = queued {
        let back = reactor.sends().slots.borrow_mut().take(place);
        return (Err(error), back.map_or_else(Gather::new, |send| send.out));
    }
    let _ticket = Ticket { shared, place };
    let done = poll_fn(|cx| reactor.sends().poll(place, cx.waker())).await;
    match done {
        Some(Send { out, answer, .. }) => (result(answer.unwrap_or(0)), out),
        None => (Err(std::io::Error::other("a write was lost")), Gather::new()),
    }
}

fn result(answer: i32) -> std::io::Result<usize> {
    match usize::try_from(answer) {
        Ok(len) => Ok(len),
        Err(_) if answer == -libc::EAGAIN || answer == -libc::EINTR => Ok(0),
        Err(_) => Err(std::io::Error::from_raw_os_error(-answer)),
    }
}
