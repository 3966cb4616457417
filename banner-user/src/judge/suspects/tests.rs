use std::num::NonZeroU32;

use super::*;

fn tried(account: u32, at: u32) -> Try {
    Try { account: AccountTag(NonZeroU32::new(account).unwrap()), at: LogSeconds(at) }
}

/// Accounts, times, and whether the account was under attack.
type Tries = &'static [(u32, u32, bool)];

fn suspect(tries: &[(u32, u32, bool)]) -> Suspect {
    let mut suspect = Suspect::default();
    for (account, at, attacked) in tries {
        suspect.note(tried(*account, *at), *attacked);
    }
    suspect
}

#[test]
fn a_million_fit() {
    assert!(size_of::<Suspect>() < 64, "{}", size_of::<Suspect>());
}

#[test]
fn tries_on_one_account_within_ten_minutes_are_one() {
    let table: [(Tries, usize); 5] = [
        (&[(1, 0, false), (1, 599, false)], 1),
        (&[(1, 0, false), (1, 600, false)], 2),
        (&[(1, 600, false), (1, 1, false)], 1),
        (&[(1, 0, false), (2, 0, false)], 2),
        (&[(1, 0, false), (1, 300, false), (1, 600, false), (1, 900, false)], 2),
    ];
    for (tries, expected) in table {
        assert_eq!(suspect(tries).tries().count(), expected, "{tries:?}");
    }
}

#[test]
fn more_tries_than_fit_push_out_repeats_first_then_the_oldest() {
    let kept = |tries: &[(u32, u32, bool)]| {
        let mut kept: Vec<_> = suspect(tries).tries().map(|(tried, _)| (tried.account.0.get(), tried.at.0)).collect();
        kept.sort_unstable_by_key(|(_, at)| *at);
        kept
    };
    let hours = |accounts: &[u32]| -> Vec<_> {
        (1..).zip(accounts).map(|(hour, account)| (*account, hour * 3600, false)).collect()
    };
    let seven = kept(&hours(&[1, 2, 3, 4, 5, 6, 7]));
    assert_eq!(seven.iter().map(|(account, _)| *account).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
    let hidden = kept(&hours(&[1, 9, 9, 9, 9, 9, 2, 9, 9, 3, 9]));
    let expected = [(1, 1), (2, 7), (9, 8), (9, 9), (3, 10), (9, 11)].map(|(account, hour)| (account, hour * 3600));
    assert_eq!(hidden, expected);
}

#[test]
fn only_who_tried_nothing_but_accounts_under_attack_has_tries_there() {
    let table: [(Tries, u32, usize); 6] = [
        (&[(1, 1000, true), (2, 2000, true)], 0, 2),
        (&[(1, 1000, true), (2, 2000, false)], 0, 0),
        (&[(1, 1000, true), (7, 2000, false)], 0, 2),
        (&[(1, 1000, false), (2, 2000, true)], 1500, 1),
        (&[(1, 1000, false), (1, 1001, true)], 0, 1),
        (&[], 0, 0),
    ];
    for (tries, start, expected) in table {
        let is_now = |account: AccountTag| account.0.get() == 7;
        assert_eq!(suspect(tries).tries_under_attack(LogSeconds(start), is_now), expected, "{tries:?} since {start}");
    }
}

#[test]
fn accounts_are_counted_once_and_only_those_that_count() {
    let suspect = suspect(&[(1, 1000, false), (1, 2000, false), (2, 3000, false), (3, 4000, false)]);
    let count = |start, not: u32| suspect.accounts(LogSeconds(start), |account| account.0.get() != not);
    assert_eq!((count(0, 9), count(0, 1), count(1500, 9), count(2500, 9)), (3, 2, 3, 2));
}

#[test]
fn what_was_saved_is_what_it_was() {
    let mut one = suspect(&[(1, 1000, true), (2, 2000, false), (3, 3000, true)]);
    one.banned_until = LogSeconds(5000);
    let tries: Vec<_> = one.tries().collect();
    assert_eq!(Suspect::restored(&tries, LogSeconds(5000)), one);
    assert_eq!(one.newest(), Some(LogSeconds(5000).as_log_time()), "a ban is remembered beyond its end");
}

#[test]
fn who_failed_longest_ago_is_forgotten_first() {
    let mut suspects = Suspects::new();
    let source = |last: u8| IpNet::from(std::net::IpAddr::from([192, 0, 2, last]));
    for last in 0..=255 {
        suspects.note(source(last), tried(1, 1000 + u32::from(last)), 10, |_| false);
    }
    assert_eq!(suspects.sources().len(), 10);
    assert!(suspects.get(source(246)).is_some() && suspects.get(source(245)).is_none());
    suspects.tidy(LogSeconds(1250).as_log_time(), 100);
    assert_eq!(suspects.sources().len(), 6);
}
