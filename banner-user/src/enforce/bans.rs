//! The four maps that hold bans, read and written entry by entry. They are the truth about what is dropped and how much.

mod batch;
mod page;
mod verdicts;

use std::{
    collections::HashSet,
    error::Error,
    io,
    net::{Ipv4Addr, Ipv6Addr},
    path::Path,
};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, lpm_trie::Key};
use banner_common::{
    Ban, FLAG_LISTED, FLAG_MANUAL, FLAG_OBSERVE, FLAG_PROTECTED, KeyV4, KeyV6, NETS_PRESENT_V4, NETS_PRESENT_V6,
    NetKeyV4, NetKeyV6, PERMANENT, Reason, net_key_v4,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub use self::page::Cursor;
use self::page::Paged;
pub use self::verdicts::Verdicts;
use super::pins::Pins;
use crate::{
    clock::{BootTime, TickClock, Ticks},
    judge::effect::{self, Entry, Slot, Until},
    service::ServiceMask,
};

/// The maps of bans, as opened from their pins.
pub struct BanMaps {
    v4: HashMap<MapData, KeyV4, Ban>,
    v6: HashMap<MapData, KeyV6, Ban>,
    nets_v4: LpmTrie<MapData, NetKeyV4, Ban>,
    nets_v6: LpmTrie<MapData, NetKeyV6, Ban>,
    nets_present: Array<MapData, u32>,
    stats: PerCpuArray<MapData, u64>,
    /// The same maps once more, to be read page by page.
    paged: Paged,
    /// The prefixes that have an entry of their own, of each family. A trie cannot tell: asked for a prefix that it does not
    /// have, it answers with the entry of a wider one (`trie_lookup_elem`, `kernel/bpf/lpm_trie.c`).
    nets: [HashSet<IpNet>; 2],
    /// Entries in `BANS_V4` and `BANS_V6`, counted when opened and kept since: a hash cannot tell either.
    hashed: [u64; 2],
}

/// What one entry has dropped (or, observing, would have).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes, Ethernet header included.
    pub bytes: u64,
    /// When the last packet came.
    pub last_seen: Option<BootTime>,
}

/// Why an entry could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BanMapError {
    /// The map has no room.
    #[error("the map is full")]
    Full,
    /// There is no such map: nothing was loaded here, or `detach` took it off.
    #[error("cannot open the pinned map {name}: {error}; is banner attached? (`banner run` pins it)")]
    Open {
        /// The map.
        name: &'static str,
        /// Why.
        error: MapError,
    },
    /// The kernel refused to list a map.
    #[error("the kernel refused to list the entries of {map}: {error}")]
    Page {
        /// The map.
        map: effect::Map,
        /// Why.
        error: io::Error,
    },
    /// The kernel refused.
    #[error("the kernel refused to {operation}: {error}")]
    Kernel {
        /// What was tried.
        operation: &'static str,
        /// Why.
        error: MapError,
    },
}

impl BanMaps {
    /// Opens the maps that are pinned.
    ///
    /// # Errors
    /// [`BanMapError::Open`] where one is missing or not what it should be.
    pub fn open(pins: &Pins) -> Result<Self, BanMapError> {
        Self::open_in(&pins.maps())
    }

    /// Opens the maps that are pinned in this directory, which a migration is filling.
    pub(super) fn open_in(directory: &Path) -> Result<Self, BanMapError> {
        let mut maps = Self {
            v4: HashMap::try_from(Map::HashMap(open(directory, "BANS_V4")?)).map_err(not_a_map("BANS_V4"))?,
            v6: HashMap::try_from(Map::HashMap(open(directory, "BANS_V6")?)).map_err(not_a_map("BANS_V6"))?,
            nets_v4: LpmTrie::try_from(Map::LpmTrie(open(directory, "NETS_V4")?)).map_err(not_a_map("NETS_V4"))?,
            nets_v6: LpmTrie::try_from(Map::LpmTrie(open(directory, "NETS_V6")?)).map_err(not_a_map("NETS_V6"))?,
            nets_present: Array::try_from(Map::Array(open(directory, "NETS_PRESENT")?))
                .map_err(not_a_map("NETS_PRESENT"))?,
            stats: PerCpuArray::try_from(Map::PerCpuArray(open(directory, "STATS")?)).map_err(not_a_map("STATS"))?,
            paged: Paged::open(directory)?,
            nets: [HashSet::new(), HashSet::new()],
            hashed: [0, 0],
        };
        let [mut v4, mut v6] = [0, 0];
        maps.each_page(effect::Map::BansV4, |page| v4 += page.len() as u64)?;
        maps.each_page(effect::Map::BansV6, |page| v6 += page.len() as u64)?;
        maps.hashed = [v4, v6];
        let [nets_v4, nets_v6] = &mut maps.nets;
        for key in maps.nets_v4.keys() {
            nets_v4.extend(net_v4(&key.map_err(|error| refused("list the bans", error))?).map(IpNet::V4));
        }
        for key in maps.nets_v6.keys() {
            nets_v6.extend(net_v6(&key.map_err(|error| refused("list the bans", error))?).map(IpNet::V6));
        }
        Ok(maps)
    }

    /// Writes an entry. One that exists keeps its counters (but for packets that arrive in the same microsecond).
    ///
    /// # Errors
    /// [`BanMapError::Full`] where the map has no room for another.
    pub fn write(&mut self, entry: &Entry, ticks: &TickClock) -> Result<(), BanMapError> {
        let former = self.read(entry.slot)?;
        self.put(entry, former.unwrap_or_default(), ticks)?;
        if former.is_none() {
            self.count_hashed(entry.slot, 1);
        }
        Ok(())
    }

    /// Writes entries of one hash that has none of them, as long as the kernel takes them; returns how many it has taken.
    pub fn fill(&mut self, map: effect::Map, entries: impl Iterator<Item = Entry>, ticks: &TickClock) -> usize {
        let new = |entry: Entry| encode(&entry, ticks, Ban::default());
        let [used_v4, used_v6] = &mut self.hashed;
        let (used, taken) = match map {
            effect::Map::BansV4 => {
                let key = |entry: Entry| if let Slot::V4(key) = entry.slot { Some((key, new(entry))) } else { None };
                (used_v4, batch::fill(&self.paged.v4, entries.map_while(key)))
            }
            effect::Map::BansV6 => {
                let key = |entry: Entry| if let Slot::V6(key) = entry.slot { Some((key, new(entry))) } else { None };
                (used_v6, batch::fill(&self.paged.v6, entries.map_while(key)))
            }
            // A trie takes them one by one all the same.
            effect::Map::NetsV4 | effect::Map::NetsV6 => return 0,
        };
        *used = used.saturating_add(taken as u64);
        taken
    }

    fn put(&mut self, entry: &Entry, former: Ban, ticks: &TickClock) -> Result<(), BanMapError> {
        let value = encode(entry, ticks, former);
        match entry.slot {
            Slot::V4(key) => self.v4.insert(key, value, 0),
            Slot::V6(key) => self.v6.insert(key, value, 0),
            Slot::NetV4(net) => {
                self.set_present(NETS_PRESENT_V4, true)?;
                self.nets_v4.insert(&key_v4(net), value, 0)
            }
            Slot::NetV6(net) => {
                self.set_present(NETS_PRESENT_V6, true)?;
                self.nets_v6.insert(&key_v6(net), value, 0)
            }
        }
        .map_err(|error| refused("write a ban", error))?;
        if let Slot::NetV4(_) | Slot::NetV6(_) = entry.slot {
            self.nets_of(entry.slot.prefix()).insert(entry.slot.prefix());
        }
        Ok(())
    }

    /// Writes an entry that comes from another map, with what it has counted there.
    pub(super) fn restore(&mut self, entry: &Entry, counters: &Counters, ticks: &TickClock) -> Result<(), BanMapError> {
        let former = Ban {
            packets: counters.packets,
            bytes: counters.bytes,
            last_seen: counters.last_seen.map_or(0, |at| ticks.ticks_at(at).0),
            ..Ban::default()
        };
        self.put(entry, former, ticks)?;
        self.count_hashed(entry.slot, 1);
        Ok(())
    }

    /// Removes an entry. False where there was none.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn remove(&mut self, slot: Slot) -> Result<bool, BanMapError> {
        let removed = match slot {
            Slot::V4(key) => self.v4.remove(&key),
            Slot::V6(key) => self.v6.remove(&key),
            Slot::NetV4(net) => self.nets_v4.remove(&key_v4(net)),
            Slot::NetV6(net) => self.nets_v6.remove(&key_v6(net)),
        };
        match removed {
            Ok(()) => {
                self.count_hashed(slot, -1);
                self.forget_net(slot).map(|()| true)
            }
            Err(error) if is_missing(&error) => self.forget_net(slot).map(|()| false),
            Err(error) => Err(refused("remove a ban", error)),
        }
    }

    /// How many entries a map holds.
    #[must_use]
    pub fn used(&self, map: effect::Map) -> u64 {
        let ([v4, v6], [nets_v4, nets_v6]) = (self.hashed, &self.nets);
        match map {
            effect::Map::BansV4 => v4,
            effect::Map::BansV6 => v6,
            effect::Map::NetsV4 => nets_v4.len() as u64,
            effect::Map::NetsV6 => nets_v6.len() as u64,
        }
    }

    /// What an entry has dropped so far; None where there is none.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn counters(&self, slot: Slot, ticks: &TickClock) -> Result<Option<Counters>, BanMapError> {
        Ok(self.read(slot)?.map(|ban| counters(&ban, ticks)))
    }

    /// Whether an entry that was written still is as it was. One that is gone no longer counts as [used](Self::used).
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn still_holds(&mut self, entry: &Entry, ticks: &TickClock) -> Result<bool, BanMapError> {
        let found = self.read(entry.slot)?;
        if found.is_none() {
            self.count_hashed(entry.slot, -1);
        }
        // By the clock of an earlier run, the deadline may have become the tick beside it.
        Ok(found.is_some_and(|found| {
            let written = encode(entry, ticks, found);
            written.deadline.abs_diff(found.deadline) <= 1 && Ban { deadline: found.deadline, ..written } == found
        }))
    }

    /// Every entry of every map, in no order. Entries that come or go meanwhile may be missed.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn entries(&self, ticks: &TickClock) -> Result<Vec<(Entry, Counters)>, BanMapError> {
        let mut entries = Vec::new();
        // Two calls for each entry would be a second for a million of them.
        for map in [effect::Map::BansV4, effect::Map::BansV6] {
            self.each_page(map, |page| {
                entries.extend(page.iter().map(|(slot, ban)| (decode(*slot, ban, ticks), counters(ban, ticks))));
            })?;
        }
        let mut push = |slot, ban: &Ban| entries.push((decode(slot, ban, ticks), counters(ban, ticks)));
        for found in self.nets_v4.iter() {
            let (key, ban) = found.map_err(|error| refused("list the bans", error))?;
            if let Some(net) = net_v4(&key) {
                push(Slot::NetV4(net), &ban);
            }
        }
        for found in self.nets_v6.iter() {
            let (key, ban) = found.map_err(|error| refused("list the bans", error))?;
            if let Some(net) = net_v6(&key) {
                push(Slot::NetV6(net), &ban);
            }
        }
        Ok(entries)
    }

    /// Counts an entry that somebody else has written as [used](Self::used).
    pub fn count_foreign(&mut self, slot: Slot) {
        match slot {
            Slot::V4(_) | Slot::V6(_) => self.count_hashed(slot, 1),
            Slot::NetV4(_) | Slot::NetV6(_) => {
                self.nets_of(slot.prefix()).insert(slot.prefix());
            }
        }
    }

    /// Somebody else has taken it out again.
    ///
    /// # Errors
    /// Where the kernel refuses to be told that a trie is empty.
    pub fn discount_foreign(&mut self, slot: Slot) -> Result<(), BanMapError> {
        self.count_hashed(slot, -1);
        self.forget_net(slot)
    }

    /// Packets by reason, all processors together.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn packets(&self, reason: Reason) -> Result<u64, BanMapError> {
        let values = self.stats.get(&(reason as u32), 0).map_err(|error| refused("read the counters", error))?;
        Ok(values.iter().sum())
    }

    fn read(&self, slot: Slot) -> Result<Option<Ban>, BanMapError> {
        let found = match slot {
            Slot::V4(key) => self.v4.get(&key, 0),
            Slot::V6(key) => self.v6.get(&key, 0),
            Slot::NetV4(_) | Slot::NetV6(_) if !self.nets.iter().any(|nets| nets.contains(&slot.prefix())) => {
                return Ok(None);
            }
            Slot::NetV4(net) => self.nets_v4.get(&key_v4(net), 0),
            Slot::NetV6(net) => self.nets_v6.get(&key_v6(net), 0),
        };
        match found {
            Ok(ban) => Ok(Some(ban)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(refused("read a ban", error)),
        }
    }

    fn count_hashed(&mut self, slot: Slot, change: i64) {
        let [v4, v6] = &mut self.hashed;
        match slot {
            Slot::V4(_) => *v4 = v4.saturating_add_signed(change),
            Slot::V6(_) => *v6 = v6.saturating_add_signed(change),
            Slot::NetV4(_) | Slot::NetV6(_) => {}
        }
    }

    fn forget_net(&mut self, slot: Slot) -> Result<(), BanMapError> {
        let present = match slot {
            Slot::V4(_) | Slot::V6(_) => return Ok(()),
            Slot::NetV4(_) => NETS_PRESENT_V4,
            Slot::NetV6(_) => NETS_PRESENT_V6,
        };
        let nets = self.nets_of(slot.prefix());
        nets.remove(&slot.prefix());
        if nets.is_empty() { self.set_present(present, false) } else { Ok(()) }
    }

    fn nets_of(&mut self, net: IpNet) -> &mut HashSet<IpNet> {
        let [nets_v4, nets_v6] = &mut self.nets;
        if net.addr().is_ipv4() { nets_v4 } else { nets_v6 }
    }

    fn set_present(&mut self, index: u32, present: bool) -> Result<(), BanMapError> {
        self.nets_present.set(index, u32::from(present), 0).map_err(|error| refused("write a ban", error))
    }
}

fn open(directory: &Path, name: &'static str) -> Result<MapData, BanMapError> {
    MapData::from_pin(directory.join(name)).map_err(not_a_map(name))
}

fn not_a_map(name: &'static str) -> impl Fn(MapError) -> BanMapError {
    move |error| BanMapError::Open { name, error }
}

fn refused(operation: &'static str, error: MapError) -> BanMapError {
    // A hash says E2BIG (`htab_map_update_elem`), a trie ENOSPC (`trie_update_elem`).
    match errno(&error) {
        Some(libc::E2BIG | libc::ENOSPC) => BanMapError::Full,
        _ => BanMapError::Kernel { operation, error },
    }
}

fn is_missing(error: &MapError) -> bool {
    matches!(error, MapError::KeyNotFound | MapError::ElementNotFound) || errno(error) == Some(libc::ENOENT)
}

fn errno(error: &MapError) -> Option<i32> {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.raw_os_error();
        }
        source = error.source();
    }
    None
}

fn key_v4(net: Ipv4Net) -> Key<NetKeyV4> {
    Key::new(u32::from(net.prefix_len()), net_key_v4(net.network().octets()))
}

fn key_v6(net: Ipv6Net) -> Key<NetKeyV6> {
    Key::new(u32::from(net.prefix_len()), net.network().octets())
}

/// A trie does not look at the bits behind a prefix, and keeps them as they were written.
fn net_v4(key: &Key<NetKeyV4>) -> Option<Ipv4Net> {
    let [a, b, c, d, ..] = key.data();
    Some(Ipv4Net::new(Ipv4Addr::new(a, b, c, d), u8::try_from(key.prefix_len()).ok()?).ok()?.trunc())
}

fn net_v6(key: &Key<NetKeyV6>) -> Option<Ipv6Net> {
    Some(Ipv6Net::new(Ipv6Addr::from(key.data()), u8::try_from(key.prefix_len()).ok()?).ok()?.trunc())
}

fn encode(entry: &Entry, ticks: &TickClock, former: Ban) -> Ban {
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    Ban {
        deadline: match entry.until {
            Until::Boot(at) => ticks.ticks_at(at).0,
            Until::Permanent => PERMANENT,
        },
        services: entry.services.0,
        reserved: 0,
        flags: flag(entry.observe, FLAG_OBSERVE)
            | flag(entry.manual, FLAG_MANUAL)
            | flag(entry.listed, FLAG_LISTED)
            | flag(entry.protected, FLAG_PROTECTED),
        ..former
    }
}

fn decode(slot: Slot, ban: &Ban, ticks: &TickClock) -> Entry {
    Entry {
        slot,
        services: ServiceMask(ban.services),
        until: match ban.deadline {
            PERMANENT => Until::Permanent,
            deadline => Until::Boot(ticks.boot_at(Ticks(deadline))),
        },
        observe: ban.flags & FLAG_OBSERVE != 0,
        manual: ban.flags & FLAG_MANUAL != 0,
        listed: ban.flags & FLAG_LISTED != 0,
        protected: ban.flags & FLAG_PROTECTED != 0,
    }
}

fn counters(ban: &Ban, ticks: &TickClock) -> Counters {
    Counters {
        packets: ban.packets,
        bytes: ban.bytes,
        last_seen: (ban.last_seen != 0).then(|| ticks.boot_at(Ticks(ban.last_seen))),
    }
}

#[cfg(test)]
mod tests;
