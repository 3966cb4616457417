//! Full maps.

use super::{kernel::FakeKernel, *};
use crate::judge::{capacity::WAITING_MAX, effect::Map};

#[test]
fn the_ban_nearest_its_end_yields_and_the_map_is_told_of_once_an_hour() {
    check(
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         1 fail 192.0.2.2 weight=12 -> write hash 192.0.2.2/32 mail until 601; \
             banned 192.0.2.2/32 by jail mail until 601 for 3
         2 fail 192.0.2.3 weight=12 -> write hash 192.0.2.3/32 mail until 602; \
             banned 192.0.2.3/32 by jail mail until 602 for 3
         2 full hash 192.0.2.3/32 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail mail: the map BANS_V4 is full; \
             write hash 192.0.2.3/32 mail until 602; full BANS_V4 yielded 1 waiting 0
         3 full hash 192.0.2.3/32 -> remove hash 192.0.2.2/32; \
             unbanned 192.0.2.2/32 by jail mail: the map BANS_V4 is full; \
             write hash 192.0.2.3/32 mail until 602
         4 fail 2001:db8::1 weight=12 -> write hash 2001:db8::/64 mail until 604; \
             banned 2001:db8::/64 by jail mail until 604 for 3
         4 full hash 2001:db8::/64 -> full BANS_V6 yielded 0 waiting 1",
    );
}

#[test]
fn bans_by_hand_and_permanent_ones_never_yield_and_what_finds_no_room_waits_for_it() {
    let forever = Jail { bantime: BanTime::Permanent, ..jail("forever", "cyrus", MAIL) };
    let mut world = check_with(
        policy([mail(), forever]),
        "0 ban 192.0.2.1 for=10 -> write hash 192.0.2.1/32 mail until 10 manual; banned 192.0.2.1/32 by hand until 10
         0 fail 192.0.2.2 weight=12 filter=cyrus -> write hash 192.0.2.2/32 mail until 600; \
             banned 192.0.2.2/32 by jail mail until 600 for 3; \
             write hash 192.0.2.2/32 mail for ever; banned 192.0.2.2/32 by jail forever for ever for 3
         1 fail 192.0.2.3 weight=12 -> write hash 192.0.2.3/32 mail until 601; \
             banned 192.0.2.3/32 by jail mail until 601 for 3
         1 full hash 192.0.2.3/32 -> full BANS_V4 yielded 0 waiting 1
         # Not enforced, so not late.
         9 fail 192.0.2.3",
    );
    assert!(world.judge.why("192.0.2.3".parse().unwrap()).bans[0].waits);
    world.check(
        "10 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by hand: its time is over; \
             write hash 192.0.2.3/32 mail until 601",
    );
    assert!(!world.judge.why("192.0.2.3".parse().unwrap()).bans[0].waits);
}

#[test]
fn the_prefix_whose_last_ban_ends_first_yields_and_none_that_shares_its_entry_with_one_by_hand() {
    let long = Jail { bantime: seconds(6000), ..jail("long", "cyrus", MAIL) };
    check_with(
        policy([Jail { filters: vec!["postfix-sasl".into()], ..mail() }, long]),
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         0 fail 192.0.2.1 weight=12 filter=cyrus -> write hash 192.0.2.1/32 mail until 6000; \
             banned 192.0.2.1/32 by jail long until 6000 for 3
         1 fail 192.0.2.2 weight=12 -> write hash 192.0.2.2/32 mail until 601; \
             banned 192.0.2.2/32 by jail mail until 601 for 3
         1 ban 192.0.2.2 for=10 -> write hash 192.0.2.2/32 mail until 601 manual; banned 192.0.2.2/32 by hand until 11
         2 fail 192.0.2.3 weight=12 -> write hash 192.0.2.3/32 mail until 602; \
             banned 192.0.2.3/32 by jail mail until 602 for 3
         3 fail 192.0.2.4 weight=12 -> write hash 192.0.2.4/32 mail until 603; \
             banned 192.0.2.4/32 by jail mail until 603 for 3
         3 full hash 192.0.2.4/32 -> remove hash 192.0.2.3/32; \
             unbanned 192.0.2.3/32 by jail mail: the map BANS_V4 is full; \
             write hash 192.0.2.4/32 mail until 603; full BANS_V4 yielded 1 waiting 0
         # An entry of two bans goes with both.
         4 full hash 192.0.2.4/32 -> unbanned 192.0.2.1/32 by jail mail: the map BANS_V4 is full; \
             remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail long: the map BANS_V4 is full; \
             write hash 192.0.2.4/32 mail until 603",
    );
}

#[test]
fn nothing_yields_where_something_has_just_ended() {
    let ban = |time: u32, last: u32| {
        format!(
            "{time} fail 192.0.2.{last} weight=12 -> write hash 192.0.2.{last}/32 mail until {until}; \
                 banned 192.0.2.{last}/32 by jail mail until {until} for 3",
            until = time + 600
        )
    };
    check(&format!(
        "{}\n{}\n{}
         600 full hash 192.0.2.3/32 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail mail: its time is over; write hash 192.0.2.3/32 mail until 602",
        ban(0, 1),
        ban(1, 2),
        ban(2, 3),
    ));
}

#[test]
fn a_map_full_of_what_may_not_yield_makes_nothing_grow() {
    let forever = policy([Jail { bantime: BanTime::Permanent, maxretry: 1, ..mail() }]);
    let mut world = World::new(forever);
    let mut kernel = FakeKernel::with_room_for(10);
    for index in 0..u32::try_from(WAITING_MAX).unwrap() + 100 {
        let source = std::net::Ipv4Addr::from(0x1000_0000 + index);
        let effects = world.fail(source.into(), 0);
        let _reports = world.judge.carry_out(effects, world.now(0), &mut kernel);
    }
    let status = world.judge.status();
    assert_eq!(status.room[0], (Map::BansV4, 90, WAITING_MAX));
    assert_eq!(world.judge.bans_in_force(), 10 + WAITING_MAX);
    let by_hand = world.hand("192.0.2.1", 0);
    let _reports = world.judge.carry_out(by_hand, world.now(0), &mut kernel);
    assert_eq!(world.judge.bans_in_force(), 11 + WAITING_MAX, "what an operator asked for is kept");
}

#[test]
fn a_ban_that_ended_while_it_waited_is_not_written() {
    check(
        "0 ban 192.0.2.1 for=700 -> write hash 192.0.2.1/32 mail until 700 manual; banned 192.0.2.1/32 by hand until 700
         1 fail 192.0.2.3 weight=12 -> write hash 192.0.2.3/32 mail until 601; \
             banned 192.0.2.3/32 by jail mail until 601 for 3
         1 full hash 192.0.2.3/32 -> full BANS_V4 yielded 0 waiting 1
         2 ban 192.0.2.2 for=9000 -> write hash 192.0.2.2/32 mail until 9002 manual; banned 192.0.2.2/32 by hand until 9002
         # What only waits is no room to yield.
         3 full hash 192.0.2.2/32
         601 tick -> remove hash 192.0.2.3/32; unbanned 192.0.2.3/32 by jail mail: its time is over
         700 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by hand: its time is over; \
             write hash 192.0.2.2/32 mail until 9002 manual",
    );
}

#[test]
fn a_protected_address_that_has_no_room_takes_the_ban_around_it_with_it() {
    check(
        "0 own 192.0.2.10
         1 ban 192.0.2.0/24 -> write trie 192.0.2.10/32 protected; \
             write trie 192.0.2.0/24 mail until 601 manual; banned 192.0.2.0/24 by hand until 601
         1 full trie 192.0.2.10/32 -> remove trie 192.0.2.0/24; remove trie 192.0.2.10/32; unbanned 192.0.2.0/24 by hand: \
             a protected address inside it has no room in the map NETS_V4; full NETS_V4 yielded 0 waiting 0",
    );
}
