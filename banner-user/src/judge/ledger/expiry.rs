//! When bans end, in order, apart by map and by whether they may yield when it is full.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{effect::Map, origin::OriginId},
    Key,
};
use crate::clock::BootTime;

#[derive(Debug, Default)]
pub(super) struct Expiry {
    /// Made by hand: never yield.
    by_hand: BTreeSet<(BootTime, Key)>,
    automatic: BTreeMap<Map, BTreeSet<(BootTime, Key)>>,
}

impl Expiry {
    pub(super) fn add(&mut self, map: Map, deadline: BootTime, key: Key) {
        self.set(map, key).insert((deadline, key));
    }

    /// Many at once.
    pub(super) fn add_all(&mut self, ends: Vec<(Map, BootTime, Key)>) {
        let mut by_hand = BTreeSet::new();
        let mut automatic: BTreeMap<Map, Vec<(BootTime, Key)>> = BTreeMap::new();
        for (map, deadline, key) in ends {
            if key.origin == OriginId::HAND {
                by_hand.insert((deadline, key));
            } else {
                automatic.entry(map).or_default().push((deadline, key));
            }
        }
        self.by_hand.append(&mut by_hand);
        for (map, ends) in automatic {
            self.automatic.entry(map).or_default().append(&mut ends.into_iter().collect());
        }
    }

    pub(super) fn remove(&mut self, map: Map, deadline: BootTime, key: Key) {
        self.set(map, key).remove(&(deadline, key));
    }

    pub(super) fn next(&self) -> Option<BootTime> {
        self.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn due(&self, now: BootTime) -> Option<Key> {
        self.first().filter(|(deadline, _)| *deadline <= now).map(|(_, key)| *key)
    }

    /// Bans that no operator made, the one nearest its end first.
    pub(super) fn automatic(&self, map: Map) -> impl Iterator<Item = (BootTime, Key)> {
        self.automatic.get(&map).into_iter().flatten().copied()
    }

    fn first(&self) -> Option<&(BootTime, Key)> {
        self.automatic.values().chain([&self.by_hand]).filter_map(BTreeSet::first).min()
    }

    fn set(&mut self, map: Map, key: Key) -> &mut BTreeSet<(BootTime, Key)> {
        if key.origin == OriginId::HAND { &mut self.by_hand } else { self.automatic.entry(map).or_default() }
    }
}
