//! What follows from the accounts that are failed on: attacks, suspects, traps, spraying, and who is spared.

use std::collections::BTreeMap;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::{
    clock::LogTime,
    event::{Attempt, Event, FileId, Position, User, Weight},
    judge::{
        Effect, Input, Judge, Line, Report, TRIES_MAX,
        policy::{Accounts, Customers, Spraying},
        reason::Reason,
        saved::{Saved, SavedSuspect, SuspectChange},
    },
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Three networks are an attack.
fn accounts() -> Accounts {
    Accounts { sources: 3, traps: vec!["ghost".into(), "old-*@example.org".into()], ..Accounts::default() }
}

fn judging(accounts: Option<Accounts>, spraying: Option<Spraying>) -> Policy {
    Policy { accounts, spraying, customers: Some(Customers::default()), ..policy([mail()]) }
}

fn by_accounts() -> Policy {
    judging(Some(accounts()), None)
}

/// Runs a script of a host where people have logged in for an hour.
#[track_caller]
fn check_known(policy: Policy, script: &str) -> World {
    let mut world = World::new(policy);
    world.check("0 succeed 192.0.2.250 user=known at=-3600 backlog");
    world.check(script);
    world
}

fn by_spraying() -> Policy {
    judging(None, Some(Spraying::default()))
}

fn banned(address: &str, until: u64, why: &str) -> String {
    format!("write hash {address}/32 mail until {until}; banned {address}/32 by jail mail until {until} for {why}")
}

/// Brings alice under attack.
fn attack(second: u64) -> String {
    attack_on("alice", second)
}

/// Brings an account under attack by three networks, whose members are others each second.
fn attack_on(user: &str, second: u64) -> String {
    let last = second % 251;
    format!(
        "{second} fail 198.51.100.{last} user={user}
         {second} fail 203.0.113.{last} user={user}
         {second} fail 198.18.0.{last} user={user} -> account {user} under attack by 3\n"
    )
}

fn attacked(failures: u16) -> String {
    format!("1, it failed {failures} times on accounts under attack, and never logged in")
}

#[test]
fn an_account_is_under_attack_from_enough_networks_within_the_window() {
    let table = [
        (
            "three networks",
            "0 fail 198.51.100.1\n1 fail 203.0.113.1\n2 fail 198.18.0.1 -> account alice under attack by 3",
        ),
        (
            "a name in any case",
            "0 fail 198.51.100.1 user=A\n1 fail 203.0.113.1 user=a\n2 fail 198.18.0.1 user=A -> account A under attack by 3",
        ),
        (
            "once",
            "0 fail 198.51.100.1\n1 fail 203.0.113.1\n2 fail 198.18.0.1 -> account alice under attack by 3\n3 fail 198.18.1.1",
        ),
        (
            "neighbours are one network",
            "0 fail 198.51.100.1\n1 fail 198.51.100.2\n2 fail 203.0.113.1\n3 fail 203.0.113.255",
        ),
        (
            "an IPv6 network is a /48",
            "0 fail 2001:db8:1:1::1\n1 fail 2001:db8:1:2::1\n2 fail 2001:db8:2::1\n3 fail 2001:db8:3::1 -> account alice under attack by 3",
        ),
        ("other accounts", "0 fail 198.51.100.1 user=a\n1 fail 203.0.113.1 user=b\n2 fail 198.18.0.1 user=c"),
        ("no account", "0 fail 198.51.100.1 user=none\n1 fail 203.0.113.1 user=none\n2 fail 198.18.0.1 user=none"),
        ("no wrong password", "0 fail 198.51.100.1 weight=1\n1 fail 203.0.113.1 weight=1\n2 fail 198.18.0.1 weight=1"),
        ("a day later", "0 fail 198.51.100.1\n1 fail 203.0.113.1\n86401 fail 198.18.0.1"),
        (
            "where somebody logs in",
            "0 succeed 198.18.0.1 user=bob\n1 fail 198.51.100.1\n2 fail 203.0.113.1\n3 fail 198.18.0.1",
        ),
        ("who logs in afterwards", "0 fail 198.51.100.1\n1 fail 203.0.113.1\n2 succeed 203.0.113.1\n3 fail 198.18.0.1"),
    ];
    for (promise, script) in table {
        println!("{promise}");
        check_known(by_accounts(), script);
    }
}

#[test]
fn an_attack_ends_with_a_quiet_day_and_is_told_anew_after_that() {
    let mut world = check_known(by_accounts(), &attack(0));
    world.check(&format!("{} fail 198.18.1.1", DAY - 1));
    let current = |world: &World| world.judge.status().attacks;
    world.check(&format!("{} tick", 2 * DAY - 2));
    assert_eq!(current(&world), 1);
    world.check(&format!("{} tick", 2 * DAY + 60));
    assert_eq!(current(&world), 0);
    world.check(&attack(2 * DAY + HOUR));
    assert_eq!(current(&world), 1);
}

#[test]
fn who_only_ever_failed_on_accounts_under_attack_is_banned_by_the_second_try() {
    let week = 7 * DAY;
    let one = |at: u64| format!("{at} fail 192.0.2.1");
    let ban =
        |at: u64, failures| format!("{at} fail 192.0.2.1 -> {}", banned("192.0.2.1", at + week, &attacked(failures)));
    let table: [(&str, Vec<String>); 12] = [
        ("a day apart", vec![attack(0), one(HOUR), ban(DAY, 2)]),
        ("the first try does not", vec![attack(0), one(HOUR), format!("{} tick", DAY)]),
        ("who mistypes does so twice in a row", vec![attack(0), one(100), one(130)]),
        ("a telephone with an old password does so all day", vec![attack(0), one(0), one(300), ban(1000, 2)]),
        (
            "it tried before the attack began",
            vec![
                one(0),
                "60 fail 198.51.100.1\n60 fail 203.0.113.1 -> account alice under attack by 3".into(),
                ban(HOUR, 2),
            ],
        ),
        (
            "an account that nobody attacks is among them",
            vec![attack(0), "100 fail 192.0.2.1 user=bob".into(), one(HOUR), one(2 * HOUR), one(3 * HOUR)],
        ),
        (
            "several accounts under attack",
            vec![attack(0), attack_on("bob", 1), "100 fail 192.0.2.1 user=bob".into(), ban(HOUR, 2)],
        ),
        (
            "a try without a name says nothing",
            vec![attack(0), "100 fail 192.0.2.1 user=none".into(), one(HOUR), ban(DAY, 2)],
        ),
        ("more than a week apart", vec![attack(0), one(0), attack(8 * DAY), one(8 * DAY)]),
        (
            "somebody has logged in from there",
            vec![attack(0), "50 succeed 192.0.2.1 user=bob".into(), one(HOUR), one(2 * HOUR), one(DAY)],
        ),
        (
            "somebody has logged in between",
            vec![attack(0), one(HOUR), format!("{} succeed 192.0.2.1", HOUR + 1), one(2 * HOUR), one(DAY)],
        ),
        (
            "after the ban one try is enough",
            vec![
                attack(0),
                one(HOUR),
                ban(DAY, 2),
                format!(
                    "{} tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over",
                    8 * DAY
                ),
                attack(9 * DAY),
                ban(9 * DAY + HOUR, 1),
            ],
        ),
    ];
    for (promise, steps) in table {
        println!("{promise}");
        check_known(by_accounts(), &steps.join("\n"));
    }
}

#[test]
fn nobody_is_banned_for_never_having_logged_in_where_that_is_not_known() {
    let script = attack(0) + "100 fail 192.0.2.1\n3599 fail 192.0.2.1";
    check_with(by_accounts(), &script);
    check_with(by_accounts(), &("1 succeed 192.0.2.250\n".to_owned() + &script));
    check_with(
        Policy { customers: None, ..by_accounts() },
        &("0 succeed 192.0.2.250 at=-3600 backlog\n".to_owned() + &script),
    );
}

#[test]
fn nobody_sprays_where_it_is_not_known_who_logs_in() {
    let five: String = (0..5).map(|n| format!("{} fail 192.0.2.1 user=u{n}\n", n * 700)).collect();
    check_with(by_spraying(), &five);
    check_with(by_spraying(), &("1 succeed 192.0.2.250\n".to_owned() + &five));
    check_with(
        Policy { customers: None, ..by_spraying() },
        &("0 succeed 192.0.2.250 at=-3600 backlog\n".to_owned() + &five),
    );
}

#[test]
fn no_setting_bans_a_new_source_by_its_first_try() {
    let policy = judging(Some(Accounts { maxretry: 1, ..accounts() }), None);
    check_known(policy, &(attack(0) + "100 fail 192.0.2.1"));
}

#[test]
fn a_trap_bans_by_the_first_try() {
    let week = |at: u64, address, trap| banned(address, at + 7 * DAY, &format!("1, it tried {trap}, a trap"));
    let table = [
        ("its name", format!("0 fail 192.0.2.1 user=GHOST -> {}", week(0, "192.0.2.1", "ghost"))),
        ("in any domain", format!("0 fail 192.0.2.1 user=ghost@example.net -> {}", week(0, "192.0.2.1", "ghost"))),
        ("a pattern", format!("0 fail 192.0.2.1 user=old-x@example.org -> {}", week(0, "192.0.2.1", "old-*@example.org"))),
        ("another domain", "0 fail 192.0.2.1 user=old-x@example.net".to_owned()),
        ("no wrong password, but its name", format!("0 fail 192.0.2.1 user=ghost weight=1 -> {}", week(0, "192.0.2.1", "ghost")).replace("for 1,", "for 0.25,")),
        ("a line that was read late", format!("90000 fail 192.0.2.1 user=ghost at=3600 backlog -> {}", week(3600, "192.0.2.1", "ghost"))),
        ("a line that was read too late", "900000 fail 192.0.2.1 user=ghost at=3600 backlog".to_owned()),
        ("somebody there is a customer", format!("0 succeed 192.0.2.1\n0 fail 192.0.2.1 user=ghost -> {}", banned("192.0.2.1", 600, "1, it tried ghost, a trap"))),
        ("somebody logs in as it", "0 succeed 198.51.100.1 user=ghost -> trap ghost logs in\n1 fail 192.0.2.1 user=ghost\n4000 fail 192.0.2.1 user=ghost -> trap ghost logs in".to_owned()),
    ];
    for (promise, script) in table {
        println!("{promise}");
        check_known(by_accounts(), &script);
    }
}

#[test]
fn many_accounts_from_one_source_ban_for_a_day() {
    let tries = |seconds: &[u64]| -> String {
        seconds.iter().enumerate().map(|(index, at)| format!("{at} fail 192.0.2.1 user=u{index}\n")).collect()
    };
    let ban = |at: u64| {
        format!("{at} fail 192.0.2.1 user=last -> {}", banned("192.0.2.1", at + DAY, "1, it tried 5 accounts"))
    };
    let table = [
        ("five accounts in a day", tries(&[0, HOUR, 2 * HOUR, 3 * HOUR]) + &ban(DAY)),
        ("in more than a day", tries(&[0, HOUR, 2 * HOUR, 3 * HOUR, DAY + 1, DAY + HOUR + 1])),
        ("one account again and again", (0..40_u64).map(|n| format!("{} fail 192.0.2.1\n", n * 700)).collect()),
        ("one account again and again does not hide others", {
            let hidden = |n: u64| {
                let again = [1000, 3000, 6000, 9000].map(|k| format!("{} fail 192.0.2.1\n", n * 4 * HOUR + k));
                format!("{} fail 192.0.2.1 user=u{n}\n", n * 4 * HOUR) + &again.concat()
            };
            [0, 1, 2].map(hidden).concat() + &ban(12 * HOUR)
        }),
        ("accounts that logged in from there", "0 succeed 192.0.2.1 user=u0\n1 succeed 192.0.2.1 user=u1\n".to_owned()
            + &tries(&[10, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR])),
        ("an account that logged in meanwhile", tries(&[0, HOUR, 2 * HOUR, 3 * HOUR])
            + "12000 succeed 192.0.2.1 user=u0\n14400 fail 192.0.2.1 user=u5"),
        ("names that are one", "0 fail 192.0.2.1 user=a\n3600 fail 192.0.2.1 user=A\n7200 fail 192.0.2.1 user=b\n10800 fail 192.0.2.1 user=c\n14400 fail 192.0.2.1 user=d".into()),
    ];
    for (promise, script) in table {
        println!("{promise}");
        check_known(by_spraying(), &script);
    }
}

#[test]
fn failures_on_a_third_account_weigh_double() {
    let policy = || Policy { jails: vec![Jail { maxretry: 5, ..mail() }], ..by_spraying() };
    let many = ", those on a third account and further ones weigh double";
    let tried = |users: &[&str], ban: &str| -> String {
        let mut lines: Vec<String> = users.iter().map(|user| format!("0 fail 192.0.2.1 user={user}")).collect();
        if !ban.is_empty() {
            lines.last_mut().unwrap().push_str(&format!(" -> {}", banned("192.0.2.1", 600, ban)));
        }
        lines.join("\n")
    };
    let table = [
        (vec!["a", "a", "a", "a", "a"], "5".to_owned()),
        (vec!["a", "b", "a", "b", "a"], "5".to_owned()),
        (vec!["a", "b", "c"], String::new()),
        (vec!["a", "b", "c", "a"], format!("5{many}")),
        (vec!["a", "b", "c", "d"], format!("6{many}")),
        (vec!["a", "none", "none", "b", "c"], format!("6{many}")),
    ];
    for (users, ban) in table {
        println!("{users:?}");
        check_known(policy(), &tried(&users, &ban));
    }
    check_known(
        policy(),
        "0 succeed 192.0.2.1 user=a\n1 fail 192.0.2.1 user=a\n1 fail 192.0.2.1 user=b\n1 fail 192.0.2.1 user=c\n1 fail 192.0.2.1 user=a",
    );
}

#[test]
fn where_many_log_in_traps_and_spraying_are_told_once_a_day_and_ban_nobody() {
    let logins: String = (0..5).map(|n| format!("0 succeed 192.0.2.1 user=c{n}\n")).collect();
    let policy = judging(Some(accounts()), Some(Spraying::default()));
    check_known(
        policy,
        &(logins
            + "10 fail 192.0.2.1 user=ghost -> shared 192.0.2.1/32: it tried ghost, a trap
               4000 fail 192.0.2.1 user=ghost
               8000 fail 192.0.2.1 user=a
               12000 fail 192.0.2.1 user=b
               16000 fail 192.0.2.1 user=c
               20000 fail 192.0.2.1 user=d
               86420 fail 192.0.2.1 user=ghost -> shared 192.0.2.1/32: it tried ghost, a trap"),
    );
}

#[test]
fn who_is_ignored_attacks_nobody() {
    let policy = Policy { ignoreip: nets(&["198.18.0.0/15"]), ..by_accounts() };
    check_known(policy, "0 fail 198.51.100.1\n0 fail 203.0.113.1\n0 fail 198.18.0.1\n0 fail 198.18.0.1 user=ghost");
}

#[test]
fn an_unban_forgets_what_was_tried() {
    let ban = banned("192.0.2.1", DAY + 7 * DAY, &attacked(2));
    check_known(
        by_accounts(),
        &format!(
            "{}100 fail 192.0.2.1\n{DAY} fail 192.0.2.1 -> {ban}
             {after} unban 192.0.2.1 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: lifted by hand
             {later} fail 192.0.2.1",
            attack(0),
            after = DAY + 1,
            later = DAY + HOUR,
        ),
    );
}

#[test]
fn a_clock_that_is_set_moves_what_was_tried_along() {
    let ban = "write hash 192.0.2.1/32 mail until 608400; banned 192.0.2.1/32 by jail mail until 3200400 for";
    check_known(
        by_accounts(),
        &format!("{}100 fail 192.0.2.1\n200 clock +2592000\n3600 fail 192.0.2.1 -> {ban} {}", attack(0), attacked(2)),
    );
}

#[test]
fn without_the_tables_nothing_of_this_happens() {
    let script = attack(0).replace("-> account alice under attack by 3", "");
    check(
        &(script
            + "1 fail 192.0.2.1 user=ghost\n2 fail 192.0.2.1 user=b\n90000 fail 192.0.2.1 user=c\n90000 fail 192.0.2.1 user=d"),
    );
}

/// What a login or a failure comes to.
fn event(world: &mut World, second: u64, source: std::net::IpAddr, user: &[u8], fails: bool) -> Vec<Effect> {
    let now = world.now(second);
    let (filter, weight, at) = ("cyrus".into(), Weight::ONE, now.wall.as_log_time());
    let attempt = Attempt { filter, source, user: Some(User::new(user)), weight, at };
    let events = &[if fails { Event::Failure(attempt) } else { Event::Success(attempt) }];
    let position = Position { file: FileId(0), offset: 0 };
    world.judge.handle(Input::Line(Line { events, bytes: b"", position, sources: &[0], live: true }), now)
}

#[test]
fn names_that_are_no_text_or_too_long_are_accounts_like_others() {
    let long = |end: &[u8]| [&[b'x'; 64], end].concat();
    let table: [([&[u8]; 3], Option<&str>); 3] = [
        ([b"a\xff\n\x1b[2J", b"A\xff\n\x1b[2J", b"a\xff\n\x1b[2J"], Some("a\\xff\\n\\u{1b}[2J")),
        ([&long(b"1"), &long(b"2"), &long(b"3")], Some(&"x".repeat(64))),
        ([b"\xff", b"\xfe", b"\xfd"], None),
    ];
    for (names, expected) in table {
        let mut world = World::new(by_accounts());
        let addresses = ["198.51.100.1", "203.0.113.1", "198.18.0.1"].map(|address| address.parse().unwrap());
        let mut told = Vec::new();
        for (name, address) in names.into_iter().zip(addresses) {
            told.extend(event(&mut world, 0, address, name, true));
        }
        let name = told.iter().find_map(|effect| match effect {
            Effect::Report(Report::AccountUnderAttack { account, .. }) => Some(account.to_string()),
            Effect::Write(_) | Effect::Remove(_) | Effect::Report(_) => None,
        });
        assert_eq!(name.as_deref(), expected, "{names:?}");
    }
}

#[test]
fn of_many_accounts_under_attack_twenty_an_hour_are_told_one_by_one() {
    let mut world = World::new(judging(Some(Accounts { sources: 2, ..Accounts::default() }), None));
    let mut attack = |second: u64, number: u8| {
        let name = format!("user{number}");
        let source = |network: u8| std::net::IpAddr::from([198, 18, network, number]);
        let mut told = event(&mut world, second, source(1), name.as_bytes(), true);
        told.extend(event(&mut world, second, source(2), name.as_bytes(), true));
        told.into_iter().find_map(|effect| match effect {
            Effect::Report(Report::AccountUnderAttack { untold, .. }) => Some(untold),
            Effect::Write(_) | Effect::Remove(_) | Effect::Report(_) => None,
        })
    };
    // An hour of the wall clock begins 2400 seconds after the world.
    let told: Vec<_> = (0..25).map(|number| attack(0, number)).collect();
    assert_eq!(told, [[Some(0); 20].as_slice(), &[None; 5]].concat());
    assert_eq!(attack(2799, 30), None);
    assert_eq!(attack(2800, 31), Some(6));
    assert_eq!(world.judge.status().attacks, 27);
}

#[test]
fn one_source_makes_no_more_names_known_than_are_kept_of_it() {
    let two = Some(Accounts { sources: 2, ..Accounts::default() });
    let patient = Jail { maxretry: 1000, ..mail() };
    let mut world = World::new(Policy { jails: vec![patient], ..judging(two, None) });
    let mut told = |address: [u8; 4], number: u32| {
        event(&mut world, 0, address.into(), format!("user{number}").as_bytes(), true).len()
    };
    assert_eq!((0..100).map(|number| told([198, 51, 100, 1], number)).sum::<usize>(), 0);
    let begun: Vec<_> = (0..8).map(|number| told([203, 0, 113, u8::try_from(number).unwrap()], number)).collect();
    assert_eq!(begun, [1, 1, 1, 1, 1, 1, 0, 0]);
}

#[test]
fn a_restart_forgets_neither_tries_nor_attacks() {
    let mut world = check_known(by_accounts(), &(attack(0) + "100 fail 192.0.2.1"));
    let suspects = |judge: &Judge| -> Vec<SavedSuspect> {
        let saved = judge.everything().suspects.into_iter().filter_map(|change| match change {
            SuspectChange::Tried(suspect) => Some(suspect),
            SuspectChange::Gone { .. } => None,
        });
        saved.collect()
    };
    let saved = Saved { suspects: suspects(&world.judge), ..Saved::default() };
    assert_eq!(saved.suspects.len(), 4);
    world.judge = Judge::new(by_accounts()).saved();
    let now = world.now(HOUR);
    let _ = world.judge.handle(Input::Restore(saved.clone()), now);
    assert_eq!((world.judge.status().attacks, suspects(&world.judge)), (1, saved.suspects.clone()));
    world.check("3600 succeed 192.0.2.250 user=known at=-3600 backlog");
    world.check(&format!("{DAY} fail 192.0.2.1 -> {}", banned("192.0.2.1", 8 * DAY, &attacked(2))));
    // What is known since is better known than by the state.
    let _ = world.judge.handle(Input::Restore(saved), world.now(DAY));
    assert!(suspects(&world.judge).iter().any(|saved| saved.suspect.banned_until().is_some()));
}

proptest! {
    /// Sources are some of 192.0.2.0/24 and, all of them other networks, 198.18.0.1 to 198.18.7.1; of these the last is ignored.
    #[test]
    fn whatever_is_tried_only_those_are_hit_who_may_be_and_nothing_grows(
        steps in prop::collection::vec((0_u8..16, 0_u8..8, 0_u8..6, 0_u64..40_000), 1..120),
    ) {
        let rules = judging(
            Some(Accounts { sources: 3, traps: vec!["user7".into()], ..Accounts::default() }),
            Some(Spraying::default()),
        );
        let limits = Limits { sources: 10, ..Limits::default() };
        let mut world = World::new(Policy { ignoreip: nets(&["198.18.7.0/24"]), limits, ..rules });
        let (mut second, mut logins) = (0, BTreeMap::<IpNet, Vec<(u8, LogTime)>>::new());
        // Many log in from 192.0.2.0.
        for user in 0_u8..5 {
            let source = std::net::IpAddr::from([192, 0, 2, 0]);
            event(&mut world, 0, source, format!("user{user}").as_bytes(), false);
            logins.entry(source.into()).or_default().push((user, world.now(0).wall.as_log_time()));
        }
        for (source, user, kind, wait) in steps {
            second += wait;
            let address = match source {
                0..4 => [192, 0, 2, 0],
                4..8 => [192, 0, 2, source],
                _ => [198, 18, source - 8, 1],
            };
            let source = IpNet::from(std::net::IpAddr::from(address));
            let now = world.now(second).wall.as_log_time();
            let effects = event(&mut world, second, source.addr(), format!("user{user}").as_bytes(), kind > 0);
            if kind == 0 {
                logins.entry(source).or_default().push((user, now));
            }
            let week = |at: LogTime| at.distance(now) < Duration::from_secs(7 * DAY);
            let customers: Vec<_> = logins.get(&source).into_iter().flatten().filter(|(_, at)| week(*at)).collect();
            for effect in effects {
                let Effect::Report(Report::Banned { prefix, until: Some(until), because: Some(because), .. }) = effect else {
                    continue;
                };
                prop_assert_eq!(prefix, source);
                prop_assert!(address[..3] != [198, 18, 7], "ignored");
                let length = until.as_log_time().distance(now);
                let least = if because.reasons.contains(&Reason::Customer) { 120 } else { 600 };
                prop_assert!(length >= Duration::from_secs(least), "never shorter than is configured");
                let shared = customers.iter().map(|(user, _)| user).collect::<std::collections::BTreeSet<_>>().len() >= 5;
                for reason in &because.reasons {
                    match reason {
                        Reason::UnderAttack { failures } => {
                            prop_assert!(customers.is_empty() && *failures >= 1);
                            prop_assert!(length >= Duration::from_secs(7 * DAY));
                        }
                        Reason::Spraying { accounts } => {
                            prop_assert!(!shared && (5..=TRIES_MAX).contains(&usize::from(*accounts)));
                            prop_assert!(length >= Duration::from_secs(DAY));
                        }
                        Reason::Trap(_) => {
                            prop_assert!(!shared && user == 7);
                            let known = logins.values().flatten().any(|(user, at)| *user == 7 && week(*at));
                            prop_assert!(!known, "somebody has logged in as it");
                        }
                        Reason::ManyAccounts => prop_assert!(!shared),
                        Reason::SharedSource | Reason::KnownAccounts | Reason::Customer => prop_assert!(!customers.is_empty()),
                        Reason::BannedBefore { .. }
                        | Reason::Recidivist { .. }
                        | Reason::Members { .. }
                        | Reason::MemberOf(_) => {}
                    }
                }
            }
            prop_assert!(world.judge.everything().suspects.len() <= 10);
        }
    }

    /// Failures of one moment, in two orders: the same accounts are under attack, and the same is known of each source.
    #[test]
    fn the_order_of_what_happens_at_once_does_not_matter(
        failures in prop::collection::vec((0_u8..6, 0_u8..3), 1..12).prop_flat_map(|one| (Just(one.clone()), Just(one).prop_shuffle())),
    ) {
        let run = |failures: &[(u8, u8)]| {
            // No jail bans meanwhile: what comes then is not looked at.
            let patient = Jail { maxretry: 100, ..mail() };
            let mut world = World::new(Policy { jails: vec![patient], ..by_accounts() });
            for (source, user) in failures {
                event(&mut world, 100, [198, 18, *source, 1].into(), &[b'a' + user], true);
            }
            let attacks = world.judge.status().attacks;
            let tried = world.judge.everything().suspects.into_iter().filter_map(|change| match change {
                SuspectChange::Tried(saved) => {
                    let mut tries: Vec<_> = saved.suspect.tries().map(|(tried, _)| tried.account).collect();
                    tries.sort_unstable();
                    Some((saved.source, tries))
                }
                SuspectChange::Gone { .. } => None,
            });
            (attacks, tried.collect::<Vec<_>>())
        };
        prop_assert_eq!(run(&failures.0), run(&failures.1));
    }
}
