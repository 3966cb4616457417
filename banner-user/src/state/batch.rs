//! What is written: all that has changed since the last batch, in one transaction.

use std::path::PathBuf;

use crate::{
    clock::{Now, WallTime},
    judge::saved::Changes,
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
    Is(Position),
    /// It need not be known any more.
    Gone(PositionKey),
}

/// How far a file was read, and how to know it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Where it was found, under the name that it had first.
    pub path: PathBuf,
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
    /// Where the first line begins that was not read, in bytes.
    pub offset: u64,
    /// The file's first bytes, at most [`BEGINNING_MAX`](crate::source::BEGINNING_MAX).
    pub beginning: Box<[u8]>,
    /// The bytes before `offset`, at most [`BEFORE_MAX`](crate::source::BEFORE_MAX).
    pub before: Box<[u8]>,
    /// The inode was emptied and written anew since: what was read may live on in a copy.
    pub truncated: bool,
}

/// What tells one position from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PositionKey {
    /// See [`Position::path`].
    pub path: PathBuf,
    /// See [`Position::device`].
    pub device: u64,
    /// See [`Position::inode`].
    pub inode: u64,
    /// See [`Position::truncated`].
    pub truncated: bool,
}

impl Position {
    /// What tells it from other positions.
    #[must_use]
    pub fn key(&self) -> PositionKey {
        let Self { path, device, inode, truncated, .. } = self;
        PositionKey { path: path.clone(), device: *device, inode: *inode, truncated: *truncated }
    }
}

/// How far the journal was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalPosition {
    /// The cursor of the last entry that was read (sd_journal_get_cursor(3)).
    pub cursor: String,
    /// When that entry was written: where to go on if the cursor is not known any more.
    pub realtime: WallTime,
}
