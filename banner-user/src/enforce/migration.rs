//! The pinned maps: whether they are banner's, and what happens to the bans in them when another size is configured.

use std::{cmp::Reverse, path::Path};

use aya::maps::{MapInfo, MapType};
use banner_common::{Ban, REASONS};

use super::{
    bans::{BanMapError, BanMaps, Counters},
    kernel::{CLOCK, KernelError, MapSizes, PINNED, failed, load_object, load_program, program},
    pins::Pins,
    ticks,
};
use crate::{
    clock::Now,
    judge::effect::{self, Entry, Until},
};

/// What a migration to maps of another size did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// Entries that are in the new maps.
    pub kept: usize,
    /// Entries that the new maps had no room for: those nearest their end.
    pub dropped: usize,
}

/// The maps of bans, with what each must look like.
pub(super) fn geometry(sizes: MapSizes) -> [(&'static str, MapType, u32, u32); 4] {
    [
        ("BANS_V4", MapType::Hash, 4, sizes.bans_v4),
        ("BANS_V6", MapType::Hash, 8, sizes.bans_v6),
        ("NETS_V4", MapType::LpmTrie, 12, sizes.prefixes),
        ("NETS_V6", MapType::LpmTrie, 20, sizes.prefixes),
    ]
}

/// The maps whose size is the interface's, not the configuration's.
const FIXED: [(&str, MapType, u32, usize, u32); 3] = [
    ("NETS_PRESENT", MapType::Array, 4, size_of::<u32>(), 2),
    ("PORTS", MapType::Array, 4, size_of::<u16>(), 1 << 16),
    ("STATS", MapType::PerCpuArray, 4, size_of::<u64>(), REASONS),
];

/// Whether a pinned map of bans has another size than is configured. The loader would reuse it all the same, and any other
/// map that is pinned under one of these names too.
///
/// # Errors
/// [`KernelError::ForeignMap`].
pub(super) fn resized(pins: &Pins, sizes: MapSizes) -> Result<bool, KernelError> {
    for (name, kind, key_size, value_size, entries) in FIXED {
        let path = pins.map(name);
        if path.exists() && pinned_entries(&path, kind, key_size, value_size)? != entries {
            return Err(KernelError::ForeignMap { path, found: format!("an array of other than {entries} entries") });
        }
    }
    let mut resized = false;
    for (name, kind, key_size, entries) in geometry(sizes) {
        let path = pins.map(name);
        if path.exists() {
            resized |= pinned_entries(&path, kind, key_size, BAN)? != entries;
        }
    }
    Ok(resized)
}

/// The sizes of the pinned maps.
///
/// # Errors
/// Where one is missing, or is no map of banner's.
pub fn pinned_sizes(pins: &Pins) -> Result<MapSizes, KernelError> {
    let mut sizes = MapSizes { bans_v4: 0, bans_v6: 0, prefixes: 0 };
    for (name, kind, key_size, _) in geometry(sizes) {
        let entries = pinned_entries(&pins.map(name), kind, key_size, BAN)?;
        match name {
            "BANS_V4" => sizes.bans_v4 = entries,
            "BANS_V6" => sizes.bans_v6 = entries,
            _ => sizes.prefixes = entries,
        }
    }
    Ok(sizes)
}

const BAN: usize = size_of::<Ban>();

fn pinned_entries(path: &Path, kind: MapType, key_size: u32, value_size: usize) -> Result<u32, KernelError> {
    let info = MapInfo::from_pin(path).map_err(failed("look at a pinned map"))?;
    let found = info.map_type().map_err(failed("look at a pinned map"))?;
    if (found, info.key_size(), info.value_size() as usize) == (kind, key_size, value_size) {
        return Ok(info.max_entries());
    }
    let found = format!("{found:?} with keys of {} and values of {} bytes", info.key_size(), info.value_size());
    Err(KernelError::ForeignMap { path: path.to_owned(), found })
}

/// Copies every ban into maps of the configured sizes, which then take the place of the pinned ones. Where there is less room,
/// the bans nearest their end yield.
///
/// # Errors
/// [`KernelError::TooSmall`] where others would have to; the pinned maps stay then.
pub(super) fn migrate(pins: &Pins, sizes: MapSizes) -> Result<Migration, KernelError> {
    if PINNED.iter().any(|name| !pins.map(name).exists()) {
        // A first start was cut off before all were pinned, and so before anything was enforced: the others are as empty.
        load_object(&pins.maps(), sizes)?;
    }
    pins.begin_migration()?;
    let mut object = load_object(&pins.next_maps(), sizes)?;
    load_program(&mut object, CLOCK)?;
    let ticks = ticks::measure(program(&mut object, CLOCK)?)?;
    let mut entries = BanMaps::open(pins)?.entries(&ticks)?;
    let now = Until::Boot(Now::read().boot);
    entries.retain(|(entry, _)| entry.until > now);
    entries.sort_by_key(|(entry, _)| Reverse((never_yields(entry), entry.until)));
    check_room(sizes, &entries)?;
    let mut migration = Migration::default();
    let mut next = BanMaps::open_in(&pins.next_maps())?;
    for (entry, counters) in &entries {
        match next.restore(entry, counters, &ticks) {
            Ok(()) => migration.kept += 1,
            Err(BanMapError::Full) => migration.dropped += 1,
            Err(error) => return Err(error.into()),
        }
    }
    pins.finish_migration()?;
    Ok(migration)
}

fn never_yields(entry: &Entry) -> bool {
    entry.protected || entry.manual || (entry.until == Until::Permanent && !entry.listed)
}

fn check_room(sizes: MapSizes, entries: &[(Entry, Counters)]) -> Result<(), KernelError> {
    for map in effect::Map::ALL {
        let (key, size) = match map {
            effect::Map::BansV4 => ("bans_v4", sizes.bans_v4),
            effect::Map::BansV6 => ("bans_v6", sizes.bans_v6),
            effect::Map::NetsV4 | effect::Map::NetsV6 => ("prefixes", sizes.prefixes),
        };
        let needed = entries.iter().filter(|(entry, _)| entry.slot.map() == map && never_yields(entry)).count();
        if needed > size as usize {
            return Err(KernelError::TooSmall { key, size, needed });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
