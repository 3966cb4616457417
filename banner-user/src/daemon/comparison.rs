//! Goes through what should be in the kernel, a slice a second, round and round.

use ipnet::IpNet;

use crate::judge::{
    Judge,
    effect::{Entry, Map},
};

/// Entries that are compared at a time at least: a millisecond of work. So few bans as most hosts have are compared every
/// second, since it costs nothing, and a ban that others take out is missed for no longer; a million take a quarter of an hour.
const SLICE_MIN: usize = 1_000;

/// The same while in a hurry: after a reload, and when an interface has come back. A million take two minutes.
const SLICE_QUICK: usize = 10_000;

/// Seconds that a round takes at most, however many entries there are.
const ROUND: usize = 3_600;

/// How many of so many entries are compared at a time.
pub(super) fn slice_of(entries: usize, is_quick: bool) -> usize {
    let least = if is_quick { SLICE_QUICK } else { SLICE_MIN };
    entries.div_ceil(ROUND).max(least)
}

/// How far the round has come.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// The map, by its place in [`Map::ALL`].
    map: usize,
    after: Option<IpNet>,
    /// Until the end of this round.
    is_quick: bool,
}

impl Comparison {
    /// Begins anew, and makes haste until the end of that round.
    pub(super) fn make_haste(&mut self) {
        *self = Self { is_quick: true, ..Self::default() };
    }

    /// The next of the entries, of which there are so many; none twice at a time.
    pub(super) fn slice(&mut self, judge: &Judge, entries: usize) -> Vec<Entry> {
        let size = slice_of(entries, self.is_quick);
        let mut slice = Vec::new();
        while let Some(map) = Map::ALL.get(self.map) {
            slice.extend(judge.entries(*map, self.after).take(size - slice.len()));
            if slice.len() == size {
                self.after = slice.last().map(|entry| entry.slot.prefix());
                return slice;
            }
            (self.map, self.after) = (self.map + 1, None);
        }
        *self = Self::default();
        slice
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, net::Ipv4Addr};

    use super::*;
    use crate::{
        clock::{BootTime, Now, WallTime},
        config::Config,
        judge::{
            Input,
            effect::{Slot, Until},
        },
        service::ServiceMask,
    };

    fn judge(addresses: u32) -> Judge {
        let mut judge = Judge::new(Config::default().policy);
        let entry = |slot| Entry {
            slot,
            services: ServiceMask(1),
            until: Until::Permanent,
            observe: false,
            manual: true,
            listed: false,
            protected: false,
        };
        let v4 = (0..addresses).map(|n| Slot::V4(Ipv4Addr::from(0xc612_0000 + n).octets()));
        let others = [
            Slot::V6([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1]),
            Slot::net("203.0.113.0/24".parse().unwrap()),
            Slot::net("2001:db8:1::/48".parse().unwrap()),
        ];
        let found = v4.chain(others).map(entry).collect();
        let now = Now { boot: BootTime(1), wall: WallTime(1) };
        assert_eq!(judge.handle(Input::Adopt(found), now).len(), 1, "all are adopted as they are");
        judge
    }

    #[test]
    fn every_entry_of_every_map_has_its_turn() {
        for addresses in [0, 1, 997, 998, 1000, 2500] {
            let judge = judge(addresses);
            let mut comparison = Comparison::default();
            let mut seen = BTreeSet::new();
            for _ in 0..4 {
                let slice = comparison.slice(&judge, addresses as usize + 3);
                assert!(slice.len() <= SLICE_MIN);
                let slots: BTreeSet<Slot> = slice.iter().map(|entry| entry.slot).collect();
                assert_eq!(slots.len(), slice.len(), "none twice at a time");
                seen.extend(slots);
            }
            assert_eq!(seen.len(), addresses as usize + 3, "{addresses} addresses");
        }
    }

    #[test]
    fn haste_is_made_for_one_round_from_its_beginning() {
        let judge = judge(25_000);
        let mut comparison = Comparison::default();
        comparison.slice(&judge, 25_003);
        comparison.make_haste();
        let sizes: Vec<usize> = (0..5).map(|_| comparison.slice(&judge, 25_003).len()).collect();
        assert_eq!(sizes, [10_000, 10_000, 5_003, 1_000, 1_000]);
    }

    #[test]
    fn a_round_takes_an_hour_at_most() {
        for (entries, size) in
            [(0, 1_000), (1_000_000, 1_000), (3_600_000, 1_000), (3_600_001, 1_001), (1 << 26, 18_642)]
        {
            assert_eq!(slice_of(entries, false), size, "{entries} entries");
            assert!(entries.div_ceil(size) <= ROUND);
        }
    }
}
