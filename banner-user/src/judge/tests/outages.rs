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
