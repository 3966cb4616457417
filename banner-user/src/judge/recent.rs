//! Something about each of the sources seen most recently, which one was seen longest ago, and which have changed.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use super::prefix::range;
use crate::clock::LogTime;

/// What knows when it last changed.
pub(super) trait Aged {
    fn newest(&self) -> Option<LogTime>;

    /// Moves its times by so many microseconds.
    fn shift(&mut self, step: i64);
}

/// Values by source, in the order of their age. What bounds it calls [`Self::forget_oldest`].
///
/// Sorted maps, not hash tables: nothing in here depends on a random seed, and an attacker who chooses the sources cannot
/// make them collide.
#[derive(Debug)]
pub(super) struct Recent<V> {
    values: BTreeMap<IpNet, V>,
    by_age: BTreeSet<(Option<LogTime>, IpNet)>,
    changed: Changed,
}

impl<V: Aged + Default> Recent<V> {
    pub(super) fn new() -> Self {
        Self { values: BTreeMap::new(), by_age: BTreeSet::new(), changed: Changed::NotAsked }
    }

    /// One that remembers which of its sources have changed, for [`Self::take_changed`].
    pub(super) fn watched() -> Self {
        Self { changed: Changed::Sources(BTreeSet::new()), ..Self::new() }
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        self.by_age.clear();
        for (source, value) in &mut self.values {
            value.shift(step);
            self.by_age.insert((value.newest(), *source));
            self.changed.note(*source);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn get(&self, source: IpNet) -> Option<&V> {
        self.values.get(&source)
    }

    /// Changes the value of a source, from the default where it has none.
    pub(super) fn update<T>(&mut self, source: IpNet, update: impl FnOnce(&mut V) -> T) -> T {
        let value = self.values.entry(source).or_default();
        let former = value.newest();
        let result = update(value);
        let newest = value.newest();
        if former != newest {
            self.by_age.remove(&(former, source));
        }
        self.by_age.insert((newest, source));
        self.changed.note(source);
        result
    }

    /// Whether there was one.
    pub(super) fn remove(&mut self, source: IpNet) -> bool {
        let Some(value) = self.values.remove(&source) else { return false };
        self.changed.note(source);
        self.by_age.remove(&(value.newest(), source))
    }

    /// Forgets every source inside a prefix. How many there were.
    pub(super) fn remove_within(&mut self, prefix: IpNet) -> usize {
        let sources: Vec<IpNet> = self.values.range(range(prefix)).map(|(source, _)| *source).collect();
        sources.into_iter().filter(|source| self.remove(*source)).count()
    }

    /// When the source that was seen longest ago was seen.
    pub(super) fn oldest(&self) -> Option<LogTime> {
        self.by_age.first().and_then(|(age, _)| *age)
    }

    pub(super) fn forget_oldest(&mut self) {
        if let Some((_, source)) = self.by_age.pop_first() {
            self.values.remove(&source);
            self.changed.note(source);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, &V)> {
        self.values.iter().map(|(source, value)| (*source, value))
    }

    /// The sources that have changed, or are gone, since this was last asked; none where that is not known any more, because
    /// they were too many.
    pub(super) fn take_changed(&mut self) -> Option<BTreeSet<IpNet>> {
        match std::mem::replace(&mut self.changed, Changed::Sources(BTreeSet::new())) {
            Changed::Sources(sources) => Some(sources),
            Changed::TooMany | Changed::NotAsked => None,
        }
    }

    /// Takes in what was saved: that is no change.
    pub(super) fn restore(&mut self, source: IpNet, value: V) {
        let newest = value.newest();
        if let Some(former) = self.values.insert(source, value) {
            self.by_age.remove(&(former.newest(), source));
        }
        self.by_age.insert((newest, source));
    }

    /// Whether a source has changed since [`Self::take_changed`] was last called, as far as that is known.
    pub(super) fn has_changed(&self, source: IpNet) -> bool {
        match &self.changed {
            Changed::Sources(sources) => sources.contains(&source),
            Changed::TooMany => self.values.contains_key(&source),
            Changed::NotAsked => false,
        }
    }

    /// These are to be told again.
    pub(super) fn note_changed(&mut self, source: IpNet) {
        self.changed.note(source);
    }
}

/// The most sources whose change is remembered; beyond, it is only known that everything may have changed.
const CHANGED_MAX: usize = 2_000_000;

/// Which sources have changed.
#[derive(Debug)]
enum Changed {
    /// Nobody wants to know.
    NotAsked,
    Sources(BTreeSet<IpNet>),
    TooMany,
}

impl Changed {
    fn note(&mut self, source: IpNet) {
        if let Self::Sources(sources) = self {
            sources.insert(source);
            if sources.len() > CHANGED_MAX {
                *self = Self::TooMany;
            }
        }
    }
}
