//! A log that was emptied while it is open: what `copytruncate` had copied before, and was not read yet, is read in the copy.

use std::{mem, path::PathBuf};

use super::{
    Follower, Notice,
    bookmark::{BookmarkState, Place},
    catch_up::seek,
    file::Start,
    siblings,
};
use crate::clock::BootTime;

impl Follower {
    /// Finds out which open files were emptied, before a new one is opened that may hold what was in them.
    pub(super) fn check_open(&mut self, now: BootTime, notice: &mut dyn FnMut(Notice)) {
        let mut index = 0;
        while let Some(file) = self.open.get_mut(index) {
            // If it cannot be read, reading it will say so.
            if let Ok(Some(place)) = file.reader.check() {
                index += usize::from(self.take_emptied(index, place, now, notice));
            }
            index += 1;
        }
    }

    /// The open file `index` was emptied, which had been read up to `place`. What its copy holds behind that (`copytruncate`) is
    /// read before what the file itself holds now. Where there is no copy, its bytes may still turn up. True if the copy was
    /// opened in front of it.
    pub(super) fn take_emptied(
        &mut self,
        index: usize,
        place: Place,
        now: BootTime,
        notice: &mut dyn FnMut(Notice),
    ) -> bool {
        let new_key = self.new_key();
        let Some(file) = self.open.get_mut(index) else { return false };
        let (id, key) = (file.id, mem::replace(&mut file.key, new_key));
        file.grown = now;
        let mut path = PathBuf::new();
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == id) {
            slot.count_truncation(place.offset, notice);
            path.clone_from(&slot.path);
        }
        let bookmark = place.marked(key, path, BookmarkState::Emptied);
        // What cannot be listed now is not looked for again: mostly there is no copy.
        let mut siblings = siblings::list(&bookmark.path, &[]).unwrap_or_default();
        // Its own bytes may be back.
        siblings.retain(|sibling| sibling.inode() != bookmark.inode);
        let owned = self.owned(&siblings, &[]);
        let is_opened = seek(&siblings, &owned, &bookmark).is_some_and(|copy| {
            self.open_behind(id, key, siblings.swap_remove(copy), Start::At(bookmark.clone().into()), now)
        });
        match self.open.get_mut(index..) {
            Some(newer) if is_opened => newer.rotate_right(1),
            _ => self.shelf.put(bookmark),
        }
        is_opened
    }
}
