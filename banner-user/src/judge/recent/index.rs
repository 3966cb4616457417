//! Where the entry of a source stands: a hash table whose chains go through the entries.
//!
//! It grows by one bucket with each entry, which takes over half of the chain of another one (linear hashing: W. Litwin, VLDB
//! 1980): no failure waits until a million entries have found their places in a larger table, and no bucket is without use. The
//! hash is SipHash-1-3 with a key that the process draws for itself, so that who chooses sources cannot make long chains of them.
//! Nothing that can be seen depends on it.

use std::hash::{BuildHasher, RandomState};

use super::entry::{Entry, Key, NONE, Places, grow};

/// The first entries of chains.
#[derive(Debug, Default)]
pub(super) struct Index {
    hasher: RandomState,
    first: Vec<u32>,
}

impl Index {
    pub(super) fn find<B>(&self, key: Key, entries: &[Entry<B>], long: &Places<Key>) -> Option<u32> {
        let mut place = *self.first.get(self.bucket(key)?)?;
        loop {
            let entry = entries.get(place as usize)?;
            if entry.is(key, long) {
                return Some(place);
            }
            place = entry.chained;
        }
    }

    /// Takes up an entry that is at a place by now.
    pub(super) fn add<B>(&mut self, place: u32, entries: &mut [Entry<B>], long: &Places<Key>) {
        if self.first.len() < entries.len() {
            self.split(entries, long);
        }
        let Some(entry) = entries.get_mut(place as usize) else { return };
        let Some(first) = self.bucket(entry.key(long)).and_then(|bucket| self.first.get_mut(bucket)) else { return };
        entry.chained = std::mem::replace(first, place);
    }

    /// Takes an entry out.
    pub(super) fn remove<B>(&mut self, place: u32, entries: &mut [Entry<B>], long: &Places<Key>) {
        let Some(entry) = entries.get(place as usize) else { return };
        let (key, next) = (entry.key(long), entry.chained);
        let Some(first) = self.bucket(key).and_then(|bucket| self.first.get_mut(bucket)) else { return };
        if *first == place {
            *first = next;
            return;
        }
        let mut at = *first;
        while let Some(entry) = entries.get_mut(at as usize) {
            if entry.chained == place {
                entry.chained = next;
                return;
            }
            at = entry.chained;
        }
    }

    /// The bucket of a source; none where there is no bucket yet.
    fn bucket(&self, key: Key) -> Option<usize> {
        let buckets = self.first.len();
        let mask = buckets.checked_next_power_of_two()?.checked_sub(1)?;
        // Any bits of the hash do.
        let bucket = usize::try_from(self.hasher.hash_one(key) & u64::from(u32::MAX)).ok()? & mask;
        if bucket < buckets { Some(bucket) } else { Some(bucket & (mask >> 1)) }.filter(|_| buckets > 0)
    }

    /// One bucket more, with what belongs there of the one that had it until now.
    fn split<B>(&mut self, entries: &mut [Entry<B>], long: &Places<Key>) {
        let new = self.first.len();
        grow(&mut self.first);
        self.first.push(NONE);
        let half = new.checked_ilog2().map_or(0, |bits| 1_usize << bits);
        let Some(former) = new.checked_sub(half).filter(|_| new > 0).and_then(|former| self.first.get_mut(former))
        else {
            return;
        };
        let mut place = std::mem::replace(former, NONE);
        while let Some(entry) = entries.get_mut(place as usize) {
            let next = entry.chained;
            if let Some(first) = self.bucket(entry.key(long)).and_then(|bucket| self.first.get_mut(bucket)) {
                entry.chained = std::mem::replace(first, place);
            }
            place = next;
        }
    }
}
