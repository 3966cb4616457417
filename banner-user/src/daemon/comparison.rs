//! Goes through what should be in the kernel, a slice at a time.

use ipnet::IpNet;

use crate::judge::{
    Judge,
    effect::{Entry, Map},
};

/// Entries that are compared at a time, every second: two milliseconds of work. A million take a quarter of an hour.
const SLICE: usize = 1_000;

/// How far the round has come.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// The map, by its place in [`Map::ALL`].
    map: usize,
    after: Option<IpNet>,
}

impl Comparison {
    /// The next entries; round and round, but none twice at a time.
    pub(super) fn slice(&mut self, judge: &Judge) -> Vec<Entry> {
        let mut slice = Vec::new();
        for _ in Map::ALL {
            let Some(map) = Map::ALL.get(self.map) else { break };
            slice.extend(judge.entries(*map, self.after).take(SLICE - slice.len()));
            if slice.len() == SLICE {
                self.after = slice.last().map(|entry| entry.slot.prefix());
                return slice;
            }
            (self.map, self.after) = (self.map + 1, None);
        }
        // What is left of the first map, where the round began in its midst, is the next round's.
        self.map %= Map::ALL.len();
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
                let slice = comparison.slice(&judge);
                assert!(slice.len() <= SLICE);
                let slots: BTreeSet<Slot> = slice.iter().map(|entry| entry.slot).collect();
                assert_eq!(slots.len(), slice.len(), "none twice at a time");
                seen.extend(slots);
            }
            assert_eq!(seen.len(), addresses as usize + 3, "{addresses} addresses");
        }
    }
}
