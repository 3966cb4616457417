//! The open files are read by turns, so that a flooded one does not hold up the others.

use super::{
    Follower, LATE, Line, Notice, Open, Progress, bookmark,
    file::{CHUNK, Found, Reader, Step},
    paths::errno,
};
use crate::{clock::BootTime, event::Position};

impl Follower {
    /// Reads the open files by turns, each up to its end or until the budget is used up.
    pub(super) fn read(
        &mut self,
        now: BootTime,
        budget: usize,
        sink: &mut dyn FnMut(Line<'_>),
        notice: &mut dyn FnMut(Notice),
    ) -> Progress {
        let mut left = budget.max(1);
        for file in &mut self.open {
            file.is_at_end = false;
        }
        while self.open.iter().any(|file| !file.is_at_end) {
            if left == 0 {
                return Progress::More;
            }
            let index = if self.turn < self.open.len() { self.turn } else { 0 };
            self.turn = index + 1;
            let used = self.read_one(index, now, left.min(CHUNK), sink, notice);
            left = left.saturating_sub(used);
        }
        // The oldest first, next time: what is left in a rotated file comes before what its successor holds.
        self.turn = 0;
        Progress::Idle
    }

    /// Reads one file once. Returns how many new bytes there were.
    fn read_one(
        &mut self,
        index: usize,
        now: BootTime,
        budget: usize,
        sink: &mut dyn FnMut(Line<'_>),
        notice: &mut dyn FnMut(Notice),
    ) -> usize {
        if self.waits(index) {
            return 0;
        }
        let copied = self.copied(index);
        let Some(file) = self.open.get_mut(index).filter(|file| !file.is_at_end) else {
            return 0;
        };
        let Open { reader, id, patterns, catches_up, grown, caught_up, is_at_end, is_done, failure, .. } = file;
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.id == *id) else {
            *is_at_end = true; // Never so: a slot stays while a file is marked with it.
            *catches_up = None;
            return 0;
        };
        reader.extend_history(copied);
        if now - *caught_up >= LATE {
            reader.extend_history_to_end();
        }
        let step = reader.read(&mut self.buffer, budget, &mut |found| match found {
            Found::Line { bytes, offset, live } => {
                slot.counters.lines += 1;
                slot.counters.last_line = Some(now);
                sink(Line { bytes, position: Position { file: *id, offset }, patterns, live });
            }
            Found::Overlong { bytes, offset } => slot.count_overlong(now, offset, bytes, notice),
        });
        let used = match step {
            Ok(Step::More(bytes)) => bytes,
            Ok(Step::End(bytes)) => {
                (*is_at_end, *caught_up) = (true, now);
                *is_done = reader.is_compressed();
                if catches_up.take().is_some() {
                    *grown = now;
                }
                bytes
            }
            Ok(Step::Truncated(place)) => {
                self.take_emptied(index, place, now, notice);
                return 0;
            }
            Ok(Step::Other) => {
                (*is_at_end, *is_done, *catches_up) = (true, true, None);
                notice(Notice::NotFound { path: slot.path.clone(), offset: reader.offset() });
                return 0;
            }
            Err(error) if reader.is_compressed() => {
                (*is_at_end, *is_done, *catches_up) = (true, true, None);
                let (path, offset, why) = (slot.path.clone(), reader.offset(), error.to_string());
                notice(Notice::Damaged { path, offset, why });
                return 0;
            }
            Err(error) => {
                *is_at_end = true;
                *catches_up = None;
                let errno = errno(&error);
                if failure.replace(errno) != Some(errno) {
                    notice(Notice::Unreadable(slot.path.clone(), errno));
                }
                return 0;
            }
        };
        if failure.take().is_some() {
            notice(Notice::Readable(slot.path.clone()));
        }
        if used > 0 {
            slot.counters.bytes += used as u64;
            *grown = now;
        }
        used
    }

    /// Whether an older file of the same path is still caught up with.
    fn waits(&self, index: usize) -> bool {
        let Some(file) = self.open.get(index) else { return false };
        let mut older = self.open.iter().take(index).filter_map(|older| older.catches_up);
        older.any(|path| path == file.id || Some(path) == file.catches_up)
    }

    /// How far a file that is at its beginning is a copy of one that we know: what an editor or a backup puts in place of a
    /// log, or what `copytruncate` makes of it.
    fn copied(&mut self, index: usize) -> u64 {
        let Some(file) = self.open.get_mut(index).filter(|file| file.reader.offset() == 0) else {
            return 0;
        };
        // If it cannot be read, reading it will say so.
        let _ = file.reader.learn_beginning();
        let Some(beginning) = self.open.get(index).map(|file| file.reader.beginning()) else {
            return 0;
        };
        let others = self.open.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, file)| &file.reader);
        let open = others.filter(|other| bookmark::begin_alike(other.beginning(), beginning)).map(Reader::offset);
        let shelved =
            self.shelf.iter().filter(|bookmark| bookmark.begins_with(beginning)).map(|bookmark| bookmark.offset);
        open.chain(shelved).max().unwrap_or(0)
    }
}
