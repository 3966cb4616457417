//! From bans to entries: what stands at a key, and what differs between two states.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{self, Excluded, Included},
};

use ipnet::IpNet;

use super::{
    super::{
        effect::{Effect, Entry, Map, Slot, Until},
        origin::OriginId,
        prefix::range,
    },
    Key, Ledger, Record, bans_at,
};
use crate::service::ServiceMask;

pub(super) type Entries = BTreeMap<Slot, Entry>;

impl Ledger {
    /// What the kernel should have at a key.
    pub(in super::super) fn entry(&self, slot: Slot) -> Option<Entry> {
        let prefix = slot.prefix();
        match slot {
            Slot::V4(_) | Slot::V6(_) => union(slot, bans_at(&self.exact, prefix)),
            Slot::NetV4(_) | Slot::NetV6(_) => {
                if bans_at(&self.nets, prefix).next().is_some() {
                    union(slot, self.applying(prefix))
                } else {
                    (self.protections.has(prefix) && self.wider(prefix).next().is_some()).then(|| protected(slot))
                }
            }
        }
    }

    /// What the kernel should have in one map, in the order of the prefixes, from the one after `after` on.
    pub(in super::super) fn entries(&self, map: Map, after: Option<IpNet>) -> impl Iterator<Item = Entry> {
        let (hashed, in_trie) = match map {
            Map::BansV4 | Map::BansV6 => (Some(self.hash_entries(map, after)), None),
            Map::NetsV4 | Map::NetsV6 => (None, Some(self.trie_entries(map, after))),
        };
        hashed.into_iter().flatten().chain(in_trie.into_iter().flatten())
    }

    /// One way through the bans, since there may be a million.
    fn hash_entries(&self, map: Map, after: Option<IpNet>) -> impl Iterator<Item = Entry> {
        let mut bans = bounds(map, after).map(|bounds| self.exact.range(bounds).peekable());
        std::iter::from_fn(move || {
            let bans = bans.as_mut()?;
            let prefix = bans.peek()?.0.prefix;
            let of_prefix = std::iter::from_fn(|| bans.next_if(|(key, _)| key.prefix == prefix));
            union(Slot::exact(prefix)?, of_prefix)
        })
    }

    fn trie_entries(&self, map: Map, after: Option<IpNet>) -> impl Iterator<Item = Entry> {
        let mut next = self.prefix_after(map, after);
        std::iter::from_fn(move || {
            let prefix = next?;
            next = self.prefix_after(map, Some(prefix));
            Some(prefix)
        })
        .filter_map(|prefix| self.entry(Slot::net(prefix)))
    }

    /// What has to change in the kernel where it has `found`. Of a million entries nearly all are as they should be: only the
    /// others are gathered.
    pub(in super::super) fn reconcile(&self, found: &Entries, effects: &mut Vec<Effect>) {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut found = found.values().peekable();
        for desired in Map::ALL.into_iter().flat_map(|map| self.entries(map, None)) {
            before.extend(std::iter::from_fn(|| found.next_if(|found| found.slot < desired.slot)));
            let same = found.next_if(|found| found.slot == desired.slot);
            if !same.is_some_and(|found| found.is_written_as(&desired)) {
                before.extend(same);
                after.push((desired.slot, desired));
            }
        }
        let before = before.into_iter().chain(found).map(|entry| (entry.slot, *entry)).collect();
        difference(&before, &after.into_iter().collect(), effects);
    }

    /// The bans in the trie that apply to a whole prefix, the narrowest first: those that cover it, but for the ones that a
    /// protection between them and it keeps out.
    pub(super) fn applying(&self, prefix: IpNet) -> impl Iterator<Item = (&Key, &Record)> {
        let is_any = !self.nets.is_empty();
        let protected = is_any.then(|| self.protections.covering(prefix).next()).flatten();
        let protected = protected.map(|protection| protection.prefix.prefix_len());
        self.lengths
            .covering(prefix)
            .filter(move |wider| protected.is_none_or(|protected| wider.prefix_len() >= protected))
            .flat_map(|wider| bans_at(&self.nets, wider))
    }

    /// The entries in the tries of a prefix and of what is inside it.
    pub(super) fn net_entries_within(&self, prefix: IpNet) -> Entries {
        let bans = super::keys_within(&self.nets, prefix).map(|(key, _)| key.prefix);
        let protections = self.protections.inside(prefix).map(|protection| protection.prefix);
        let prefixes: BTreeSet<IpNet> = bans.chain(protections).chain([prefix]).collect();
        prefixes
            .into_iter()
            .filter_map(|prefix| self.entry(Slot::net(prefix)))
            .map(|entry| (entry.slot, entry))
            .collect()
    }

    /// The next prefix that may have an entry in a trie.
    fn prefix_after(&self, map: Map, after: Option<IpNet>) -> Option<IpNet> {
        let (first, last) = ends(map);
        let ban = self.nets.range(bounds(map, after)?).next().map(|(key, _)| key.prefix);
        let around = after.filter(|after| *after >= first && *after <= last);
        let protection = around.and_then(|after| self.protected_after(after));
        ban.into_iter().chain(protection).min()
    }

    /// The next protected prefix that is inside a ban around `after`. One that is inside no ban has no entry, and there may be
    /// hundreds of thousands of those.
    fn protected_after(&self, after: IpNet) -> Option<IpNet> {
        let banned = self.lengths.covering(after).filter(|prefix| bans_at(&self.nets, *prefix).next().is_some());
        self.protections.next_after(after, *range(banned.last()?).end())
    }
}

/// The first and the last prefix of a map's family.
fn ends(map: Map) -> (IpNet, IpNet) {
    range(match map {
        Map::BansV4 | Map::NetsV4 => IpNet::V4(ipnet::Ipv4Net::default()),
        Map::BansV6 | Map::NetsV6 => IpNet::V6(ipnet::Ipv6Net::default()),
    })
    .into_inner()
}

/// Where the bans of a map's family stand whose prefixes come after this one; None where that is the last.
fn bounds(map: Map, after: Option<IpNet>) -> Option<(Bound<Key>, Bound<Key>)> {
    let (first, last) = ends(map);
    // The last origin of a prefix is passed over with the prefix.
    let end = |prefix| Key { prefix, origin: OriginId::LAST };
    let from = match after.filter(|after| *after >= first) {
        Some(after) if after > last => return None,
        Some(after) => Excluded(end(after)),
        None => Included(Key::first(first)),
    };
    Some((from, Included(end(last))))
}

fn union<'a>(slot: Slot, bans: impl Iterator<Item = (&'a Key, &'a Record)>) -> Option<Entry> {
    bans.map(|(key, record)| Entry {
        slot,
        services: record.services,
        until: record.until(),
        observe: record.observe,
        manual: key.origin == OriginId::HAND,
        listed: key.origin.is_list(),
        protected: false,
    })
    .reduce(|a, b| match (a.observe, b.observe) {
        (true, false) => b,
        (false, true) => a,
        (true, true) | (false, false) => Entry {
            services: a.services.union(b.services),
            until: a.until.max(b.until),
            manual: a.manual || b.manual,
            listed: a.listed || b.listed,
            ..a
        },
    })
}

fn protected(slot: Slot) -> Entry {
    Entry {
        slot,
        services: ServiceMask::NONE,
        until: Until::Permanent,
        observe: false,
        manual: false,
        listed: false,
        protected: true,
    }
}

/// What turns one state into the other. A protected prefix is written before the ban around it, and removed after it. A ban
/// that moves between hash and trie is written there before it is removed here, and before what it covered there is narrowed;
/// between the two moves the hash is at its emptiest.
pub(super) fn difference(before: &Entries, after: &Entries, effects: &mut Vec<Effect>) {
    let is_narrowed = |entry: &Entry| before.get(&entry.slot).is_some_and(|before| entry.is_narrower_than(before));
    let written = |kind: &dyn Fn(&Entry) -> bool| {
        let differ = after.values().filter(|entry| kind(entry) && before.get(&entry.slot) != Some(*entry));
        differ.map(|entry| Effect::Write(*entry)).collect::<Vec<_>>()
    };
    let removed = |kind: fn(&Entry) -> bool| {
        let gone = before.values().filter(move |entry| kind(entry) && !after.contains_key(&entry.slot));
        gone.map(|entry| Effect::Remove(entry.slot))
    };
    let protection = |entry: &Entry| entry.protected;
    let in_hash = |entry: &Entry| matches!(entry.slot, Slot::V4(_) | Slot::V6(_));
    let in_trie = |entry: &Entry| !entry.protected && matches!(entry.slot, Slot::NetV4(_) | Slot::NetV6(_));
    effects.extend(written(&protection));
    effects.extend(written(&|entry| in_trie(entry) && !is_narrowed(entry)));
    effects.extend(removed(in_hash));
    effects.extend(written(&in_hash));
    effects.extend(written(&|entry| in_trie(entry) && is_narrowed(entry)));
    effects.extend(removed(in_trie).chain(removed(protection)));
}
