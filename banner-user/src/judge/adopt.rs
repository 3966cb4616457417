//! Bans of an earlier run are found in the kernel and go on.

use std::collections::BTreeMap;

use super::{
    Judge,
    effect::{Effect, Entry, Slot, Until},
    ledger::{Key, Record},
    origin::{Origin, OriginId},
    report::{Ended, Report},
};
use crate::clock::Now;

impl Judge {
    /// Makes bans of the entries found, and writes where the entries that follow differ: an entry that is over, is protected,
    /// or only repeats what covers it is removed.
    ///
    /// An entry is the union of all that covered it, and who made each part is not kept in the kernel. So what an entry has
    /// beyond the one around it is taken as its own ban; by hand, where a ban by hand was part of it.
    pub(super) fn adopt(&mut self, found: Vec<Entry>, now: Now, effects: &mut Vec<Effect>) {
        let found: BTreeMap<Slot, Entry> = found.into_iter().map(|entry| (entry.slot, entry)).collect();
        let mut bans = 0_usize;
        let mut listed = Vec::new();
        for entry in found.values() {
            let prefix = entry.slot.prefix();
            let record = Record::new(now.boot, entry.until, entry.services, entry.observe);
            let over = entry.until <= Until::Boot(now.boot);
            let known = self.ledger.at(prefix).next().is_some();
            if entry.protected || over || known || repeats(entry, &found) {
                continue;
            }
            if entry.listed && !entry.manual {
                // The list has it no more, or its file cannot be read.
                listed.extend(self.adopt_for_a_list(entry, now));
                continue;
            }
            let id = if entry.manual { OriginId::HAND } else { OriginId::ADOPTED };
            if let Some(protection) = self.ledger.protections().forbids(prefix, false) {
                let origin = if entry.manual { Origin::Hand } else { Origin::Adopted };
                let why = Ended::Protected(protection);
                effects.push(Effect::Report(Report::Unbanned { origin, prefix, why }));
                continue;
            }
            self.ledger.adopt(Key { prefix, origin: id }, record);
            self.origins.banned(id);
            self.note_began(Key { prefix, origin: id }, None);
            bans = bans.saturating_add(1);
        }
        self.keep_for_lists(&listed);
        self.ledger.reconcile(&found, effects);
        if bans > 0 {
            effects.push(Effect::Report(Report::Adopted { bans }));
        }
    }
}

/// Whether an entry in a trie says nothing that a wider one there does not say too.
fn repeats(entry: &Entry, found: &BTreeMap<Slot, Entry>) -> bool {
    let prefix = entry.slot.prefix();
    if Slot::net(prefix) != entry.slot {
        return false;
    }
    let mut wider = (0..prefix.prefix_len()).rev().filter_map(|length| super::prefix::shortened(prefix, length));
    wider.find_map(|wider| found.get(&Slot::net(wider))).is_some_and(|wider| {
        !wider.protected
            && wider.services.contains(entry.services)
            && wider.until >= entry.until
            && wider.observe == entry.observe
    })
}
