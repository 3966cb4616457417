//! Longer bans for who was banned before.

use proptest::prelude::*;

use super::*;
use crate::{
    clock::BootTime,
    judge::{
        Input, LATEST_MAX, Login, Offence, Offences, Seen,
        effect::Until,
        manual::Target,
        policy::{Customers, Growth, Increment, Recidive},
        saved::{OffencesChange, Saved, SavedOffences},
    },
};

fn growing(increment: Increment) -> Policy {
    Policy { increment: Some(increment), ..policy([mail()]) }
}

/// How long each of so many bans lasts, where each begins a second after the one before has ended.
fn lengths(policy: Policy, bans: usize) -> Vec<u64> {
    let mut world = World::new(policy);
    let mut second = 0;
    let mut lengths = Vec::new();
    for _ in 0..bans {
        (0..3).for_each(|_| drop(world.fail([192, 0, 2, 1].into(), second)));
        let [ban] = world.judge.bans(None, 10).bans.try_into().expect("one ban");
        let Until::Boot(BootTime(until)) = ban.until else { panic!("it ends") };
        let until = u64::try_from(until).unwrap().div_ceil(1_000_000_000);
        lengths.push(until - second);
        second = until + 1;
    }
    lengths
}

#[test]
fn each_ban_is_longer_than_the_one_before_up_to_maxtime() {
    let week = 7 * 24 * 3600;
    let factor = |factor| Increment { growth: Growth::Factor(factor), ..doubling() };
    let times = |times: &[u32]| Increment { growth: Growth::Multipliers(times.to_vec()), ..doubling() };
    let capped = |seconds| Increment { maxtime: Duration::from_secs(seconds), ..doubling() };
    let table: [(Increment, &[u64]); 7] = [
        (doubling(), &[600, 1200, 2400, 4800, 9600, 19_200]),
        (factor(5), &[600, 3000, 15_000, 75_000, 375_000, week]),
        (times(&[1, 2, 6]), &[600, 1200, 3600, 3600]),
        // The first of fail2ban's numbers is for no former ban.
        (times(&[5, 3]), &[600, 1800, 1800]),
        (times(&[7]), &[600, 4200, 4200]),
        (capped(2000), &[600, 1200, 2000, 2000]),
        // One that is configured to be longer is not shortened.
        (capped(300), &[600, 600]),
    ];
    for (increment, expected) in table {
        assert_eq!(lengths(growing(increment.clone()), expected.len()), expected, "{increment:?}");
    }
    assert_eq!(lengths(policy([mail()]), 3), [600, 600, 600], "without");
    // Far beyond what a number holds.
    assert_eq!(lengths(growing(doubling()), 40).last(), Some(&week));
}

#[test]
fn a_ban_that_has_grown_is_longer_by_up_to_rndtime() {
    let jittered = |rndtime| {
        let policy = growing(Increment { rndtime: Duration::from_secs(rndtime), ..doubling() });
        lengths(policy, 8)
    };
    let (none, some) = (jittered(0), jittered(60));
    assert_eq!(none.first(), some.first(), "a first ban does not grow");
    assert!(none.iter().zip(&some).all(|(none, some)| (*none..=none + 60).contains(some)), "{some:?}");
    assert_ne!(none, some);
    assert_eq!(some, jittered(60), "the same every time");
}

#[test]
fn a_source_is_a_new_one_when_it_has_been_quiet_for_long_enough() {
    let forget = Increment { forget: Duration::from_secs(1000), ..doubling() };
    check_with(
        growing(forget),
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         1600 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail mail: its time is over; write hash 192.0.2.1/32 mail until 2800; \
             banned 192.0.2.1/32 by jail mail until 2800 for 3, banned once before
         # A thousand seconds after the last ban's end, and one more.
         3801 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail mail: its time is over; write hash 192.0.2.1/32 mail until 4401; \
             banned 192.0.2.1/32 by jail mail until 4401 for 3",
    );
}

#[test]
fn the_history_is_one_for_all_jails_and_counts_what_is_over() {
    let jails = [jail("smtp", "postfix-sasl", SMTP), Jail { bantime: seconds(60), ..jail("imap", "cyrus", IMAP) }];
    check_with(
        Policy { increment: Some(doubling()), ..policy(jails) },
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 600; \
             banned 192.0.2.1/32 by jail smtp until 600 for 3
         # The other ban is in force: nobody has come back.
         1 fail 192.0.2.1 weight=12 filter=cyrus -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail imap until 61 for 3
         62 tick -> write hash 192.0.2.1/32 smtp until 600; unbanned 192.0.2.1/32 by jail imap: its time is over
         62 fail 192.0.2.1 weight=12 filter=cyrus -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail imap until 182 for 3, banned once before
         601 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 600; \
             unbanned 192.0.2.1/32 by jail imap: its time is over; remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail smtp: its time is over; write hash 192.0.2.1/32 smtp until 5401; \
             banned 192.0.2.1/32 by jail smtp until 5401 for 3, banned 3 times before",
    );
}

#[test]
fn an_ipv6_source_is_its_prefix() {
    check_with(
        growing(doubling()),
        "0 fail 2001:db8::1 weight=12 -> write hash 2001:db8::/64 mail until 600; \
             banned 2001:db8::/64 by jail mail until 600 for 3
         600 fail 2001:db8::2 weight=12 -> remove hash 2001:db8::/64; \
             unbanned 2001:db8::/64 by jail mail: its time is over; write hash 2001:db8::/64 mail until 1800; \
             banned 2001:db8::/64 by jail mail until 1800 for 3, banned once before",
    );
}

#[test]
fn who_is_banned_again_and_again_is_banned_from_everything() {
    let recidive = Recidive {
        maxretry: 3,
        findtime: Duration::from_secs(2000),
        bantime: Duration::from_secs(9000),
        services: MAIL,
        without_logins: true,
    };
    let jails = [jail("smtp", "postfix-sasl", SMTP)];
    check_with(
        Policy { recidive: Some(recidive), ..policy(jails) },
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 600; \
             banned 192.0.2.1/32 by jail smtp until 600 for 3
         1000 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail smtp: its time is over; write hash 192.0.2.1/32 smtp until 1600; \
             banned 192.0.2.1/32 by jail smtp until 1600 for 3
         # The first one began too long ago.
         2001 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail smtp: its time is over; write hash 192.0.2.1/32 smtp until 2601; \
             banned 192.0.2.1/32 by jail smtp until 2601 for 3
         3000 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail smtp: its time is over; write hash 192.0.2.1/32 mail until 12000; \
             banned 192.0.2.1/32 by jail smtp until 12000 for 3, its ban number 3 of late",
    );
}

#[test]
fn who_has_logged_in_is_no_recidivist() {
    let recidive = Some(Recidive { maxretry: 2, services: MAIL, ..weekly() });
    let customers = Some(Customers { bantime: Duration::from_secs(600), ..Customers::default() });
    check_with(
        Policy { recidive, customers, ..policy([jail("smtp", "postfix-sasl", SMTP)]) },
        "0 succeed 192.0.2.1 user=bob
         0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 600; \
             banned 192.0.2.1/32 by jail smtp until 600 for 3
         700 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail smtp: its time is over; write hash 192.0.2.1/32 smtp until 1300; \
             banned 192.0.2.1/32 by jail smtp until 1300 for 3",
    );
}

#[test]
fn a_permanent_ban_stays_permanent() {
    let jails =
        [jail("smtp", "postfix-sasl", SMTP), Jail { bantime: BanTime::Permanent, ..jail("imap", "cyrus", IMAP) }];
    check_with(
        Policy { recidive: Some(Recidive { maxretry: 2, ..weekly() }), ..policy(jails) },
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 600; \
             banned 192.0.2.1/32 by jail smtp until 600 for 3
         700 fail 192.0.2.1 weight=12 filter=cyrus -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail smtp: its time is over; write hash 192.0.2.1/32 imap for ever; \
             banned 192.0.2.1/32 by jail imap for ever for 3, its ban number 2 of late",
    );
}

#[test]
fn a_ban_that_was_lifted_by_hand_or_by_ignoreip_was_no_offence() {
    check_with(
        growing(doubling()),
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         1 unban 192.0.2.1 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: lifted by hand
         2 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 602; \
             banned 192.0.2.1/32 by jail mail until 602 for 3
         3 ignoreip 192.0.2.1/32 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: 192.0.2.1 is in ignoreip
         4 ignoreip
         5 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 605; \
             banned 192.0.2.1/32 by jail mail until 605 for 3
         # This one is over: it was right.
         606 unban 192.0.2.1 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over; not banned
         607 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 1807; \
             banned 192.0.2.1/32 by jail mail until 1807 for 3, banned once before",
    );
}

#[test]
fn bans_by_hand_neither_grow_nor_are_offences() {
    check_with(
        growing(doubling()),
        "0 ban 192.0.2.1 for=10 -> write hash 192.0.2.1/32 mail until 10 manual; banned 192.0.2.1/32 by hand until 10
         11 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by hand: its time is over; \
             write hash 192.0.2.1/32 mail until 611; banned 192.0.2.1/32 by jail mail until 611 for 3
         700 ban 192.0.2.1 for=10 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over; \
             write hash 192.0.2.1/32 mail until 710 manual; banned 192.0.2.1/32 by hand until 710",
    );
}

#[test]
fn observing_bans_show_what_would_have_happened_and_make_no_other_longer() {
    let jails = [Jail { observe: true, ..jail("smtp", "postfix-sasl", SMTP) }, jail("imap", "cyrus", IMAP)];
    check_with(
        Policy { increment: Some(doubling()), ..policy(jails) },
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 600 observing; \
             would ban 192.0.2.1/32 by jail smtp until 600 for 3
         600 fail 192.0.2.1 weight=12 filter=cyrus -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail smtp: its time is over; write hash 192.0.2.1/32 imap until 1200; \
             banned 192.0.2.1/32 by jail imap until 1200 for 3
         1200 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail imap: its time is over; write hash 192.0.2.1/32 smtp until 3600 observing; \
             would ban 192.0.2.1/32 by jail smtp until 3600 for 3, banned 2 times before",
    );
}

#[test]
fn bans_for_lines_that_were_read_late_grow_by_their_own_times() {
    let short = [Jail { bantime: seconds(60), ..mail() }];
    check_with(
        Policy { increment: Some(doubling()), ..policy(short) },
        "2000 fail 192.0.2.1 weight=12 at=1500 backlog
         # That one had ended before anybody read of it, and so had the next, of twice its length.
         2000 fail 192.0.2.1 weight=12 at=1600 backlog
         2000 fail 192.0.2.1 weight=12 at=1800 backlog -> write hash 192.0.2.1/32 mail until 2040; \
             banned 192.0.2.1/32 by jail mail until 2040 for 3, banned 2 times before
         2040 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail mail: its time is over; write hash 192.0.2.1/32 mail until 2520; \
             banned 192.0.2.1/32 by jail mail until 2520 for 3, banned 3 times before",
    );
}

#[test]
fn a_clock_that_is_set_changes_no_history() {
    for step in [-86_400 * 365, -3600, 3600, 86_400 * 365] {
        let mut world = World::new(growing(doubling()));
        world.check(&format!(
            "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
                 banned 192.0.2.1/32 by jail mail until 600 for 3
             300 clock {step}
             301 unban 192.0.2.1 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: lifted by hand
             302 tick"
        ));
        assert_eq!(world.judge.everything().offences, [], "{step}: taken back");
        (0..3).for_each(|_| drop(world.fail([192, 0, 2, 1].into(), 400)));
        world.check(&format!("500 clock {}", -step));
        (0..3).for_each(|_| drop(world.fail([192, 0, 2, 1].into(), 1000)));
        let Until::Boot(BootTime(until)) = world.judge.bans(None, 1).bans[0].until else { panic!("it ends") };
        assert_eq!(until, 2_200_000_000_000, "{step}: twice as long");
    }
}

#[test]
fn the_history_is_bounded_and_what_was_banned_longest_ago_goes_first() {
    let mut bounded = growing(doubling());
    bounded.limits.sources = 5;
    let mut world = World::new(bounded);
    for last in 0..20_u8 {
        (0..3).for_each(|_| drop(world.fail([192, 0, 2, last].into(), last.into())));
    }
    let _ = world.judge.handle(Input::Tick, world.now(30));
    let kept = world.judge.everything().offences.into_iter().map(|change| match change {
        OffencesChange::Banned(saved) => saved.prefix,
        OffencesChange::Gone { prefix, .. } => panic!("{prefix}"),
    });
    let kept: Vec<_> = kept.collect();
    assert_eq!(kept, nets(&["192.0.2.15/32", "192.0.2.16/32", "192.0.2.17/32", "192.0.2.18/32", "192.0.2.19/32"]));
    assert_eq!(world.judge.status().offenders, (5, 15));
}

#[test]
fn what_was_saved_makes_sense_or_is_not_taken() {
    let offence = |began, until| Offence { began, until };
    let table: [(u16, &[Offence], bool); 8] = [
        (1, &[offence(1, 2)], true),
        (9, &[offence(1, 2), offence(1, u32::MAX)], true),
        (5, &[offence(1, 2); 5], true),
        (6, &[offence(1, 2); 6], false),
        (0, &[], false),
        (1, &[offence(1, 2), offence(3, 4)], false),
        (2, &[offence(3, 4), offence(1, 2)], false),
        (1, &[offence(0, 4)], false),
    ];
    for (bans, latest, makes_sense) in table {
        let restored = Offences::restored(bans, latest);
        assert_eq!(restored.is_some(), makes_sense, "{bans} {latest:?}");
        if let Some(restored) = restored {
            assert_eq!((restored.bans(), restored.latest().collect::<Vec<_>>()), (bans, latest.to_vec()));
        }
    }
    assert_eq!(size_of::<Offences>(), 44);
}

/// What the next ban depends on: how many there were, and when the last that can matter.
fn standing(change: OffencesChange) -> (ipnet::IpNet, u16, Vec<Offence>) {
    let OffencesChange::Banned(SavedOffences { prefix, offences, .. }) = change else { panic!("{change:?}") };
    let latest: Vec<_> = offences.latest().collect();
    (prefix, offences.bans(), latest[latest.len().saturating_sub(LATEST_MAX - 1)..].to_vec())
}

fn increment() -> impl Strategy<Value = Increment> {
    let growth = prop_oneof![
        (2_u16..100).prop_map(Growth::Factor),
        prop::collection::vec(1_u32..10_000, 1..5).prop_map(Growth::Multipliers),
    ];
    let time = || (1_u64..100_000).prop_map(Duration::from_secs);
    (growth, time(), 0_u64..100_000, time()).prop_map(|(growth, maxtime, rndtime, forget)| Increment {
        growth,
        maxtime,
        rndtime: Duration::from_secs(rndtime),
        forget,
        without_logins: true,
    })
}

fn recidive() -> impl Strategy<Value = Recidive> {
    (2_u16..=5, 1_u64..100_000, 1_u64..100_000).prop_map(|(maxretry, findtime, bantime)| Recidive {
        maxretry,
        findtime: Duration::from_secs(findtime),
        bantime: Duration::from_secs(bantime),
        services: MAIL,
        without_logins: true,
    })
}

proptest! {
    /// A ban is never shorter than configured nor longer than the caps allow, never touches an ignored address, and what is lifted
    /// by hand leaves everything as it was.
    #[test]
    fn bans_are_as_long_as_configured_and_an_unban_undoes_them(
        increment in prop::option::of(increment()),
        recidive in prop::option::of(recidive()),
        bantime in 1_u64..5000,
        steps in prop::collection::vec((0_u8..5, 0_u64..4000, prop::bool::ANY), 1..60),
    ) {
        let longest = [
            Some(bantime),
            increment.as_ref().map(|increment| increment.maxtime.as_secs().max(bantime) + increment.rndtime.as_secs()),
            recidive.as_ref().map(|recidive| recidive.bantime.as_secs()),
        ];
        let longest = longest.into_iter().flatten().max().unwrap();
        let jails = [
            Jail { bantime: seconds(bantime), ..jail("smtp", "postfix-sasl", SMTP) },
            Jail { bantime: seconds(bantime), ..jail("all", "cyrus", MAIL) },
        ];
        let ignoreip = nets(&["192.0.2.0/32"]);
        let mut world = World::new(Policy { increment, recidive, ignoreip, ..policy(jails) });
        let mut second = 0;
        for (last, wait, unban) in steps {
            second += wait;
            let _ = world.judge.handle(Input::Tick, world.now(second));
            let target = Target::Address([192, 0, 2, last].into());
            let banned = |world: &World| {
                let bans = world.judge.bans(None, 100).bans;
                bans.into_iter().filter(|ban| ban.prefix.addr() == std::net::IpAddr::from([192, 0, 2, last])).collect::<Vec<_>>()
            };
            if !banned(&world).is_empty() {
                continue;
            }
            let before = world.judge.everything();
            (0..3).for_each(|_| drop(world.fail([192, 0, 2, last].into(), second)));
            let bans = banned(&world);
            prop_assert_eq!(bans.is_empty(), last == 0, "all but the ignored one are banned");
            for ban in &bans {
                let Until::Boot(BootTime(until)) = ban.until else { panic!("it ends") };
                let length = u64::try_from(until).unwrap().div_ceil(1_000_000_000) - second;
                prop_assert!((bantime..=longest).contains(&length), "{} s", length);
                prop_assert!(ban.services.contains(MAIL));
            }
            if unban && !bans.is_empty() {
                let _ = world.judge.unban(target, world.now(second));
                let after = world.judge.everything();
                prop_assert_eq!((after.bans, after.tallies), (before.bans, before.tallies));
                let standing = |changes: Vec<OffencesChange>| changes.into_iter().map(standing).collect::<Vec<_>>();
                prop_assert_eq!(standing(after.offences), standing(before.offences));
            }
        }
    }
}

#[test]
fn bans_grow_where_logins_have_been_heard_of_for_a_day_or_are_not_waited_for() {
    let deaf = Jail { hears_logins: false, ..mail() };
    let (day, login) = (24 * 3600, "succeed 198.51.100.1");
    let customers = Some(Customers::default());
    // First what is heard, then the jail, and who grows: by default, and without logins.
    let table = [
        ("in the first day", login, mail(), customers.clone(), day - 3000, (false, false)),
        ("after it", login, mail(), customers.clone(), day + 1, (true, true)),
        ("nobody has logged in", "tick", mail(), customers.clone(), day + 1, (false, true)),
        ("no log tells of logins", login, deaf, customers, 3000, (false, true)),
        ("nobody wants to know of logins", login, mail(), None, 3000, (false, true)),
    ];
    for (promise, heard, jail, customers, second, grow) in table {
        for (without_logins, grows) in [(false, grow.0), (true, grow.1)] {
            let increment = Some(Increment { without_logins, ..Increment::default() });
            let policy = Policy { increment, customers: customers.clone(), ..policy([jail.clone()]) };
            let mut world = World::new(policy);
            world.run(0, heard);
            world.run(0, "fail 192.0.2.1 weight=12");
            let banned = world.run(second, "fail 192.0.2.1 weight=12");
            let length = if grows { 1200 } else { 600 };
            let expected = format!("until {}", second + length);
            assert!(
                banned.last().is_some_and(|banned| banned.contains(&expected)),
                "{promise}, {without_logins}: {banned:?}"
            );
        }
    }
}

#[test]
fn nobody_is_a_recidivist_where_no_logins_are_known() {
    for (without_logins, length) in [(false, 600), (true, 7 * 24 * 3600)] {
        let recidive = Some(Recidive { maxretry: 2, without_logins, ..Recidive::default() });
        let mut world = World::new(Policy { recidive, ..policy([mail()]) });
        world.run(0, "fail 192.0.2.1 weight=12");
        let banned = world.run(700, "fail 192.0.2.1 weight=12");
        let expected = format!("until {}", 700 + length);
        assert!(banned.last().is_some_and(|banned| banned.contains(&expected)), "{without_logins}: {banned:?}");
    }
}

#[test]
fn a_restart_does_not_begin_to_learn_anew() {
    let (increment, customers) = (Some(Increment::default()), Some(Customers::default()));
    let mut world = World::new(Policy { increment, customers, ..policy([mail()]) });
    let started = 2 * 86_400;
    let second = |second: u64| u32::try_from(world.now(second).wall.0 / 1_000_000).unwrap();
    let offences = Offences::restored(1, &[Offence { began: second(0), until: second(600) }]).unwrap();
    let offences = vec![SavedOffences { prefix: "192.0.2.1/32".parse().unwrap(), observe: false, offences }];
    let login = Login { source: "198.51.100.1/32".parse().unwrap(), account: None };
    let logins = vec![(login, Seen { at: world.now(started).wall.as_log_time(), counts: true })];
    let saved = Saved { offences, logins, ..Saved::default() };
    let _ = world.judge.handle(Input::Restore(saved), world.now(started));
    let banned = world.run(started + 1, "fail 192.0.2.1 weight=12");
    assert!(banned.last().is_some_and(|banned| banned.ends_with("banned once before")), "{banned:?}");
}
