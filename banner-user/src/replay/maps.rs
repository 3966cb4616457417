//! The kernel's maps, as far as they can be full.

use std::collections::{BTreeMap, HashSet};

use crate::{
    enforce::kernel::MapSizes,
    judge::{
        Kernel, NoRoom,
        effect::{Entry, Map, Slot},
    },
};

/// Which keys are taken. Never more than the maps of a daemon would hold.
#[derive(Debug)]
pub(super) struct Maps {
    sizes: MapSizes,
    taken: BTreeMap<Map, HashSet<Slot>>,
}

impl Maps {
    pub(super) fn new(sizes: MapSizes) -> Self {
        Self { sizes, taken: BTreeMap::new() }
    }
}

impl Kernel for Maps {
    fn write(&mut self, entry: &Entry) -> Result<(), NoRoom> {
        let map = entry.slot.map();
        let room = match map {
            Map::BansV4 => self.sizes.bans_v4,
            Map::BansV6 => self.sizes.bans_v6,
            Map::NetsV4 | Map::NetsV6 => self.sizes.prefixes,
        };
        let taken = self.taken.entry(map).or_default();
        if !taken.contains(&entry.slot) && taken.len() >= usize::try_from(room).unwrap_or(usize::MAX) {
            return Err(NoRoom);
        }
        taken.insert(entry.slot);
        Ok(())
    }

    fn remove(&mut self, slot: Slot) {
        if let Some(taken) = self.taken.get_mut(&slot.map()) {
            taken.remove(&slot);
        }
    }
}
