//! Something about each of the sources seen most recently, which one was seen longest ago, and which have changed.
//!
//! A million sources are kept, of which nearly all have failed once. So an entry has room for the brief form of what is known
//! of a source, and what does not fit stands elsewhere; entries are found by a hash table through them, and ordered by age in
//! a row through them. Of two that are as old, the one that came first goes first: no order depends on the hash table's key.
//!
//! An attacker who chooses sources makes as many entries as there are sources; what bounds them calls
//! [`Recent::forget_oldest`]. None of his choices makes an entry larger or longer to find than any other.

mod entry;
mod index;
mod pieces;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeSet, mem};

use ipnet::IpNet;

use self::{
    entry::{APART, Entry, Key, NONE, Places, Stored},
    index::Index,
    pieces::Pieces,
};
use super::prefix::range;
use crate::clock::LogTime;

/// What knows when it last changed.
pub(super) trait Aged: Clone + Default {
    /// What most of them come to, in few bytes; [`Never`](std::convert::Infallible) where there is no such thing.
    type Brief: Copy;

    fn newest(&self) -> Option<LogTime>;

    /// Moves its times by so many microseconds.
    fn shift(&mut self, step: i64);

    /// The brief form, and a bit that belongs to it; none where nothing less than all of it says the same.
    fn brief(&self) -> Option<(Self::Brief, bool)>;

    /// What has this brief form.
    fn from_brief(brief: Self::Brief, mark: bool) -> Self;

    /// Whether its age is about the time at which it was last changed: not where it is when something will end.
    fn is_in_step(&self) -> bool {
        true
    }
}

/// Lines are that much out of order where several logs are read: entries that are passed on the way to where an age belongs.
/// One that belongs farther back stands apart.
const STEPS_MAX: usize = 64;

/// Values by source, in the order of their age.
#[derive(Debug)]
pub(super) struct Recent<V: Aged> {
    entries: Pieces<Entry<V::Brief>>,
    free: u32,
    len: usize,
    index: Index,
    /// Values that are not brief.
    values: Places<V>,
    /// Sources that are longer than 64 bits.
    long: Places<Key>,
    /// The ends of the row by age.
    oldest: u32,
    youngest: u32,
    /// Those whose age belongs elsewhere than at the row's end: few, so that these may cost more.
    apart: BTreeSet<(Option<LogTime>, u32)>,
    changed: Changed,
}

impl<V: Aged> Recent<V> {
    pub(super) fn new() -> Self {
        Self {
            entries: Pieces::new(),
            free: NONE,
            len: 0,
            index: Index::new(),
            values: Places::new(),
            long: Places::new(),
            oldest: NONE,
            youngest: NONE,
            apart: BTreeSet::new(),
            changed: Changed::default(),
        }
    }

    /// One that remembers which of its sources have changed, for [`Self::take_changed`].
    pub(super) fn watched() -> Self {
        Self { changed: Changed { is_asked: true, ..Changed::default() }, ..Self::new() }
    }

    /// Moves all times by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        // Moved alike, the row stays in order.
        self.apart.clear();
        for place in (0..).take(self.entries.len()) {
            let Some(mut value) = self.take(place) else { continue };
            value.shift(step);
            if self.at(place).is_some_and(|entry| entry.before == APART) {
                self.apart.insert((value.newest(), place));
            }
            self.put(place, value);
            self.changed.note(place, &mut self.entries);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, source: IpNet) -> Option<Cow<'_, V>> {
        self.find(source).and_then(|place| self.value(place))
    }

    /// Changes the value of a source, from the default where it has none.
    pub(super) fn update<T>(&mut self, source: IpNet, update: impl FnOnce(&mut V) -> T) -> T {
        let found = self.find(source);
        let place = found.unwrap_or_else(|| self.insert(source));
        let mut value = self.take(place).unwrap_or_default();
        let former = found.map(|_| value.newest());
        let result = update(&mut value);
        self.settle(place, former, value);
        self.changed.note(place, &mut self.entries);
        result
    }

    /// Whether there was one.
    pub(super) fn remove(&mut self, source: IpNet) -> bool {
        let found = self.find(source);
        found.inspect(|place| self.forget(*place)).is_some()
    }

    /// Forgets every source inside a prefix. How many there were. Looks at all that there are: this is for what an operator does.
    pub(super) fn remove_within(&mut self, prefix: IpNet) -> usize {
        let inside = range(prefix);
        let places = self.entries.iter().filter(|(_, entry)| !entry.is_free());
        let places: Vec<u32> = places
            .filter(|(_, entry)| inside.contains(&entry.key(&self.long).source()))
            .map(|(place, _)| place)
            .collect();
        places.iter().for_each(|place| self.forget(*place));
        places.len()
    }

    /// When the source that was seen longest ago was seen.
    pub(super) fn oldest(&self) -> Option<LogTime> {
        self.first().and_then(|place| self.value(place)).and_then(|value| value.newest())
    }

    pub(super) fn forget_oldest(&mut self) {
        if let Some(place) = self.first() {
            self.forget(place);
        }
    }

    /// In the order of the sources.
    pub(super) fn iter(&self) -> impl Iterator<Item = (IpNet, Cow<'_, V>)> {
        let places = self.entries.iter().filter(|(_, entry)| !entry.is_free());
        let mut places: Vec<(IpNet, u32)> =
            places.map(|(place, entry)| (entry.key(&self.long).source(), place)).collect();
        places.sort_unstable();
        places.into_iter().filter_map(|(source, place)| Some((source, self.value(place)?)))
    }

    /// The sources that have changed, or are gone, since this was last asked, in their order; none where that is not known any more, because
    /// they were too many.
    pub(super) fn take_changed(&mut self) -> Option<Vec<IpNet>> {
        let Changed { places, gone, are_too_many, .. } =
            mem::replace(&mut self.changed, Changed { is_asked: true, ..Changed::default() });
        let mut changed = Vec::from_iter(gone);
        for place in places {
            // A place may have become another one's since.
            if let Some(entry) = self.entries.get_mut(place)
                && mem::take(&mut entry.has_changed)
            {
                changed.push(entry.key(&self.long).source());
            }
        }
        changed.sort_unstable();
        changed.dedup();
        (!are_too_many).then_some(changed)
    }

    /// Takes in what was saved: that is no change.
    pub(super) fn restore(&mut self, source: IpNet, value: V) {
        let found = self.find(source);
        let place = found.unwrap_or_else(|| self.insert(source));
        let former = found.and_then(|place| self.value(place)).map(|value| value.newest());
        self.settle(place, former, value);
    }

    /// Whether a source has changed since [`Self::take_changed`] was last called, as far as that is known.
    pub(super) fn has_changed(&self, source: IpNet) -> bool {
        // As at every start, when a million are asked about.
        if self.changed.is_nothing() {
            return false;
        }
        match self.find(source).and_then(|place| self.at(place)) {
            Some(entry) if entry.has_changed || self.changed.are_too_many => true,
            Some(_) | None => self.changed.gone.contains(&source),
        }
    }

    /// These are to be told again.
    pub(super) fn note_changed(&mut self, source: IpNet) {
        match self.find(source) {
            Some(place) => self.changed.note(place, &mut self.entries),
            None => self.changed.note_gone(source),
        }
    }

    fn at(&self, place: u32) -> Option<&Entry<V::Brief>> {
        self.entries.get(place)
    }

    fn find(&self, source: IpNet) -> Option<u32> {
        self.index.find(Key::of(source), &self.entries, &self.long)
    }

    fn value(&self, place: u32) -> Option<Cow<'_, V>> {
        let entry = self.at(place)?;
        match &entry.stored {
            Stored::Brief(brief) => Some(Cow::Owned(V::from_brief(*brief, entry.mark))),
            Stored::Long(place) => self.values.get(*place).map(Cow::Borrowed),
        }
    }

    /// An entry for a source that has none. It has no value, and stands nowhere in the row.
    fn insert(&mut self, source: IpNet) -> u32 {
        let entry = Entry::new(Key::of(source), &mut self.long);
        let place = self.free;
        let place = match self.entries.get_mut(place) {
            Some(free) => {
                self.free = free.chained;
                *free = entry;
                place
            }
            None => {
                let Ok(place) = u32::try_from(self.entries.len()) else { return NONE };
                self.entries.push(entry);
                place
            }
        };
        self.len = self.len.saturating_add(1);
        self.index.add(place, &mut self.entries, &self.long);
        place
    }

    fn forget(&mut self, place: u32) {
        let former = self.value(place).and_then(|value| value.newest());
        self.step_out(place, former);
        self.index.remove(place, &mut self.entries, &self.long);
        let Some(entry) = self.entries.get_mut(place).filter(|entry| !entry.is_free()) else { return };
        if let Stored::Long(value) = entry.stored {
            self.values.give_back(value);
        }
        self.changed.note_gone(entry.key(&self.long).source());
        entry.free(&mut self.long);
        entry.stored = Stored::Long(NONE);
        entry.chained = mem::replace(&mut self.free, place);
        self.len = self.len.saturating_sub(1);
    }

    /// The value of an entry, to be put back.
    fn take(&mut self, place: u32) -> Option<V> {
        let entry = self.entries.get(place).filter(|entry| !entry.is_free())?;
        Some(match entry.stored {
            Stored::Brief(brief) => V::from_brief(brief, entry.mark),
            Stored::Long(value) => self.values.take_out(value),
        })
    }

    fn put(&mut self, place: u32, value: V) {
        let Some(entry) = self.entries.get_mut(place) else { return };
        match (value.brief(), &entry.stored) {
            (Some((brief, mark)), former) => {
                if let Stored::Long(former) = former {
                    self.values.give_back(*former);
                }
                (entry.stored, entry.mark) = (Stored::Brief(brief), mark);
            }
            (None, Stored::Long(former)) if *former != NONE => self.values.put(*former, value),
            (None, _) => entry.stored = Stored::Long(self.values.take(value)),
        }
    }

    /// Puts a value into an entry, whose value was that old where it had any, and the entry where its age belongs.
    fn settle(&mut self, place: u32, former: Option<Option<LogTime>>, value: V) {
        let (newest, is_in_step) = (value.newest(), value.is_in_step());
        self.put(place, value);
        if former == Some(newest) {
            return;
        }
        if let Some(former) = former {
            self.step_out(place, former);
        }
        match self.older(newest).filter(|_| is_in_step) {
            Some(older) => self.step_in(place, older),
            None => {
                if let Some(entry) = self.entries.get_mut(place) {
                    entry.before = APART;
                    self.apart.insert((newest, place));
                }
            }
        }
    }

    /// The youngest one in the row that is not younger than this; `NONE` where there is none. `None` where it is too far back.
    fn older(&self, newest: Option<LogTime>) -> Option<u32> {
        let mut place = self.youngest;
        for _ in 0..STEPS_MAX {
            match self.value(place) {
                Some(value) if value.newest() > newest => place = self.at(place)?.before,
                Some(_) | None => return Some(place),
            }
        }
        None
    }

    /// Takes an entry of this age out of the row.
    fn step_out(&mut self, place: u32, newest: Option<LogTime>) {
        let Some((before, after)) = self.at(place).map(|entry| (entry.before, entry.after)) else { return };
        if before == APART {
            self.apart.remove(&(newest, place));
            return;
        }
        match self.entries.get_mut(before) {
            Some(older) => older.after = after,
            None => self.oldest = after,
        }
        match self.entries.get_mut(after) {
            Some(younger) => younger.before = before,
            None => self.youngest = before,
        }
    }

    /// Lets an entry stand after another one in the row; at its beginning for `NONE`.
    fn step_in(&mut self, place: u32, older: u32) {
        let after = match self.entries.get_mut(older) {
            Some(older) => mem::replace(&mut older.after, place),
            None => mem::replace(&mut self.oldest, place),
        };
        match self.entries.get_mut(after) {
            Some(younger) => younger.before = place,
            None => self.youngest = place,
        }
        if let Some(entry) = self.entries.get_mut(place) {
            (entry.before, entry.after) = (older, after);
        }
    }

    /// The oldest of all.
    fn first(&self) -> Option<u32> {
        let in_row = self.value(self.oldest).map(|value| value.newest());
        match (in_row, self.apart.first()) {
            (Some(row), Some((apart, place))) if *apart < row => Some(*place),
            (None, Some((_, place))) => Some(*place),
            (Some(_), _) => Some(self.oldest),
            (None, None) => None,
        }
    }
}

/// The most changes that are remembered; beyond, it is only known that everything may have changed.
const CHANGED_MAX: usize = 2_000_000;

/// Which sources have changed.
#[derive(Debug, Default)]
struct Changed {
    /// Somebody wants to know.
    is_asked: bool,
    /// Entries that have changed, each once while it is the same source's.
    places: Vec<u32>,
    /// Those that are gone, though they may be back by now.
    gone: BTreeSet<IpNet>,
    are_too_many: bool,
}

impl Changed {
    fn is_nothing(&self) -> bool {
        self.places.is_empty() && self.gone.is_empty() && !self.are_too_many
    }

    fn note<B>(&mut self, place: u32, entries: &mut Pieces<Entry<B>>) {
        if let Some(entry) = entries.get_mut(place)
            && self.is_asked
            && !entry.has_changed
            && !self.are_too_many()
        {
            entry.has_changed = true;
            self.places.push(place);
        }
    }

    fn note_gone(&mut self, source: IpNet) {
        if self.is_asked && !self.are_too_many() {
            self.gone.insert(source);
        }
    }

    fn are_too_many(&mut self) -> bool {
        self.are_too_many |= self.places.len().saturating_add(self.gone.len()) >= CHANGED_MAX;
        self.are_too_many
    }
}
