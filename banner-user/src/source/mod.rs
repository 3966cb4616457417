//! Bytes of whole lines, with their position. Knows nothing of mail.
//!
//! A [`Follower`] reads what is appended to log files, and no line of theirs is lost, doubled, broken or made up:
//!
//! ```text
//!                 named or matched          another file stands at      nothing was written
//!                 by a pattern              the path, or none           for 30 s
//!   path ─────────────────────> FOLLOWING ─────────────────> DRAINING ──────────────> closed, with a
//!           from its end if it     │   ^                        │                     bookmark in case
//!           was there before us,   │   └────────────────────────┘                     it comes back
//!           from its beginning     │     a followed path names it again
//!           if it appeared later   │
//!                                  └─ shorter than it was, or other bytes before the offset: emptied; from its beginning
//! ```
//!
//! A file is a device and inode, held open. Paths lead to files: by rotation to another one, by links and patterns several to
//! the same one, which is read once. Every poll looks at every path; four polls a second are the truth, and [`Wakeup`] makes
//! them come at once.
//!
//! Over a restart ([`Follower::positions`], [`Follower::resume`]) this goes on as if nobody had been away: rotated, copied and
//! compressed files are found by what they hold. A file that no bookmark knows is read from its end, or with
//! [`Follower::set_memory`] from its first line within a time.
//!
//! A line is what stands before a `\n`, byte for byte: a `\r` stays, invalid UTF-8 is just bytes. It is handed on when its
//! `\n` is there, never before. A line that never gets one before its file is closed is dropped, as is one above
//! [`LINE_MAX`]; both are told.
//!
//! Bounds: [`FILES_MAX`] paths, the named ones first, then those written last; [`DRAINING_MAX`] old files, beyond which the
//! one that has been quiet longest is closed; one buffer; no bytes of a pending line are kept, they are read again.
//!
//! What the file system makes impossible:
//! - what is written and emptied away between two polls is never seen, unless it stands in a copy behind what was read
//!   (`copytruncate`: what is written between its copy and its truncation does not);
//! - a file that comes and goes between two polls is not seen (nor one that a pattern matches for less than a second), unless a
//!   rotation took its path: beside the next file there, it is found by its new name;
//! - a file that is emptied, and grows beyond the offset with the very same 64 bytes before it, between two polls, goes on;
//! - a writer that keeps a rotated file open, is silent for 30 s and then writes to it is not heard, unless a pattern
//!   matches the file's new name;
//! - over a restart, what was deleted, or moved to another directory (`olddir`), or compressed by anything but gz, xz and zst is
//!   lost, and told; so is what was written to a file and emptied away without a copy;
//! - an edited file looks like a new one, and is read again. Its lines are not [live](Line::live), so that each is judged by its
//!   stamp. The same goes for a copy that a pattern matches, unless it was finished and its original emptied.

mod bookmark;
mod catch_up;
mod emptied;
mod file;
pub(crate) mod hidden;
pub mod journal;
mod look;
mod memory;
mod notice;
mod paths;
mod read;
mod siblings;
mod slot;
mod status;
mod text;
mod wake;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nix::errno::Errno;

use self::{
    bookmark::Shelf,
    catch_up::Sought,
    file::{BUFFER, Reader},
    memory::Memory,
    paths::Pattern,
    slot::{Slot, SlotState},
};
pub use self::{
    bookmark::{BEFORE_MAX, BEGINNING_MAX, Bookmark, BookmarkState, Inode},
    catch_up::{CATCH_UP_MAX, CATCH_UP_SLACK},
    file::LINE_MAX,
    memory::{READ_BACK_MAX, TimeOfLine},
    notice::Notice,
    paths::PatternError,
    status::{Counters, FileState, FileStatus},
    wake::{POLL_INTERVAL, WATCHED_INTERVAL, Wakeup},
};
use crate::{
    clock::BootTime,
    event::{FileId, Position},
};

/// How many paths are followed at once. Those that are configured by name come first, then those whose files were written last.
pub const FILES_MAX: usize = 256;

/// How many files are read on after a rotation took their name. Beyond, the one that has been quiet longest is closed.
pub const DRAINING_MAX: usize = 16;

/// How long a file that lost its name must have been quiet before it is closed: its writer keeps it until it is told to reopen
/// its logs (logrotate runs `postrotate` after renaming all files of a section).
pub const DRAIN: Duration = Duration::from_secs(30);

/// When a file was not read to its end for so long, what was written meanwhile is not live: a suspend, a stopped process, a
/// flood that comes faster than it is read.
pub const LATE: Duration = Duration::from_secs(30);

/// One line of a log.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Without its newline, and otherwise as it stands in the file; at most [`LINE_MAX`] bytes.
    pub bytes: &'a [u8],
    /// Where it begins.
    pub position: Position,
    /// Which of the configured patterns its file was found by, as indices into what [`Follower::new`] got.
    pub patterns: &'a [usize],
    /// It was completed while we were following, at most about [`LATE`] ago. Not live is what stood in a file when it was opened
    /// or found emptied, what is a copy of text that was read before, and what was written while reading was held up: it may
    /// be of any age.
    pub live: bool,
}

/// Whether a poll left something to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything that is there was read.
    Idle,
    /// The budget was used up; poll again.
    More,
}

/// Follows log files. See the [module](self) for what it promises.
#[derive(Debug)]
pub struct Follower {
    patterns: Vec<Pattern>,
    slots: Vec<Slot>,
    open: Vec<Open>,
    shelf: Shelf,
    /// What an earlier run read and was not looked for yet.
    sought: Sought,
    /// How much of a file that was there before us is read.
    memory: Option<Memory>,
    buffer: Box<[u8]>,
    /// The open file whose turn it is.
    turn: usize,
    next_id: u32,
    /// The next bookmark's.
    next_key: u64,
    /// When the patterns were last matched.
    matched_at: Option<BootTime>,
    /// More files match than are followed, and that was told.
    is_crowded: bool,
    /// What the slots hold has changed outside of looking.
    is_changed: bool,
    /// Counts the changes of what [`Wakeup`] has to watch.
    generation: u64,
}

/// A file that is read.
#[derive(Debug)]
struct Open {
    reader: Reader,
    /// Its bookmark's.
    key: u64,
    /// The path that its lines are marked with: the first that led to it, and when that leads elsewhere, one that does.
    id: FileId,
    /// All patterns that have led to it.
    patterns: Vec<usize>,
    /// No path leads to it, since then.
    orphaned: Option<BootTime>,
    /// What stood in it while nobody read is being read; the newer files of this path wait for that.
    catches_up: Option<FileId>,
    grown: BootTime,
    /// When a read last reached its end; that of a file that was just opened, when that was.
    caught_up: BootTime,
    /// The last read reached its end.
    is_at_end: bool,
    /// There is no more to come: it is compressed and was read to its end, or cannot be read on.
    is_done: bool,
    failure: Option<Errno>,
}

impl Follower {
    /// Follows the files at these paths, and those that match these shell patterns (`*`, `?`, `[..]`; not `**`). Nothing is
    /// opened before the first poll.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn new(patterns: Vec<String>) -> Result<Self, PatternError> {
        let mut follower = Self {
            patterns: Vec::new(),
            slots: Vec::new(),
            open: Vec::new(),
            shelf: Shelf::default(),
            sought: Sought::default(),
            memory: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            turn: 0,
            next_id: 0,
            next_key: 0,
            matched_at: None,
            is_crowded: false,
            is_changed: false,
            generation: 0,
        };
        follower.configure(patterns)?;
        Ok(follower)
    }

    /// Looks at all paths, reads what is new, at most `budget` bytes (and at least one), and hands on the lines. Lines of one
    /// file come in their order, and those of a rotated file before those of its successor where both are there.
    pub fn poll(
        &mut self,
        now: BootTime,
        budget: usize,
        sink: &mut dyn FnMut(Line<'_>),
        notice: &mut dyn FnMut(Notice),
    ) -> Progress {
        self.look(now, notice);
        let progress = self.read(now, budget, sink, notice);
        self.retire(now, notice);
        progress
    }

    /// The followed paths.
    pub fn files(&self) -> impl Iterator<Item = FileStatus<'_>> {
        self.slots.iter().map(|slot| {
            let file = slot.holds.and_then(|inode| self.open.iter().find(|file| file.reader.inode() == inode));
            let failure = file.and_then(|file| file.failure).map(FileState::Unreadable);
            let state = match slot.state {
                _ if !slot.is_wanted => FileState::Draining,
                SlotState::Following => match file {
                    Some(file) if file.id != slot.id => FileState::SameAs(file.id),
                    Some(_) | None => failure.unwrap_or(FileState::Following),
                },
                SlotState::Missing => FileState::Missing,
                SlotState::Unreadable(errno) => FileState::Unreadable(errno),
                SlotState::NotRegular => FileState::NotRegular,
            };
            FileStatus {
                id: slot.id,
                path: &slot.path,
                patterns: &slot.patterns,
                state,
                offset: file.map(|file| file.reader.offset()),
                behind: self.open.iter().filter(|file| file.id == slot.id).map(|file| file.reader.behind()).sum(),
                draining: self.open.iter().filter(|file| file.id == slot.id && file.orphaned.is_some()).count(),
                counters: slot.counters,
            }
        })
    }

    /// What keeps lines from being read at present, as it was told when it began: paths and patterns that have led to nothing for
    /// longer than a rotation takes, and files that cannot be read.
    pub fn troubles(&self) -> impl Iterator<Item = Notice> {
        let patterns = self.patterns.iter().filter(|pattern| pattern.is_glob && pattern.presence.is_missed());
        let paths = self.files().zip(&self.slots).filter_map(|(file, slot)| {
            let path = || slot.path.clone();
            match file.state {
                FileState::Missing => (slot.is_named && slot.presence.is_missed()).then(|| Notice::Missing(path())),
                FileState::Unreadable(errno) => Some(Notice::Unreadable(path(), errno)),
                FileState::NotRegular => Some(Notice::NotRegular(path())),
                FileState::Following | FileState::SameAs(_) | FileState::Draining => None,
            }
        });
        patterns.map(|pattern| Notice::NoMatch(pattern.text.clone())).chain(paths)
    }

    /// The path that a line's position is marked with; none once it is neither configured nor matched nor read any more.
    #[must_use]
    pub fn path(&self, id: FileId) -> Option<&Path> {
        self.slots.iter().find(|slot| slot.id == id).map(|slot| slot.path.as_path())
    }

    /// How far every file was read, for [`resume`](Self::resume): the open ones, oldest first, then the closed ones. At most
    /// a few hundred, of half a kilobyte; by their keys it is seen which have changed.
    pub fn positions(&self) -> impl Iterator<Item = Bookmark> {
        let open = self.open.iter().map(|file| self.bookmark(file));
        self.sought.iter().cloned().chain(open).chain(self.shelf.iter().cloned())
    }

    fn bookmark(&self, file: &Open) -> Bookmark {
        let path = self.path(file.id).map(PathBuf::from).unwrap_or_default();
        file.reader.place().marked(file.key, path, BookmarkState::Open)
    }

    /// Changes whenever [`watched`](Self::watched) does.
    fn generation(&self) -> u64 {
        self.generation
    }

    /// What to watch: the open files, by a name that no rename leads astray, and the paths where one may appear.
    fn watched(&self) -> impl Iterator<Item = PathBuf> {
        let open = self.open.iter().map(|file| PathBuf::from(format!("/proc/self/fd/{}", file.reader.descriptor())));
        let missing = self.slots.iter().filter(|slot| slot.is_named && slot.state == SlotState::Missing);
        open.chain(missing.map(|slot| slot.path.clone()))
    }
}

#[cfg(test)]
mod tests;
