//! From paths to open files, on every poll: what is new is opened, what lost its name is drained and closed.

use std::{
    cmp::Reverse,
    mem,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{
    DRAIN, DRAINING_MAX, FILES_MAX, Follower, Notice, Open,
    bookmark::BookmarkState,
    file::{self, Reader, Start},
    memory::READ_BACK_MAX,
    paths::{Match, Pattern, PatternError, last_written},
    slot::{Slot, SlotState, There},
    text::Text,
};
use crate::{clock::BootTime, event::FileId};

/// How often patterns are matched anew.
const MATCH_INTERVAL: Duration = Duration::from_secs(1);

/// A pattern that matches nothing for a moment of a rotation is not worth a word.
const NO_MATCH_GRACE: Duration = Duration::from_secs(2);

impl Follower {
    /// Follows these paths and patterns instead. What was followed and still is goes on where it is; what is new is followed
    /// from its end; what is no longer wanted is drained as if it were rotated.
    ///
    /// # Errors
    /// [`PatternError`]; then nothing has changed.
    pub fn configure(&mut self, patterns: Vec<String>) -> Result<(), PatternError> {
        let mut patterns = patterns.into_iter().map(Pattern::parse).collect::<Result<Vec<_>, _>>()?;
        for pattern in &mut patterns {
            if let Some(known) = self.patterns.iter().find(|known| known.text == pattern.text) {
                pattern.clone_from(known);
            }
        }
        let renumber = |indices: &mut Vec<usize>| {
            let texts = indices.iter().filter_map(|index| self.patterns.get(*index)).map(|pattern| &pattern.text);
            *indices = texts
                .flat_map(|text| patterns.iter().enumerate().filter(move |(_, pattern)| pattern.text == *text))
                .map(|(index, _)| index)
                .collect();
        };
        for slot in &mut self.slots {
            renumber(&mut slot.patterns);
            slot.is_named = false;
            slot.is_wanted = !slot.patterns.is_empty();
        }
        for file in &mut self.open {
            renumber(&mut file.patterns);
        }
        self.patterns = patterns;
        for index in 0..self.patterns.len() {
            let Some((path, looked)) = self.patterns.get(index).and_then(|p| Some((p.path()?.to_owned(), p.looked)))
            else {
                continue;
            };
            let slot = self.slot(path, !looked);
            slot.add_pattern(index);
            slot.is_named = true;
            slot.is_wanted = true;
        }
        for slot in self.slots.iter_mut().filter(|slot| !slot.is_wanted) {
            slot.release();
        }
        self.matched_at = None;
        self.is_changed = true;
        Ok(())
    }

    pub(super) fn look(&mut self, now: BootTime, notice: &mut dyn FnMut(Notice)) {
        if self.matched_at.is_none_or(|at| now - at >= MATCH_INTERVAL) {
            self.matched_at = Some(now);
            self.match_patterns(now, notice);
        }
        self.catch_up(now, notice);
        for index in 0..self.slots.len() {
            self.is_changed |= self.look_at(index, now, notice);
        }
        for pattern in &mut self.patterns {
            pattern.looked = true;
        }
        self.sought.forget();
        if mem::take(&mut self.is_changed) {
            self.assign(now);
            self.generation += 1;
        }
    }

    /// Closes old files that have been quiet for long enough, and forgets the paths that nothing leads to any more.
    pub(super) fn retire(&mut self, now: BootTime, notice: &mut dyn FnMut(Notice)) {
        let mut closed: Vec<usize> = Vec::new();
        let mut draining: Vec<(BootTime, usize)> = Vec::new();
        for (index, file) in self.open.iter().enumerate() {
            let Some(orphaned) = file.orphaned else { continue };
            let quiet_since = file.grown.max(orphaned);
            if file.is_done {
                closed.push(index);
            } else if file.catches_up.is_some() {
                // Of these there is a bound of their own.
            } else if file.is_at_end && now - quiet_since >= DRAIN {
                closed.push(index);
            } else {
                draining.push((quiet_since, index));
            }
        }
        draining.sort_unstable();
        let excess = draining.len().saturating_sub(DRAINING_MAX);
        closed.extend(draining.iter().take(excess).map(|(_, index)| *index));
        if closed.is_empty() {
            self.forget_slots(now);
            return;
        }
        closed.sort_unstable_by_key(|index| Reverse(*index));
        for index in closed {
            let file = self.open.remove(index);
            self.close(&file, now, notice);
        }
        self.turn = 0;
        self.generation += 1;
        self.forget_slots(now);
    }

    fn close(&mut self, file: &Open, now: BootTime, notice: &mut dyn FnMut(Notice)) {
        let path = self.path(file.id).map(PathBuf::from).unwrap_or_default();
        if !file.is_done && now - file.grown.max(file.orphaned.unwrap_or(now)) < DRAIN {
            notice(Notice::DrainCutShort { path: path.clone(), unread: file.reader.unread() });
        }
        if file.reader.partial() > 0 {
            notice(Notice::PartialLineDropped { path: path.clone(), bytes: file.reader.partial() });
        }
        // Without a name its number will be another file's; its bytes may live on, compressed.
        let state = if file.reader.is_unlinked() { BookmarkState::Emptied } else { BookmarkState::Closed };
        self.shelf.put(file.reader.place().marked(file.key, path, state));
    }

    /// A path that only matched a pattern is forgotten when it is gone and its last file was closed.
    fn forget_slots(&mut self, now: BootTime) {
        let open = &self.open;
        self.slots.retain(|slot| {
            let is_gone = slot.state == SlotState::Missing && slot.presence.absent_for(now) >= DRAIN;
            let is_needed = slot.is_named || slot.is_wanted && !is_gone;
            is_needed || open.iter().any(|file| file.id == slot.id)
        });
    }

    /// Finds the files that match the patterns now. This only adds paths: that one is gone is seen by looking at it.
    fn match_patterns(&mut self, now: BootTime, notice: &mut dyn FnMut(Notice)) {
        let mut found: Vec<(usize, Match)> = Vec::new();
        for (index, pattern) in self.patterns.iter_mut().enumerate().filter(|(_, pattern)| pattern.is_glob) {
            let (matches, failure) = pattern.expand();
            if let Some((path, errno)) = &failure
                && !pattern.failing
            {
                notice(Notice::Unreadable(path.clone(), *errno));
            }
            pattern.failing = failure.is_some();
            let grace = if pattern.looked { NO_MATCH_GRACE } else { Duration::ZERO };
            if !matches.is_empty() {
                if pattern.presence.present() {
                    notice(Notice::Appeared(PathBuf::from(&pattern.text)));
                }
            } else if pattern.presence.absent(now, grace) {
                notice(Notice::NoMatch(pattern.text.clone()));
            }
            found.extend(matches.into_iter().map(|found| (index, found)));
        }
        let found = self.make_room(found, notice);
        for (index, Match { path, .. }) in found {
            let is_first_look = self.patterns.get(index).is_some_and(|pattern| !pattern.looked);
            let slot = self.slot(path, is_first_look);
            slot.add_pattern(index);
            self.is_changed |= !mem::replace(&mut slot.is_wanted, true);
        }
    }

    /// Where more files match than are followed, keeps those that were written last.
    fn make_room(&mut self, mut found: Vec<(usize, Match)>, notice: &mut dyn FnMut(Notice)) -> Vec<(usize, Match)> {
        let named = self.slots.iter().filter(|slot| slot.is_named).count();
        found.retain(|(index, found)| {
            let named = self.slots.iter_mut().find(|slot| slot.is_named && slot.path == found.path);
            named.map(|slot| slot.add_pattern(*index)).is_none()
        });
        let mut paths: Vec<(Reverse<_>, PathBuf)> =
            found.iter().map(|(_, found)| (Reverse(found.written), found.path.clone())).collect();
        // Those that vanished since they matched are at the end of their lives, but not yet closed.
        let others = self.slots.iter().filter(|slot| !slot.is_named && slot.is_wanted);
        paths.extend(others.filter_map(|slot| Some((Reverse(last_written(&slot.path)?), slot.path.clone()))));
        paths.sort_unstable();
        paths.dedup_by(|(_, one), (_, other)| one == other);

        let matched = named + paths.len();
        let was_crowded = mem::replace(&mut self.is_crowded, matched > FILES_MAX);
        if !self.is_crowded {
            return found;
        }
        if !was_crowded {
            notice(Notice::TooManyFiles { matched });
        }
        paths.truncate(FILES_MAX.saturating_sub(named));
        for slot in self.slots.iter_mut().filter(|slot| !slot.is_named && slot.is_wanted) {
            if !paths.iter().any(|(_, path)| *path == slot.path) {
                slot.is_wanted = false;
                slot.release();
                self.is_changed = true;
            }
        }
        found.retain(|(_, found)| paths.iter().any(|(_, path)| *path == found.path));
        found
    }

    /// Looks at one path, and opens what is new there. True if it leads to another file than before.
    fn look_at(&mut self, index: usize, now: BootTime, notice: &mut dyn FnMut(Notice)) -> bool {
        let Some(slot) = self.slots.get(index).filter(|slot| slot.is_wanted) else {
            return false;
        };
        let mut there = slot.look();
        let mut seen = None;
        if let There::File(inode) = there {
            if slot.state == SlotState::Following && slot.seen == Some(inode) {
                return false;
            }
            seen = Some(inode);
            let id = slot.id;
            let since = if slot.is_first_look { None } else { self.last_written(id) };
            self.check_open(now, notice);
            let opened = self.open.len();
            there = self.open(index, now, notice);
            let is_opened = self.open.len() > opened;
            if let (There::File(_), Some(since)) = (&there, since) {
                self.catch_up_between(id, since, now, notice);
                // What stands at the path is newer than all of these.
                if is_opened && let Some(new) = self.open.get_mut(opened..) {
                    new.rotate_left(1);
                }
            }
        }
        let Some(slot) = self.slots.get_mut(index) else { return false };
        let changed = slot.settle(&there, now, notice);
        if slot.state == SlotState::Following {
            slot.seen = seen;
        }
        changed
    }

    /// When one of the files of a path was written last, among those that are open.
    fn last_written(&self, id: FileId) -> Option<SystemTime> {
        self.open.iter().filter(|file| file.id == id).filter_map(|file| file.reader.last_written()).max()
    }

    /// Opens what stands at the path, unless it is open already.
    fn open(&mut self, index: usize, now: BootTime, notice: &mut dyn FnMut(Notice)) -> There {
        let Some(slot) = self.slots.get(index) else { return There::Nothing };
        if self.sought.is_waited_for(&slot.path) {
            return There::Nothing; // What it was before comes first, and is looked for again.
        }
        let opened = file::open(&slot.path).and_then(|(file, metadata)| {
            let inode = super::Inode::from(&metadata);
            // Another path leads there too, or this one did before.
            if self.open.iter().any(|open| open.reader.inode() == inode) {
                return Ok(inode);
            }
            let (key, start) = match self.shelf.take(inode, &file) {
                Some(bookmark) => (Some(bookmark.key), Start::At(bookmark.into())),
                None if slot.is_first_look && !self.sought.is_newer(&slot.path, &metadata) => (None, Start::End),
                None => (None, Start::Beginning),
            };
            let remembers = start == Start::End;
            let mut reader = Reader::new(Text::Plain(file), &metadata, start)?;
            if remembers && let Some(memory) = &mut self.memory {
                let found = memory.search(&mut reader)?;
                if found.is_cut {
                    notice(Notice::MemoryCut { path: slot.path.clone(), bytes: READ_BACK_MAX });
                }
            }
            self.open.push(Open {
                reader,
                key: key.unwrap_or(self.next_key),
                id: slot.id,
                patterns: slot.patterns.clone(),
                orphaned: None,
                catches_up: None,
                grown: now,
                caught_up: now,
                is_at_end: false,
                is_done: false,
                failure: None,
            });
            self.next_key += 1;
            Ok(inode)
        });
        opened.map_or_else(There::from, There::File)
    }

    /// Works out anew which path each open file belongs to, and by which patterns it is judged.
    fn assign(&mut self, now: BootTime) {
        for file in &mut self.open {
            let inode = file.reader.inode();
            let mut claims = self.slots.iter().filter(|slot| slot.holds == Some(inode)).peekable();
            match claims.peek() {
                None => _ = file.orphaned.get_or_insert(now),
                Some(first) => {
                    file.orphaned = None;
                    let keeps = self.slots.iter().any(|slot| slot.id == file.id && slot.holds == Some(inode));
                    file.id = if keeps { file.id } else { first.id };
                }
            }
            for pattern in claims.flat_map(|slot| &slot.patterns) {
                if !file.patterns.contains(pattern) {
                    file.patterns.push(*pattern);
                }
            }
        }
    }

    pub(super) fn new_key(&mut self) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    /// The slot of a path, a new one if there is none.
    pub(super) fn slot(&mut self, path: PathBuf, is_first_look: bool) -> &mut Slot {
        let index = match self.slots.iter().position(|slot| slot.path == path) {
            Some(index) => index,
            None => {
                let id = FileId(self.next_id);
                self.next_id = self.next_id.wrapping_add(1);
                self.slots.push(Slot::new(id, path, is_first_look));
                self.slots.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "the index was found or made in the lines above")]
        &mut self.slots[index]
    }
}
