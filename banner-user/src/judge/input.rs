//! What the judge is told.

use super::{
    effect::Entry,
    list::{List, ListName},
    policy::Policy,
    protect::HostAddresses,
    saved::Saved,
};
use crate::event::{Event, Position};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A line said something.
    Line(Line<'a>),
    /// A deadline has come.
    Tick,
    /// The configuration was read (again). Tallies and bans are kept: those of a jail that is gone stay until they end, since
    /// leaving out a jail says nothing about the sources that it banned, and the kernel goes on dropping them anyway.
    Configure(Box<Policy>),
    /// The host's addresses, gateways and resolvers as they are now.
    Protect(HostAddresses),
    /// What an earlier run has saved, after [`Self::Configure`] and [`Self::Protect`]. Nothing is written before
    /// [`Self::Adopt`], which has to follow: only what differs from what the kernel has is written.
    Restore(Saved),
    /// The lists as their files are at start, after [`Self::Configure`] and [`Self::Protect`]. Nothing is written before
    /// [`Self::Adopt`].
    RestoreLists(Vec<List>),
    /// A list is new, its file has changed, or its meaning. What is in it no longer is unbanned, what has come is banned, and
    /// what stays is not touched; a slice with each [`Self::Tick`].
    List(List),
    /// A list has left the configuration.
    Unlist(ListName),
    /// What the kernel's maps hold at start, after [`Self::Configure`], [`Self::Protect`] and [`Self::Restore`].
    Adopt(Vec<Entry>),
    /// An entry could not be written: its map has no room. What this returns is to be carried out before anything else
    /// ([`Judge::carry_out`](super::Judge::carry_out) does so).
    Full(Entry),
}

/// A line that one filter or several understood.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What it says: one event for each filter that knows it. In each jail it counts once, by the first of the jail's filters.
    pub events: &'a [Event],
    /// Its bytes. Attacker text.
    pub bytes: &'a [u8],
    /// Where it stands.
    pub position: Position,
    /// The sources that its file belongs to, by their place in [`Policy::sources`].
    pub sources: &'a [usize],
    /// Whether it was read as it was written, not while catching up.
    pub live: bool,
}
