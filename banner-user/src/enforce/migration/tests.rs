use std::{fs, time::Duration};

use aya::maps::MapData;

use super::*;
use crate::{
    clock::BootTime,
    enforce::{kernel::Kernel, scratch::Scratch},
    judge::effect::Slot,
    service::ServiceMask,
};

const SIZES: MapSizes = MapSizes { bans_v4: 16, bans_v6: 16, prefixes: 16 };

/// A ban of this prefix for so many seconds; for ever where there are none.
fn entry(prefix: &str, seconds: u64) -> Entry {
    let prefix = prefix.parse().unwrap();
    let until = match seconds {
        0 => Until::Permanent,
        _ => Until::Boot(Now::read().boot + Duration::from_secs(seconds)),
    };
    let slot = Slot::exact(prefix).unwrap_or(Slot::net(prefix));
    Entry { slot, services: ServiceMask(5), until, observe: false, manual: false, listed: false, protected: false }
}

fn prefixes(kernel: &Kernel) -> Vec<String> {
    let entries = kernel.bans.entries(&kernel.ticks).unwrap();
    let mut prefixes: Vec<String> = entries.iter().map(|(entry, _)| entry.slot.prefix().to_string()).collect();
    prefixes.sort();
    prefixes
}

fn write(kernel: &mut Kernel, entries: &[Entry]) {
    let ticks = kernel.ticks;
    entries.iter().for_each(|entry| kernel.bans.write(entry, &ticks).unwrap());
}

#[test]
fn the_bans_nearest_their_end_yield_to_a_smaller_size_and_no_others() {
    let Some(scratch) = Scratch::new() else { return };
    let (mut kernel, migration) = scratch.load(SIZES).unwrap();
    assert_eq!(migration, None, "there was nothing to migrate");
    let by_hand = Entry { manual: true, ..entry("192.0.2.1/32", 10) };
    let protected = Entry { protected: true, services: ServiceMask::NONE, ..entry("203.0.113.7/32", 0) };
    let protected = Entry { slot: Slot::net("203.0.113.7/32".parse().unwrap()), ..protected };
    let automatic = [entry("192.0.2.2/32", 300), entry("192.0.2.3/32", 500), entry("192.0.2.4/32", 400)];
    write(&mut kernel, &[by_hand, entry("192.0.2.5/32", 0), protected, entry("203.0.113.0/24", 100)]);
    write(&mut kernel, &automatic);
    write(&mut kernel, &[entry("2001:db8::/64", 100), entry("2001:db8:1::/48", 100)]);
    drop(kernel);

    let smaller = MapSizes { bans_v4: 3, bans_v6: 1, prefixes: 2 };
    let (kernel, migration) = scratch.load(smaller).unwrap();
    assert_eq!(migration, Some(Migration { kept: 7, dropped: 2 }));
    let kept = [
        "192.0.2.1/32",
        "192.0.2.3/32",
        "192.0.2.5/32",
        "2001:db8:1::/48",
        "2001:db8::/64",
        "203.0.113.0/24",
        "203.0.113.7/32",
    ];
    assert_eq!(prefixes(&kernel), kept);
    assert_eq!(pinned_sizes(&scratch.pins).unwrap(), smaller);
    drop(kernel);

    // Two that may not yield and room for one: nothing is changed.
    let error = scratch.load(MapSizes { bans_v4: 1, ..smaller }).err().unwrap();
    assert!(matches!(error, KernelError::TooSmall { key: "bans_v4", size: 1, needed: 2 }), "{error}");
    let (kernel, migration) = scratch.load(smaller).unwrap();
    assert_eq!(migration, None);
    assert_eq!(prefixes(&kernel), kept);
    drop(kernel);

    let (kernel, migration) = scratch.load(SIZES).unwrap();
    assert_eq!(migration, Some(Migration { kept: 7, dropped: 0 }));
    assert_eq!(prefixes(&kernel), kept);
}

#[test]
fn what_a_ban_has_counted_goes_along() {
    let Some(scratch) = Scratch::new() else { return };
    let (mut kernel, _) = scratch.load(SIZES).unwrap();
    let counters = Counters { packets: 7, bytes: 420, last_seen: Some(BootTime(1_000_000_000)) };
    let (ticks, ban) = (kernel.ticks, entry("192.0.2.1/32", 600));
    kernel.bans.restore(&ban, &counters, &ticks).unwrap();
    write(&mut kernel, &[Entry { services: ServiceMask(1), ..ban }]);
    let counted = |kernel: &Kernel| kernel.bans.counters(ban.slot, &kernel.ticks).unwrap().unwrap();
    assert_eq!((counted(&kernel).packets, counted(&kernel).bytes), (7, 420), "a ban that is written again keeps them");
    let deadline = |kernel: &Kernel| {
        kernel.ticks.ticks_at(match kernel.bans.entries(&kernel.ticks).unwrap()[0].0.until {
            Until::Boot(at) => at,
            Until::Permanent => panic!("it ends"),
        })
    };
    let before = deadline(&kernel);
    drop(kernel);
    let (kernel, _) = scratch.load(MapSizes { bans_v4: 8, ..SIZES }).unwrap();
    assert_eq!((counted(&kernel).packets, counted(&kernel).bytes), (7, 420));
    assert_eq!(deadline(&kernel), before, "the deadline does not move by a tick");
}

#[test]
fn a_first_start_that_was_cut_off_hinders_none_with_other_sizes() {
    let Some(scratch) = Scratch::new() else { return };
    drop(scratch.load(SIZES).unwrap());
    for name in ["NETS_V6", "STATS", "PORTS"] {
        fs::remove_file(scratch.pins.map(name)).unwrap();
    }
    let sizes = MapSizes { bans_v4: 32, ..SIZES };
    drop(scratch.load(sizes).unwrap());
    assert_eq!(pinned_sizes(&scratch.pins).unwrap(), sizes);
}

#[test]
fn a_map_that_is_not_banners_is_refused_and_left_alone() {
    let Some(scratch) = Scratch::new() else { return };
    drop(scratch.load(SIZES).unwrap());
    // Another kind, another value, and the right shape of another size.
    for (name, other) in [("BANS_V4", "NETS_V4"), ("NETS_V6", "NETS_V4"), ("PORTS", "NETS_PRESENT"), ("STATS", "PORTS")]
    {
        let aside = scratch.pins.maps().join("aside");
        fs::rename(scratch.pins.map(name), &aside).unwrap();
        MapData::from_pin(scratch.pins.map(other)).unwrap().pin(scratch.pins.map(name)).unwrap();
        let error = scratch.load(SIZES).err().unwrap();
        let KernelError::ForeignMap { path, .. } = &error else { panic!("{name}: {error}") };
        assert_eq!(*path, scratch.pins.map(name));
        assert!(error.to_string().contains("banner detach"), "{error}");
        fs::remove_file(scratch.pins.map(name)).unwrap();
        fs::rename(&aside, scratch.pins.map(name)).unwrap();
    }
    scratch.load(SIZES).unwrap();
}
