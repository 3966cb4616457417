//! Something about each of the sources seen most recently, which one was seen longest ago, and which have changed.
//!
//! ```text
//!  index: source ──> place       entries: | value | value |  free | value | ...      ages: second ──> queue of places
//!  (hash table)                             ^  └──before/behind──────^                     (the oldest first)
//! ```
//!
//! Nearly every failure finds its source here more than once, among a million others. So the index is a hash table, by a key that is
//! random in each process: an attacker who chooses his sources cannot make them collide. Nothing that anybody sees depends on that
//! key: what is listed is sorted, and what is forgotten goes by age.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, Hasher as _, RandomState},
};

use hashbrown::HashTable;
use ipnet::IpNet;

use super::seconds::LogSeconds;
use crate::clock::LogTime;

/// What knows when it last changed.
pub(super) trait Aged {
    fn newest(&self) -> Option<LogTime>;

    /// Moves its times by so many microseconds.
    fn shift(&mut self, step: i64);
}

/// Values by source, in the order of their age, to the second; of one second in the order in which they came to it. What bounds it
/// calls [`Self::forget_oldest`].
#[derive(Debug)]
pub(super) struct Recent<V> {
    index: HashTable<Place>,
    key: RandomState,
    entries: Vec<Entry<V>>,
    free: Option<Place>,
    ages: BTreeMap<LogSeconds, Queue>,
    changed: Changed,
}

/// Where an entry stands, plus one, so that none takes no room.
type Place = std::num::NonZeroU32;

#[derive(Debug)]
struct Entry<V> {
    value: V,
    /// Of its queue, or behind it of those that are free.
    before: Option<Place>,
    behind: Option<Place>,
    /// None where it is free.
    source: Option<IpNet>,
    /// It is among those that have changed.
    changed: bool,
}

/// Entries of one age.
#[derive(Clone, Copy, Debug)]
struct Queue {
    first: Place,
    last: Place,
}

impl<V: Aged + Default> Recent<V> {
    pub(super) fn new() -> Self {
        Self {
            index: HashTable::new(),
            key: RandomState::new(),
            entries: Vec::new(),
            free: None,
            ages: BTreeMap::new(),
            changed: Changed::NotAsked,
        }
    }

    /// One that remembers which of its sources have changed, for [`Self::take_changed`].
    pub(super) fn watched() -> Self {
        Self { changed: Changed::none(), ..Self::new() }
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        let mut places = Vec::with_capacity(self.len());
        for queue in std::mem::take(&mut self.ages).into_values() {
            let mut next = Some(queue.first);
            while let Some(place) = next {
                places.push(place);
                next = self.entry(place).behind;
            }
        }
        for place in places {
            self.entry_mut(place).value.shift(step);
            self.enqueue(place);
            self.note_place(place);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn get(&self, source: IpNet) -> Option<&V> {
        self.place(source).map(|place| &self.entry(place).value)
    }

    /// Changes the value of a source, from the default where it has none.
    pub(super) fn update<T>(&mut self, source: IpNet, update: impl FnOnce(&mut V) -> T) -> T {
        let known = self.place(source);
        let place = known.unwrap_or_else(|| self.insert(source));
        let value = &mut self.entry_mut(place).value;
        let former = age(value);
        let result = update(value);
        let is_moved = age(value) != former;
        if known.is_some() && is_moved {
            self.dequeue(place, former);
        }
        if known.is_none() || is_moved {
            self.enqueue(place);
        }
        self.note_place(place);
        result
    }

    /// Whether there was one.
    pub(super) fn remove(&mut self, source: IpNet) -> bool {
        let Some(place) = self.place(source) else { return false };
        self.remove_at(place, source);
        true
    }

    /// Forgets every source inside a prefix. How many there were. Looks at all that there are.
    pub(super) fn remove_within(&mut self, prefix: IpNet) -> usize {
        let inside = self.entries.iter().filter_map(|entry| entry.source).filter(|source| prefix.contains(source));
        let inside: Vec<IpNet> = inside.collect();
        inside.into_iter().filter(|source| self.remove(*source)).count()
    }

    /// When the source that was seen longest ago was seen, to the second.
    pub(super) fn oldest(&self) -> Option<LogTime> {
        self.ages.values().next().and_then(|queue| self.entry(queue.first).value.newest())
    }

    pub(super) fn forget_oldest(&mut self) {
        let Some(place) = self.ages.values().next().map(|queue| queue.first) else { return };
        if let Some(source) = self.entry(place).source {
            self.remove_at(place, source);
        }
    }

    /// In the order of the sources, for which all of them are sorted.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &V)> {
        let entries = self.entries.iter().filter_map(|entry| entry.source.map(|source| (source, &entry.value)));
        let mut entries: Vec<_> = entries.collect();
        entries.sort_unstable_by_key(|(source, _)| *source);
        entries.into_iter()
    }

    /// The sources that have changed, or are gone, since this was last asked for; none where that is not known any more, because
    /// they were too many.
    pub(super) fn take_changed(&mut self) -> Option<BTreeSet<IpNet>> {
        match std::mem::replace(&mut self.changed, Changed::none()) {
            Changed::Sources { there, mut gone } => {
                for source in &there {
                    if let Some(place) = self.place(*source) {
                        self.entry_mut(place).changed = false;
                    }
                }
                gone.extend(there);
                Some(gone)
            }
            Changed::TooMany => {
                self.entries.iter_mut().for_each(|entry| entry.changed = false);
                None
            }
            Changed::NotAsked => None,
        }
    }

    /// Takes in what was saved: that is no change.
    pub(super) fn restore(&mut self, source: IpNet, value: V) {
        let place = match self.place(source) {
            Some(place) => {
                let former = age(&self.entry(place).value);
                self.dequeue(place, former);
                place
            }
            None => self.insert(source),
        };
        self.entry_mut(place).value = value;
        self.enqueue(place);
    }

    /// Whether a source has changed since [`Self::take_changed`] was last called, as far as that is known.
    pub(super) fn has_changed(&self, source: IpNet) -> bool {
        let place = self.place(source);
        match &self.changed {
            Changed::Sources { gone, .. } => {
                place.is_some_and(|place| self.entry(place).changed) || gone.contains(&source)
            }
            Changed::TooMany => place.is_some(),
            Changed::NotAsked => false,
        }
    }

    /// This one is to be told again.
    pub(super) fn note_changed(&mut self, source: IpNet) {
        match self.place(source) {
            Some(place) => self.note_place(place),
            None => self.note_gone(source),
        }
    }

    fn note_place(&mut self, place: Place) {
        let Changed::Sources { there, gone } = &mut self.changed else { return };
        let Some(entry) = self.entries.get_mut(index(place)).filter(|entry| !entry.changed) else { return };
        entry.changed = true;
        there.extend(entry.source);
        if there.len().saturating_add(gone.len()) > CHANGED_MAX {
            self.changed = Changed::TooMany;
        }
    }

    fn note_gone(&mut self, source: IpNet) {
        let Changed::Sources { there, gone } = &mut self.changed else { return };
        gone.insert(source);
        if there.len().saturating_add(gone.len()) > CHANGED_MAX {
            self.changed = Changed::TooMany;
        }
    }

    fn place(&self, source: IpNet) -> Option<Place> {
        let is_meant = |place: &Place| self.entry(*place).source == Some(source);
        self.index.find(hash(&self.key, source), is_meant).copied()
    }

    /// Makes an entry, which is in no queue yet.
    fn insert(&mut self, source: IpNet) -> Place {
        let entry = Entry { value: V::default(), before: None, behind: None, source: Some(source), changed: false };
        let place = match self.free {
            Some(place) => {
                self.free = self.entry(place).behind;
                *self.entry_mut(place) = entry;
                place
            }
            None => {
                self.entries.push(entry);
                // Nobody has the memory for so many that this would be another one's.
                u32::try_from(self.entries.len()).ok().and_then(Place::new).unwrap_or(Place::MAX)
            }
        };
        let (entries, key) = (&self.entries, &self.key);
        let hash_of = |place: &Place| {
            let source = entries.get(index(*place)).and_then(|entry| entry.source);
            source.map_or(0, |source| hash(key, source))
        };
        self.index.insert_unique(hash(key, source), place, hash_of);
        place
    }

    fn remove_at(&mut self, place: Place, source: IpNet) {
        let former = age(&self.entry(place).value);
        self.dequeue(place, former);
        if let Ok(known) = self.index.find_entry(hash(&self.key, source), |known| *known == place) {
            known.remove();
        }
        let free = self.free.replace(place);
        *self.entry_mut(place) =
            Entry { value: V::default(), before: None, behind: free, source: None, changed: false };
        self.note_gone(source);
    }

    /// Puts an entry at the end of the queue of its age.
    fn enqueue(&mut self, place: Place) {
        let age = age(&self.entry(place).value);
        let before = match self.ages.get_mut(&age) {
            Some(queue) => Some(std::mem::replace(&mut queue.last, place)),
            None => {
                self.ages.insert(age, Queue { first: place, last: place });
                None
            }
        };
        if let Some(before) = before {
            self.entry_mut(before).behind = Some(place);
        }
        let entry = self.entry_mut(place);
        (entry.before, entry.behind) = (before, None);
    }

    /// Takes an entry out of the queue of the age that it had when it was put there.
    fn dequeue(&mut self, place: Place, age: LogSeconds) {
        let Entry { before, behind, .. } = *self.entry(place);
        if let Some(before) = before {
            self.entry_mut(before).behind = behind;
        }
        if let Some(behind) = behind {
            self.entry_mut(behind).before = before;
        }
        match (before, behind) {
            (None, None) => drop(self.ages.remove(&age)),
            (None, Some(first)) => {
                self.ages.entry(age).and_modify(|queue| queue.first = first);
            }
            (Some(last), None) => {
                self.ages.entry(age).and_modify(|queue| queue.last = last);
            }
            (Some(_), Some(_)) => {}
        }
    }

    #[expect(clippy::indexing_slicing, reason = "a place is of an entry, and entries are never taken away")]
    fn entry(&self, place: Place) -> &Entry<V> {
        &self.entries[index(place)]
    }

    #[expect(clippy::indexing_slicing, reason = "a place is of an entry, and entries are never taken away")]
    fn entry_mut(&mut self, place: Place) -> &mut Entry<V> {
        &mut self.entries[index(place)]
    }
}

fn index(place: Place) -> usize {
    place.get() as usize - 1
}

fn age(value: &impl Aged) -> LogSeconds {
    value.newest().map_or(LogSeconds(0), LogSeconds::from)
}

fn hash(key: &RandomState, source: IpNet) -> u64 {
    let mut hasher = key.build_hasher();
    match source {
        IpNet::V4(net) => hasher.write_u64(u64::from(net.addr().to_bits()) << 8 | u64::from(net.prefix_len())),
        IpNet::V6(net) => {
            hasher.write_u128(net.addr().to_bits());
            hasher.write_u8(net.prefix_len());
        }
    }
    hasher.finish()
}

/// The most sources whose change is remembered; beyond, it is only known that everything may have changed.
const CHANGED_MAX: usize = 2_000_000;

/// Which sources have changed.
#[derive(Debug)]
enum Changed {
    /// Nobody wants to know.
    NotAsked,
    Sources {
        /// Each once, and marked. Some may be gone by now.
        there: Vec<IpNet>,
        /// Some may be there again by now.
        gone: BTreeSet<IpNet>,
    },
    TooMany,
}

impl Changed {
    fn none() -> Self {
        Self::Sources { there: Vec::new(), gone: BTreeSet::new() }
    }
}
