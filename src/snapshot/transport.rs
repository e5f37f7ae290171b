//! Options of TCP sockets, for each listener and each upstream.

use crate::base::limits;
use crate::base::text::Text;

/// Which congestion control a connection uses.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Congestion {
    /// [`CONGESTION_LOCAL`](limits::CONGESTION_LOCAL) between processes of this host, the system's
    /// elsewhere.
    #[default]
    Auto,
    /// The system's everywhere.
    System,
    /// The one that the kernel knows by this name.
    Named(Text<15>),
}

/// Options of the sockets of one listener or upstream. `None` leaves the kernel's choice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transport {
    /// `TCP_CONGESTION`.
    pub congestion: Congestion,
    /// `TCP_NOTSENT_LOWAT` in bytes: how much may wait in the kernel unsent.
    pub not_sent_lowat: Option<u32>,
    /// `SO_RCVBUF` in bytes. Setting it ends the kernel's own tuning.
    pub receive_buffer: Option<u32>,
    /// `SO_SNDBUF` in bytes. Setting it ends the kernel's own tuning.
    pub send_buffer: Option<u32>,
    /// `TCP_NODELAY`: small writes leave at once.
    pub nodelay: bool,
}

impl Transport {
    /// Defaults for connections that are accepted.
    #[must_use]
    pub const fn listener() -> Self {
        Transport {
            congestion: Congestion::Auto,
            not_sent_lowat: None,
            receive_buffer: None,
            send_buffer: None,
            nodelay: true,
        }
    }

    /// Defaults for connections to endpoints: control frames are not queued behind megabytes.
    #[must_use]
    pub const fn upstream() -> Self {
        Transport { not_sent_lowat: Some(limits::UPSTREAM_NOT_SENT_LOWAT), ..Transport::listener() }
    }
}
