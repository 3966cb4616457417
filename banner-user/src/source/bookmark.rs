//! Where reading stopped in a file, and how to know that file again: across its disappearance, a reused inode number, a
//! `copytruncate`, and (when they are saved) a restart.

use std::{
    collections::VecDeque,
    fs::{File, Metadata},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
};

/// How many of a file's first bytes are kept to know it by: one or two log lines, and so a time, a process and a client.
pub const BEGINNING_MAX: usize = 256;

/// How many bytes before the offset are kept, and compared on every read: a file that changed there was written anew.
pub const BEFORE_MAX: usize = 64;

/// How many bookmarks of files that are no longer followed are kept; beyond, the oldest is forgotten, and its file would be
/// read from its beginning if it came back.
pub(super) const SHELF_MAX: usize = 512;

/// A file on this host while it exists: its number is given to another file after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Inode {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub number: u64,
}

impl From<&Metadata> for Inode {
    fn from(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}

/// Where reading stopped in a file, with enough of its bytes to know it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// Stays the same while one reading of one file goes on, through rotations and restarts, and is no other's: what a store
    /// of bookmarks keeps them by.
    pub key: u64,
    /// The path under which the file was followed.
    pub path: PathBuf,
    /// Which file. After a reboot its device may have another number.
    pub inode: Inode,
    /// Where the first line begins that was not read, in bytes; of a compressed file, in bytes of its text.
    pub offset: u64,
    /// The first bytes of the file (of a compressed one, of its text), at most [`BEGINNING_MAX`].
    pub beginning: Box<[u8]>,
    /// The bytes before `offset`, at most [`BEFORE_MAX`].
    pub before: Box<[u8]>,
    /// Whether reading goes on.
    pub state: BookmarkState,
}

/// Whether reading goes on where a bookmark is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookmarkState {
    /// The file is read: followed, drained, or caught up with. After a restart it is looked for.
    Open,
    /// It was read to its end and closed. It is known if it comes back.
    Closed,
    /// The inode was emptied and written anew. What was read may live on under another inode, where `copytruncate` put it.
    Emptied,
}

/// Where reading is in a file: what a [`Bookmark`] says but for its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) inode: Inode,
    pub(super) offset: u64,
    pub(super) beginning: Box<[u8]>,
    pub(super) before: Box<[u8]>,
}

impl Place {
    pub(super) fn marked(self, key: u64, path: PathBuf, state: BookmarkState) -> Bookmark {
        let Self { inode, offset, beginning, before } = self;
        Bookmark { key, path, inode, offset, beginning, before, state }
    }
}

impl From<Bookmark> for Place {
    fn from(bookmark: Bookmark) -> Self {
        let Bookmark { inode, offset, beginning, before, .. } = bookmark;
        Self { inode, offset, beginning, before }
    }
}

impl Bookmark {
    /// Whether `file` holds what this bookmark says was read, so that its offset holds there too.
    fn fits(&self, inode: Inode, file: &File) -> bool {
        // Emptied: the bytes are elsewhere. Otherwise they are in this very inode, unless its number was given away. Devices
        // may be numbered anew at a reboot.
        let is_same = inode.number == self.inode.number;
        is_same != (self.state == BookmarkState::Emptied) && self.holds_in(file)
    }

    /// Whether what was read stands in `file`, whichever that is.
    pub(super) fn holds_in(&self, file: &File) -> bool {
        let before_at = self.offset.saturating_sub(self.before.len() as u64);
        holds(file, &self.beginning, 0) && holds(file, &self.before, before_at)
    }

    /// Whether a file is known by this. A few bytes that were not even a line may begin anything.
    pub(super) fn tells(&self) -> bool {
        self.offset > 0 || self.beginning.len() >= BEFORE_MAX
    }

    /// Whether a file that begins with `bytes` begins as this one did, as far as both go.
    pub(super) fn begins_with(&self, bytes: &[u8]) -> bool {
        begin_alike(&self.beginning, bytes)
    }
}

/// Whether two files begin with the same bytes, as far as both are known. Less than a stamp, a host and a process
/// (64 bytes) tells nothing.
pub(super) fn begin_alike(one: &[u8], other: &[u8]) -> bool {
    let shared = one.len().min(other.len());
    shared >= BEFORE_MAX && one.get(..shared) == other.get(..shared)
}

fn holds(file: &File, bytes: &[u8], offset: u64) -> bool {
    // Neither part is longer than the beginning may be.
    let mut there = [0; BEGINNING_MAX];
    there.get_mut(..bytes.len()).is_some_and(|there| file.read_exact_at(there, offset).is_ok() && there == bytes)
}

/// The bookmarks of files that are no longer followed, or were emptied.
#[derive(Debug, Default)]
pub(super) struct Shelf(VecDeque<Bookmark>);

impl Shelf {
    pub(super) fn put(&mut self, bookmark: Bookmark) {
        if bookmark.offset == 0 {
            return; // It says no more than "from the beginning".
        }
        let state = if bookmark.state == BookmarkState::Open { BookmarkState::Closed } else { bookmark.state };
        let bookmark = Bookmark { state, ..bookmark };
        if self.0.len() == SHELF_MAX {
            self.0.pop_front();
        }
        self.0.push_back(bookmark);
    }

    /// Takes the bookmark that fits a file, the newest first.
    pub(super) fn take(&mut self, inode: Inode, file: &File) -> Option<Bookmark> {
        let index = self.0.iter().rposition(|bookmark| bookmark.fits(inode, file))?;
        self.0.remove(index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Bookmark> {
        self.0.iter()
    }
}
