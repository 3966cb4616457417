//! The kernel's maps, and the lookup of banner-ebpf's `verdict::find`.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use crate::{
    clock::BootTime,
    judge::{
        Effect, Kernel, NoRoom,
        effect::{Entry, Map, Slot, Until},
    },
    service::ServiceMask,
};

/// Maps with room for so many entries each.
pub(in crate::judge) struct FakeKernel {
    pub(in crate::judge) entries: BTreeMap<Slot, Entry>,
    room: usize,
}

impl FakeKernel {
    pub(in crate::judge) fn with_room_for(room: usize) -> Self {
        Self { entries: BTreeMap::new(), room }
    }

    pub(in crate::judge) fn len(&self, map: Map) -> usize {
        self.entries.keys().filter(|slot| slot.map() == map).count()
    }

    pub(in crate::judge) fn drops(&self, address: IpAddr, service: ServiceMask, now: BootTime) -> bool {
        let applies = |entry: &&Entry| entry.services.0 & service.0 != 0 && entry.until > Until::Boot(now);
        let exact = match address {
            IpAddr::V4(v4) => Slot::V4(v4.octets()),
            IpAddr::V6(_) => Slot::exact(IpNet::new(address, 64).unwrap().trunc()).unwrap(),
        };
        if self.entries.get(&exact).filter(applies).is_some_and(|entry| !entry.observe) {
            return true;
        }
        let full = IpNet::from(address);
        let longest = (0..=full.prefix_len())
            .rev()
            .find_map(|length| self.entries.get(&Slot::net(IpNet::new(address, length).unwrap().trunc())));
        longest.filter(applies).is_some_and(|entry| !entry.observe)
    }

    /// Carries effects out one by one. No address is dropped or passed between two of them that is not so before or after
    /// them all.
    pub(in crate::judge) fn carry_out(&mut self, effects: &[Effect], probes: &[IpAddr], now: BootTime) {
        let drops = |kernel: &Self| probes.iter().map(|probe| kernel.drops(*probe, ServiceMask(1), now)).collect();
        let mut states: Vec<Vec<bool>> = vec![drops(self)];
        for effect in effects {
            match effect {
                Effect::Write(entry) => {
                    assert_ne!(self.entries.get(&entry.slot), Some(entry), "only differences are written");
                    self.write(entry).unwrap();
                }
                Effect::Remove(slot) => {
                    assert!(self.entries.contains_key(slot), "only what is there is removed: {slot:?}");
                    self.remove(*slot);
                }
                Effect::Report(_) => {}
            }
            states.push(drops(self));
        }
        let (first, last) = (states.first().unwrap(), states.last().unwrap());
        for state in &states {
            for (index, probe) in probes.iter().enumerate() {
                let (first, last) = (first[index], last[index]);
                assert!(first != last || state[index] == last, "{probe} between {effects:#?}");
            }
        }
    }
}

impl Kernel for FakeKernel {
    fn write(&mut self, entry: &Entry) -> Result<(), NoRoom> {
        if !self.entries.contains_key(&entry.slot) && self.len(entry.slot.map()) == self.room {
            return Err(NoRoom);
        }
        self.entries.insert(entry.slot, *entry);
        Ok(())
    }

    fn remove(&mut self, slot: Slot) {
        self.entries.remove(&slot);
    }
}
