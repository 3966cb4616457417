//! Bans of an earlier run.

use super::*;

#[test]
fn bans_found_in_the_kernel_go_on_and_end_on_time() {
    let world = check(
        "0 adopt hash 192.0.2.1/32 mail until 100, hash 2001:db8::/64 smtp until 200, \
             trie 198.51.100.0/24 mail for ever manual -> adopted 3
         1 fail 192.0.2.1 weight=8
         100 tick -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by an earlier run: its time is over
         200 tick -> remove hash 2001:db8::/64; unbanned 2001:db8::/64 by an earlier run: its time is over
         300 unban 198.51.100.0/24 -> remove trie 198.51.100.0/24; \
             unbanned 198.51.100.0/24 by hand: lifted by hand",
    );
    assert_eq!(world.judge.bans_in_force(), 0);
}

#[test]
fn what_is_over_or_protected_by_now_is_removed() {
    check(
        "50 own 192.0.2.10
         50 adopt hash 192.0.2.1/32 mail until 50, hash 192.0.2.10/32 mail until 100, trie 203.0.113.5/32 protected \
             -> unbanned 192.0.2.10/32 by an earlier run: 192.0.2.10 is an address of this host; \
             remove hash 192.0.2.1/32; remove hash 192.0.2.10/32; remove trie 203.0.113.5/32",
    );
}

#[test]
fn protected_addresses_inside_adopted_prefixes_are_what_they_are_now() {
    check(
        "0 own 192.0.2.10 2001:db8::10
         0 adopt trie 192.0.2.0/24 mail for ever manual, trie 192.0.2.9/32 protected, hash 2001:db8::/64 mail until 100 \
             -> write trie 192.0.2.10/32 protected; write trie 2001:db8::10/128 protected; \
             write trie 2001:db8::/64 mail until 100; remove hash 2001:db8::/64; remove trie 192.0.2.9/32; adopted 2",
    );
}

#[test]
fn an_entry_that_only_repeats_the_one_around_it_is_no_ban_of_its_own() {
    check(
        "0 adopt trie 2001:db8::/32 mail for ever manual, trie 2001:db8::1/128 mail for ever manual, \
             trie 2001:db8:1::/48 smtp until 60 -> remove trie 2001:db8::1/128; remove trie 2001:db8:1::/48; adopted 1
         1 unban 2001:db8::/32 -> remove trie 2001:db8::/32; unbanned 2001:db8::/32 by hand: lifted by hand",
    );
    check(
        "0 adopt trie 2001:db8::/32 smtp until 50, trie 2001:db8::1/128 mail until 100 -> adopted 2
         50 tick -> remove trie 2001:db8::/32; unbanned 2001:db8::/32 by an earlier run: its time is over",
    );
}

#[test]
fn nothing_is_written_where_the_kernel_has_what_is_wanted() {
    check(
        "0 own 192.0.2.10
         0 adopt trie 192.0.2.10/32 protected, trie 192.0.2.0/24 mail until 100, hash 192.0.2.1/32 smtp until 60 observing \
             -> adopted 2",
    );
}
