//! Scripts of what lines tell, and what would have become of it.

mod comparing;
mod daemon;

use std::time::Duration;

use super::*;
use crate::judge::{
    list::{ListAction, ListName},
    policy::{BanTime, Jail, Limits},
    tests::{IMAP, SMTP, mail},
};

const SECOND: i64 = 1_000_000;
const EPOCH: i64 = 1_700_000_000;
const DAY: i64 = 86_400;

/// Six failures in a day, a day of ban.
fn again() -> Jail {
    let day = Duration::from_secs(DAY.unsigned_abs());
    Jail { name: "again".into(), maxretry: 6, findtime: day, bantime: BanTime::For(day), ..mail() }
}

fn policy(jails: impl Into<Vec<Jail>>) -> Policy {
    let limits = Limits { sources: 1000, evidence: 10, ..Limits::default() };
    let ignoreip = vec!["10.0.0.0/8".parse().unwrap()];
    Policy { ignoreip, limits, ..Policy::plain(jails.into()) }
}

fn replay_with_room(policy: Policy, room: u32) -> Replay {
    let sizes = MapSizes { bans_v4: room, bans_v6: room, prefixes: room };
    Replay::new(policy, sizes, WallTime((EPOCH + 1000 * DAY) * SECOND))
}

/// `5 fail 192.0.2.1 alice filter=cyrus`: seconds, what, who.
fn event(line: &str) -> Event {
    let mut words = line.split_whitespace();
    let at = LogTime((EPOCH + words.next().unwrap().parse::<i64>().unwrap()) * SECOND);
    let (kind, source) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
    let words: Vec<&str> = words.collect();
    let filter = words.iter().find_map(|word| word.strip_prefix("filter=")).unwrap_or("postfix-sasl").into();
    let user = words.iter().find(|word| !word.contains('=')).map(|user| User::new(user.as_bytes()));
    let weight = crate::event::Weight::ONE;
    match kind {
        "fail" => Event::Failure(Attempt { filter, source, user, weight, at }),
        "login" => Event::Success(Attempt { filter, source, user, weight, at }),
        "outage" => Event::Outage(crate::event::Outage { filter, source: Some(source), retold: false, at }),
        other => panic!("no {other}"),
    }
}

fn seconds(at: WallTime) -> i64 {
    at.0 / SECOND - EPOCH
}

fn shown(ban: &Ban) -> String {
    let users: Vec<_> = ban.users.iter().map(ToString::to_string).collect();
    let until = ban.until.map_or("ever".to_owned(), |until| seconds(until).to_string());
    let login = ban.login.as_ref().map_or(String::new(), |login| {
        let user = login.user.as_ref().map_or("-".to_owned(), ToString::to_string);
        format!(", {user} logged in {:?} at {}", login.moment, seconds(login.at)).to_lowercase()
    });
    let prevented = if ban.prevented > 0 { format!(", prevented {}", ban.prevented) } else { String::new() };
    let flags = [(ban.observe, " observed"), (ban.yielded, " yielded")];
    let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, flag)| *flag).collect();
    format!(
        "{}..{until} {} {}{flags}: {} in {} of {}{prevented}{login}",
        seconds(ban.at),
        ban.source,
        ban.jail,
        f64::from(ban.failures) / 4.0,
        ban.findtime.as_secs(),
        users.join(" ")
    )
}

/// The bans as they are handed out, those that were settled before the end marked with `*`.
fn run(replay: &mut Replay, script: &str) -> Vec<String> {
    let mut bans = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        replay.line(&[event(line)], FileId(0));
        bans.extend(std::iter::from_fn(|| replay.settled()).map(|ban| format!("*{}", shown(&ban))));
    }
    bans.extend(std::iter::from_fn(|| replay.left()).map(|ban| shown(&ban)));
    bans
}

#[track_caller]
fn check(policy: Policy, script: &str, expected: &[&str]) -> Replay {
    let mut replay = replay_with_room(policy, 100);
    assert_eq!(run(&mut replay, script), expected);
    replay
}

const BANNED: &str = "0 fail 192.0.2.1 alice
                      1 fail 192.0.2.1 bob
                      2 fail 192.0.2.1 alice\n";

fn banned_and(rest: &str) -> String {
    format!("{BANNED}{rest}")
}

#[test]
fn a_ban_says_when_until_when_who_by_which_jail_and_why() {
    check(policy([mail()]), BANNED, &["2..602 192.0.2.1/32 mail: 3 in 600 of alice bob"]);
    check(
        policy([mail()]),
        "0 fail 2001:db8::1 a
         1 fail 2001:db8::2 b
         2 fail 2001:db8::3 c",
        &["2..602 2001:db8::/64 mail: 3 in 600 of a b c"],
    );
    check(
        policy([Jail { bantime: BanTime::Permanent, ..mail() }]),
        BANNED,
        &["2..ever 192.0.2.1/32 mail: 3 in 600 of alice bob"],
    );
    check(
        policy([Jail { observe: true, ..mail() }]),
        BANNED,
        &["2..602 192.0.2.1/32 mail observed: 3 in 600 of alice bob"],
    );
}

#[test]
fn at_most_five_users_are_kept() {
    let script: String = (0..8).map(|n| format!("{n} fail 192.0.2.1 user{n}\n")).collect();
    check(
        policy([Jail { maxretry: 8, ..mail() }]),
        &script,
        &["7..607 192.0.2.1/32 mail: 8 in 600 of user0 user1 user2 user3 user4"],
    );
}

#[test]
fn a_ban_ends_to_the_second_and_the_source_may_be_banned_again() {
    let again = "603 fail 192.0.2.1 eve
                 604 fail 192.0.2.1 eve
                 605 fail 192.0.2.1 eve";
    check(
        policy([mail()]),
        &banned_and(again),
        &["2..602 192.0.2.1/32 mail: 3 in 600 of alice bob", "605..1205 192.0.2.1/32 mail: 3 in 600 of eve"],
    );
    // At 602 the ban is over: this one is neither prevented nor lost.
    let replay = check(
        policy([mail()]),
        &banned_and("602 fail 192.0.2.1"),
        &["2..602 192.0.2.1/32 mail: 3 in 600 of alice bob"],
    );
    assert_eq!(replay.totals().prevented, 0);
}

#[test]
fn however_many_bans_end_between_two_lines_all_of_them_end() {
    let banned: String = (0..2500).map(|n| format!("0 fail 192.0.{}.{}\n", n / 250, n % 250).repeat(3)).collect();
    let mut replay = replay_with_room(policy([mail()]), 10_000);
    banned.lines().for_each(|line| replay.line(&[event(line)], FileId(0)));
    assert_eq!(replay.judge.bans_in_force(), 2500);
    replay.line(&[event("10000 outage 192.0.2.1")], FileId(0));
    assert_eq!(replay.judge.bans_in_force(), 0);
}

#[test]
fn what_a_ban_would_have_prevented_is_counted_apart_and_not_judged() {
    // Two seconds after the ban the line was still on its way; then comes what would not have come.
    let rest = "4 fail 192.0.2.1
                5 fail 192.0.2.1
                6 fail 192.0.2.1
                601 fail 192.0.2.1";
    let jails = [mail(), again()];
    let expected = ["2..602 192.0.2.1/32 mail: 3 in 600 of alice bob, prevented 3"];
    let replay = check(policy(jails), &banned_and(rest), &expected);
    assert_eq!((replay.totals().failures, replay.totals().prevented), (7, 3));
}

#[test]
fn what_gets_past_a_ban_is_judged() {
    // An observed ban drops nothing, so that the second jail reaches its limit.
    let rest = "5 fail 192.0.2.1
                6 fail 192.0.2.1
                7 fail 192.0.2.1";
    check(
        policy([Jail { observe: true, ..mail() }, again()]),
        &banned_and(rest),
        &[
            "2..602 192.0.2.1/32 mail observed: 3 in 600 of alice bob",
            "7..86407 192.0.2.1/32 again: 6 in 86400 of alice bob",
        ],
    );
    // And one of SMTP alone leaves IMAP open.
    let smtp = Jail { name: "smtp".into(), filters: vec!["postfix-sasl".into()], services: SMTP, ..mail() };
    let imap = Jail { name: "imap".into(), filters: vec!["cyrus".into()], services: IMAP, ..mail() };
    let rest = "5 fail 192.0.2.1 filter=cyrus
                6 fail 192.0.2.1
                7 fail 192.0.2.1 filter=cyrus
                8 fail 192.0.2.1 filter=cyrus";
    check(
        policy([smtp, imap]),
        &banned_and(rest),
        &[
            "2..602 192.0.2.1/32 smtp: 3 in 600 of alice bob, prevented 1",
            "8..608 192.0.2.1/32 imap: 3 in 600 of alice bob",
        ],
    );
}

#[test]
fn a_login_around_a_ban_makes_it_a_likely_false_positive() {
    let ban = "100000..100600 192.0.2.1/32 mail: 3 in 600 of alice";
    let failures = "100000 fail 192.0.2.1 alice\n".repeat(3);
    for (before, after, flagged) in [
        ("", "", ""),
        ("13599 login 192.0.2.1 carol", "", ""),
        ("13600 login 192.0.2.1 carol", "", ", carol logged in before at 13600"),
        ("99000 login 192.0.2.1 carol\n99001 login 192.0.2.1 dave", "", ", dave logged in before at 99001"),
        ("99000 login 192.0.2.2 carol", "100100 login 192.0.2.3 carol", ""),
        ("99000 login 192.0.2.1 carol", "100100 login 192.0.2.1 dave", ", dave logged in during at 100100"),
        ("", "100100 login 192.0.2.1 dave\n100700 login 192.0.2.1 eve", ", dave logged in during at 100100"),
        ("", "100600 login 192.0.2.1 -", ", - logged in after at 100600"),
        ("", "187000 login 192.0.2.1 eve", ", eve logged in after at 187000"),
        ("", "187001 login 192.0.2.1 eve", "*"),
    ] {
        let mut replay = replay_with_room(policy([mail()]), 100);
        let bans = run(&mut replay, &format!("{before}\n{failures}{after}"));
        let expected = if flagged == "*" { format!("*{ban}") } else { format!("{ban}{flagged}") };
        assert_eq!(bans, [expected], "{before} / {after}");
        assert_eq!(replay.totals().false_positives, u64::from(flagged.len() > 1));
    }
}

#[test]
fn a_login_from_the_same_64_counts_and_one_under_an_endless_ban_does_too() {
    let endless = Jail { bantime: BanTime::Permanent, ..mail() };
    check(
        policy([endless]),
        "0 fail 2001:db8::1
         1 fail 2001:db8::1
         2 fail 2001:db8::1
         9000000 login 2001:db8::9 carol",
        &["2..ever 2001:db8::/64 mail: 3 in 600 of , carol logged in during at 9000000"],
    );
}

#[test]
fn bans_come_out_in_the_order_of_their_beginnings_once_they_are_settled() {
    let script = "0 fail 192.0.2.1
                  0 fail 192.0.2.1
                  0 fail 192.0.2.1
                  50 fail 192.0.2.2
                  50 fail 192.0.2.2
                  50 fail 192.0.2.2
                  87000 outage 192.0.2.9
                  87001 outage 192.0.2.9
                  90000 outage 192.0.2.9";
    let expected = ["*0..600 192.0.2.1/32 mail: 3 in 600 of ", "*50..650 192.0.2.2/32 mail: 3 in 600 of "];
    check(policy([mail()]), script, &expected);
}

#[test]
fn what_is_protected_is_not_banned_and_counted() {
    let script = "0 fail 10.0.0.1
                  1 fail 10.0.0.1
                  2 fail 10.0.0.1
                  3 fail 127.0.0.1
                  3 fail 127.0.0.1
                  3 fail 127.0.0.1";
    let replay = check(policy([mail()]), script, &[]);
    assert_eq!(replay.totals().ignored, 2);
}

#[test]
fn a_full_map_makes_bans_yield_as_the_kernels_does() {
    let script: String = (1..=3).map(|n| format!("{n} fail 192.0.2.{n}\n").repeat(3)).collect();
    let mut replay = replay_with_room(policy([mail()]), 2);
    let expected = [
        "1..3 192.0.2.1/32 mail yielded: 3 in 600 of ",
        "2..602 192.0.2.2/32 mail: 3 in 600 of ",
        "3..603 192.0.2.3/32 mail: 3 in 600 of ",
    ];
    assert_eq!(run(&mut replay, &script), expected);
    assert_eq!(replay.totals().yielded, 1);
}

#[test]
fn lines_that_go_back_are_judged_at_the_time_of_the_line_before_and_their_file_is_named() {
    let script = "10000 fail 192.0.2.9
                  0 fail 192.0.2.1
                  1 fail 192.0.2.1
                  10001 fail 192.0.2.1";
    let mut replay = check(policy([mail()]), script, &["10001..10601 192.0.2.1/32 mail: 3 in 600 of "]);
    assert_eq!(replay.take_stale().len(), 1);
}

#[test]
fn a_line_that_claims_to_be_of_the_future_moves_nothing() {
    let script = banned_and(
        "400000000 fail 192.0.2.9
         100 fail 192.0.2.1",
    );
    let replay = check(policy([mail()]), &script, &["2..602 192.0.2.1/32 mail: 3 in 600 of alice bob, prevented 1"]);
    assert_eq!(replay.totals().last.map(seconds), Some(100));
}

#[test]
fn sources_that_are_forgotten_are_counted() {
    let policy = Policy { limits: Limits { sources: 2, evidence: 2, ..Limits::default() }, ..policy([mail()]) };
    let script: String = (0..7).map(|n| format!("{n} fail 192.0.2.{n}\n")).collect();
    assert_eq!(check(policy, &script, &[]).totals().evicted, 5);
}

#[test]
fn everything_is_counted() {
    let rest = "3 outage 192.0.2.7
                4 login 192.0.2.8 carol
                100 fail 192.0.2.1
                700 fail 192.0.2.1
                700 fail 192.0.2.1
                700 fail 192.0.2.1
                800 login 192.0.2.1 carol";
    let replay = check(
        policy([mail()]),
        &banned_and(rest),
        &[
            "2..602 192.0.2.1/32 mail: 3 in 600 of alice bob, prevented 1, carol logged in after at 800",
            "700..1300 192.0.2.1/32 mail: 3 in 600 of , carol logged in during at 800",
        ],
    );
    let at = |seconds: i64| Some(WallTime((EPOCH + seconds) * SECOND));
    let expected = Totals {
        first: at(0),
        last: at(800),
        failures: 7,
        prevented: 1,
        successes: 2,
        outages: 1,
        bans: 2,
        sources: 1,
        false_positives: 2,
        ..Totals::default()
    };
    assert_eq!(replay.totals(), expected);
}

#[test]
fn what_lists_ban_is_prevented_and_what_they_ignore_is_not_banned() {
    let list = |name, action, prefix: &str| List {
        name: ListName::new(name),
        action,
        prefixes: Some([prefix.parse().unwrap()].into_iter().collect()),
    };
    let lists = vec![
        list("drop", ListAction::Ban { services: SMTP.union(IMAP), observe: false }, "192.0.2.0/24"),
        list("ours", ListAction::Ignore, "192.0.2.64/26"),
    ];
    let mut replay = replay_with_room(policy([mail()]), 10).with_lists(lists);
    let fail = |source: &str| (10..14).map(|at| format!("{at} fail {source} alice\n")).collect::<String>();
    assert_eq!(run(&mut replay, &fail("192.0.2.1")), [""; 0]);
    assert_eq!(replay.totals().prevented, 4);
    assert_eq!(run(&mut replay, &fail("192.0.2.65")), [""; 0]);
    assert_eq!((replay.totals().prevented, replay.totals().ignored), (4, 1));
}
