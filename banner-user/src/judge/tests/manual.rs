//! Bans and unbans by hand.

use super::*;
use crate::judge::manual::PROTECTED_INSIDE_MAX;

#[test]
fn a_ban_by_hand_takes_length_and_services_from_the_request_or_the_jail() {
    let long = Jail { bantime: seconds(6000), observe: true, ..jail("imap", "cyrus", IMAP) };
    check_with(
        policy([mail(), long]),
        "0 ban 192.0.2.1 -> write hash 192.0.2.1/32 mail until 600 manual; banned 192.0.2.1/32 by hand until 600
         0 ban 192.0.2.2 jail=imap -> write hash 192.0.2.2/32 imap until 6000 manual; banned 192.0.2.2/32 by hand until 6000
         0 ban 192.0.2.3 for=60 services=smtp -> write hash 192.0.2.3/32 smtp until 60 manual; \
             banned 192.0.2.3/32 by hand until 60
         0 ban 192.0.2.4 for=ever -> write hash 192.0.2.4/32 mail for ever manual; banned 192.0.2.4/32 by hand for ever
         0 ban 192.0.2.5 jail=smtp -> refused: there is no jail `smtp`, there are: mail, imap
         0 ban 192.0.2.5 services=none -> refused: a ban needs a service to keep the source from, say --services
         0 ban 192.0.2.5 for=0 -> refused: a ban needs a length, say --for",
    );
    check_with(
        policy([]),
        "0 ban 192.0.2.1 services=smtp -> refused: a ban needs a length, say --for
         0 ban 192.0.2.1 for=60 -> refused: a ban needs a service to keep the source from, say --services
         0 ban 192.0.2.1 for=60 services=smtp -> write hash 192.0.2.1/32 smtp until 60 manual; \
             banned 192.0.2.1/32 by hand until 60",
    );
}

#[test]
fn an_address_means_its_source_and_a_prefix_means_itself() {
    check(
        "0 ban 2001:db8::1 -> write hash 2001:db8::/64 mail until 600 manual; banned 2001:db8::/64 by hand until 600
         0 ban 2001:db8::1/128 -> write trie 2001:db8::1/128 mail until 600 manual; \
             banned 2001:db8::1/128 by hand until 600
         0 ban ::ffff:192.0.2.1 -> write hash 192.0.2.1/32 mail until 600 manual; banned 192.0.2.1/32 by hand until 600
         0 ban ::ffff:198.51.100.0/120 -> write trie 198.51.100.0/24 mail until 600 manual; \
             banned 198.51.100.0/24 by hand until 600
         0 ban 203.0.113.77/24 -> write trie 203.0.113.0/24 mail until 600 manual; banned 203.0.113.0/24 by hand until 600",
    );
}

#[test]
fn the_last_word_by_hand_counts() {
    check(
        "0 ban 192.0.2.1 for=ever -> write hash 192.0.2.1/32 mail for ever manual; banned 192.0.2.1/32 by hand for ever
         1 ban 192.0.2.1 for=60 services=smtp -> write hash 192.0.2.1/32 smtp until 61 manual; \
             banned 192.0.2.1/32 by hand until 61
         # Nothing to write where nothing differs.
         1 ban 192.0.2.1 for=60 services=smtp -> banned 192.0.2.1/32 by hand until 61
         61 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by hand: its time is over",
    );
}

#[test]
fn what_is_protected_is_refused_by_its_entry_and_force_overrides_what_is_not_the_hosts_own() {
    let mut office = policy([mail()]);
    office.ignoreip = nets(&["198.51.100.0/24"]);
    let world = check_with(
        office,
        "0 own 192.0.2.10
         0 gateways 192.0.2.254
         0 ban 198.51.100.7 -> refused: 198.51.100.7 is not banned: 198.51.100.0/24 is in ignoreip, --force bans it all the same
         0 ban 198.51.100.0/25 -> refused: 198.51.100.0/25 is not banned: 198.51.100.0/24 is in ignoreip, \
             --force bans it all the same
         0 ban 198.51.100.0/24 -> refused: 198.51.100.0/24 is not banned: 198.51.100.0/24 is in ignoreip, \
             --force bans it all the same
         0 ban 192.0.2.254 -> refused: 192.0.2.254 is not banned: 192.0.2.254 is a gateway of this host, \
             --force bans it all the same
         0 ban 192.0.2.10 force -> refused: 192.0.2.10 is not banned: 192.0.2.10 is an address of this host
         0 ban 127.0.0.1 force -> refused: 127.0.0.1 is not banned: 127.0.0.0/8 is loopback
         0 ban fe80::1 force -> refused: fe80::/64 is not banned: fe80::/10 is link-local
         0 ban ::1 force -> refused: ::1 is not banned: ::1 is loopback
         0 ban 198.51.100.7 force -> write hash 198.51.100.7/32 mail until 600 manual; \
             banned 198.51.100.7/32 by hand until 600
         0 ban 192.0.2.254 force -> write hash 192.0.2.254/32 mail until 600 manual; \
             banned 192.0.2.254/32 by hand until 600
         # A prefix around it keeps what is protected out, but for what was banned by force.
         0 ban 198.51.0.0/16 services=smtp -> write trie 198.51.100.0/24 protected; \
             write trie 198.51.0.0/16 smtp until 600 manual; banned 198.51.0.0/16 by hand until 600
         # What stays protected was overridden; what comes to protect it was not.
         1 ignoreip 198.51.100.0/24 198.51.100.8/29 -> write trie 198.51.100.8/29 protected
         2 ignoreip 198.51.100.0/24 198.51.100.0/29 -> write trie 198.51.100.0/29 protected; \
             remove hash 198.51.100.7/32; remove trie 198.51.100.8/29; \
             unbanned 198.51.100.7/32 by hand: 198.51.100.0/29 is in ignoreip
         2 own 192.0.2.254 -> remove hash 192.0.2.254/32; \
             unbanned 192.0.2.254/32 by hand: 192.0.2.254 is an address of this host",
    );
    let banned: Vec<_> = world.judge.bans(None, 10).bans.into_iter().map(|ban| ban.prefix).collect();
    assert_eq!(banned, nets(&["198.51.0.0/16"]));
}

#[test]
fn very_wide_prefixes_need_force() {
    check(
        "0 ban 64.0.0.0/7 -> refused: 64.0.0.0/7 is wider than a /8, --force bans it all the same
         0 ban 2001::/18 -> refused: 2001::/18 is wider than a /19, --force bans it all the same
         0 ban 64.0.0.0/8 -> write trie 64.0.0.0/8 mail until 600 manual; banned 64.0.0.0/8 by hand until 600
         0 ban 2400::/19 -> write trie 2400::/19 mail until 600 manual; banned 2400::/19 by hand until 600
         0 ban 64.0.0.0/7 force services=smtp -> write trie 64.0.0.0/7 smtp until 600 manual; \
             banned 64.0.0.0/7 by hand until 600",
    );
}

#[test]
fn everything_can_be_banned_by_force_and_what_must_not_be_stays_free() {
    check(
        "0 own 192.0.2.10 2001:db8::10
         1 ban 0.0.0.0/0 force -> write trie 0.0.0.0/8 protected; write trie 127.0.0.0/8 protected; \
             write trie 169.254.0.0/16 protected; write trie 192.0.2.10/32 protected; write trie 224.0.0.0/4 protected; \
             write trie 0.0.0.0/0 mail until 601 manual; banned 0.0.0.0/0 by hand until 601
         2 ban ::/0 force -> write trie ::/128 protected; write trie ::1/128 protected; \
             write trie 2001:db8::10/128 protected; write trie fe80::/10 protected; write trie ff00::/8 protected; \
             write trie ::/0 mail until 602 manual; banned ::/0 by hand until 602",
    );
}

#[test]
fn a_prefix_with_too_many_protected_ones_inside_is_refused() {
    let inside = |count: usize| (0..count).map(|i| format!("192.0.{}.{}/32", i / 256, i % 256)).collect::<Vec<_>>();
    let ban = |count: usize| {
        let mut many = policy([mail()]);
        many.ignoreip = inside(count).iter().map(|net| net.parse().unwrap()).collect();
        let mut world = World::new(many);
        let now = world.now(0);
        let target = crate::judge::manual::Target::Prefix("192.0.0.0/16".parse().unwrap());
        let request =
            crate::judge::manual::BanRequest { target, bantime: None, services: None, jail: None, force: true };
        world.judge.ban(&request, now)
    };
    assert_eq!(ban(PROTECTED_INSIDE_MAX).unwrap().protected_inside.len(), PROTECTED_INSIDE_MAX);
    assert_eq!(
        ban(PROTECTED_INSIDE_MAX + 1).unwrap_err().to_string(),
        "192.0.0.0/16 contains more than 1024 protected prefixes; ban narrower ones"
    );
}

#[test]
fn unban_lifts_every_origin_clears_the_tally_and_says_what_still_covers_it() {
    check(
        "0 fail 192.0.2.1 weight=12 -> write hash 192.0.2.1/32 mail until 600; \
             banned 192.0.2.1/32 by jail mail until 600 for 3
         1 ban 192.0.2.1 for=ever -> write hash 192.0.2.1/32 mail for ever manual; banned 192.0.2.1/32 by hand for ever
         2 ban 192.0.2.0/24 services=smtp -> write trie 192.0.2.0/24 smtp until 602 manual; \
             banned 192.0.2.0/24 by hand until 602
         3 unban 192.0.2.1 -> write hash 192.0.2.1/32 mail until 600; unbanned 192.0.2.1/32 by hand: lifted by hand; \
             remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: lifted by hand; \
             still banned as 192.0.2.0/24 by hand
         4 unban 192.0.2.1 -> not banned; still banned as 192.0.2.0/24 by hand
         5 unban 192.0.2.0/25 -> not banned; still banned as 192.0.2.0/24 by hand
         6 unban 192.0.2.0/24 -> remove trie 192.0.2.0/24; unbanned 192.0.2.0/24 by hand: lifted by hand
         7 fail 192.0.2.1 weight=8
         8 unban 192.0.2.1 -> not banned
         9 fail 192.0.2.1 weight=8
         10 unban 192.0.2.0/24 -> not banned
         11 fail 192.0.2.1 weight=8",
    );
}

#[test]
fn unban_of_an_ipv6_address_lifts_the_ban_of_its_source() {
    check(
        "0 fail 2001:db8::1 weight=12 -> write hash 2001:db8::/64 mail until 600; \
             banned 2001:db8::/64 by jail mail until 600 for 3
         1 unban 2001:db8::2 -> remove hash 2001:db8::/64; unbanned 2001:db8::/64 by jail mail: lifted by hand
         2 fail 2001:db8::1 weight=8
         3 unban 2001:db8::3 -> not banned
         4 fail 2001:db8::1 weight=8",
    );
}

#[test]
fn nested_bans_hold_the_union_and_are_narrowed_when_the_outer_one_ends() {
    check(
        "0 ban 2001:db8:1::1/128 for=1000 services=smtp -> write trie 2001:db8:1::1/128 smtp until 1000 manual; \
             banned 2001:db8:1::1/128 by hand until 1000
         1 ban 2001:db8::/32 for=499 services=imap -> write trie 2001:db8::/32 imap until 500 manual; \
             write trie 2001:db8:1::1/128 mail until 1000 manual; banned 2001:db8::/32 by hand until 500
         500 tick -> write trie 2001:db8:1::1/128 smtp until 1000 manual; remove trie 2001:db8::/32; \
             unbanned 2001:db8::/32 by hand: its time is over",
    );
}
