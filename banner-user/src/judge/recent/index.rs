//! Where the entry of a source stands: a hash table whose chains go through the entries.
//!
//! It grows by one bucket with each entry, which takes over half of the chain of another one (linear hashing: W. Litwin, VLDB
//! 1980): no failure waits until a million entries have found their places in a larger table, and no bucket is without use. The
//! hash is SipHash-1-3 with a key that the process draws for itself, so that who chooses sources cannot make long chains of them.
//! Nothing that can be seen depends on it.

use std::hash::{BuildHasher, RandomState};

use super::{
    entry::{Entry, Key, NONE, Places},
    pieces::Pieces,
};

/// The first entries of chains.
#[derive(Debug)]
pub(super) struct Index {
    hasher: RandomState,
    first: Pieces<u32>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), first: Pieces::new() }
    }

    pub(super) fn find<B>(&self, key: Key, entries: &Pieces<Entry<B>>, long: &Places<Key>) -> Option<u32> {
        let mut place = *self.first.get(self.bucket(key)?)?;
        loop {
            let entry = entries.get(place)?;
            if entry.is(key, long) {
                return Some(place);
            }
            place = entry.chained;
        }
    }

    /// Takes up an entry that is at a place by now.
    pub(super) fn add<B>(&mut self, place: u32, entries: &mut Pieces<Entry<B>>, long: &Places<Key>) {
        if self.first.len() < entries.len() {
            self.split(entries, long);
        }
        let Some(entry) = entries.get_mut(place) else { return };
        let Some(first) = self.bucket(entry.key(long)).and_then(|bucket| self.first.get_mut(bucket)) else { return };
        entry.chained = std::mem::replace(first, place);
    }

    /// Takes an entry out.
    pub(super) fn remove<B>(&mut self, place: u32, entries: &mut Pieces<Entry<B>>, long: &Places<Key>) {
        let Some(entry) = entries.get(place) else { return };
        let (key, next) = (entry.key(long), entry.chained);
        let Some(first) = self.bucket(key).and_then(|bucket| self.first.get_mut(bucket)) else { return };
        if *first == place {
            *first = next;
            return;
        }
        let mut at = *first;
        while let Some(entry) = entries.get_mut(at) {
            if entry.chained == place {
                entry.chained = next;
                return;
            }
            at = entry.chained;
        }
    }

    /// The bucket of a source; none where there is no bucket yet.
    fn bucket(&self, key: Key) -> Option<u32> {
        let buckets = u32::try_from(self.first.len()).ok().filter(|buckets| *buckets > 0)?;
        let mask = buckets.checked_next_power_of_two()?.saturating_sub(1);
        let [.., a, b, c, d] = self.hasher.hash_one(key).to_be_bytes();
        let bucket = u32::from_be_bytes([a, b, c, d]) & mask;
        Some(if bucket < buckets { bucket } else { bucket & (mask >> 1) })
    }

    /// One bucket more, with what belongs there of the one that had it until now.
    fn split<B>(&mut self, entries: &mut Pieces<Entry<B>>, long: &Places<Key>) {
        let Ok(new) = u32::try_from(self.first.len()) else { return };
        self.first.push(NONE);
        let Some(half) = new.checked_ilog2().map(|bits| 1_u32 << bits) else { return };
        let Some(former) = self.first.get_mut(new.saturating_sub(half)) else { return };
        let mut place = std::mem::replace(former, NONE);
        while let Some(entry) = entries.get_mut(place) {
            let next = entry.chained;
            if let Some(first) = self.bucket(entry.key(long)).and_then(|bucket| self.first.get_mut(bucket)) {
                entry.chained = std::mem::replace(first, place);
            }
            place = next;
        }
    }
}
