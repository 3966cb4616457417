//! One path and what stands there: a file that is followed, nothing yet, or something that cannot be read.

use std::{fs, path::PathBuf, time::Duration};

use nix::errno::Errno;

use super::{
    Notice,
    bookmark::Inode,
    file::OpenError,
    paths::{Presence, errno},
    status::Counters,
};
use crate::{clock::BootTime, event::FileId};

/// A rotation leaves its path empty for a moment (nothing is told of that), a mistake for longer.
const MISSING_GRACE: Duration = Duration::from_secs(2);

/// One file's overlong lines are told at most this often.
const OVERLONG_INTERVAL: Duration = Duration::from_secs(60);

/// A path, as configured or as a pattern matched it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: FileId,
    pub(super) path: PathBuf,
    /// Which patterns lead here.
    pub(super) patterns: Vec<usize>,
    /// One of them is this very path: it is followed whatever else there is.
    pub(super) is_named: bool,
    /// It is configured, and there is room for it.
    pub(super) is_wanted: bool,
    /// It was there before us, as far as we know: nobody has looked yet.
    pub(super) is_first_look: bool,
    pub(super) state: SlotState,
    /// The file that the path named when it was last looked at.
    pub(super) seen: Option<Inode>,
    /// The file that was opened for it. (The same, but on file systems that number open files otherwise.)
    pub(super) holds: Option<Inode>,
    /// The last file that it held.
    last: Option<Inode>,
    pub(super) presence: Presence,
    pub(super) counters: Counters,
    overlong: u64,
    overlong_told: Option<BootTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    Following,
    Missing,
    Unreadable(Errno),
    NotRegular,
}

/// What a path leads to.
pub(super) enum There {
    File(Inode),
    Nothing,
    NotRegular,
    Error(Errno),
}

impl From<OpenError> for There {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotRegular => Self::NotRegular,
            OpenError::Io(error) => {
                let errno = errno(&error);
                // No such name, or on the way to it something that is no directory.
                let is_nothing = errno == Errno::ENOENT || errno == Errno::ENOTDIR;
                if is_nothing { Self::Nothing } else { Self::Error(errno) }
            }
        }
    }
}

impl Slot {
    pub(super) fn new(id: FileId, path: PathBuf, is_first_look: bool) -> Self {
        Self {
            id,
            path,
            patterns: Vec::new(),
            is_named: false,
            is_wanted: true,
            is_first_look,
            state: SlotState::Missing,
            seen: None,
            holds: None,
            last: None,
            presence: Presence::default(),
            counters: Counters::default(),
            overlong: 0,
            overlong_told: None,
        }
    }

    pub(super) fn add_pattern(&mut self, index: usize) {
        if !self.patterns.contains(&index) {
            self.patterns.push(index);
        }
    }

    /// Looks at the path, without opening anything: opening alone moves a tape.
    pub(super) fn look(&self) -> There {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => There::File(Inode::from(&metadata)),
            Ok(_) => There::NotRegular,
            Err(error) => There::from(OpenError::Io(error)),
        }
    }

    /// Takes in what is there, tells what is new about it, and says whether it holds another file than before.
    pub(super) fn settle(&mut self, there: &There, now: BootTime, notice: &mut dyn FnMut(Notice)) -> bool {
        let is_first_look = std::mem::take(&mut self.is_first_look);
        let held = self.holds;
        let state = match *there {
            There::File(inode) => {
                if self.presence.present() && self.is_named {
                    notice(Notice::Appeared(self.path.clone()));
                } else if matches!(self.state, SlotState::Unreadable(_)) {
                    notice(Notice::Readable(self.path.clone()));
                }
                if self.last.replace(inode).is_some_and(|last| last != inode) {
                    self.counters.rotations += 1;
                    notice(Notice::Rotated(self.path.clone()));
                }
                self.holds = Some(inode);
                SlotState::Following
            }
            There::Nothing => {
                let grace = if is_first_look { Duration::ZERO } else { MISSING_GRACE };
                // A file that only matched a pattern may go: rotations remove the oldest.
                if self.presence.absent(now, grace) && self.is_named {
                    notice(Notice::Missing(self.path.clone()));
                }
                self.release();
                SlotState::Missing
            }
            There::NotRegular => {
                if self.state != SlotState::NotRegular {
                    notice(Notice::NotRegular(self.path.clone()));
                }
                self.release();
                SlotState::NotRegular
            }
            // The file that is open, if there is one, is still read.
            There::Error(errno) => {
                if self.state != SlotState::Unreadable(errno) {
                    notice(Notice::Unreadable(self.path.clone(), errno));
                }
                self.seen = None;
                SlotState::Unreadable(errno)
            }
        };
        let changed = self.state != state || self.holds != held;
        self.state = state;
        changed
    }

    /// Lets go of its file, which is drained then.
    pub(super) fn release(&mut self) {
        self.seen = None;
        self.holds = None;
    }

    pub(super) fn count_truncation(&mut self, offset: u64, notice: &mut dyn FnMut(Notice)) {
        self.counters.truncations += 1;
        notice(Notice::Truncated { path: self.path.clone(), offset });
    }

    pub(super) fn count_overlong(&mut self, now: BootTime, offset: u64, bytes: u64, notice: &mut dyn FnMut(Notice)) {
        self.counters.overlong += 1;
        self.overlong += 1;
        if self.overlong_told.is_none_or(|told| now - told >= OVERLONG_INTERVAL) {
            self.overlong_told = Some(now);
            let lines = std::mem::take(&mut self.overlong);
            notice(Notice::OverlongLine { path: self.path.clone(), offset, bytes, lines });
        }
    }
}
