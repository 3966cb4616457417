//! Another configuration while running.

use super::*;

const TWO: &str = "0 fail 192.0.2.1\n1 fail 192.0.2.1";

#[test]
fn tallies_and_bans_are_kept() {
    let mut world = check(TWO);
    world.check(
        "2 ban 192.0.2.9 -> write hash 192.0.2.9/32 mail until 602 manual; banned 192.0.2.9/32 by hand until 602",
    );
    assert_eq!(world.configure(3, policy([jail("first", "exim", MAIL), mail()])), [""; 0]);
    world.check(
        "4 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 604; banned 192.0.2.1/32 by jail mail until 604 for 3",
    );
    assert_eq!(world.judge.status().jails[1].total_failed, 3);
}

#[test]
fn a_new_limit_counts_from_the_next_failure_on() {
    let mut world = check(TWO);
    assert_eq!(world.configure(2, policy([Jail { maxretry: 2, ..mail() }])), [""; 0]);
    world.check(
        "3 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 603; banned 192.0.2.1/32 by jail mail until 603 for 3",
    );
    let mut world = check(TWO);
    world.configure(2, policy([Jail { findtime: Duration::from_secs(1), ..mail() }]));
    world.check("3 fail 192.0.2.1");
}

#[test]
fn bans_of_a_removed_jail_stay_until_they_end_and_its_tallies_go() {
    let mut world = check(
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         1 fail 192.0.2.2 weight=8",
    );
    assert_eq!(world.configure(2, policy([])), [""; 0]);
    let others = world.judge.status().others;
    assert!(others.contains(&(crate::judge::Origin::Jail(name("mail")), 1)), "{others:?}");
    assert_eq!(world.configure(3, policy([mail()])), [""; 0]);
    assert_eq!(world.judge.status().jails[0].currently_banned, 1, "a jail that comes back has its bans again");
    world.check(
        "4 fail 192.0.2.2 weight=8
         600 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over",
    );
}

#[test]
fn smaller_bounds_are_kept() {
    let mut world = check("0 fail 192.0.2.1\n1 fail 192.0.2.2\n2 fail 192.0.2.3");
    let mut small = policy([mail()]);
    small.limits.sources = 1;
    small.limits.evidence = 1;
    world.configure(3, small);
    let remembered = |last: u8| world.judge.why([192, 0, 2, last].into()).evidence.is_some();
    assert_eq!([1, 2, 3].map(remembered), [false, false, true]);
    world.check("4 fail 192.0.2.4 -> evicted 1");
    assert_eq!(world.judge.status().evicted, 3);
}

#[test]
fn a_ban_that_only_observes_shields_nobody_from_a_jail_that_enforces_by_now() {
    let observing = Jail { observe: true, ..mail() };
    let mut world = check_with(
        policy([observing]),
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600 observing; \
             would ban 192.0.2.1/32 by jail mail until 600 for 3
         1 fail 192.0.2.1 weight=12",
    );
    assert_eq!(world.configure(2, policy([mail()])), [""; 0]);
    world.check(
        "3 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 603; \
             banned 192.0.2.1/32 by jail mail until 603 for 3",
    );
}
