//! Where the entry of a source stands: a hash table whose chains go through the entries.
//!
//! It grows by one bucket with every other entry, which takes over half of the chain of another one (linear hashing: W. Litwin, VLDB
//! 1980): no failure waits until a million entries have found their places in a larger table, and no bucket is without use. The
//! hash has a key that the process draws for itself, so that who chooses sources cannot make long chains of them. Nothing that can
//! be seen depends on it.

use std::{
    array,
    hash::{BuildHasher, RandomState},
};

use super::{
    entry::{Entry, Key, NONE, Places},
    pieces::Pieces,
};

/// Multiplies each part of a key by a secret, and takes the upper bits of the sum (multiply-shift: M. Dietzfelbinger, STACS 1996).
/// Any two sources share a bucket no more often than chance has it, whatever they are: whoever chooses a million of them, and
/// cannot see where they go, has chains as long as anybody's. A fifth of the time of SipHash.
#[derive(Debug)]
struct Hasher {
    factors: [u128; 3],
    sum: u128,
}

impl Hasher {
    fn new() -> Self {
        // The standard library draws keys for SipHash, and has no other way to get at anything random.
        let random = RandomState::new();
        let secret =
            |number: u8| u128::from(random.hash_one((number, 0))) << 64 | u128::from(random.hash_one((number, 1)));
        Self { factors: array::from_fn(|number| secret(u8::try_from(number).unwrap_or_default())), sum: secret(3) }
    }

    fn hash(&self, key: Key) -> u32 {
        let products = self.factors.iter().zip(key.parts()).map(|(factor, part)| factor.wrapping_mul(part.into()));
        let [a, b, c, d, ..] = products.fold(self.sum, u128::wrapping_add).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// Entries for each bucket: two chained entries cost less than the room that as many buckets as entries take.
const LOAD: usize = 2;

/// The first entries of chains.
#[derive(Debug)]
pub(super) struct Index {
    hasher: Hasher,
    first: Pieces<u32>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { hasher: Hasher::new(), first: Pieces::new() }
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
        if self.first.len() < entries.len().div_ceil(LOAD) {
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
        let bucket = self.hasher.hash(key) & mask;
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
