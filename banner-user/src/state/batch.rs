//! What is written: all that has changed since the last batch, in one transaction.

use crate::{
    clock::Now,
    judge::saved::Changes,
    source::{Bookmark, journal::JournalPosition},
};

/// All that has changed since the last batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Bans and tallies. Their services are bits of the table that the store was last given.
    pub changes: Changes,
    /// How far files were read for these changes.
    pub positions: PositionChanges,
    /// How far the journal was read for these changes; `None` where that has not changed.
    pub journal: Option<JournalPosition>,
    /// The interfaces that are guarded; `None` where that has not changed.
    pub interfaces: Option<Vec<String>>,
    /// When the changes were asked for. Ties the times since boot in them to the wall clock.
    pub at: Now,
}

impl Batch {
    /// A batch in which nothing has changed.
    #[must_use]
    pub fn new(at: Now) -> Self {
        Self { changes: Changes::default(), positions: PositionChanges::default(), journal: None, interfaces: None, at }
    }

    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { changes, positions, journal, interfaces, at: _ } = self;
        *changes == Changes::default()
            && *positions == PositionChanges::default()
            && journal.is_none()
            && interfaces.is_none()
    }

    /// Whether it has everything that there is, and not only what has changed. (The journal and the interfaces are always whole,
    /// and stay as they were where a batch does not have them.)
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.changes.complete && self.positions.complete
    }
}

/// What has changed in how far files were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionChanges {
    /// In any order, each key once.
    pub changes: Vec<PositionChange>,
    /// These are all positions, not those that have changed: what else is stored, is not so any more.
    pub complete: bool,
}

/// What has changed in how far one file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PositionChange {
    /// This far.
    Is(Bookmark),
    /// The bookmark of this key need not be known any more.
    Gone(u64),
}
