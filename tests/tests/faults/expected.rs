//! What the row itself has done to sources, beside what the log says of them.

use std::{net::IpAddr, time::Duration};

/// A ban by hand, in times since boot.
#[derive(Clone, Debug)]
pub(crate) struct ByHand {
    pub(crate) source: IpAddr,
    /// `banner ban` was started then, and had ended then.
    pub(crate) asked: Duration,
    pub(crate) answered: Duration,
    /// None for ever.
    pub(crate) length: Option<Duration>,
}

/// A ban that was lifted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lift {
    pub(crate) source: IpAddr,
    /// `banner unban` was started then, and had ended then.
    pub(crate) asked: Duration,
    pub(crate) answered: Duration,
}

/// Time in which nobody can expect packets to be dropped: from a new interface's coming until it is guarded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// Everything that the row did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deeds {
    pub(crate) by_hand: Vec<ByHand>,
    pub(crate) lifts: Vec<Lift>,
    pub(crate) gaps: Vec<Gap>,
}
