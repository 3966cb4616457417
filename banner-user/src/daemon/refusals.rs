//! What the kernel refused to write or to remove, for another reason than a full map, until it does.

use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
};

use crate::judge::effect::Slot;

/// Slots that are remembered. One beyond is found when the maps are next compared.
const SLOTS_MAX: usize = 65_536;

/// Slots that are tried again at a time, so that a kernel that refuses everything does not hold up the loop.
const RETRIES: usize = 1_024;

/// The refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    slots: BTreeSet<Slot>,
    /// Since the start.
    total: u64,
    /// The newest reason. Told once, until it is another, or nothing was left to be tried again.
    reason: Option<String>,
    /// The last slot that was tried again: the others have their turn first.
    tried: Option<Slot>,
}

impl Refusals {
    /// The kernel has refused. Whether that is to be told.
    pub(super) fn remember(&mut self, slot: Slot, reason: String) -> bool {
        self.total = self.total.saturating_add(1);
        if self.slots.len() < SLOTS_MAX {
            self.slots.insert(slot);
        }
        let is_news = self.reason.as_ref() != Some(&reason);
        self.reason = Some(reason);
        is_news
    }

    /// The kernel has done it.
    pub(super) fn settle(&mut self, slot: Slot) {
        self.slots.remove(&slot);
        if self.slots.is_empty() {
            self.reason = None;
        }
    }

    /// What to try again now.
    pub(super) fn due(&mut self) -> Vec<Slot> {
        let after = self.tried.map_or(Unbounded, Excluded);
        let turn = self.slots.range((after, Unbounded)).chain(&self.slots).take(RETRIES.min(self.slots.len()));
        let due: Vec<Slot> = turn.copied().collect();
        self.tried = due.last().copied();
        due
    }

    /// Why the kernel refuses this slot, where it does.
    pub(super) fn reason(&self, slot: Slot) -> Option<&str> {
        self.reason.as_deref().filter(|_| self.slots.contains(&slot))
    }

    /// What an operator reads while anything is left to be tried again.
    pub(super) fn shown(&self) -> Option<String> {
        let (slots, total) = (self.slots.len(), self.total);
        let reason = self.reason.as_ref().filter(|_| slots > 0)?;
        Some(format!(
            "{slots} entries are not in the kernel as they should be and are tried again ({total} refusals since the start): \
             {reason}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(number: u32) -> Slot {
        Slot::V4(number.to_be_bytes())
    }

    #[test]
    fn a_reason_is_told_once_for_as_long_as_anything_is_refused() {
        let mut refusals = Refusals::default();
        assert!(refusals.remember(slot(1), "no memory".into()), "the first");
        for _ in 0..3 {
            for slot in refusals.due() {
                assert!(!refusals.remember(slot, "no memory".into()), "refused again, for the same reason");
            }
        }
        assert!(!refusals.remember(slot(2), "no memory".into()), "another slot, for the same reason");
        assert!(refusals.remember(slot(2), "not permitted".into()), "another reason");
        refusals.settle(slot(1));
        assert_eq!(refusals.reason(slot(2)), Some("not permitted"));
        assert_eq!(refusals.reason(slot(1)), None);
        assert!(refusals.shown().unwrap().starts_with("1 entries") && refusals.shown().unwrap().contains("6 refusals"));
        refusals.settle(slot(2));
        assert_eq!(refusals.shown(), None);
        assert!(refusals.remember(slot(3), "not permitted".into()), "after all was well");
    }

    #[test]
    fn every_slot_has_its_turn_however_many_there_are() {
        let mut refusals = Refusals::default();
        let slots = u32::try_from(2 * RETRIES).unwrap() + 7;
        for number in 0..slots {
            refusals.remember(slot(number), "no memory".into());
        }
        let tried: BTreeSet<Slot> = (0..3).flat_map(|_| refusals.due()).collect();
        assert_eq!(tried.len(), slots as usize);
        refusals = Refusals::default();
        refusals.remember(slot(1), "no memory".into());
        assert_eq!(refusals.due(), [slot(1)], "once each time");
        assert_eq!(refusals.due(), [slot(1)], "again and again");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut refusals = Refusals::default();
        for number in 0..u32::try_from(SLOTS_MAX).unwrap() + 5 {
            refusals.remember(slot(number), "no memory".into());
        }
        assert_eq!(refusals.slots.len(), SLOTS_MAX);
    }
}
