//! What `status` shows of the followed files.

use std::path::Path;

use nix::errno::Errno;

use crate::{clock::BootTime, event::FileId};

/// A path that is followed, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus<'a> {
    /// What lines from it are marked with.
    pub id: FileId,
    /// As configured, or as a pattern matched it.
    pub path: &'a Path,
    /// Which of the configured patterns lead to it, by index.
    pub patterns: &'a [usize],
    /// What is there.
    pub state: FileState,
    /// How far the file was read, in bytes, where one is open.
    pub offset: Option<u64>,
    /// How much of its files, the draining ones too, stands behind the last whole line that was read, in bytes (of a compressed
    /// one, compressed).
    pub behind: u64,
    /// Older files that this path named, and that are still read because their writer may not have switched yet.
    pub draining: usize,
    /// What was counted since the daemon started, over all files that this path has named.
    pub counters: Counters,
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// A file that is read.
    Following,
    /// A file that is read under another path (a link to it, or the name that a rotation gave it).
    SameAs(FileId),
    /// Nothing, for now.
    Missing,
    /// Something that cannot be looked at, opened or read.
    Unreadable(Errno),
    /// A directory, FIFO, socket or device.
    NotRegular,
    /// It is no longer followed, but its old file is still read.
    Draining,
}

/// What was counted on one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Whole lines.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Lines that were too long and dropped.
    pub overlong: u64,
    /// How often the file was emptied in place.
    pub truncations: u64,
    /// How often the path named another file.
    pub rotations: u64,
    /// When the last line was read.
    pub last_line: Option<BootTime>,
}
