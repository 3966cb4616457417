//! What is protected changes while bans are in force.

use ipnet::IpNet;

use super::{
    super::{
        effect::{Effect, Slot},
        prefix::shortened,
        protect::{Protection, Protections},
    },
    Key, Ledger, Record,
    entry::{Entries, difference},
};

impl Ledger {
    /// Takes over what is protected now. Bans inside what was added are lifted and returned with the reason; those around what
    /// was added or removed are written anew. Also returns what was removed. A protection that stays was overridden, by hand, by each ban that is inside it.
    pub(in super::super) fn protect(
        &mut self,
        protections: Protections,
        effects: &mut Vec<Effect>,
    ) -> (Vec<(Key, Record, Protection)>, Vec<Protection>) {
        let former = std::mem::replace(&mut self.protections, protections);
        let added: Vec<Protection> = self.protections.difference(&former).collect();
        let removed: Vec<Protection> = former.difference(&self.protections).collect();
        if added.is_empty() && removed.is_empty() {
            return (Vec::new(), removed);
        }
        let covered: Vec<(Key, Protection)> = added.iter().flat_map(|protection| self.covered(protection)).collect();
        let moved: Vec<Key> = added.iter().chain(&removed).flat_map(|protection| self.moved(protection)).collect();
        let touched = || covered.iter().map(|(key, _)| key).chain(&moved).map(|key| key.prefix);

        let current = std::mem::replace(&mut self.protections, former);
        // Entries outside of these are the same before and after.
        let changed = || added.iter().chain(&removed).map(|protection| protection.prefix);
        let mut before = self.net_entries_of(changed().chain(moved.iter().map(|key| key.prefix)));
        touched().for_each(|prefix| self.add_exact_entry(prefix, &mut before));
        self.protections = current;

        let mut lifted = Vec::new();
        for (key, protection) in &covered {
            lifted.extend(self.remove(*key).map(|record| (*key, record, *protection)));
        }
        for key in &moved {
            if let Some(record) = self.remove(*key) {
                self.insert(*key, record);
            }
        }
        let mut after = self.net_entries_of(changed().chain(moved.iter().map(|key| key.prefix)));
        touched().for_each(|prefix| self.add_exact_entry(prefix, &mut after));
        difference(&before, &after, effects);
        (lifted, removed)
    }

    fn net_entries_of(&self, prefixes: impl Iterator<Item = IpNet>) -> Entries {
        prefixes.flat_map(|prefix| self.net_entries_within(prefix)).collect()
    }

    /// The bans inside a protection.
    fn covered(&self, protection: &Protection) -> impl Iterator<Item = (Key, Protection)> {
        self.within(protection.prefix).map(|(key, _)| (key, *protection))
    }

    /// The bans of the /64 around a protection: they change between hash and trie with it.
    fn moved(&self, protection: &Protection) -> impl Iterator<Item = Key> {
        let around = match protection.prefix {
            IpNet::V4(_) => None,
            IpNet::V6(_) => shortened(protection.prefix, 64),
        };
        around.into_iter().flat_map(|around| self.at(around)).map(|(key, _)| key)
    }

    fn add_exact_entry(&self, prefix: IpNet, entries: &mut Entries) {
        if let Some(slot) = Slot::exact(prefix)
            && let Some(entry) = self.entry(slot)
        {
            entries.insert(slot, entry);
        }
    }
}
