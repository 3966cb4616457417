use std::time::Duration;

use super::*;
use crate::{
    clock::Now,
    enforce::{
        kernel::{Kernel, MapSizes},
        scratch::Scratch,
    },
};

#[test]
fn an_entry_survives_the_way_into_the_kernel_and_back() {
    let at = |ticks: u64, millis: i64| (Ticks(ticks), BootTime(millis * 1_000_000));
    let ticks = TickClock::new(at(0, 0), at(100, 100), Duration::ZERO).unwrap();
    let slot = Slot::V4([192, 0, 2, 1]);
    let services = ServiceMask(0b101);
    for until in [Until::Permanent, Until::Boot(BootTime(600_000_000_000))] {
        for bits in 0..16 {
            let (observe, manual, protected) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
            let listed = bits & 8 != 0;
            let entry = Entry { slot, services, until, observe, manual, listed, protected };
            let former = Ban { packets: 7, bytes: 420, last_seen: 50, ..Ban::default() };
            let ban = encode(&entry, &ticks, former);
            assert_eq!(decode(slot, &ban, &ticks), entry);
            // Tick 50 began within the 50th millisecond.
            let last_seen = Some(BootTime(49_000_000));
            assert_eq!(counters(&ban, &ticks), Counters { packets: 7, bytes: 420, last_seen }, "counters are kept");
        }
    }
}

fn load(scratch: &Scratch) -> Kernel {
    scratch.load(MapSizes { bans_v4: 2, bans_v6: 2, prefixes: 2 }).unwrap().0
}

fn entry(prefix: &str) -> Entry {
    let prefix = prefix.parse().unwrap();
    let until = Until::Boot(Now::read().boot + Duration::from_secs(600));
    let slot = Slot::exact(prefix).unwrap_or(Slot::net(prefix));
    Entry { slot, services: ServiceMask(1), until, observe: false, manual: false, listed: false, protected: false }
}

impl BanMaps {
    fn present(&self) -> [u32; 2] {
        [NETS_PRESENT_V4, NETS_PRESENT_V6].map(|index| self.nets_present.get(&index, 0).unwrap())
    }
}

#[test]
fn a_trie_is_asked_while_it_holds_anything_and_no_longer() {
    let Some(scratch) = Scratch::new() else { return };
    let mut kernel = load(&scratch);
    let ticks = kernel.ticks;
    assert_eq!(kernel.bans.present(), [0, 0]);
    for (prefix, present) in [("203.0.113.0/24", [1, 0]), ("203.0.113.0/25", [1, 0]), ("2001:db8::/48", [1, 1])] {
        kernel.bans.write(&entry(prefix), &ticks).unwrap();
        assert_eq!(kernel.bans.present(), present, "{prefix} is written");
    }
    drop(kernel);
    // The next daemon knows what is in them.
    let mut kernel = load(&scratch);
    for (prefix, existed, present) in [
        ("203.0.113.0/26", false, [1, 1]),
        ("203.0.113.0/25", true, [1, 1]),
        ("203.0.113.0/24", true, [0, 1]),
        ("2001:db8::/48", true, [0, 0]),
    ] {
        assert_eq!(kernel.bans.remove(entry(prefix).slot).unwrap(), existed, "{prefix}");
        assert_eq!(kernel.bans.present(), present, "{prefix} is removed");
    }
}

#[test]
fn a_prefix_inside_another_has_counters_of_its_own() {
    let Some(scratch) = Scratch::new() else { return };
    let mut kernel = load(&scratch);
    let ticks = kernel.ticks;
    let counters = Counters { packets: 7, bytes: 420, last_seen: None };
    kernel.bans.restore(&entry("203.0.113.0/24"), &counters, &ticks).unwrap();
    let inner = entry("203.0.113.0/25");
    // A trie answers for the inner prefix with the outer one's entry.
    assert_eq!(kernel.bans.counters(inner.slot, &ticks).unwrap(), None);
    kernel.bans.write(&inner, &ticks).unwrap();
    assert_eq!(kernel.bans.counters(inner.slot, &ticks).unwrap(), Some(Counters::default()));
    assert_eq!(kernel.bans.counters(entry("203.0.113.0/24").slot, &ticks).unwrap(), Some(counters));
}

#[test]
fn a_full_map_says_so_and_still_takes_what_it_has() {
    let Some(scratch) = Scratch::new() else { return };
    for [first, second, third] in [
        ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"],
        ["2001:db8::/64", "2001:db8:0:1::/64", "2001:db8:0:2::/64"],
        ["203.0.113.0/24", "203.0.113.0/25", "203.0.113.0/26"],
        ["2001:db8::/48", "2001:db8::/49", "2001:db8::/128"],
    ] {
        let mut kernel = load(&scratch);
        let ticks = kernel.ticks;
        let map = entry(first).slot.map();
        kernel.bans.write(&entry(first), &ticks).unwrap();
        kernel.bans.write(&entry(second), &ticks).unwrap();
        assert!(matches!(kernel.bans.write(&entry(third), &ticks), Err(BanMapError::Full)), "{third}");
        assert_eq!(kernel.bans.used(map), 2, "what was refused is not counted");
        kernel.bans.write(&Entry { observe: true, ..entry(first) }, &ticks).unwrap();
        kernel.bans.remove(entry(second).slot).unwrap();
        kernel.bans.write(&entry(third), &ticks).unwrap();
        assert_eq!(kernel.bans.used(map), 2);
        drop(kernel);
        assert_eq!(load(&scratch).bans.used(map), 2, "counted again at the next start");
    }
}

#[test]
fn what_others_change_or_take_out_is_noticed() {
    let Some(scratch) = Scratch::new() else { return };
    let mut kernel = load(&scratch);
    let ticks = kernel.ticks;
    for prefix in ["192.0.2.1/32", "2001:db8::/64", "203.0.113.0/24", "2001:db8::/48"] {
        let ban = entry(prefix);
        kernel.bans.write(&ban, &ticks).unwrap();
        assert!(kernel.bans.still_holds(&ban, &ticks).unwrap(), "{prefix}");
        let mut other = BanMaps::open(&scratch.pins).unwrap();
        other.write(&Entry { services: ServiceMask(2), ..ban }, &ticks).unwrap();
        assert!(!kernel.bans.still_holds(&ban, &ticks).unwrap(), "{prefix} is changed");
        other.remove(ban.slot).unwrap();
        assert!(!kernel.bans.still_holds(&ban, &ticks).unwrap(), "{prefix} is taken out");
        kernel.bans.write(&ban, &ticks).unwrap();
        assert!(kernel.bans.still_holds(&ban, &ticks).unwrap(), "{prefix} is written again");
        assert_eq!(kernel.bans.used(ban.slot.map()), 1, "{prefix}");
    }
}

#[test]
fn a_hash_is_filled_as_far_as_it_has_room_and_no_trie_is() {
    let Some(scratch) = Scratch::new() else { return };
    const ROOM: u32 = 5_000;
    let ticks = scratch.load(MapSizes { bans_v4: ROOM, bans_v6: ROOM, prefixes: 2 }).unwrap().0.ticks;
    let v4 = |number: u32| format!("10.0.{}.{}/32", number >> 8, number & 255);
    let v6 = |number: u32| format!("2001:db8:0:{number:x}::/64");
    let families: [(&dyn Fn(u32) -> String, effect::Map); 2] = [(&v4, effect::Map::BansV4), (&v6, effect::Map::BansV6)];
    for (of, map) in families {
        for (wanted, taken) in [(0, 0), (3, 3), (4_096, 4_096), (4_100, 4_100), (6_000, ROOM as usize)] {
            let mut kernel = scratch.load(MapSizes { bans_v4: ROOM, bans_v6: ROOM, prefixes: 2 }).unwrap().0;
            let entries: Vec<Entry> = (0..wanted).map(|number| entry(&of(number))).collect();
            assert_eq!(kernel.bans.fill(map, entries.iter().copied(), &ticks), taken, "{wanted} of {map}");
            assert_eq!(kernel.bans.used(map), taken as u64);
            let mut found = kernel.bans.entries(&ticks).unwrap();
            assert_eq!(found.len(), taken);
            for (entry, number) in entries.iter().zip(0..taken) {
                assert!(kernel.bans.still_holds(entry, &ticks).unwrap(), "{number} of {wanted}");
            }
            for (entry, _) in found.drain(..) {
                kernel.bans.remove(entry.slot).unwrap();
            }
        }
    }
    let mut kernel = scratch.load(MapSizes { bans_v4: ROOM, bans_v6: ROOM, prefixes: 2 }).unwrap().0;
    assert_eq!(kernel.bans.fill(effect::Map::NetsV4, [entry("203.0.113.0/24")].into_iter(), &ticks), 0);
}
