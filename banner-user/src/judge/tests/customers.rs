//! What a login grants, and what it does not.

use std::net::IpAddr;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::{
    clock::LogTime,
    judge::{Login, SOURCES_MAX, account::AccountId, customers::Customers as Known, policy::Customers},
};

fn known() -> Policy {
    Policy { customers: Some(Customers::default()), ..policy([mail()]) }
}

fn knowing(customers: Customers) -> Policy {
    Policy { customers: Some(customers), ..policy([mail()]) }
}

/// So many failures, a second apart from `first` on; the world says whether the last one banned, and until when.
fn bans_at(world: &mut World, first: u64, input: &str, most: u64) -> Option<(u64, String)> {
    (0..most).find_map(|nth| {
        let effects = world.run(first + nth, input);
        effects.into_iter().find(|effect| effect.starts_with("banned")).map(|effect| (nth + 1, effect))
    })
}

#[test]
fn failures_on_an_account_that_logged_in_from_there_weigh_half_and_the_first_ban_is_short() {
    let banned = |until: &str| format!("banned 192.0.2.1/32 by jail mail until {until}");
    let table = [
        ("nobody has logged in", "", "fail 192.0.2.1", 3, banned("702 for 3")),
        (
            "the same account has",
            "succeed 192.0.2.1",
            "fail 192.0.2.1",
            6,
            banned("225 for 3, those on accounts known there weigh half, a customer's first ban"),
        ),
        (
            "in capitals",
            "succeed 192.0.2.1 user=ALICE",
            "fail 192.0.2.1",
            6,
            banned("225 for 3, those on accounts known there weigh half, a customer's first ban"),
        ),
        (
            "another account has",
            "succeed 192.0.2.1 user=bob",
            "fail 192.0.2.1",
            3,
            banned("222 for 3, a customer's first ban"),
        ),
        (
            "the line has no name",
            "succeed 192.0.2.1",
            "fail 192.0.2.1 user=none",
            3,
            banned("222 for 3, a customer's first ban"),
        ),
        (
            "nor has the login's",
            "succeed 192.0.2.1 user=none",
            "fail 192.0.2.1 user=none",
            3,
            banned("222 for 3, a customer's first ban"),
        ),
        ("from elsewhere", "succeed 192.0.2.2", "fail 192.0.2.1", 3, banned("702 for 3")),
        (
            "a quarter is half a quarter, rounded up",
            "succeed 192.0.2.1",
            "fail 192.0.2.1 weight=1",
            12,
            banned("231 for 3, those on accounts known there weigh half, a customer's first ban"),
        ),
    ];
    for (promise, before, input, nth, expected) in table {
        let mut world = World::new(known());
        if !before.is_empty() {
            assert_eq!(world.run(0, before), [""; 0]);
        }
        assert_eq!(bans_at(&mut world, 100, input, 20), Some((nth, expected)), "{promise}");
    }
}

#[test]
fn a_login_halves_what_was_mistyped_before_it_and_forgets_nothing() {
    let mut world = World::new(known());
    world.check(
        "0 fail 192.0.2.1
         1 fail 192.0.2.1
         2 succeed 192.0.2.1
         3 fail 192.0.2.1
         4 fail 192.0.2.1
         5 fail 192.0.2.1
         6 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 126; banned 192.0.2.1/32 by jail mail until 126 for 3, those on accounts known there weigh half, a customer's first ban",
    );
}

#[test]
fn a_login_clears_only_where_the_configuration_says_so() {
    let script = "0 fail 192.0.2.1 user=bob
         1 fail 192.0.2.1 user=bob
         2 succeed 192.0.2.1";
    let mut world = World::new(knowing(Customers { clear: true, ..Customers::default() }));
    world.check(script);
    assert_eq!(bans_at(&mut world, 3, "fail 192.0.2.1 user=bob", 9).unwrap().0, 3);
    let mut world = World::new(known());
    world.check(script);
    assert_eq!(bans_at(&mut world, 3, "fail 192.0.2.1 user=bob", 9).unwrap().0, 1);
}

#[test]
fn one_account_makes_eight_sources_known_those_that_it_was_first_seen_at() {
    let mut world = World::new(known());
    for last in 1..=20 {
        assert_eq!(world.run(last, &format!("succeed 192.0.2.{last}")), [""; 0]);
    }
    for last in 1..=20 {
        let (nth, _) = bans_at(&mut world, 100 + 10 * last, &format!("fail 192.0.2.{last}"), 9).unwrap();
        assert_eq!(nth, if last <= 8 { 6 } else { 3 }, "192.0.2.{last}");
    }
}

#[test]
fn a_login_is_remembered_for_so_long() {
    let week = 7 * 24 * 3600;
    for (seconds, nth) in [(week, 6), (week + 3601, 3)] {
        let mut world = World::new(known());
        world.check("0 succeed 192.0.2.1");
        world.run(seconds, "tick");
        assert_eq!(bans_at(&mut world, seconds, "fail 192.0.2.1", 9).unwrap().0, nth, "after {seconds} s");
    }
}

#[test]
fn at_a_shared_source_no_telephone_with_an_old_password_locks_out_the_others() {
    let users = ["alice", "bob", "carol", "dave", "erin"];
    let logins = |world: &mut World, users: &[&str]| {
        for (second, user) in (0..).zip(users) {
            assert_eq!(world.run(second, &format!("succeed 192.0.2.1 user={user}")), [""; 0]);
        }
    };
    let mut office = World::new(known());
    logins(&mut office, &users);
    assert_eq!(bans_at(&mut office, 100, "fail 192.0.2.1", 400), None, "alice's telephone");
    // Half of the limit is its; the others have the other half, which is three mistypings of theirs.
    assert_eq!(bans_at(&mut office, 500, "fail 192.0.2.1 user=bob", 9).unwrap().0, 3);
    let mut household = World::new(known());
    logins(&mut household, &users[..4]);
    assert_eq!(bans_at(&mut household, 100, "fail 192.0.2.1", 400).unwrap().0, 6, "four accounts are no office");
}

#[test]
fn an_account_is_known_at_all_shared_addresses_of_its_gateway() {
    let table = [
        ("where it logged in", "192.0.2.1", "192.0.2.1", 5, None),
        ("at another address of the gateway", "192.0.2.1", "192.0.2.9", 5, None),
        ("logged in nowhere", "", "192.0.2.9", 5, Some(3)),
        ("in another network", "192.0.3.1", "192.0.2.9", 5, Some(3)),
        ("where few log in, beside the gateway", "192.0.2.200", "192.0.2.9", 5, Some(3)),
        ("from the gateway to where few log in", "192.0.2.1", "192.0.2.9", 4, Some(3)),
    ];
    for (promise, known_at, fails_at, sharing, expected) in table {
        let mut world = World::new(known());
        let mut log_in = |source: &str, user: &str| drop(world.run(0, &format!("succeed {source} user={user}")));
        for user in 0..5 {
            ["192.0.2.1", "192.0.3.1"].into_iter().for_each(|gateway| log_in(gateway, &format!("user{user}")));
        }
        (0..sharing).for_each(|user| log_in("192.0.2.9", &format!("user{user}")));
        if !known_at.is_empty() {
            log_in(known_at, "alice");
        }
        let banned = bans_at(&mut world, 100, &format!("fail {fails_at}"), 40);
        assert_eq!(banned.map(|(nth, _)| nth), expected, "{promise}");
    }
}

#[test]
fn at_a_shared_source_failures_on_a_known_account_do_not_push_out_guesses() {
    let mut world = World::new(known());
    for (second, user) in (0..).zip(["stolen", "bob", "carol", "dave", "erin"]) {
        drop(world.run(second, &format!("succeed 192.0.2.1 user={user}")));
    }
    let mut banned_at = None;
    for guess in 0..20 {
        let at = 100 + guess * 8;
        let guessed = world.run(at, &format!("fail 192.0.2.1 user=root{guess}"));
        let flushed =
            (1..8).flat_map(|second| world.run(at + second, "fail 192.0.2.1 user=stolen")).collect::<Vec<_>>();
        if [guessed, flushed].concat().iter().any(|effect| effect.starts_with("banned")) {
            banned_at = Some(guess + 1);
            break;
        }
    }
    assert_eq!(banned_at, Some(2), "half of the limit is the stolen account's, and two guesses are the other half");
}

#[test]
fn a_login_that_is_read_late_clears_only_what_was_before_it() {
    let mut world = World::new(knowing(Customers { clear: true, ..Customers::default() }));
    world.check(
        "100 fail 192.0.2.1 user=bob
         101 fail 192.0.2.1 user=bob at=90
         102 succeed 192.0.2.1 at=95 backlog
         103 fail 192.0.2.1 user=bob",
    );
    assert_eq!(bans_at(&mut world, 104, "fail 192.0.2.1 user=bob", 9).unwrap().0, 1);
}

#[test]
fn one_account_pushes_out_nobody_elses_logins() {
    let policy = Policy { limits: Limits { customers: 100, ..known().limits }, ..known() };
    let mut world = World::new(policy);
    drop(world.run(0, "succeed 192.0.2.1 user=bob"));
    for source in 0..1000 {
        drop(world.run(10 + source, &format!("succeed 2001:db8:0:{source:x}::1 user=stolen")));
    }
    assert_eq!(world.judge.customers.evicted(), 0);
    assert_eq!(world.judge.customers.len(), 1 + 8 + 56);
    assert_eq!(bans_at(&mut world, 2000, "fail 192.0.2.1 user=bob", 9).unwrap().0, 6);
    // What is remembered beyond the eight is what it was seen at last.
    let any = |prefix: &str| world.judge.customers.any_within(prefix.parse().unwrap());
    assert!(any("2001:db8:0:3e7::/64") && any("2001:db8:0:7::/64") && !any("2001:db8:0:100::/56"));
}

proptest! {
    /// Whatever logs in, in whatever order: within its bounds, and its indices tell the same.
    #[test]
    fn logins_stay_within_their_bounds(logins in prop::collection::vec((0u8..120, 0u64..4, 0i64..400), 1..600)) {
        let mut customers = Known::default();
        for (source, account, hours) in logins {
            let source: IpNet = match source {
                // Inside a source whose addresses are judged one by one, the first one begins as the whole does.
                0..20 => format!("2001:db8:0:{:x}::/{}", source / 2, if source % 2 == 0 { 64 } else { 128 }).parse().unwrap(),
                _ => IpAddr::from([192, 0, 2, source]).into(),
            };
            let account = (account > 0).then_some(AccountId(account));
            customers.note(source, account, LogTime(hours * 3600 * 1_000_000), 150);
            prop_assert!(customers.len() <= 150);
            let all: Vec<_> = customers.iter().collect();
            prop_assert_eq!(all.len(), customers.len());
            let here = || all.iter().filter(|(login, seen)| login.source == source && seen.counts);
            prop_assert_eq!(customers.is_customer(source), here().next().is_some());
            prop_assert_eq!(customers.accounts(source, 9), here().filter(|(login, _)| login.account.is_some()).count());
            prop_assert_eq!(customers.any_within(source), all.iter().any(|(login, _)| source.contains(&login.source)));
            let last = Login { source, account };
            prop_assert_eq!(customers.get(last), all.iter().find(|(login, _)| *login == last).map(|(_, seen)| *seen));
            let mut accounts = 0;
            for account in 1..4 {
                let of = || all.iter().filter(|(login, _)| login.account == Some(AccountId(account)));
                prop_assert!(of().filter(|(_, seen)| seen.counts).count() <= SOURCES_MAX);
                prop_assert!(of().filter(|(_, seen)| !seen.counts).count() <= 56);
                prop_assert_eq!(customers.has_logged_in(AccountId(account)), of().next().is_some());
                accounts += of().count();
            }
            prop_assert_eq!(accounts + all.iter().filter(|(login, _)| login.account.is_none()).count(), customers.len());
        }
        customers.forget_before(LogTime(i64::MAX), usize::MAX);
        prop_assert_eq!(customers.len(), 0);
    }
}

#[test]
fn only_the_first_ban_of_a_customer_is_short() {
    let mut world = World::new(known());
    world.check("0 succeed 192.0.2.1");
    assert_eq!(
        bans_at(&mut world, 100, "fail 192.0.2.1 weight=24", 9).unwrap().1,
        "banned 192.0.2.1/32 by jail mail until 220 for 3, those on accounts known there weigh half, a customer's first ban"
    );
    assert_eq!(
        bans_at(&mut world, 300, "fail 192.0.2.1 weight=24", 9).unwrap().1,
        "banned 192.0.2.1/32 by jail mail until 900 for 3, those on accounts known there weigh half"
    );
}

#[test]
fn logins_are_bounded_and_the_one_longest_ago_gives_way() {
    let policy = Policy { limits: Limits { customers: 3, ..known().limits }, ..known() };
    let mut world = World::new(policy);
    for last in 1..=5 {
        world.run(last, &format!("succeed 192.0.2.{last} user={last}"));
    }
    assert_eq!(world.judge.customers.len(), 3);
    assert_eq!(world.judge.customers.evicted(), 2);
    assert_eq!(bans_at(&mut world, 100, "fail 192.0.2.2 user=2", 9).unwrap().0, 3);
    assert_eq!(bans_at(&mut world, 200, "fail 192.0.2.3 user=3", 9).unwrap().0, 6);
}

#[test]
fn nothing_is_granted_where_that_is_switched_off() {
    for policy in [
        policy([mail()]),
        knowing(Customers { raise: false, bantime: Duration::from_secs(600), ..Customers::default() }),
    ] {
        let mut world = World::new(policy);
        world.run(0, "succeed 192.0.2.1");
        let (nth, effect) = bans_at(&mut world, 100, "fail 192.0.2.1", 9).unwrap();
        assert_eq!((nth, effect.as_str()), (3, "banned 192.0.2.1/32 by jail mail until 702 for 3"));
    }
}

#[test]
fn bans_of_a_shared_source_stay_short() {
    let mut world = World::new(Policy { increment: Some(doubling()), ..known() });
    for (second, user) in (0..).zip(["alice", "bob", "carol", "dave", "erin"]) {
        world.run(second, &format!("succeed 192.0.2.1 user={user}"));
        world.run(second, &format!("succeed 192.0.2.2 user={}", if second < 4 { user } else { "alice" }));
    }
    for (source, lengths) in [(1, [120, 120, 120]), (2, [120, 1200, 2400])] {
        for (nth, length) in (1..).zip(lengths) {
            let second = nth * 100_000 + source;
            let (_, banned) =
                bans_at(&mut world, second, &format!("fail 192.0.2.{source} user=x weight=12"), 1).unwrap();
            let expected = format!("banned 192.0.2.{source}/32 by jail mail until {}", second + length);
            assert!(banned.starts_with(&expected), "{banned}");
        }
    }
}
