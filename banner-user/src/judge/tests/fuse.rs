//! When failures are taken for an outage, and whom that spares.

use super::*;
use crate::judge::policy::{Accounts, Customers, Fuse};

fn fused() -> Policy {
    Policy { customers: Some(Customers::default()), fuse: Some(Fuse::default()), ..policy([mail()]) }
}

/// Ten customers, each at a source of its own, log in.
fn world() -> World {
    let mut world = World::new(fused());
    for customer in 1..=10 {
        assert_eq!(world.run(customer, &format!("succeed 192.0.2.{customer} user=u{customer}")), [""; 0]);
    }
    world
}

/// This customer fails.
fn fails(world: &mut World, second: u64, customer: u64) -> Vec<String> {
    world.run(second, &format!("fail 192.0.2.{customer} user=u{customer}"))
}

fn tripped(world: &World) -> usize {
    world.judge.status().tripped.len()
}

#[test]
fn customers_who_fail_one_after_the_other_are_spared_and_nobody_else_is() {
    let mut world = world();
    for customer in 1..=4 {
        assert_eq!(fails(&mut world, 100 + customer, customer), [""; 0]);
    }
    let [told] = fails(&mut world, 105, 5).try_into().unwrap();
    assert!(told.starts_with("fuse tripped"), "{told}");
    // As often as they like, those of before the trip among them.
    for second in 106..400 {
        assert_eq!(fails(&mut world, second, second % 10 + 1), [""; 0], "second {second}");
    }
    world.check(
        "400 fail 198.51.100.1
         401 fail 198.51.100.1
         402 fail 198.51.100.1 -> write hash 198.51.100.1/32 mail until 1002; banned 198.51.100.1/32 by jail mail until 1002 for 3
         403 fail 192.0.2.1 user=root
         404 fail 192.0.2.1 user=admin
         405 fail 192.0.2.1 user=test -> write hash 192.0.2.1/32 mail until 525; banned 192.0.2.1/32 by jail mail until 525 for 3, a customer's first ban",
    );
    assert_eq!(world.judge.status().jails[0].total_failed, 5 + 294 + 6, "they are counted all the same");
    assert_eq!(world.judge.status().tripped[0].spared, 1 + 294);
}

#[test]
fn it_is_reset_when_customers_get_in_again_or_when_it_is_quiet() {
    let trip = |world: &mut World| (1..=5).for_each(|customer| drop(fails(world, 100 + customer, customer)));
    let mut world = world();
    trip(&mut world);
    for customer in 1..=4 {
        assert_eq!(world.run(200 + customer, &format!("succeed 192.0.2.{customer} user=u{customer}")), [""; 0]);
    }
    assert_eq!(world.run(205, "succeed 192.0.2.4 user=u4"), [""; 0], "the same again is nobody new");
    let [told] = world.run(206, "succeed 192.0.2.6 user=u6").try_into().unwrap();
    assert_eq!(told, "fuse reset, 1 spared");
    assert_eq!(tripped(&world), 0);

    let mut world = self::world();
    trip(&mut world);
    drop(fails(&mut world, 300, 1));
    assert_eq!(world.run(899, "tick"), [""; 0]);
    assert_eq!(world.run(900, "tick"), ["fuse reset, 2 spared"]);
}

#[test]
fn what_the_outage_has_led_to_before_it_was_known_is_taken_back() {
    let mut world = world();
    // Impatient: banned at the sixth try.
    for second in 100..105 {
        assert_eq!(fails(&mut world, second, 1), [""; 0]);
    }
    let banned = fails(&mut world, 105, 1);
    assert!(banned[1].starts_with("banned 192.0.2.1/32"), "{banned:?}");
    // An attacker as well.
    world.check(
        "106 fail 198.51.100.1 weight=12 -> write hash 198.51.100.1/32 mail until 706; \
         banned 198.51.100.1/32 by jail mail until 706 for 3",
    );
    for customer in 2..=4 {
        assert_eq!(fails(&mut world, 110 + customer, customer), [""; 0]);
    }
    let effects = fails(&mut world, 115, 5);
    assert_eq!(
        effects[1..],
        ["remove hash 192.0.2.1/32", "unbanned 192.0.2.1/32 by jail mail: its failures turned out to be an outage"]
    );
    assert_eq!(world.judge.bans_in_force(), 1);
    // And is no former ban of theirs, nor do failures of then count later.
    (1..=5)
        .for_each(|customer| drop(world.run(120 + customer, &format!("succeed 192.0.2.{customer} user=u{customer}"))));
    assert_eq!(tripped(&world), 0);
    for second in 130..135 {
        assert_eq!(fails(&mut world, second, 1), [""; 0]);
    }
    let banned = fails(&mut world, 135, 1);
    assert_eq!(
        banned[1],
        "banned 192.0.2.1/32 by jail mail until 255 for 3, those on accounts known there weigh half, a customer's first ban"
    );
}

#[test]
fn who_guessed_meanwhile_stays_banned() {
    let accounts = Some(Accounts { traps: vec!["ghost".into()], ..Accounts::default() });
    let mut world = World::new(Policy { accounts, ..fused() });
    (1..=6).for_each(|customer| drop(world.run(customer, &format!("succeed 192.0.2.{customer} user=u{customer}"))));
    assert_eq!(fails(&mut world, 100, 1), [""; 0]);
    let banned = world.run(101, "fail 192.0.2.1 user=ghost");
    assert!(banned[1].contains("banned 192.0.2.1/32") && banned[1].contains("a trap"), "{banned:?}");
    (2..=5).for_each(|customer| drop(fails(&mut world, 100 + customer, customer)));
    assert_eq!(tripped(&world), 1);
    assert_eq!(world.judge.bans_in_force(), 1);
}

#[test]
fn what_does_not_trip_it() {
    let table: [(&str, &[&str]); 7] = [
        (
            "strangers",
            &[
                "fail 198.51.100.1",
                "fail 198.51.100.2",
                "fail 198.51.100.3",
                "fail 198.51.100.4",
                "fail 198.51.100.5",
                "fail 198.51.100.6",
            ],
        ),
        (
            "names that nobody has, where customers are",
            &[
                "fail 192.0.2.1 user=a",
                "fail 192.0.2.2 user=b",
                "fail 192.0.2.3 user=c",
                "fail 192.0.2.4 user=d",
                "fail 192.0.2.5 user=e",
                "fail 192.0.2.6 user=f",
            ],
        ),
        (
            "customers' names, from elsewhere",
            &[
                "fail 198.51.100.1 user=u1",
                "fail 198.51.100.2 user=u2",
                "fail 198.51.100.3 user=u3",
                "fail 198.51.100.4 user=u4",
                "fail 198.51.100.5 user=u5",
            ],
        ),
        (
            "one gets in in between",
            &[
                "fail 192.0.2.1 user=u1",
                "fail 192.0.2.2 user=u2",
                "fail 192.0.2.3 user=u3",
                "fail 192.0.2.4 user=u4",
                "succeed 192.0.2.9 user=u9",
                "fail 192.0.2.5 user=u5",
                "fail 192.0.2.6 user=u6",
            ],
        ),
        (
            "an old telephone, again and again",
            &[
                "fail 192.0.2.1 user=u1",
                "succeed 192.0.2.9 user=u9",
                "fail 192.0.2.1 user=u1",
                "fail 192.0.2.2 user=u2",
                "fail 192.0.2.3 user=u3",
                "fail 192.0.2.4 user=u4",
                "fail 192.0.2.1 user=u1",
            ],
        ),
        (
            "what weighs little",
            &[
                "fail 192.0.2.1 user=u1 weight=1",
                "fail 192.0.2.2 user=u2 weight=1",
                "fail 192.0.2.3 user=u3 weight=1",
                "fail 192.0.2.4 user=u4 weight=1",
                "fail 192.0.2.5 user=u5 weight=1",
            ],
        ),
        (
            "two filters, each less than enough",
            &[
                "fail 192.0.2.1 user=u1",
                "fail 192.0.2.2 user=u2",
                "fail 192.0.2.3 user=u3",
                "fail 192.0.2.4 user=u4 filter=cyrus",
                "fail 192.0.2.5 user=u5 filter=cyrus",
            ],
        ),
    ];
    for (promise, lines) in table {
        let mut world = world();
        for (second, line) in (100..).zip(lines) {
            drop(world.run(second, line));
        }
        assert_eq!(tripped(&world), 0, "{promise}");
    }
    let mut world = world();
    for customer in 1..=8 {
        drop(fails(&mut world, 151 * customer, customer));
    }
    assert_eq!(tripped(&world), 0, "too far apart");
    // One stolen password, used at eight sources.
    let mut world = World::new(fused());
    for last in 1..=8 {
        drop(world.run(last, &format!("succeed 198.51.100.{last} user=stolen")));
    }
    for last in 1..=8 {
        drop(world.run(100 + last, &format!("fail 198.51.100.{last} user=stolen")));
    }
    assert_eq!(tripped(&world), 0, "one account is one customer");
}

#[test]
fn a_line_without_a_name_is_of_a_customer_where_its_source_is_one() {
    let mut world = world();
    for customer in 1..=5 {
        drop(world.run(100 + customer, &format!("fail 192.0.2.{customer} user=none")));
    }
    assert_eq!(tripped(&world), 1);
    for second in 200..220 {
        assert_eq!(world.run(second, "fail 192.0.2.1 user=none"), [""; 0]);
    }
}

#[test]
fn one_stolen_password_is_one_customer_where_lines_have_no_names_too() {
    let mut world = World::new(fused());
    for last in 1..=8 {
        drop(world.run(last, &format!("succeed 198.51.100.{last} user=stolen")));
    }
    for last in 1..=8 {
        drop(world.run(100 + last, &format!("fail 198.51.100.{last} user=none")));
    }
    assert_eq!(tripped(&world), 0);
}

#[test]
fn a_filter_that_tells_of_no_logins_does_not_move_it() {
    let fuse = Fuse { without_logins: vec!["cyrus".into()], ..Fuse::default() };
    let mut world = World::new(Policy { fuse: Some(fuse), ..fused() });
    for customer in 1..=10 {
        drop(world.run(customer, &format!("succeed 192.0.2.{customer} user=u{customer}")));
    }
    for customer in 1..=10 {
        drop(world.run(100 + customer, &format!("fail 192.0.2.{customer} user=u{customer} filter=cyrus")));
    }
    assert_eq!(tripped(&world), 0);
    (1..=5).for_each(|customer| drop(fails(&mut world, 200 + customer, customer)));
    assert_eq!(tripped(&world), 1, "another filter does");
}

#[test]
fn what_weighs_little_is_spared_while_it_is_tripped() {
    let mut world = world();
    (1..=5).for_each(|customer| drop(fails(&mut world, 100 + customer, customer)));
    for second in 110..200 {
        assert_eq!(world.run(second, "fail 192.0.2.7 user=u7 weight=2"), [""; 0]);
    }
    assert_eq!(world.judge.status().tripped[0].spared, 1 + 90);
}

#[test]
fn an_operator_can_trip_and_reset_it() {
    let mut world = world();
    let trip = world.judge.trip_fuse(Duration::from_secs(3600), world.now(100));
    assert_eq!(trip.len(), 1);
    for second in 101..120 {
        assert_eq!(fails(&mut world, second, 1), [""; 0]);
    }
    assert_eq!(world.run(3699, "tick"), [""; 0]);
    assert_eq!(world.run(3700, "tick"), ["fuse reset, 19 spared"]);
    // After a reset it does not trip for a while.
    assert_eq!(world.judge.reset_fuse(world.now(4000)), []);
    (1..=9).for_each(|customer| drop(fails(&mut world, 4000 + customer, customer)));
    assert_eq!(tripped(&world), 0);
}

#[test]
fn many_bans_are_told_of_once_an_hour_and_change_nothing() {
    let mut world = World::new(Policy { fuse: Some(Fuse { bans: 3, ..Fuse::default() }), ..policy([mail()]) });
    let mut alarms = 0;
    for last in 1..=20 {
        let effects = world.run(last, &format!("fail 192.0.2.{last} weight=12"));
        assert!(effects[1].starts_with("banned"), "{effects:?}");
        alarms += effects.iter().filter(|effect| effect.starts_with("many bans")).count();
    }
    assert_eq!(alarms, 1);
}
