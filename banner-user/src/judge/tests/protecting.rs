//! What is never banned.

use super::*;

#[test]
fn a_protected_source_over_the_limit_is_told_once_until_it_was_quiet() {
    let mut office = policy([mail()]);
    office.ignoreip = nets(&["198.51.100.0/24"]);
    check_with(
        office,
        "0 fail 198.51.100.7 weight=8
         1 fail 198.51.100.7 -> ignored 198.51.100.7/32 by jail mail: 198.51.100.0/24 is in ignoreip
         2 fail 198.51.100.7 weight=400
         602 fail 198.51.100.7 weight=12
         1202 fail 198.51.100.7 weight=12
         1803 fail 198.51.100.7 weight=12 -> ignored 198.51.100.7/32 by jail mail: 198.51.100.0/24 is in ignoreip
         1804 fail 198.51.100.8 weight=12 -> ignored 198.51.100.8/32 by jail mail: 198.51.100.0/24 is in ignoreip",
    );
}

#[test]
fn the_hosts_own_addresses_gateways_loopback_and_link_local_are_never_banned() {
    check(
        "0 own 192.0.2.10 2001:db8::10
         0 gateways 192.0.2.254
         1 fail 192.0.2.10 weight=12 -> ignored 192.0.2.10/32 by jail mail: 192.0.2.10 is an address of this host
         1 fail 2001:db8::10 weight=12 -> ignored 2001:db8::10/128 by jail mail: 2001:db8::10 is an address of this host
         1 fail 192.0.2.254 weight=12 -> ignored 192.0.2.254/32 by jail mail: 192.0.2.254 is a gateway of this host
         1 fail 127.0.0.1 weight=12 -> ignored 127.0.0.1/32 by jail mail: 127.0.0.0/8 is loopback
         1 fail ::1 weight=12 -> ignored ::1/128 by jail mail: ::1 is loopback
         1 fail ::ffff:127.0.0.1 weight=12
         1 fail fe80::1 weight=12 -> ignored fe80::/64 by jail mail: fe80::/10 is link-local",
    );
}

#[test]
fn in_a_64_that_holds_a_protected_address_the_others_are_banned_by_their_full_address() {
    check(
        "0 own 2001:db8::10
         1 fail 2001:db8::66 weight=8
         1 fail 2001:db8::67 weight=8
         1 fail 2001:db8::66 -> write trie 2001:db8::66/128 mail until 601; \
             banned 2001:db8::66/128 by jail mail until 601 for 3",
    );
}

#[test]
fn a_jail_ignores_for_itself_alone() {
    let polite = Jail { ignoreip: nets(&["192.0.2.1/32", "2001:db8::10/128"]), ..jail("polite", "cyrus", IMAP) };
    check_with(
        policy([polite, jail("strict", "postfix-sasl", SMTP)]),
        "0 fail 192.0.2.1 weight=12 filter=cyrus -> ignored 192.0.2.1/32 by jail polite: \
             192.0.2.1 is in this jail's ignoreip
         0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 smtp until 600; \
             banned 192.0.2.1/32 by jail strict until 600 for 3
         1 fail 2001:db8::66 weight=12 filter=cyrus -> write trie 2001:db8::66/128 imap until 601; \
             banned 2001:db8::66/128 by jail polite until 601 for 3
         1 fail 2001:db8::67 weight=12 -> write hash 2001:db8::/64 smtp until 601; \
             banned 2001:db8::/64 by jail strict until 601 for 3",
    );
}

#[test]
fn what_becomes_protected_is_unbanned_at_once() {
    check(
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         0 fail 198.51.100.1 weight=12 -> write hash 198.51.100.1/32 mail until 600; \
             banned 198.51.100.1/32 by jail mail until 600 for 3
         1 ignoreip 192.0.2.0/24 -> remove hash 192.0.2.1/32; \
             unbanned 192.0.2.1/32 by jail mail: 192.0.2.0/24 is in ignoreip
         2 own 198.51.100.1 -> remove hash 198.51.100.1/32; \
             unbanned 198.51.100.1/32 by jail mail: 198.51.100.1 is an address of this host",
    );
}

#[test]
fn a_banned_64_that_comes_to_hold_a_protected_address_moves_to_the_trie_without_a_gap() {
    check(
        "0 fail 2001:db8::66 weight=12 -> write hash 2001:db8::/64 mail until 600; \
             banned 2001:db8::/64 by jail mail until 600 for 3
         1 own 2001:db8::10 -> write trie 2001:db8::10/128 protected; write trie 2001:db8::/64 mail until 600; \
             remove hash 2001:db8::/64
         2 own -> write hash 2001:db8::/64 mail until 600; remove trie 2001:db8::/64; remove trie 2001:db8::10/128
         600 tick -> remove hash 2001:db8::/64; unbanned 2001:db8::/64 by jail mail: its time is over",
    );
}

#[test]
fn protected_addresses_inside_a_banned_prefix_have_an_entry_of_their_own() {
    let mut office = policy([mail()]);
    office.ignoreip = nets(&["203.0.113.64/26"]);
    check_with(
        office,
        "0 own 203.0.113.5
         1 ban 203.0.113.0/24 for=100 -> write trie 203.0.113.5/32 protected; write trie 203.0.113.64/26 protected; \
             write trie 203.0.113.0/24 mail until 101 manual; banned 203.0.113.0/24 by hand until 101
         2 own 203.0.113.6 -> write trie 203.0.113.6/32 protected; remove trie 203.0.113.5/32
         3 ignoreip -> remove trie 203.0.113.64/26
         101 tick -> remove trie 203.0.113.0/24; remove trie 203.0.113.6/32; \
             unbanned 203.0.113.0/24 by hand: its time is over",
    );
}

#[test]
fn a_jails_ban_around_what_it_comes_to_ignore_ends() {
    let mut world = check(
        "0 fail 2001:db8::66 weight=12 -> write hash 2001:db8::/64 mail until 600; \
             banned 2001:db8::/64 by jail mail until 600 for 3
         0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         0 ban 2001:db8::/64 services=smtp -> write hash 2001:db8::/64 mail until 600 manual; \
             banned 2001:db8::/64 by hand until 600",
    );
    let ignoring = Jail { ignoreip: nets(&["2001:db8::10/128", "192.0.0.0/16"]), ..mail() };
    assert_eq!(
        world.configure(1, policy([ignoring])),
        [
            "remove hash 192.0.2.1/32",
            "unbanned 192.0.2.1/32 by jail mail: 192.0.0.0/16 is in this jail's ignoreip",
            "write hash 2001:db8::/64 smtp until 600 manual",
            "unbanned 2001:db8::/64 by jail mail: 2001:db8::10 is in this jail's ignoreip",
        ]
    );
}

#[test]
fn what_a_ban_that_moves_to_the_hash_has_dropped_is_not_let_through_before_it_is_there() {
    // The /64 is in the trie as long as it holds something protected, and the entry inside it is of both bans.
    check_with(
        policy([Jail { observe: true, ..mail() }]),
        "0 own 2001:db8::9
         0 ban 2001:db8::/64 for=100 -> write trie 2001:db8::9/128 protected; \
             write trie 2001:db8::/64 mail until 100 manual; banned 2001:db8::/64 by hand until 100
         1 fail 2001:db8::1 weight=12 -> write trie 2001:db8::1/128 mail until 100 manual; \
             would ban 2001:db8::1/128 by jail mail until 601 for 3
         2 own -> write hash 2001:db8::/64 mail until 100 manual; \
             write trie 2001:db8::1/128 mail until 601 observing; \
             remove trie 2001:db8::/64; remove trie 2001:db8::9/128",
    );
}
