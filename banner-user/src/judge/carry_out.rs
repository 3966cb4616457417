//! Effects meet maps that may be full.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Judge,
    effect::{Effect, Entry, Slot},
    input::Input,
    report::Report,
};
use crate::clock::Now;

/// The kernel's maps, as far as effects reach them.
pub trait Kernel {
    /// Writes an entry, replacing what stands at its key but for the counters.
    ///
    /// # Errors
    /// [`NoRoom`] where the map is full. Other failures are the implementor's to count, tell and try again.
    fn write(&mut self, entry: &Entry) -> Result<(), NoRoom>;

    /// Removes an entry. It may be gone, or may never have been written.
    fn remove(&mut self, slot: Slot);
}

/// A map is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl Judge {
    /// Carries effects out, and what follows where a map is full; returns what is to be told.
    ///
    /// It ends: a full map makes a ban yield, or the entry wait.
    #[must_use]
    pub fn carry_out(&mut self, effects: Vec<Effect>, now: Now, kernel: &mut impl Kernel) -> Vec<Report> {
        let mut reports = Vec::new();
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Report(report) => reports.push(report),
                Effect::Remove(slot) => kernel.remove(slot),
                // What was to be written may have yielded to an entry before it: only what is still wanted is written.
                Effect::Write(entry) if self.entry(entry.slot) != Some(entry) => {}
                Effect::Write(entry) => match kernel.write(&entry) {
                    Ok(()) => {
                        self.capacity.written(entry.slot);
                        if entry.listed && self.only_lists_ban(entry.slot) {
                            self.capacity.may_yield(entry.slot);
                        }
                    }
                    Err(NoRoom) => {
                        let more = self.handle(Input::Full(entry), now);
                        more.into_iter().rev().for_each(|effect| effects.push_front(effect));
                    }
                },
            }
        }
        reports
    }
}

/// Of bans that end together, what leaves a hash goes before what is changed in it: else a full one would have a ban yield that has
/// room a moment later. What is removed in the end is not written before.
pub(super) fn remove_first(effects: &mut Vec<Effect>) {
    let is_hashed = |slot: &Slot| matches!(slot, Slot::V4(_) | Slot::V6(_));
    let mut last = BTreeMap::new();
    for effect in &*effects {
        match effect {
            Effect::Write(entry) if is_hashed(&entry.slot) => drop(last.insert(entry.slot, false)),
            Effect::Remove(slot) if is_hashed(slot) => drop(last.insert(*slot, true)),
            Effect::Write(_) | Effect::Remove(_) | Effect::Report(_) => {}
        }
    }
    if !last.values().any(|is_removed| !is_removed) {
        return;
    }
    let removed = |slot: &Slot| last.get(slot) == Some(&true);
    effects.retain(|effect| match effect {
        Effect::Write(Entry { slot, .. }) | Effect::Remove(slot) => !removed(slot),
        Effect::Report(_) => true,
    });
    let slots = last.iter().filter(|(_, is_removed)| **is_removed).map(|(slot, _)| Effect::Remove(*slot));
    effects.splice(0..0, slots);
}
