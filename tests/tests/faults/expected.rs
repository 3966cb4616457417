//! What the row itself has done to sources, beside what the log says of them.

use std::{net::IpAddr, time::Duration};

/// A ban that does not follow from what the writer writes, in times since boot.
#[derive(Clone, Debug)]
pub(crate) struct OtherBan {
    pub(crate) source: IpAddr,
    /// It was begun not before this: `banner ban` was started then.
    pub(crate) asked: Duration,
    /// It was there at the latest then: the command had ended.
    pub(crate) answered: Duration,
    /// It was told that it drops nothing until there is room.
    pub(crate) waits: bool,
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
    pub(crate) other_bans: Vec<OtherBan>,
    pub(crate) lifts: Vec<Lift>,
    pub(crate) gaps: Vec<Gap>,
}
