//! Reading a map page by page.
//!
//! `BPF_MAP_LOOKUP_BATCH` (Linux 5.6 for hashes, 5.13 for tries) hands out keys and values together, a thousand a call, and a
//! cursor to go on from. For a hash that is a number of a bucket (`__htab_map_lookup_and_delete_batch`,
//! kernel/bpf/hashtab.c), so that entries which go meanwhile put nothing back to the start, as `BPF_MAP_GET_NEXT_KEY` does.
//! For a trie it is the last key (`generic_map_lookup_batch`, kernel/bpf/syscall.c): where that has gone, the trie begins
//! anew.

use std::{io, path::Path};

use aya::maps::{MapData, lpm_trie::Key};
use banner_common::{Ban, NetKeyV4, NetKeyV6};

use super::{
    BanMapError, BanMaps,
    batch::{self, CURSOR},
    decode, net_v4, net_v6, open, refused,
};
use crate::{
    clock::TickClock,
    judge::effect::{Entry, Map, Slot},
};

/// Where the next page begins. Opaque; of one map, as long as that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor([u8; CURSOR]);

const _: () = {
    assert!(size_of::<u32>() + size_of::<NetKeyV4>() <= CURSOR);
    assert!(size_of::<u32>() + size_of::<NetKeyV6>() <= CURSOR);
};

/// The four maps, and for how many entries each has room.
pub(super) struct Paged {
    capacities: [u32; 4],
    pub(super) v4: MapData,
    pub(super) v6: MapData,
    nets_v4: MapData,
    nets_v6: MapData,
}

impl Paged {
    pub(super) fn open(directory: &Path) -> Result<Self, BanMapError> {
        let capacity =
            |map: &MapData| map.info().map(|info| info.max_entries()).map_err(|error| refused("size a map", error));
        let (v4, v6) = (open(directory, "BANS_V4")?, open(directory, "BANS_V6")?);
        let (nets_v4, nets_v6) = (open(directory, "NETS_V4")?, open(directory, "NETS_V6")?);
        let capacities = [capacity(&v4)?, capacity(&v6)?, capacity(&nets_v4)?, capacity(&nets_v6)?];
        Ok(Self { capacities, v4, v6, nets_v4, nets_v6 })
    }
}

impl BanMaps {
    /// How many entries a map has room for.
    #[must_use]
    pub fn capacity(&self, map: Map) -> u64 {
        let [v4, v6, nets_v4, nets_v6] = self.paged.capacities.map(u64::from);
        match map {
            Map::BansV4 => v4,
            Map::BansV6 => v6,
            Map::NetsV4 => nets_v4,
            Map::NetsV6 => nets_v6,
        }
    }

    /// Up to so many entries of a map, in no order, and where the next page begins; None after the last. Entries that come or
    /// go between two pages may be missed, or come twice.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn page(
        &self,
        map: Map,
        from: Option<Cursor>,
        count: u32,
        ticks: &TickClock,
    ) -> Result<(Vec<Entry>, Option<Cursor>), BanMapError> {
        let (bans, next) = self.bans(map, from, count)?;
        Ok((bans.into_iter().map(|(slot, ban)| decode(slot, &ban, ticks)).collect(), next))
    }

    /// All of a hash, page by page.
    pub(super) fn each_page(&self, map: Map, mut page: impl FnMut(&[(Slot, Ban)])) -> Result<(), BanMapError> {
        let mut from = None;
        loop {
            let (bans, next) = self.bans(map, from, PAGE)?;
            page(&bans);
            from = next;
            if from.is_none() {
                return Ok(());
            }
        }
    }

    fn bans(&self, map: Map, from: Option<Cursor>, count: u32) -> Result<Page, BanMapError> {
        let Paged { v4, v6, nets_v4, nets_v6, .. } = &self.paged;
        match map {
            Map::BansV4 => page(v4, from, count, |key| Some(Slot::V4(key))),
            Map::BansV6 => page(v6, from, count, |key| Some(Slot::V6(key))),
            Map::NetsV4 => page(nets_v4, from, count, |[a, b, c, d, data @ ..]: [u8; 12]| {
                net_v4(&Key::new(u32::from_ne_bytes([a, b, c, d]), data)).map(Slot::NetV4)
            }),
            Map::NetsV6 => page(nets_v6, from, count, |[a, b, c, d, data @ ..]: [u8; 20]| {
                net_v6(&Key::new(u32::from_ne_bytes([a, b, c, d]), data)).map(Slot::NetV6)
            }),
        }
        .map_err(|error| BanMapError::Page { map, error })
    }
}

/// Entries as they stand in a map, and where the next page begins.
type Page = (Vec<(Slot, Ban)>, Option<Cursor>);

/// Entries of a page where all of a map is read. More than a bucket of a hash ever has: it has one for each entry.
const PAGE: u32 = 4_096;

fn page<const KEY: usize>(
    map: &MapData,
    from: Option<Cursor>,
    count: u32,
    slot: impl Fn([u8; KEY]) -> Option<Slot>,
) -> io::Result<Page> {
    let (bans, next) = read(map, from, count)?;
    Ok((bans.into_iter().filter_map(|(key, ban)| Some((slot(key)?, ban))).collect(), next))
}

/// Keys as the kernel has them, their values, and where the next page begins.
type Raw<const KEY: usize> = (Vec<([u8; KEY], Ban)>, Option<Cursor>);

/// Reads up to `count` entries of a map whose keys have `KEY` bytes and whose values are bans, which the caller knows.
///
/// # Errors
/// The kernel's. ENOSPC where a single bucket of a hash holds more than `count`.
fn read<const KEY: usize>(map: &MapData, from: Option<Cursor>, count: u32) -> io::Result<Raw<KEY>> {
    let room = usize::try_from(count).unwrap_or(0);
    let mut keys = vec![[0_u8; KEY]; room];
    let mut values = vec![Ban::default(); room];
    let mut next = Cursor([0; CURSOR]);
    let (found, is_last) = batch::read(map, from.as_ref().map(|from| &from.0), &mut next.0, &mut keys, &mut values)?;
    Ok((keys.into_iter().zip(values).take(found).collect(), (!is_last).then_some(next)))
}
