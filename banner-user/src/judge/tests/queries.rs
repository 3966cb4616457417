//! What `status`, `bans` and `why` answer from.

use super::*;
use crate::judge::{
    FAILURES_MAX, LINE_MAX, Origin,
    effect::{Map, Slot},
};

#[test]
fn status_counts_in_fail2bans_words() {
    let world = check(
        "0 fail 192.0.2.1
         0 fail 192.0.2.2 weight=12 -> write hash 192.0.2.2/32 mail until 600; \
             banned 192.0.2.2/32 by jail mail until 600 for 3
         1 fail 192.0.2.3 weight=12 -> write hash 192.0.2.3/32 mail until 601; \
             banned 192.0.2.3/32 by jail mail until 601 for 3
         2 ban 192.0.2.4 -> write hash 192.0.2.4/32 mail until 602 manual; banned 192.0.2.4/32 by hand until 602
         3 fail 192.0.2.5 weight=0
         600 tick -> remove hash 192.0.2.2/32; unbanned 192.0.2.2/32 by jail mail: its time is over",
    );
    let status = world.judge.status();
    let mail = &status.jails[0];
    assert_eq!((mail.currently_failed, mail.total_failed), (1, 3));
    assert_eq!((mail.currently_banned, mail.total_banned), (1, 2));
    assert_eq!(status.others, [(Origin::Hand, 1), (Origin::Adopted, 0)]);
}

#[test]
fn bans_come_in_pages_in_the_order_of_their_prefixes() {
    let mut world = check("0 own 2001:db8:5::1");
    let prefixes = [
        "192.0.2.0/24",
        "192.0.2.0/25",
        "192.0.2.1/32",
        "2001:db8::/32",
        "2001:db8::/64",
        "2001:db8:5::/64",
        "2001:db8:6::/64",
    ];
    for prefix in prefixes.iter().rev() {
        let _effects = world.hand(prefix, 0);
    }
    for limit in 1..10 {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = world.judge.bans(cursor, limit);
            assert!(page.bans.len() <= limit);
            seen.extend(page.bans.iter().map(|ban| ban.prefix.to_string()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, prefixes, "pages of {limit}");
    }
}

#[test]
fn entries_come_map_by_map_from_any_prefix_on() {
    let world = check(
        "0 own 192.0.2.10
         0 ban 192.0.2.1 -> write hash 192.0.2.1/32 mail until 600 manual; banned 192.0.2.1/32 by hand until 600
         0 ban 192.0.2.2 -> write hash 192.0.2.2/32 mail until 600 manual; banned 192.0.2.2/32 by hand until 600
         0 ban 192.0.2.0/24 -> write trie 192.0.2.10/32 protected; write trie 192.0.2.0/24 mail until 600 manual; \
             banned 192.0.2.0/24 by hand until 600
         0 ban 2001:db8::1 -> write hash 2001:db8::/64 mail until 600 manual; banned 2001:db8::/64 by hand until 600",
    );
    let entries = |map, after: Option<&str>| {
        let after = after.map(|after| after.parse().unwrap());
        world.judge.entries(map, after).map(|entry| entry.slot.prefix().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(entries(Map::BansV4, None), ["192.0.2.1/32", "192.0.2.2/32"]);
    assert_eq!(entries(Map::BansV4, Some("192.0.2.1/32")), ["192.0.2.2/32"]);
    assert_eq!(entries(Map::NetsV4, None), ["192.0.2.0/24", "192.0.2.10/32"]);
    assert_eq!(entries(Map::NetsV4, Some("192.0.2.0/24")), ["192.0.2.10/32"]);
    assert_eq!(entries(Map::BansV6, Some("255.255.255.255/32")), ["2001:db8::/64"], "a cursor of another family");
    assert_eq!(entries(Map::BansV4, Some("2001:db8::/64")), [""; 0]);
    assert_eq!(entries(Map::NetsV6, None), [""; 0]);
}

#[test]
fn why_tells_failures_tallies_protections_and_bans() {
    let mut office = policy([Jail { ignoreip: nets(&["192.0.2.7/32"]), ..mail() }]);
    office.ignoreip = nets(&["198.51.100.0/24"]);
    let world = check_with(
        office,
        "0 fail 192.0.2.1 at=-5
         1 fail 192.0.2.1 filter=cyrus weight=1
         2 ban 192.0.0.0/16 -> write trie 192.0.0.0/16 mail until 602 manual; banned 192.0.0.0/16 by hand until 602",
    );
    let why = world.judge.why("::ffff:192.0.2.1".parse().unwrap());
    assert_eq!(why.address.to_string(), "192.0.2.1");
    assert_eq!(why.source.to_string(), "192.0.2.1/32");
    assert_eq!((why.tallies[0].failures, why.tallies[0].limit), (5, 12));
    assert_eq!(why.tallies[0].newest, Some(world.now(1).wall.as_log_time()));
    assert_eq!(why.bans.len(), 1);
    assert_eq!(why.bans[0].slot, Slot::net("192.0.0.0/16".parse().unwrap()));
    let evidence = why.evidence.unwrap();
    let failures: Vec<_> = evidence
        .failures
        .iter()
        .map(|f| (f.at.0 / 1_000_000 - 1_700_000_000, &*f.attempt.filter, f.attempt.weight.0, f.position.offset))
        .collect();
    assert_eq!(failures, [(-5, "postfix-sasl", 4, 100), (1, "cyrus", 1, 200)]);
    assert_eq!(&*evidence.line, b"fail 192.0.2.1 filter=cyrus weight=1");

    let why = |address: &str| world.judge.why(address.parse().unwrap());
    assert_eq!(why("198.51.100.9").protections[0].to_string(), "198.51.100.0/24 is in ignoreip");
    assert_eq!(why("192.0.2.7").tallies[0].protection.unwrap().to_string(), "192.0.2.7 is in this jail's ignoreip");
    assert!(why("203.0.113.1").evidence.is_none());
}

#[test]
fn evidence_is_bounded_by_sources_failures_and_bytes() {
    let mut world = World::new(policy([Jail { maxretry: 1000, ..mail() }]));
    for second in 0..30 {
        world.check(&format!("{second} fail 192.0.2.1 {}", "x".repeat(1000)));
    }
    let kept = |world: &World, address: &str| {
        world.judge.why(address.parse().unwrap()).evidence.map(|e| (e.failures.len(), e.line.len()))
    };
    assert_eq!(kept(&world, "192.0.2.1"), Some((FAILURES_MAX, LINE_MAX)));
    for last in 2..12 {
        assert!(kept(&world, "192.0.2.1").is_some());
        world.check(&format!("{} fail 192.0.2.{last}", 30 + last));
    }
    assert_eq!(kept(&world, "192.0.2.1"), None, "ten sources have failed since");
    assert!(kept(&world, "192.0.2.2").is_some());
}
