//! Outages of the authentication backend.

use super::*;

#[test]
fn an_outage_is_told_when_it_begins_and_when_it_was_quiet_for_a_minute_and_counts_against_nobody() {
    let mut world = check(
        "0 outage 192.0.2.1 -> outage postfix-sasl began
         1 outage 192.0.2.1
         2 outage 192.0.2.1 filter=cyrus -> outage cyrus began
         30 outage 192.0.2.1
         62 tick -> outage cyrus ended, 1 lines
         89 tick",
    );
    assert_eq!(world.judge.next_deadline(), Some(world.now(90).boot));
    assert_eq!(world.judge.status().outages.len(), 1);
    world.check(
        "90 tick -> outage postfix-sasl ended, 3 lines
         91 outage 192.0.2.1 -> outage postfix-sasl began",
    );
    assert_eq!(world.judge.status().jails[0].total_failed, 0);
}

#[test]
fn an_outage_that_was_read_late_or_in_another_file_is_not_told() {
    check(
        "1000 outage 192.0.2.1 at=900 backlog
         1000 outage 192.0.2.1 source=1
         1000 outage 192.0.2.1 filter=exim",
    );
}

/// A jail with Postfix, which asks Dovecot.
#[track_caller]
fn with_dovecot(script: &str) -> World {
    let jail = Jail { filters: vec!["postfix-sasl".into(), "dovecot".into()], ..mail() };
    let mut world = World::new(policy([jail]));
    world.check(script);
    world
}

#[test]
fn an_outage_that_another_server_retells_excuses_one_failure_of_its_client() {
    let world = with_dovecot(
        "0 fail 192.0.2.1
         0 fail 192.0.2.1
         1 outage 192.0.2.1 filter=dovecot retold -> outage dovecot began
         1 outage 192.0.2.1 filter=dovecot retold
         3 fail 192.0.2.1
         # A client of the same Dovecot, which knows what it says itself.
         3 fail 192.0.2.2 filter=dovecot
         4 fail 192.0.2.1
         5 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 605; banned 192.0.2.1/32 by jail mail until 605 for 3",
    );
    assert_eq!(world.judge.status().jails[0].total_failed, 4);
}

#[test]
fn nobody_else_and_nothing_else_is_excused() {
    for (because, excuse) in [
        ("another client suffered", "3 outage 192.0.2.9 filter=dovecot retold -> outage dovecot began"),
        ("nobody retells it", "3 outage 192.0.2.1 filter=dovecot -> outage dovecot began"),
        ("that server told it itself", "3 outage 192.0.2.1 filter=postfix-sasl retold -> outage postfix-sasl began"),
    ] {
        let script = format!(
            "0 fail 192.0.2.1
             0 fail 192.0.2.1
             {excuse}
             3 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 603; banned 192.0.2.1/32 by jail mail until 603 for 3"
        );
        println!("{because}");
        with_dovecot(&script);
    }
}

#[test]
fn an_excuse_is_good_for_half_a_minute_by_the_log() {
    with_dovecot(
        "0 fail 192.0.2.1
         0 fail 192.0.2.1
         1 outage 192.0.2.1 filter=dovecot retold -> outage dovecot began
         31 fail 192.0.2.1
         40 outage 192.0.2.1 filter=dovecot retold
         71 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 671; banned 192.0.2.1/32 by jail mail until 671 for 3",
    );
}

#[test]
fn who_is_excused_is_excused_in_every_jail_that_hears_of_it() {
    let jails = ["postfix-sasl", "exim"].map(|filter| Jail {
        name: filter.into(),
        filters: vec![filter.into(), "dovecot".into()],
        ..mail()
    });
    let mut world = World::new(policy(jails));
    world.check(
        "0 outage 192.0.2.1 filter=dovecot retold -> outage dovecot began
         0 fail 192.0.2.1 also=exim
         1 fail 192.0.2.1 also=exim",
    );
    let totals: Vec<u64> = world.judge.status().jails.iter().map(|jail| jail.total_failed).collect();
    assert_eq!(totals, [1, 1]);
}

#[test]
fn an_outage_that_the_other_server_tells_itself_excuses_no_later_failure() {
    with_dovecot(
        "0 fail 192.0.2.1
         0 fail 192.0.2.1
         1 outage 192.0.2.1 filter=dovecot retold -> outage dovecot began
         1 outage 192.0.2.1 filter=postfix-sasl -> outage postfix-sasl began
         2 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 602; banned 192.0.2.1/32 by jail mail until 602 for 3",
    );
}
