//! Failures that should not have been possible.

use super::*;

const BANNED: &str = "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; banned 192.0.2.1/32 by jail mail until 600 for 3";

#[test]
fn a_failure_more_than_two_seconds_after_the_ban_is_told_once_and_counted() {
    let world = check(&format!(
        "{BANNED}
         1 fail 192.0.2.1
         2 fail 192.0.2.1
         # Stamped before, read after.
         9 fail 192.0.2.1 at=2
         10 fail 192.0.2.1 -> late 192.0.2.1 of 192.0.2.1/32 after 10 s
         11 fail 192.0.2.1
         12 fail 192.0.2.1 weight=0"
    ));
    assert_eq!(world.judge.bans(None, 10).bans[0].late, 2);
}

#[test]
fn the_next_ban_is_told_of_again() {
    check(&format!(
        "{BANNED}
         3 fail 192.0.2.1 -> late 192.0.2.1 of 192.0.2.1/32 after 3 s
         700 fail 192.0.2.1 weight=12 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over; \
             write hash 192.0.2.1/32 mail until 1300; banned 192.0.2.1/32 by jail mail until 1300 for 3
         703 fail 192.0.2.1 -> late 192.0.2.1 of 192.0.2.1/32 after 3 s"
    ));
}

#[test]
fn a_failure_at_a_service_that_the_ban_leaves_open_is_not_late() {
    check_with(
        policy([jail("smtp", "postfix-sasl", SMTP), jail("imap", "cyrus", IMAP)]),
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 600; \
             banned 192.0.2.1/32 by jail smtp until 600 for 3
         10 fail 192.0.2.1 filter=cyrus
         20 fail 192.0.2.1 -> late 192.0.2.1 of 192.0.2.1/32 after 20 s",
    );
}

#[test]
fn a_failure_under_an_observing_ban_is_not_late() {
    check_with(
        policy([Jail { observe: true, ..mail() }]),
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600 observing; \
             would ban 192.0.2.1/32 by jail mail until 600 for 3
         10 fail 192.0.2.1",
    );
}

#[test]
fn a_failure_from_inside_a_prefix_banned_by_hand_is_late_and_still_counts() {
    check(
        "0 ban 192.0.2.0/24 -> write trie 192.0.2.0/24 mail until 600 manual; banned 192.0.2.0/24 by hand until 600
         10 fail 192.0.2.1 weight=12 -> late 192.0.2.1 of 192.0.2.0/24 after 10 s; \
             write hash 192.0.2.1/32 mail until 610; banned 192.0.2.1/32 by jail mail until 610 for 3",
    );
}

#[test]
fn a_failure_from_a_protected_address_inside_a_banned_prefix_is_not_late() {
    check(
        "0 own 192.0.2.1
         0 ban 192.0.2.0/24 -> write trie 192.0.2.1/32 protected; \
             write trie 192.0.2.0/24 mail until 600 manual; banned 192.0.2.0/24 by hand until 600
         10 fail 192.0.2.1",
    );
}
