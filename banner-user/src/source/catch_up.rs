//! What was written while nobody read: after a restart the files of an earlier run are looked for, wherever rotations have put
//! them, and what is unread in them is read before anything newer. So is what stands in the copy of a log that was emptied.
//!
//! ```text
//!                    the same number and bytes,        ┌─ read on from there ─┐
//!   open bookmark ──> or the same bytes in a copy ──>  │                      │   files that were never seen
//!                    or a compressed file              └─ its path leads ─────┴─> and were written since, oldest ──> the file at
//!                    else: told as lost                   elsewhere now           first, from their beginnings       the path
//! ```
//!
//! A number that the file system gave to another file deceives nobody: the first bytes of the file and those before the offset
//! must be the same. Where those of a compressed file are only found to be others after the offset was reached, it is told and
//! left.

use std::{
    fs::Metadata,
    mem,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    Follower, Notice, Open,
    bookmark::{Bookmark, BookmarkState, Inode, Place},
    file::{Reader, Start},
    siblings::{self, Sibling},
    text::{Compressed, Text},
};
use crate::{
    clock::{BootTime, WallTime},
    event::FileId,
};

/// How many files that were rotated meanwhile are read at once, over all paths. Of more, the newest.
pub const CATCH_UP_MAX: usize = 128;

/// A rotated file that was last written this long before the bookmarks were saved, or earlier, and that none of them knows, is
/// not read: it is older than what they say. (A clock may have been set, and a file's time is up to a tick old.)
pub const CATCH_UP_SLACK: Duration = Duration::from_secs(60);

/// What an earlier run was reading, until it is looked for. As large as what was given to [`Follower::resume`].
#[derive(Debug, Default)]
pub(super) struct Sought {
    bookmarks: Vec<Bookmark>,
    /// The paths of these bookmarks: what stands there now, and is not known, is newer.
    followed: Vec<PathBuf>,
    /// The paths of closed files: something may have come there and gone.
    closed: Vec<PathBuf>,
    /// What was written since then may be unread.
    since: Option<SystemTime>,
}

impl Sought {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bookmark> {
        self.bookmarks.iter()
    }

    /// What was read at this path is looked for first.
    pub(super) fn is_waited_for(&self, path: &Path) -> bool {
        self.bookmarks.iter().any(|bookmark| bookmark.path == path)
    }

    /// What stands at a path, and no bookmark knows, is newer than what the earlier run read: the path was followed then, or the
    /// file was made since (where its file system tells).
    pub(super) fn is_newer(&self, path: &Path, metadata: &Metadata) -> bool {
        let is_made_since = |since| metadata.created().is_ok_and(|made| made >= since);
        self.was_followed(path) || self.since.is_some_and(is_made_since)
    }

    fn was_followed(&self, path: &Path) -> bool {
        self.followed.iter().any(|followed| followed == path)
    }

    /// Every path was looked at: from now on, what is new is new.
    pub(super) fn forget(&mut self) {
        if self.bookmarks.is_empty() {
            *self = Self::default();
        }
    }
}

impl Follower {
    /// Goes on where an earlier run stopped, whose [`positions`](Self::positions) were saved at this time. To be called before
    /// the first poll.
    ///
    /// Every line that stands behind a position is handed on once, in order, be its file rotated, compressed or copied
    /// meanwhile; so are the lines of files that came and went. What is caught up with is not [live](super::Line::live). What
    /// cannot be found is told.
    pub fn resume(&mut self, bookmarks: impl IntoIterator<Item = Bookmark>, saved: WallTime) {
        for bookmark in bookmarks {
            self.next_key = self.next_key.max(bookmark.key.saturating_add(1));
            if bookmark.state == BookmarkState::Open {
                if !self.sought.was_followed(&bookmark.path) {
                    self.sought.followed.push(bookmark.path.clone());
                }
                self.sought.bookmarks.push(bookmark);
            } else {
                if !self.sought.closed.contains(&bookmark.path) {
                    self.sought.closed.push(bookmark.path.clone());
                }
                self.shelf.put(bookmark);
            }
        }
        let micros = u64::try_from(saved.0).unwrap_or(0);
        let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros));
        self.sought.since = since.and_then(|saved| saved.checked_sub(CATCH_UP_SLACK));
    }

    /// Looks for what is sought, path by path. What the system does not let us look for now is looked for again.
    pub(super) fn catch_up(&mut self, now: BootTime, notice: &mut dyn FnMut(Notice)) {
        let mut rest = mem::take(&mut self.sought.bookmarks);
        while let Some(path) = rest.first().map(|bookmark| bookmark.path.clone()) {
            let (bookmarks, others) = rest.into_iter().partition(|bookmark| bookmark.path == path);
            rest = others;
            self.catch_up_path(&path, bookmarks, &rest, now, notice);
        }
        for path in mem::take(&mut self.sought.closed) {
            let is_named = self.slots.iter().any(|slot| slot.is_named && slot.path == path);
            if is_named && !self.sought.was_followed(&path) {
                self.catch_up_path(&path, Vec::new(), &[], now, notice);
            }
        }
    }

    fn catch_up_path(
        &mut self,
        path: &Path,
        bookmarks: Vec<Bookmark>,
        others: &[Bookmark],
        now: BootTime,
        notice: &mut dyn FnMut(Notice),
    ) {
        let Some(id) = self.slot_of(path) else {
            bookmarks.into_iter().for_each(|bookmark| self.shelf.put(bookmark)); // Not followed any more.
            return;
        };
        let numbers: Vec<u64> = bookmarks.iter().map(|bookmark| bookmark.inode.number).collect();
        let Ok(mut siblings) = siblings::list(path, &numbers) else {
            self.sought.bookmarks.extend(bookmarks);
            return;
        };
        let known: Vec<&Bookmark> = bookmarks.iter().chain(others).collect();
        let owned = self.owned(&siblings, &known);
        let mut found: Vec<(Bookmark, Sibling)> = Vec::new();
        let mut untold = Vec::new();
        for bookmark in bookmarks {
            match seek(&siblings, &owned, &bookmark) {
                Some(index) => found.push((bookmark, siblings.remove(index))),
                // Open by another path.
                None if self.open.iter().any(|file| file.reader.inode().number == bookmark.inode.number) => {}
                None if !bookmark.tells() => untold.push(bookmark),
                // Found already.
                None if found.iter().any(|(_, sibling)| sibling.holds(&bookmark)) => {}
                None => {
                    notice(Notice::NotFound { path: path.to_owned(), offset: bookmark.offset });
                    // Its bytes may turn up.
                    self.shelf.put(Bookmark { state: BookmarkState::Emptied, ..bookmark });
                }
            }
        }
        // A file that was empty, or nearly, may have been filled and then compressed, or emptied again with a copy.
        let is_rotated = !untold.is_empty()
            || found.last().is_none_or(|(bookmark, sibling)| sibling.path != path || bookmark.beginning.is_empty());
        let since = self.sought.since;
        let unseen = if is_rotated { self.unseen(siblings, &found, others, since, notice) } else { Vec::new() };
        let elsewhere = found.iter().filter(|(_, sibling)| sibling.path != path).count() + unseen.len();
        if elsewhere > 0 {
            notice(Notice::RotatedMeanwhile { path: path.to_owned(), files: elsewhere });
        }
        for Bookmark { offset, beginning, .. } in untold {
            let mut begun = found.iter().map(|(_, sibling)| sibling).chain(&unseen);
            if !beginning.is_empty() && !begun.any(|sibling| sibling.beginning().starts_with(&beginning)) {
                notice(Notice::NotFound { path: path.to_owned(), offset });
            }
        }
        for (bookmark, sibling) in found {
            let key = bookmark.key;
            self.open_behind(id, key, sibling, Start::At(bookmark.into()), now);
        }
        self.open_unseen(id, unseen, now);
    }

    /// A path leads to another file than when it was looked at last. Reads what came there in between and was rotated away, too:
    /// all of it was written later than what stood there before, to which nobody wrote after `since`.
    pub(super) fn catch_up_between(
        &mut self,
        id: FileId,
        since: SystemTime,
        now: BootTime,
        notice: &mut dyn FnMut(Notice),
    ) {
        let Some(path) = self.path(id).map(PathBuf::from) else { return };
        // What cannot be listed now is not looked for again: there is hardly ever anything.
        let Ok(siblings) = siblings::list(&path, &[]) else { return };
        for file in &mut self.open {
            // If it cannot be read, reading it will say so.
            let _ = file.reader.learn_beginning();
        }
        let unseen = self.unseen(siblings, &[], &[], Some(since), notice);
        if !unseen.is_empty() {
            notice(Notice::RotatedUnseen { path, files: unseen.len() });
        }
        self.open_unseen(id, unseen, now);
    }

    fn open_unseen(&mut self, id: FileId, unseen: Vec<Sibling>, now: BootTime) {
        for sibling in unseen {
            let place = Place {
                inode: sibling.inode(),
                offset: 0,
                beginning: sibling.beginning().into(),
                before: Box::default(),
            };
            let key = self.new_key();
            self.open_behind(id, key, sibling, Start::At(place), now);
        }
    }

    /// The rotated files that no bookmark knows and that were written since: they came to the path and went while nobody read.
    fn unseen(
        &self,
        siblings: Vec<Sibling>,
        found: &[(Bookmark, Sibling)],
        others: &[Bookmark],
        since: Option<SystemTime>,
        notice: &mut dyn FnMut(Notice),
    ) -> Vec<Sibling> {
        let open: Vec<Bookmark> = self.open.iter().map(|file| self.bookmark(file)).collect();
        let is_known = |sibling: &Sibling| {
            self.shelf.iter().chain(others).chain(&open).any(|bookmark| sibling.is_of(bookmark))
                || self.open.iter().any(|file| file.reader.inode() == sibling.inode())
                || found.iter().any(|(_, found)| sibling.is_form_of(found))
                || self.slots.iter().any(|slot| slot.is_named && slot.path == sibling.path)
        };
        let siblings = siblings.into_iter().filter(|sibling| sibling.is_rotated);
        // Of a file and its compressed form, the file: the other may not be finished.
        let (plain, mut unseen): (Vec<_>, Vec<_>) = siblings.partition(Sibling::is_plain);
        unseen.retain(|compressed| !plain.iter().any(|plain| compressed.is_form_of(plain)));
        unseen.extend(plain);
        let is_new = |sibling: &Sibling| since.is_none_or(|since| sibling.modified >= since);
        unseen.retain(|sibling| is_new(sibling) && !is_known(sibling));
        unseen.sort_by_cached_key(Sibling::age);
        unseen.retain(|sibling| match &sibling.text {
            Ok((_, beginning)) => !beginning.is_empty(),
            Err(why) => {
                notice(Notice::Damaged { path: sibling.path.clone(), offset: 0, why: why.clone() });
                false
            }
        });
        let room = CATCH_UP_MAX.saturating_sub(self.open.iter().filter(|file| file.catches_up.is_some()).count());
        let excess = unseen.len().saturating_sub(room);
        for sibling in unseen.drain(..excess) {
            notice(Notice::NotFound { path: sibling.path, offset: 0 });
        }
        unseen
    }

    /// The files that are read under their own numbers, or were: they are no copies of another.
    pub(super) fn owned(&self, siblings: &[Sibling], sought: &[&Bookmark]) -> Vec<Inode> {
        let is_own = |sibling: &&Sibling| {
            let mut known = sought.iter().copied().chain(self.shelf.iter());
            known.any(|bookmark| bookmark.inode.number == sibling.inode().number && sibling.holds(bookmark))
                || self.open.iter().any(|file| file.reader.inode() == sibling.inode())
        };
        siblings.iter().filter(is_own).map(Sibling::inode).collect()
    }

    /// Opens a file behind those that are open; what is put behind it and is of the same path waits for it. False if it cannot
    /// be read.
    pub(super) fn open_behind(&mut self, id: FileId, key: u64, sibling: Sibling, start: Start, now: BootTime) -> bool {
        let patterns = self.slots.iter().find(|slot| slot.id == id).map(|slot| slot.patterns.clone());
        let text = if sibling.is_plain() {
            Text::Plain(sibling.file)
        } else {
            Text::Compressed(Compressed::new(sibling.file))
        };
        // A file that cannot be read on says so when it is read.
        let Ok(reader) = Reader::new(text, &sibling.metadata, start) else { return false };
        self.open.push(Open {
            reader,
            key,
            id,
            patterns: patterns.unwrap_or_default(),
            // Until it is known that a path leads to it.
            orphaned: Some(now),
            catches_up: Some(id),
            grown: now,
            caught_up: now,
            is_at_end: false,
            is_done: false,
            failure: None,
        });
        self.is_changed = true;
        true
    }

    /// The slot of a path that is followed, by its name or by a pattern, whether or not anything stands there now.
    fn slot_of(&mut self, path: &Path) -> Option<FileId> {
        if let Some(slot) = self.slots.iter().find(|slot| slot.path == path) {
            return slot.is_wanted.then_some(slot.id);
        }
        let matching = self.patterns.iter().enumerate().filter(|(_, pattern)| pattern.matches(path));
        let patterns: Vec<usize> = matching.map(|(index, _)| index).collect();
        if patterns.is_empty() {
            return None;
        }
        let slot = self.slot(path.to_owned(), false);
        slot.patterns = patterns;
        Some(slot.id)
    }
}

/// Where what a bookmark says was read stands: in the file of the same number, or else in a copy or a compressed file. Of
/// several, where most is.
pub(super) fn seek(siblings: &[Sibling], owned: &[Inode], bookmark: &Bookmark) -> Option<usize> {
    let same = |sibling: &Sibling| sibling.inode().number == bookmark.inode.number && sibling.holds(bookmark);
    siblings.iter().position(same).or_else(|| {
        let is_copy =
            |sibling: &Sibling| sibling.is_rotated && !owned.contains(&sibling.inode()) && sibling.holds(bookmark);
        let copies = siblings.iter().enumerate().filter(|(_, sibling)| bookmark.tells() && is_copy(sibling));
        copies.max_by_key(|(_, sibling)| (sibling.is_plain(), sibling.metadata.len())).map(|(index, _)| index)
    })
}
