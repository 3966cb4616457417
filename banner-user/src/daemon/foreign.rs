//! Goes through what is in the kernel, a slice a second, and remembers what follows from no ban: others have written it.

use std::{collections::BTreeSet, time::Duration};

use super::comparison::slice_of;
use crate::{
    clock::{BootTime, TickClock},
    enforce::bans::{BanMapError, BanMaps, Cursor},
    judge::effect::{Entry, Map, Slot},
};

/// Entries that are remembered. Those beyond are left as well, and not counted.
const KNOWN_MAX: usize = 65_536;

/// The kernel looks at every bucket of a hash, and there is one for each entry that it has room for: so many a second, which
/// take less than a millisecond, are looked at where the hash is nearly empty.
const BUCKETS: u64 = 1 << 18;

/// How far the round has come, and what was found.
#[derive(Debug, Default)]
pub(super) struct Foreign {
    /// The map, by its place in [`Map::ALL`].
    map: usize,
    cursor: Option<Cursor>,
    /// Entries of this map that have been seen in this round. A trie that loses the entry at the cursor begins anew: a round
    /// ends all the same.
    passed: usize,
    is_quick: bool,
    /// A map could not be listed in this round: that something was not seen in it means nothing.
    is_incomplete: bool,
    /// Why the kernel did not list a map when it last was asked for one and did not. Told once.
    failure: Option<String>,
    /// When the next round begins.
    due: BootTime,
    /// What stands there, as far as is known.
    known: BTreeSet<Slot>,
    /// What of this was found in this round.
    seen: BTreeSet<Slot>,
}

impl Foreign {
    /// Begins anew, and makes haste until the end of that round.
    pub(super) fn make_haste(&mut self) {
        (self.map, self.cursor, self.passed, self.due) = (0, None, 0, BootTime(0));
        (self.is_quick, self.is_incomplete) = (true, false);
        self.seen.clear();
    }

    /// The next entries of the kernel's; none while the next round is not due. Where the kernel does not list a map, the next
    /// one has its turn, and `tell` the reason, once.
    pub(super) fn slice(
        &mut self,
        bans: &BanMaps,
        ticks: &TickClock,
        now: BootTime,
        tell: impl Fn(&BanMapError),
    ) -> Vec<Entry> {
        let mut slice = Vec::new();
        if now < self.due {
            return slice;
        }
        let entries: u64 = Map::ALL.map(|map| bans.used(map)).iter().sum();
        let size = slice_of(usize::try_from(entries).unwrap_or(usize::MAX), self.is_quick);
        while let Some(map) = Map::ALL.get(self.map) {
            if slice.len() >= size {
                return slice;
            }
            // Always a whole page: what is left of one may not be enough for the next bucket.
            match bans.page(*map, self.cursor, u32::try_from(size).unwrap_or(u32::MAX), ticks) {
                Ok((found, next)) => {
                    self.passed = self.passed.saturating_add(found.len());
                    slice.extend(found);
                    if next.is_some() && self.passed as u64 <= bans.capacity(*map).saturating_mul(2) {
                        self.cursor = next;
                        return slice;
                    }
                    self.next_map();
                }
                Err(error) => {
                    if self.failure.replace(error.to_string()) != Some(error.to_string()) {
                        tell(&error);
                    }
                    self.is_incomplete = true;
                    self.next_map();
                }
            }
        }
        slice
    }

    /// An entry follows from no ban. Whether that is new.
    pub(super) fn found(&mut self, slot: Slot) -> bool {
        if self.known.len() >= KNOWN_MAX && !self.known.contains(&slot) {
            return false;
        }
        self.seen.insert(slot);
        self.known.insert(slot)
    }

    /// An entry is ours from now on, or gone by our own hand.
    pub(super) fn settle(&mut self, slot: Slot) {
        self.known.remove(&slot);
        self.seen.remove(&slot);
    }

    /// After each slice, once what was found in it has been handed in. At the end of a round, returns what is known and was not
    /// found in it: others have taken it out again.
    pub(super) fn end_slice(&mut self, bans: &BanMaps, now: BootTime) -> Vec<Slot> {
        if self.map < Map::ALL.len() {
            return Vec::new();
        }
        let seen = std::mem::take(&mut self.seen);
        let is_complete = !std::mem::take(&mut self.is_incomplete);
        let buckets: u64 = [Map::BansV4, Map::BansV6].map(|map| bans.capacity(map)).iter().sum();
        (self.map, self.is_quick, self.due) = (0, false, now + Duration::from_secs(buckets / BUCKETS));
        if !is_complete {
            return Vec::new();
        }
        self.failure = None;
        let known = std::mem::replace(&mut self.known, seen);
        known.difference(&self.known).copied().collect()
    }

    /// How many are known.
    pub(super) fn number(&self) -> usize {
        self.known.len()
    }

    /// What an operator reads while there are any.
    pub(super) fn shown(&self) -> Option<String> {
        let (first, number) = (self.known.first()?.prefix(), self.known.len());
        let more = if number >= KNOWN_MAX { " or more" } else { "" };
        Some(format!(
            "{number}{more} entries in the kernel follow from no ban, {first} the first: others have written them. They are left \
             until they end; when banner starts anew, it takes them over as bans"
        ))
    }

    fn next_map(&mut self) {
        (self.map, self.cursor, self.passed) = (self.map.saturating_add(1), None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        enforce::{
            kernel::{Kernel, MapSizes},
            scratch::Scratch,
        },
        judge::effect::Until,
        service::ServiceMask,
    };

    const SIZES: MapSizes = MapSizes { bans_v4: 4_096, bans_v6: 16, prefixes: 4_096 };

    const NOW: BootTime = BootTime(1);

    fn write(kernel: &mut Kernel, slot: Slot) {
        let (services, until) = (ServiceMask(1), Until::Permanent);
        let entry = Entry { slot, services, until, observe: false, manual: false, listed: false, protected: false };
        let ticks = kernel.ticks;
        kernel.bans.write(&entry, &ticks).unwrap();
    }

    fn slice(foreign: &mut Foreign, kernel: &Kernel) -> Vec<Slot> {
        let found = foreign.slice(&kernel.bans, &kernel.ticks, NOW, |error| panic!("{error}"));
        found.into_iter().map(|entry| entry.slot).collect()
    }

    fn address(number: u32) -> Slot {
        Slot::V4((0xc612_0000 + number).to_be_bytes())
    }

    fn prefix(number: u32) -> Slot {
        let base = std::net::Ipv4Addr::from(0xc612_0000 + 4 * number);
        Slot::net(ipnet::Ipv4Net::new(base, 30).unwrap().into())
    }

    #[test]
    fn a_round_sees_every_entry_of_every_map_though_others_come_and_go() {
        let Some(scratch) = Scratch::new() else { return };
        let (mut kernel, _) = scratch.load(SIZES).unwrap();
        let others = ["2001:db8:1::/64", "2001:db8::/48", "2001:db8:2::1/128"].map(|text| {
            let prefix = text.parse().unwrap();
            Slot::exact(prefix).unwrap_or(Slot::net(prefix))
        });
        // These stay; between two slices as many others go.
        let stay: BTreeSet<Slot> = (0..1_500).flat_map(|n| [address(2 * n), prefix(2 * n)]).chain(others).collect();
        let go = |n: u32| [address(2 * n + 1), prefix(2 * n + 1)];
        stay.iter().copied().chain((0..450).flat_map(go)).for_each(|slot| write(&mut kernel, slot));
        let mut foreign = Foreign::default();
        let (mut seen, mut slices) = (BTreeSet::new(), 0);
        loop {
            let slice = slice(&mut foreign, &kernel);
            assert!(slice.len() <= 2_000, "{} at a time", slice.len());
            seen.extend(slice);
            for n in slices * 150..slices * 150 + 150 {
                for slot in go(n) {
                    kernel.bans.remove(slot).unwrap();
                }
            }
            slices += 1;
            assert!(slices < 4, "the round does not end");
            foreign.end_slice(&kernel.bans, NOW);
            if foreign.map == 0 && foreign.cursor.is_none() {
                break;
            }
        }
        assert!(slices > 2, "all at once: nothing could go meanwhile");
        assert!(seen.is_superset(&stay), "{} of {}", seen.intersection(&stay).count(), stay.len());
    }

    #[test]
    fn what_is_found_is_news_once_and_known_until_a_round_does_not_find_it() {
        let Some(scratch) = Scratch::new() else { return };
        let (mut kernel, _) = scratch.load(SIZES).unwrap();
        let mut foreign = Foreign::default();
        assert_eq!(foreign.shown(), None);
        write(&mut kernel, address(1));
        write(&mut kernel, prefix(9));
        for round in 0..4 {
            for slot in slice(&mut foreign, &kernel) {
                assert_eq!(foreign.found(slot), round == 0, "{slot:?} in round {round}");
            }
            assert_eq!(foreign.end_slice(&kernel.bans, NOW), []);
            assert_eq!(foreign.number(), 2);
            if round == 1 {
                foreign.make_haste();
            }
        }
        let shown = foreign.shown().unwrap();
        assert!(shown.starts_with("2 entries in the kernel follow from no ban, 198.18.0.1/32 the first"), "{shown}");
        // Its ban is made by us now.
        foreign.settle(prefix(9));
        kernel.bans.remove(address(1)).unwrap();
        assert_eq!(slice(&mut foreign, &kernel), [prefix(9)]);
        assert_eq!((foreign.end_slice(&kernel.bans, NOW), foreign.number()), (vec![address(1)], 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut foreign = Foreign::default();
        for number in 0..u32::try_from(KNOWN_MAX).unwrap() + 5 {
            foreign.found(address(number));
        }
        assert_eq!(foreign.number(), KNOWN_MAX);
        assert!(!foreign.found(address(1)), "told of");
        assert!(foreign.shown().unwrap().starts_with("65536 or more entries"));
    }
}
