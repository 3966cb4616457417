//! Who is banned, when, and for how long.

use super::*;

const BANNED_AT_2: &str = "write hash 192.0.2.1/32 mail until 602; banned 192.0.2.1/32 by jail mail until 602 for 3";

#[test]
fn the_third_failure_bans_for_ten_minutes_and_the_ban_ends_by_itself() {
    let mut world = check(&format!(
        "0 fail 192.0.2.1
         1 fail 192.0.2.1
         2 fail 192.0.2.1 -> {BANNED_AT_2}
         601 tick
         602 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over"
    ));
    assert_eq!(world.judge.next_deadline(), None, "and nothing is left to do");
    world.check("700 fail 192.0.2.1");
    assert_eq!(world.judge.status().jails[0].currently_failed, 1, "the count starts anew");
}

#[test]
fn the_daemon_is_woken_when_a_ban_ends() {
    let world = check(&format!("0 fail 192.0.2.1\n1 fail 192.0.2.1\n2 fail 192.0.2.1 -> {BANNED_AT_2}"));
    assert_eq!(world.judge.next_deadline(), Some(world.now(602).boot));
}

#[test]
fn failures_count_by_their_time_within_the_window() {
    let banned = |until: u64| {
        format!("write hash 192.0.2.1/32 mail until {until}; banned 192.0.2.1/32 by jail mail until {until} for 3")
    };
    let table = [
        ("ten minutes to the second are inside", [0, 300, 600], true),
        ("a second more is outside", [0, 300, 601], false),
        ("spread out", [0, 500, 1000], false),
    ];
    for (promise, [a, b, c], bans) in table {
        let effects = if bans { format!("-> {}", banned(c + 600)) } else { String::new() };
        println!("{promise}");
        check(&format!("{a} fail 192.0.2.1\n{b} fail 192.0.2.1\n{c} fail 192.0.2.1 {effects}"));
    }
}

#[test]
fn filters_of_one_jail_count_together_and_other_filters_and_files_not_at_all() {
    check(&format!(
        "0 fail 192.0.2.1 filter=cyrus
         0 fail 192.0.2.1 filter=exim
         0 fail 192.0.2.1 source=1
         0 succeed 192.0.2.1
         1 fail 192.0.2.1 filter=postfix-sasl
         2 fail 192.0.2.1 filter=cyrus -> {BANNED_AT_2}"
    ));
}

#[test]
fn sources_are_counted_apart_and_an_ipv6_source_is_its_64() {
    check(
        "0 fail 192.0.2.1
         0 fail 192.0.2.2
         0 fail 192.0.2.3
         1 fail 2001:db8:1:2::1
         1 fail 2001:db8:1:2:aaaa::2
         1 fail 2001:db8:1:3::1
         2 fail 2001:db8:1:2:ffff:ffff:ffff:ffff -> write hash 2001:db8:1:2::/64 mail until 602; \
             banned 2001:db8:1:2::/64 by jail mail until 602 for 3
         3 fail 192.0.2.1
         3 fail ::ffff:192.0.2.1 -> write hash 192.0.2.1/32 mail until 603; \
             banned 192.0.2.1/32 by jail mail until 603 for 3
         4 fail 2002:c633:6401::1
         4 fail 2002:c633:6401:1::1
         4 fail 2002:c633:6401:2::1 -> write trie 2002:c633:6401::/48 mail until 604; \
             banned 2002:c633:6401::/48 by jail mail until 604 for 3",
    );
}

#[test]
fn weights_are_quarters() {
    check(
        "0 fail 192.0.2.1 weight=1
         0 fail 192.0.2.1 weight=0
         0 fail 192.0.2.1 weight=4
         0 fail 192.0.2.1 weight=1
         0 fail 192.0.2.1 weight=1
         0 fail 192.0.2.1 weight=4
         0 fail 192.0.2.1 weight=0
         0 fail 192.0.2.1 weight=1 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         1 fail 192.0.2.2 weight=40 -> write hash 192.0.2.2/32 mail until 601; \
             banned 192.0.2.2/32 by jail mail until 601 for 10",
    );
}

#[test]
fn a_stamp_from_the_past_does_not_count_as_recent() {
    check(&format!(
        "1000 fail 192.0.2.1 at=940
         1000 fail 192.0.2.1 at=399 backlog
         1000 fail 192.0.2.1 at=339 backlog
         1000 fail 192.0.2.1 at=400 backlog
         1000 fail 192.0.2.1 at=400 backlog -> {}",
        // Read late: from the newest failure on.
        "write hash 192.0.2.1/32 mail until 1540; banned 192.0.2.1/32 by jail mail until 1540 for 3"
    ));
}

#[test]
fn a_stamp_in_the_future_is_now_and_does_not_push_others_out() {
    check(
        "1000 fail 192.0.2.1 at=1059
         1000 fail 192.0.2.1 at=99999 backlog
         1600 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 2200; \
             banned 192.0.2.1/32 by jail mail until 2200 for 3
         2200 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over
         3000 fail 192.0.2.2 at=3060
         3601 fail 192.0.2.2
         3601 fail 192.0.2.2",
    );
}

#[test]
fn a_logger_in_another_zone_is_judged_by_arrival_and_its_file_is_named_once() {
    check(
        "0 fail 192.0.2.1 at=3600 file=7 -> stale stamps in file 7
         300 fail 192.0.2.1 at=-3300 file=7
         600 fail 192.0.2.1 at=4200 file=7 -> write hash 192.0.2.1/32 mail until 1200; \
             banned 192.0.2.1/32 by jail mail until 1200 for 3
         601 fail 192.0.2.2 at=-61 file=8 -> stale stamps in file 8",
    );
}

#[test]
fn a_clock_that_is_set_neither_loses_a_failure_nor_holds_one_for_longer() {
    check(
        "0 fail 192.0.2.1
         1 fail 192.0.2.1
         2 clock -3600
         3 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 603; banned 192.0.2.1/32 by jail mail until -2997 for 3
         10 fail 192.0.2.2
         11 fail 192.0.2.2
         12 clock +86400
         13 fail 192.0.2.2 -> write hash 192.0.2.2/32 mail until 613; \
             banned 192.0.2.2/32 by jail mail until 83413 for 3
         20 fail 192.0.2.3
         21 fail 192.0.2.3
         22 clock -86400
         603 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over
         622 fail 192.0.2.3 -> remove hash 192.0.2.2/32; unbanned 192.0.2.2/32 by jail mail: its time is over",
    );
}

#[test]
fn what_was_read_late_bans_for_what_is_left_and_not_when_its_window_is_over() {
    let ban = |until: u64| {
        format!("write hash 192.0.2.1/32 mail until {until}; banned 192.0.2.1/32 by jail mail until {until} for 3")
    };
    let table = [
        ([9800, 9900, 10_000], ban(10_600)),
        ([9500, 9600, 9700], ban(10_300)),
        ([9400, 9400, 9400], String::new()),
        ([9401, 9401, 9401], ban(10_001)),
        ([9399, 9900, 9901], String::new()),
        ([9300, 9500, 9700], String::new()),
        ([1000, 1001, 1002], String::new()),
    ];
    for ([a, b, c], expected) in table {
        check(&format!(
            "10000 fail 192.0.2.1 at={a} backlog
             10000 fail 192.0.2.1 at={b} backlog
             10000 fail 192.0.2.1 at={c} backlog -> {expected}"
        ));
    }
}

#[test]
fn a_long_ban_for_what_was_read_late_counts_from_the_failure() {
    let week = Jail { bantime: seconds(604_800), ..mail() };
    let forever = Jail { bantime: BanTime::Permanent, ..mail() };
    let script = |until: &str| {
        format!(
            "10000 fail 192.0.2.1 at=9900 backlog
             10000 fail 192.0.2.1 at=9950 backlog
             10000 fail 192.0.2.1 at=9930 backlog -> write hash 192.0.2.1/32 mail {until}; \
                 banned 192.0.2.1/32 by jail mail {until} for 3"
        )
    };
    check_with(policy([week]), &script("until 614750"));
    check_with(policy([forever]), &script("for ever"));
}

#[test]
fn failures_of_a_banned_source_do_not_count_again() {
    check(&format!(
        "0 fail 192.0.2.1\n1 fail 192.0.2.1\n2 fail 192.0.2.1 -> {BANNED_AT_2}
         3 fail 192.0.2.1
         3 fail 192.0.2.1
         4 fail 192.0.2.1
         602 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: its time is over
         603 fail 192.0.2.1
         604 fail 192.0.2.1"
    ));
}

#[test]
fn jails_count_and_ban_apart_and_one_entry_holds_the_union() {
    let long = Jail { bantime: seconds(6000), ..jail("imap", "cyrus", IMAP) };
    check_with(
        policy([jail("smtp", "postfix-sasl", SMTP), long]),
        "0 fail 192.0.2.1
         0 fail 192.0.2.1 filter=cyrus
         1 fail 192.0.2.1
         1 fail 192.0.2.1 filter=cyrus
         2 fail 192.0.2.1 -> write hash 192.0.2.1/32 smtp until 602; banned 192.0.2.1/32 by jail smtp until 602 for 3
         2 fail 192.0.2.1 filter=cyrus -> write hash 192.0.2.1/32 mail until 6002; \
             banned 192.0.2.1/32 by jail imap until 6002 for 3
         602 tick -> write hash 192.0.2.1/32 imap until 6002; unbanned 192.0.2.1/32 by jail smtp: its time is over
         6002 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail imap: its time is over",
    );
}

#[test]
fn observing_never_replaces_enforcing() {
    let watch = Jail { observe: true, bantime: BanTime::Permanent, ..jail("watch", "cyrus", IMAP) };
    check_with(
        policy([watch, jail("smtp", "postfix-sasl", SMTP)]),
        "0 fail 192.0.2.1 weight=12 filter=cyrus -> write hash 192.0.2.1/32 imap for ever observing; \
             would ban 192.0.2.1/32 by jail watch for ever for 3
         1 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 601; \
             banned 192.0.2.1/32 by jail smtp until 601 for 3
         601 tick -> write hash 192.0.2.1/32 imap for ever observing; \
             unbanned 192.0.2.1/32 by jail smtp: its time is over",
    );
}

#[test]
fn a_million_tracked_sources_are_the_bound_and_the_one_that_failed_longest_ago_goes() {
    let mut few = policy([mail(), jail("other", "exim", MAIL)]);
    few.limits.sources = 3;
    check_with(
        few,
        "0 fail 192.0.2.1
         1 fail 192.0.2.2 filter=exim
         2 fail 192.0.2.3
         3 fail 192.0.2.1
         4 fail 192.0.2.4 -> evicted 1
         5 fail 192.0.2.5
         6 fail 192.0.2.1 -> write hash 192.0.2.1/32 mail until 606; banned 192.0.2.1/32 by jail mail until 606 for 3
         7 fail 192.0.2.3
         8 fail 192.0.2.2 filter=exim
         9 fail 192.0.2.2 filter=exim
         # Evicted at 4 and 8: what it did before that is forgotten.
         10 fail 192.0.2.4",
    );
}

#[test]
fn sources_that_went_quiet_are_forgotten() {
    let mut world = check("0 fail 192.0.2.1\n1 fail 192.0.2.2\n100 tick\n601 tick");
    assert_eq!(world.judge.status().jails[0].currently_failed, 1);
    assert!(world.judge.next_deadline().is_some(), "the other is looked for again");
    world.check("700 tick");
    assert_eq!(world.judge.status().jails[0].currently_failed, 0);
    assert_eq!(world.judge.next_deadline(), None);
    assert_eq!(world.judge.status().jails[0].name, name("mail"));
}
