//! Bans, and the kernel's entries that follow from them.
//!
//! Bans overlap (several origins, one prefix) and nest (a prefix inside another). The program in the kernel asks the hash for
//! the exact source first, and the trie when that has nothing in force for the port; the trie answers with its longest match
//! alone. So:
//!
//! - the entry of a hash key is the union of the bans of exactly that prefix;
//! - the entry of a trie key is the union of all bans in the trie that cover it;
//! - a protected prefix inside a ban in the trie has an entry of its own, with no service in it. What is banned by force
//!   inside a protected prefix has its own ban alone, since the protection keeps the wider ones out;
//! - a hash is asked before the trie, so a /64 that holds a protected address is banned through the trie.
//!
//! A union has the services of all and the latest deadline of all. With this daemon alive it is narrowed when one of them
//! ends; with it dead it errs towards longer. Where an observing and an enforcing ban meet, the enforcing one alone counts.
//!
//! Entries are not stored: they are a function of the bans and the protections, taken before and after each change, and only
//! what differs is written.

mod entry;
mod expiry;
#[cfg(test)]
mod model;
mod protect;

use std::{collections::BTreeMap, iter::Peekable};

use ipnet::IpNet;

use self::{
    entry::{Entries, difference},
    expiry::Expiry,
};
use super::{
    effect::{Effect, Map, Slot, Until},
    origin::OriginId,
    prefix::{Lengths, range},
    protect::Protections,
};
use crate::{clock::BootTime, service::ServiceMask};

/// What a ban is known by: one origin bans a prefix once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) prefix: IpNet,
    pub(super) origin: OriginId,
}

impl Key {
    /// The first place of a prefix in a sorted map.
    fn first(prefix: IpNet) -> Self {
        Self { prefix, origin: OriginId::FIRST }
    }
}

/// One ban. 24 bytes: there may be a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) since: BootTime,
    deadline: BootTime,
    pub(super) services: ServiceMask,
    pub(super) observe: bool,
    /// Failures that came though they should not have been able to, up to 65,535.
    pub(super) late: u16,
}

/// Stands for [`Until::Permanent`] in a [`Record`].
const NEVER: BootTime = BootTime(i64::MAX);

impl Record {
    pub(super) fn new(since: BootTime, until: Until, services: ServiceMask, observe: bool) -> Self {
        let deadline = match until {
            Until::Boot(at) => at,
            Until::Permanent => NEVER,
        };
        Self { since, deadline, services, observe, late: 0 }
    }

    pub(super) fn until(&self) -> Until {
        if self.deadline == NEVER { Until::Permanent } else { Until::Boot(self.deadline) }
    }

    /// When it ends by itself; the end of time where it never does.
    pub(super) fn deadline(&self) -> BootTime {
        self.deadline
    }

    pub(super) fn in_force(&self, now: BootTime) -> bool {
        self.deadline > now
    }
}

/// All bans, and the entries that they make together with what is protected.
#[derive(Debug)]
pub(super) struct Ledger {
    protections: Protections,
    /// Bans whose entries are in a hash.
    exact: BTreeMap<Key, Record>,
    /// Bans whose entries are in a trie.
    nets: BTreeMap<Key, Record>,
    /// Of the bans in `nets`.
    lengths: Lengths,
    expiry: Expiry,
}

impl Ledger {
    pub(super) fn new(protections: Protections) -> Self {
        let (exact, nets) = (BTreeMap::new(), BTreeMap::new());
        Self { protections, exact, nets, lengths: Lengths::new(), expiry: Expiry::default() }
    }

    pub(super) fn protections(&self) -> &Protections {
        &self.protections
    }

    pub(super) fn len(&self) -> usize {
        self.exact.len().saturating_add(self.nets.len())
    }

    /// Makes a ban, or replaces the one of the same key.
    pub(super) fn put(&mut self, key: Key, record: Record, effects: &mut Vec<Effect>) {
        self.change(key.prefix, effects, |ledger| {
            ledger.remove(key);
            ledger.insert(key, record);
        });
    }

    /// Ends a ban.
    pub(super) fn lift(&mut self, key: Key, effects: &mut Vec<Effect>) -> Option<Record> {
        self.change(key.prefix, effects, |ledger| ledger.remove(key))
    }

    /// Makes bans of what was found in the kernel, without writing anything: see [`Self::reconcile`].
    pub(super) fn adopt(&mut self, key: Key, record: Record) {
        self.remove(key);
        self.insert(key, record);
    }

    /// Makes bans of what an earlier run has saved, without writing anything: see [`Self::reconcile`]. Of no key that is here
    /// already, and no key twice. A million are sorted once, which takes a third of the time that finding each its place does.
    pub(super) fn restore(&mut self, bans: Vec<(Key, Record)>) {
        let (mut hashed, mut nets) = (Vec::with_capacity(bans.len()), Vec::new());
        let mut ends = Vec::with_capacity(bans.len());
        for (key, record) in bans {
            let slot = self.slot(key.prefix);
            match slot {
                Slot::V4(_) | Slot::V6(_) => hashed.push((key, record)),
                Slot::NetV4(_) | Slot::NetV6(_) => {
                    self.lengths.add(key.prefix);
                    nets.push((key, record));
                }
            }
            if record.deadline != NEVER {
                ends.push((slot.map(), record.deadline, key));
            }
        }
        self.exact.append(&mut BTreeMap::from_iter(hashed));
        self.nets.append(&mut BTreeMap::from_iter(nets));
        self.expiry.add_all(ends);
    }

    pub(super) fn get(&self, key: Key) -> Option<&Record> {
        self.exact.get(&key).or_else(|| self.nets.get(&key))
    }

    /// Counts a failure that came though it should not have been able to. Whether it is the first.
    pub(super) fn note_late(&mut self, key: Key) -> bool {
        let Some(record) = self.exact.get_mut(&key).or_else(|| self.nets.get_mut(&key)) else { return false };
        record.late = record.late.saturating_add(1);
        record.late == 1
    }

    /// The bans of exactly this prefix.
    pub(super) fn at(&self, prefix: IpNet) -> impl Iterator<Item = (Key, &Record)> {
        bans_at(&self.exact, prefix).chain(bans_at(&self.nets, prefix)).map(|(key, record)| (*key, record))
    }

    /// The bans that apply to a whole prefix (to an address, as its full prefix), the narrowest first.
    pub(super) fn covering(&self, prefix: IpNet) -> impl Iterator<Item = (Key, &Record)> {
        let length = match prefix {
            IpNet::V4(_) => 32,
            IpNet::V6(_) => 64,
        };
        let exact = super::prefix::shortened(prefix, length);
        let exact = exact.into_iter().flat_map(|exact| bans_at(&self.exact, exact));
        exact.chain(self.applying(prefix)).map(|(key, record)| (*key, record))
    }

    /// The bans of wider prefixes in the trie.
    pub(super) fn wider(&self, prefix: IpNet) -> impl Iterator<Item = (Key, &Record)> {
        let wider = self.lengths.covering(prefix).filter(move |wider| *wider != prefix);
        wider.flat_map(|wider| bans_at(&self.nets, wider)).map(|(key, record)| (*key, record))
    }

    /// The bans of a prefix and of everything inside it.
    pub(super) fn within(&self, prefix: IpNet) -> impl Iterator<Item = (Key, &Record)> {
        keys_within(&self.exact, prefix).chain(keys_within(&self.nets, prefix)).map(|(key, record)| (*key, record))
    }

    /// All bans in the order of their keys, from the one after `after` on.
    pub(super) fn after(&self, after: Option<Key>) -> impl Iterator<Item = (Key, &Record)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let bounds = (after.map_or(Unbounded, Excluded), Unbounded);
        Merged { exact: self.exact.range(bounds).peekable(), nets: self.nets.range(bounds).peekable() }
    }

    /// When the next ban ends.
    pub(super) fn next_deadline(&self) -> Option<BootTime> {
        self.expiry.next()
    }

    /// The ban that has ended longest, if one has.
    pub(super) fn expired(&self, now: BootTime) -> Option<Key> {
        self.expiry.due(now)
    }

    /// What yields when a map is full: of the prefixes that `may` yield, whose bans all end by themselves and were none of them
    /// made by hand, the one that is nearest its end.
    pub(super) fn victim(&self, map: Map, may: impl Fn(IpNet) -> bool) -> Option<IpNet> {
        let yields = |deadline: BootTime, key: Key| {
            may(key.prefix)
                && self.at(key.prefix).all(|(other, record)| {
                    other.origin != OriginId::HAND && record.deadline != NEVER && record.deadline <= deadline
                })
        };
        self.expiry.automatic(map).find(|(deadline, key)| yields(*deadline, *key)).map(|(_, key)| key.prefix)
    }

    /// The map that a ban of this prefix goes into.
    pub(super) fn slot(&self, prefix: IpNet) -> Slot {
        Slot::exact(prefix).filter(|_| !self.protections.any_inside(prefix)).unwrap_or_else(|| Slot::net(prefix))
    }

    /// Changes the bans of one prefix and emits what differs then.
    fn change<T>(&mut self, prefix: IpNet, effects: &mut Vec<Effect>, change: impl FnOnce(&mut Self) -> T) -> T {
        let slot = self.slot(prefix);
        let affected = |ledger: &Self| match slot {
            Slot::V4(_) | Slot::V6(_) => ledger.entry(slot).map(|entry| (slot, entry)).into_iter().collect(),
            Slot::NetV4(_) | Slot::NetV6(_) => ledger.net_entries_within(prefix),
        };
        let before: Entries = affected(self);
        let result = change(self);
        difference(&before, &affected(self), effects);
        result
    }

    fn insert(&mut self, key: Key, record: Record) {
        let slot = self.slot(key.prefix);
        match slot {
            Slot::V4(_) | Slot::V6(_) => {
                self.exact.insert(key, record);
            }
            Slot::NetV4(_) | Slot::NetV6(_) => {
                self.nets.insert(key, record);
                self.lengths.add(key.prefix);
            }
        }
        if record.deadline != NEVER {
            self.expiry.add(slot.map(), record.deadline, key);
        }
    }

    fn remove(&mut self, key: Key) -> Option<Record> {
        let (record, slot) = match self.exact.remove(&key) {
            Some(record) => (record, Slot::exact(key.prefix)?),
            None => {
                let record = self.nets.remove(&key)?;
                self.lengths.remove(key.prefix);
                (record, Slot::net(key.prefix))
            }
        };
        self.expiry.remove(slot.map(), record.deadline, key);
        Some(record)
    }
}

fn bans_at(bans: &BTreeMap<Key, Record>, prefix: IpNet) -> impl Iterator<Item = (&Key, &Record)> {
    bans.range(Key::first(prefix)..).take_while(move |(key, _)| key.prefix == prefix)
}

fn keys_within(bans: &BTreeMap<Key, Record>, prefix: IpNet) -> impl Iterator<Item = (&Key, &Record)> {
    let last = *range(prefix).end();
    bans.range(Key::first(prefix)..).take_while(move |(key, _)| key.prefix <= last)
}

/// Two sorted runs of bans as one.
struct Merged<I: Iterator> {
    exact: Peekable<I>,
    nets: Peekable<I>,
}

impl<'a, I: Iterator<Item = (&'a Key, &'a Record)>> Iterator for Merged<I> {
    type Item = (Key, &'a Record);

    fn next(&mut self) -> Option<Self::Item> {
        let exact_first = match (self.exact.peek(), self.nets.peek()) {
            (Some((exact, _)), Some((net, _))) => exact < net,
            (exact, _) => exact.is_some(),
        };
        let next = if exact_first { self.exact.next() } else { self.nets.next() };
        next.map(|(key, record)| (*key, record))
    }
}
