//! Lists of prefixes that are banned, or never are.

use std::net::IpAddr;

use super::{kernel::FakeKernel, *};
use crate::judge::{
    Input, Judge, Origin,
    effect::Map,
    list::{List, ListAction, ListName, Prefixes},
};

#[test]
fn bans_follow_their_list_and_what_stays_is_not_touched() {
    check(
        "0 list drop ban 192.0.2.0/24 198.51.100.7/32 2001:db8::/64
         0 tick -> write trie 192.0.2.0/24 mail for ever listed; write hash 198.51.100.7/32 mail for ever listed; \
             write hash 2001:db8::/64 mail for ever listed; followed drop 3 +3 -0
         1 tick
         2 list drop ban 192.0.2.0/24 203.0.113.0/25 2001:db8::/64
         2 tick -> write trie 203.0.113.0/25 mail for ever listed; remove hash 198.51.100.7/32; followed drop 3 +1 -1
         # It means something else now.
         3 list drop observe 192.0.2.0/24
         3 tick -> write trie 192.0.2.0/24 mail for ever observing listed; remove trie 203.0.113.0/25; \
             remove hash 2001:db8::/64; followed drop 1 +0 -2
         4 unlist drop
         4 tick -> remove trie 192.0.2.0/24; followed drop 0 +0 -1
         5 tick",
    );
}

#[test]
fn no_address_passes_for_a_moment_that_a_list_has_before_and_after() {
    let mut world = World::new(policy([mail()]));
    let mut kernel = FakeKernel::with_room_for(usize::MAX);
    let probes: [IpAddr; 3] = ["192.0.2.1", "198.51.100.7", "2001:db8::1"].map(|probe| probe.parse().unwrap());
    let contents: [&[&str]; 4] = [
        &["192.0.2.1/32", "198.51.100.0/24", "2001:db8::/64"],
        &["192.0.2.0/24", "198.51.100.7/32", "2001:db8::/32"],
        &["192.0.0.0/16", "198.51.100.0/25", "2001:db8::/64"],
        &["192.0.2.0/31", "198.51.100.6/31", "2001:db8::/48"],
    ];
    for content in contents {
        let action = ListAction::Ban { services: MAIL, observe: false };
        let prefixes = Some(nets(content).into_iter().collect());
        let list = List { name: ListName::new("drop"), action, prefixes };
        let now = world.now(0);
        for input in [Input::List(list), Input::Tick] {
            let effects = world.judge.handle(input, now);
            kernel.carry_out(&effects, &probes, now.boot);
        }
        for probe in probes {
            assert!(kernel.drops(probe, SMTP, now.boot), "{probe} is in {content:?}");
        }
    }
}

#[test]
fn what_changes_while_a_change_is_under_way_comes_after_it() {
    check(
        "0 list drop ban 192.0.2.1/32
         0 list drop ban 192.0.2.2/32
         0 unlist drop
         0 list drop ban 192.0.2.3/32
         0 tick -> write hash 192.0.2.1/32 mail for ever listed; followed drop 1 +1 -0
         0 tick -> write hash 192.0.2.3/32 mail for ever listed; remove hash 192.0.2.1/32; followed drop 1 +1 -1
         0 unlist drop
         0 list drop ignore 192.0.2.3/32 -> remove hash 192.0.2.3/32
         0 tick -> followed drop 0 +0 -1
         1 fail 192.0.2.3 weight=12 -> ignored 192.0.2.3/32 by jail mail: 192.0.2.3 is in the ignore list drop",
    );
}

#[test]
fn what_is_ignored_wins_over_lists_jails_and_hands() {
    check(
        "0 ignoreip 192.0.2.7/32
         0 list ours ignore 192.0.2.128/25 198.51.100.0/24 2001:db8:0:1::5/128
         0 list drop ban 192.0.2.0/24 198.51.100.128/25 2001:db8:0:1::/64
         0 tick -> write trie 192.0.2.7/32 protected; write trie 192.0.2.128/25 protected; \
             write trie 192.0.2.0/24 mail for ever listed; \
             write trie 2001:db8:0:1::5/128 protected; write trie 2001:db8:0:1::/64 mail for ever listed; followed drop 3 +3 -0
         1 fail 198.51.100.200 weight=12 -> \
             ignored 198.51.100.200/32 by jail mail: 198.51.100.0/24 is in the ignore list ours
         2 ban 198.51.100.1 for=9 -> refused: 198.51.100.1 is not banned: 198.51.100.0/24 is in the ignore list ours, \
             --force bans it all the same
         2 ban 198.51.100.1 for=9 force -> write hash 198.51.100.1/32 mail until 11 manual; \
             banned 198.51.100.1/32 by hand until 11
         # What the list no longer ignores is banned as the other one says.
         3 list ours ignore 192.0.2.128/25 -> write hash 2001:db8:0:1::/64 mail for ever listed; remove trie 2001:db8:0:1::/64; \
             remove trie 2001:db8:0:1::5/128; write trie 198.51.100.128/25 mail for ever listed
         4 unlist ours -> remove trie 192.0.2.128/25
         # And the other way round.
         5 list ours ignore 198.51.100.0/24 -> remove hash 198.51.100.1/32; remove trie 198.51.100.128/25; \
             unbanned 198.51.100.1/32 by hand: 198.51.100.0/24 is in the ignore list ours",
    );
}

#[test]
fn several_may_ban_the_same_and_each_has_its_own() {
    check(
        "0 list a ban 192.0.2.0/24
         0 tick -> write trie 192.0.2.0/24 mail for ever listed; followed a 1 +1 -0
         0 list b ban 192.0.2.0/24
         0 tick -> followed b 1 +1 -0
         1 ban 192.0.2.0/24 for=5 -> write trie 192.0.2.0/24 mail for ever manual listed; banned 192.0.2.0/24 by hand until 6
         2 unlist a
         2 tick -> followed a 0 +0 -1
         # A hand takes off what a hand did.
         3 unban 192.0.2.0/24 -> write trie 192.0.2.0/24 mail for ever listed; unbanned 192.0.2.0/24 by hand: lifted by hand; \
             still banned as 192.0.2.0/24 by list b
         4 unban 192.0.2.0/24 -> not banned; still banned as 192.0.2.0/24 by list b",
    );
}

#[test]
fn at_a_start_what_is_still_listed_is_not_written_and_what_is_not_is_removed() {
    let world = check(
        "0 lists drop ban 192.0.2.0/24 198.51.100.7/32 203.0.113.9/32
         0 adopt trie 192.0.2.0/24 mail listed, hash 198.51.100.7/32 mail listed, hash 198.51.100.8/32 mail listed, \
             hash 198.51.100.9/32 mail manual listed -> \
             remove hash 198.51.100.8/32; write hash 198.51.100.9/32 mail for ever manual; \
             write hash 203.0.113.9/32 mail for ever listed; adopted 1",
    );
    let why = world.judge.why("192.0.2.66".parse().unwrap());
    assert_eq!(why.bans[0].origin, Origin::List(ListName::new("drop")));
}

#[test]
fn a_list_that_cannot_be_read_at_a_start_keeps_what_the_kernel_has_until_it_can() {
    check(
        "0 lists drop ban unreadable
         0 adopt trie 192.0.2.0/24 mail listed, hash 198.51.100.8/32 mail listed
         1 list drop ban 192.0.2.0/24 198.51.100.9/32
         1 tick -> write hash 198.51.100.9/32 mail for ever listed; remove hash 198.51.100.8/32; followed drop 2 +1 -1",
    );
}

#[test]
fn nothing_of_a_list_is_saved() {
    let mut judge = Judge::new(policy([mail()])).saved();
    let world = World::new(policy([mail()]));
    let _ = judge.changes();
    let prefixes = Some(nets(&["192.0.2.0/24"]).into_iter().collect());
    let list = |prefixes| List {
        name: ListName::new("drop"),
        action: ListAction::Ban { services: MAIL, observe: false },
        prefixes,
    };
    for prefixes in [prefixes, Some(Prefixes::default())] {
        let _ = judge.handle(Input::List(list(prefixes)), world.now(0));
        let _ = judge.handle(Input::Tick, world.now(0));
        assert_eq!(judge.changes().bans, []);
        judge.nothing_is_saved();
        assert_eq!(judge.changes().bans, []);
    }
}

/// A judge with a list of so many addresses, and a map of addresses with this room, all carried out.
fn listed(addresses: u32, room: usize) -> (World, FakeKernel) {
    let (mut world, mut kernel) = (World::new(policy([mail()])), FakeKernel::with_room_for(room));
    let prefixes =
        (0..addresses).map(|n| ipnet::IpNet::from(IpAddr::from(0xc612_0000_u32.wrapping_add(n).to_be_bytes())));
    let list = List {
        name: ListName::new("drop"),
        action: ListAction::Ban { services: MAIL, observe: false },
        prefixes: Some(prefixes.collect()),
    };
    let now = world.now(0);
    let effects = world.judge.handle(Input::List(list), now);
    let _ = world.judge.carry_out(effects, now, &mut kernel);
    while world.judge.next_deadline().is_some_and(|deadline| deadline <= now.boot) {
        let effects = world.judge.handle(Input::Tick, now);
        let _ = world.judge.carry_out(effects, now, &mut kernel);
    }
    (world, kernel)
}

#[test]
fn a_list_never_pushes_out_a_ban_and_takes_the_room_that_is_left() {
    let (mut world, mut kernel) = listed(30, 10);
    assert_eq!(kernel.len(Map::BansV4), 10);
    assert_eq!(world.judge.status().lists[0].banned, 30);
    let source = |n: u8| IpAddr::from([192, 0, 2, n]);
    for n in 0..10 {
        for _ in 0..3 {
            let effects = world.fail(source(n), 1);
            let _ = world.judge.carry_out(effects, world.now(1), &mut kernel);
        }
    }
    let jails = |kernel: &FakeKernel| kernel.entries.values().filter(|entry| !entry.listed).count();
    assert_eq!((jails(&kernel), kernel.len(Map::BansV4)), (10, 10), "each ban by a jail has room");
    let counts = |world: &World| world.judge.status().room[0];
    assert_eq!(counts(&world), (Map::BansV4, 0, 30), "no ban yielded, the list waits");

    let now = world.now(1000);
    let effects = world.judge.handle(Input::Tick, now);
    let _ = world.judge.carry_out(effects, now, &mut kernel);
    assert_eq!((jails(&kernel), kernel.len(Map::BansV4)), (0, 10), "the list has the room again");
    assert_eq!(counts(&world), (Map::BansV4, 0, 20));
}

#[test]
fn a_long_list_is_followed_a_slice_at_a_time() {
    let mut world = World::new(policy([mail()]));
    let prefixes = (0..2_500_u32).map(|n| ipnet::IpNet::from(IpAddr::from((0xc612_0000 + n).to_be_bytes())));
    let list = List {
        name: ListName::new("drop"),
        action: ListAction::Ban { services: MAIL, observe: false },
        prefixes: Some(prefixes.collect()),
    };
    let now = world.now(0);
    assert_eq!(world.judge.handle(Input::List(list), now), []);
    let mut sizes = Vec::new();
    while world.judge.next_deadline().is_some_and(|deadline| deadline <= now.boot) {
        sizes.push(world.judge.handle(Input::Tick, now).len());
    }
    assert_eq!(sizes, [1000, 1000, 501]);
}
