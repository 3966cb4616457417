//! Full maps: what waits for room, and when that is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::effect::{Map, Slot};
use crate::clock::BootTime;

/// Entries that wait for room in one map. Beyond, bans that nobody made by hand are given up: a map that is full of what may
/// not yield has to be made larger, and until then nothing may grow with the attack.
pub(super) const WAITING_MAX: usize = 4096;

/// Says yes at most once an hour.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hourly {
    last: Option<BootTime>,
}

impl Hourly {
    pub(super) fn due(&mut self, now: BootTime) -> bool {
        let due = self.last.is_none_or(|last| now - last >= Duration::from_secs(3600));
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// The room of all maps.
#[derive(Debug, Default)]
pub(super) struct Capacity {
    maps: BTreeMap<Map, Room>,
}

#[derive(Debug, Default)]
struct Room {
    waiting: BTreeSet<Slot>,
    /// Entries of lists alone that wait: as many as the lists have.
    listed: BTreeSet<Slot>,
    /// Entries of lists alone that are in the map, as far as is known: the first to yield.
    yielding: BTreeSet<Slot>,
    yielded: u64,
    told: Hourly,
}

impl Capacity {
    /// Bans that yielded in a map since the start, and entries that wait for room in it.
    pub(super) fn counts(&self, map: Map) -> (u64, usize) {
        self.maps.get(&map).map_or((0, 0), |room| (room.yielded, room.waiting.len().saturating_add(room.listed.len())))
    }

    pub(super) fn yielded(&mut self, map: Map) {
        let yielded = &mut self.maps.entry(map).or_default().yielded;
        *yielded = yielded.saturating_add(1);
    }

    /// Remembers what waits for room. Whether there is a place to wait.
    pub(super) fn wait(&mut self, slot: Slot) -> bool {
        let waiting = &mut self.maps.entry(slot.map()).or_default().waiting;
        let place = waiting.len() < WAITING_MAX || waiting.contains(&slot);
        if place {
            waiting.insert(slot);
        }
        place
    }

    /// An entry of lists alone waits for room. There is always a place: the lists are bounded.
    pub(super) fn wait_listed(&mut self, slot: Slot) {
        let room = self.maps.entry(slot.map()).or_default();
        room.yielding.remove(&slot);
        room.listed.insert(slot);
    }

    /// An entry of lists alone is in its map, or soon will be.
    pub(super) fn may_yield(&mut self, slot: Slot) {
        let room = self.maps.entry(slot.map()).or_default();
        if !room.listed.contains(&slot) {
            room.yielding.insert(slot);
        }
    }

    /// An entry in a map that may be one of lists alone, taken out.
    pub(super) fn listed_victim(&mut self, map: Map) -> Option<Slot> {
        self.maps.get_mut(&map)?.yielding.pop_last()
    }

    pub(super) fn written(&mut self, slot: Slot) {
        if let Some(room) = self.maps.get_mut(&slot.map()) {
            room.waiting.remove(&slot);
            if room.listed.remove(&slot) {
                room.yielding.insert(slot);
            }
        }
    }

    pub(super) fn waits(&self, slot: Slot) -> bool {
        self.maps.get(&slot.map()).is_some_and(|room| room.waiting.contains(&slot) || room.listed.contains(&slot))
    }

    /// An entry was removed: what waited for its room, taken out. One that itself only waited leaves none.
    pub(super) fn freed(&mut self, freed: Slot) -> Option<Slot> {
        let Room { waiting, listed, yielding, .. } = self.maps.get_mut(&freed.map())?;
        yielding.remove(&freed);
        if waiting.remove(&freed) || listed.remove(&freed) {
            None
        } else {
            waiting.pop_first().or_else(|| listed.pop_first())
        }
    }

    /// Whether a full map is told of now.
    pub(super) fn tell(&mut self, map: Map, now: BootTime) -> bool {
        self.maps.entry(map).or_default().told.due(now)
    }
}
