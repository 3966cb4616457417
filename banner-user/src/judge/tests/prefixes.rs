//! Bans of prefixes from which many sources fail.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::{
    clock::{BootTime, Now},
    judge::{
        Input, Origin,
        effect::Until,
        manual::Target,
        neighbours::{Neighbour, Neighbourhoods},
        policy::{Customers, Prefixes},
        scope,
        tests::kernel::FakeKernel,
    },
};

/// When everybody has learnt who logs in.
const DAY: u64 = 86_400;

/// Three sources within a thousand seconds; nobody fails so often that he is banned alone.
fn banning(jails: impl Into<Vec<Jail>>) -> Policy {
    let prefixes = Prefixes {
        members: 3,
        findtime: Duration::from_secs(1000),
        bantime: Duration::from_secs(5000),
        ..Prefixes::default()
    };
    Policy { prefixes: Some(prefixes), customers: Some(Customers::default()), ..policy(jails) }
}

/// Somebody logs in elsewhere, a day passes, and then this happens.
#[track_caller]
fn check_a_day_later(policy: Policy, script: &str) -> World {
    let mut world = World::new(policy);
    world.check("0 succeed 203.0.113.1");
    let later = script.lines().map(|line| {
        let line = line.trim();
        let number = line.split(' ').next().and_then(|second| second.parse::<u64>().ok());
        number.map_or(line.to_owned(), |second| line.replacen(&second.to_string(), &(DAY + second).to_string(), 1))
    });
    world.check(&later.collect::<Vec<_>>().join("\n"));
    world
}

const THREE: &str = "0 fail 192.0.2.1
    1 fail 192.0.2.2
    2 fail 192.0.2.3 -> write trie 192.0.2.0/24 mail until 91402; \
        banned 192.0.2.0/24 by jail mail until 91402 for 3, 3 sources in it have failed";

#[test]
fn so_many_sources_of_a_prefix_ban_it() {
    let world = check_a_day_later(
        banning([mail()]),
        &format!(
            "{THREE}
             # On their way.
             3 fail 192.0.2.4
             3 fail 192.0.2.5
             5002 tick -> remove trie 192.0.2.0/24; unbanned 192.0.2.0/24 by jail mail: its time is over
             # And from the beginning.
             5003 fail 192.0.2.6
             5003 fail 192.0.2.7"
        ),
    );
    assert_eq!(world.judge.everything().raids, [], "nobody is on record any more");
}

#[test]
fn whom_a_prefix_was_banned_for_is_on_record() {
    let world = check_a_day_later(banning([mail()]), THREE);
    let why = world.judge.why("192.0.2.99".parse().unwrap());
    let [ban] = why.bans.as_slice() else { panic!("{why:?}") };
    assert_eq!(ban.members, nets(&["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"]));
    let neighbourhood = why.neighbourhood.unwrap();
    assert_eq!((neighbourhood.prefix.to_string().as_str(), neighbourhood.limit), ("192.0.2.0/24", 3));
    assert_eq!(neighbourhood.members, []);
}

#[test]
fn neighbours_of_ipv6_are_its_64s() {
    let policy = || banning([mail()]);
    check_a_day_later(
        policy(),
        "0 fail 2001:db8::1
         # Of one /64.
         1 fail 2001:db8::2
         2 fail 2001:db8:0:1::1
         3 fail 2001:db8:0:ff::1 -> write trie 2001:db8::/56 mail until 91403; \
             banned 2001:db8::/56 by jail mail until 91403 for 3, 3 sources in it have failed
         4 fail 2001:db8:0:100::1",
    );
    // Of these the neighbours are those of others.
    check_a_day_later(
        policy(),
        "0 fail 2001:0:c000:201::1
         0 fail 2001:0:c000:202::1
         0 fail 2001:0:c000:203::1
         0 fail 2002:c000:201::1
         0 fail 2002:c000:202::1
         0 fail 2002:c000:203::1
         0 fail 64:ff9b:1:1::1
         0 fail 64:ff9b:1:2::1
         0 fail 64:ff9b:1:3::1",
    );
    // Whole prefixes are sources already.
    let wide = Policy { ipv6_prefix: 56, ..policy() };
    check_a_day_later(
        wide,
        "0 fail 2001:db8::1\n 1 fail 2001:db8:0:1::1\n 2 fail 2001:db8:0:100::1\n 2 fail 2001:db8:0:200::1",
    );
}

#[test]
fn what_does_not_count_is_no_member() {
    let ignoring = Policy { ignoreip: nets(&["198.51.100.3/32"]), ..banning([mail()]) };
    check_a_day_later(
        ignoring,
        "0 fail 192.0.2.1
         0 fail 192.0.2.1
         1 fail 192.0.2.2
         # No password was tried.
         2 fail 192.0.2.3 weight=1
         # The first two were too long ago.
         1002 fail 192.0.2.4
         # Ignored, itself; nothing is ever said of it but by its own count.
         1002 fail 198.51.100.1
         1002 fail 198.51.100.2
         1002 fail 198.51.100.3
         # Read when its time was over.
         1003 fail 192.0.2.5 at=86402 backlog
         1003 fail 192.0.2.5 at=87000 backlog
         1004 fail 192.0.2.6 at=87001 backlog -> write trie 192.0.2.0/24 mail until 92402; \
             banned 192.0.2.0/24 by jail mail until 92402 for 3, 3 sources in it have failed",
    );
}

#[test]
fn nothing_is_banned_that_holds_anybody_who_is_ignored_or_has_logged_in() {
    let own = Jail { ignoreip: nets(&["198.51.100.77/32"]), ..mail() };
    check_a_day_later(
        Policy { ignoreip: nets(&["192.0.2.128/25"]), ..banning([own]) },
        "0 fail 192.0.2.1
         0 fail 192.0.2.2
         0 fail 192.0.2.3 -> spared 192.0.2.0/24 by jail mail for 3: 192.0.2.128/25 is in ignoreip
         # Once.
         0 fail 192.0.2.4
         0 fail 198.51.100.1
         0 fail 198.51.100.2
         0 fail 198.51.100.3 -> spared 198.51.100.0/24 by jail mail for 3: 198.51.100.77 is in this jail's ignoreip
         0 own 198.18.0.9
         0 fail 198.18.0.1
         0 fail 198.18.0.2
         0 fail 198.18.0.3 -> spared 198.18.0.0/24 by jail mail for 3: 198.18.0.9 is an address of this host
         0 succeed 198.18.1.4
         1 fail 198.18.1.1
         1 fail 198.18.1.2
         # The customer is no member, and not for being one of three.
         1 fail 198.18.1.4
         1 fail 198.18.1.4
         2 fail 198.18.1.3 -> spared 198.18.1.0/24 by jail mail for 3: somebody has logged in from there lately
         # Told again when it has been quiet.
         1500 fail 198.18.1.1
         1500 fail 198.18.1.2
         1500 fail 198.18.1.3 -> spared 198.18.1.0/24 by jail mail for 3: somebody has logged in from there lately",
    );
}

#[test]
fn no_prefix_is_banned_before_logins_have_been_heard_of_for_a_day() {
    let learns = "logins have been heard of for less than a day, so that nobody knows who belongs there";
    let mut world = World::new(banning([mail()]));
    world.check(&format!(
        "0 fail 192.0.2.1
         0 fail 192.0.2.2
         0 fail 192.0.2.3 -> spared 192.0.2.0/24 by jail mail for 3: {learns}
         # Nobody logs in here, as far as is known.
         90000 fail 192.0.2.1
         90000 fail 192.0.2.2
         90000 fail 192.0.2.3 -> spared 192.0.2.0/24 by jail mail for 3: {learns}
         90001 succeed 203.0.113.1
         176400 fail 192.0.2.1
         176400 fail 192.0.2.2
         176400 fail 192.0.2.3 -> spared 192.0.2.0/24 by jail mail for 3: {learns}
         176401 fail 192.0.2.3 -> write trie 192.0.2.0/24 mail until 181401; \
             banned 192.0.2.0/24 by jail mail until 181401 for 3, 3 sources in it have failed"
    ));
}

#[test]
fn a_jail_that_hears_no_logins_bans_no_prefix() {
    let deaf = |jail: Jail| Jail { hears_logins: false, ..jail };
    let all = "0 fail 192.0.2.1\n 1 fail 192.0.2.2\n 2 fail 192.0.2.3\n 3 fail 192.0.2.4";
    check_a_day_later(banning([deaf(mail())]), all);
    // The one that hears them does; and of two, the one that enforces.
    let jails = [
        deaf(jail("deaf", "postfix-sasl", SMTP)),
        Jail { observe: true, ..jail("trial", "postfix-sasl", SMTP) },
        jail("mail", "postfix-sasl", MAIL),
    ];
    check_a_day_later(banning(jails), THREE);
    let observing = [Jail { observe: true, ..mail() }];
    check_a_day_later(
        banning(observing),
        "0 fail 192.0.2.1
         1 fail 192.0.2.2
         2 fail 192.0.2.3 -> write trie 192.0.2.0/24 mail until 91402 observing; \
             would ban 192.0.2.0/24 by jail mail until 91402 for 3, 3 sources in it have failed
         3 fail 192.0.2.4
         4 fail 192.0.2.5
         5 fail 192.0.2.6",
    );
}

#[test]
fn bans_of_a_prefix_grow_with_each_one() {
    check_a_day_later(
        Policy { increment: Some(doubling()), ..banning([mail()]) },
        &format!(
            "{THREE}
             5002 tick -> remove trie 192.0.2.0/24; unbanned 192.0.2.0/24 by jail mail: its time is over
             6000 fail 192.0.2.1
             6000 fail 192.0.2.2
             6000 fail 192.0.2.3 -> write trie 192.0.2.0/24 mail until 102400; \
                 banned 192.0.2.0/24 by jail mail until 102400 for 3, 3 sources in it have failed, banned once before"
        ),
    );
}

#[test]
fn to_unban_one_lets_the_prefix_go_and_keeps_the_others_banned_without_a_gap() {
    let member = "one of those for whom 192.0.2.0/24 was banned";
    let world = check_a_day_later(
        banning([mail()]),
        &format!(
            "{THREE}
             100 unban 192.0.2.2 -> write hash 192.0.2.1/32 mail until 91402; \
                 banned 192.0.2.1/32 by jail mail until 91402 for 1, {member}; \
                 write hash 192.0.2.3/32 mail until 91402; \
                 banned 192.0.2.3/32 by jail mail until 91402 for 1, {member}; \
                 remove trie 192.0.2.0/24; unbanned 192.0.2.0/24 by jail mail: lifted by hand
             # What was forgiven is forgotten.
             101 fail 192.0.2.2
             101 fail 192.0.2.4
             102 unban 192.0.2.1 -> remove hash 192.0.2.1/32; unbanned 192.0.2.1/32 by jail mail: lifted by hand
             103 fail 192.0.2.5 -> write trie 192.0.2.0/24 mail until 91503; \
                 banned 192.0.2.0/24 by jail mail until 91503 for 3, 3 sources in it have failed"
        ),
    );
    assert_eq!(
        world.judge.everything().offences.len(),
        2,
        "of the prefix, and of who is still banned from the first time"
    );
}

#[test]
fn to_unban_an_innocent_neighbour_does_the_same() {
    let member = "one of those for whom 192.0.2.0/24 was banned";
    check_a_day_later(
        banning([mail()]),
        &format!(
            "{THREE}
             # Banned alone before that, and for longer.
             3 ban 192.0.2.1 for=9000 -> write hash 192.0.2.1/32 mail until 95403 manual; \
                 banned 192.0.2.1/32 by hand until 95403
             4 ignoreip 192.0.2.3/32 -> write trie 192.0.2.3/32 protected
             100 unban 192.0.2.77 -> banned 192.0.2.1/32 by jail mail until 91402 for 1, {member}; \
                 write hash 192.0.2.2/32 mail until 91402; \
                 banned 192.0.2.2/32 by jail mail until 91402 for 1, {member}; \
                 remove trie 192.0.2.0/24; remove trie 192.0.2.3/32; \
                 unbanned 192.0.2.0/24 by jail mail: lifted by hand"
        ),
    );
}

#[test]
fn to_unban_the_prefix_bans_nobody_instead() {
    check_a_day_later(
        banning([mail()]),
        &format!(
            "{THREE}
             100 unban 192.0.2.0/24 -> remove trie 192.0.2.0/24; unbanned 192.0.2.0/24 by jail mail: lifted by hand
             # Part of what is banned is not named.
             101 ban 192.0.2.0/24 for=10 -> write trie 192.0.2.0/24 mail until 86511 manual; \
                 banned 192.0.2.0/24 by hand until 86511
             102 unban 192.0.2.1 -> not banned; still banned as 192.0.2.0/24 by hand"
        ),
    );
}

#[test]
fn a_prefix_ban_by_members_is_known_after_a_restart() {
    let mut world = World::new(banning([mail()]));
    world.judge = world.judge.saved();
    world.check("0 succeed 203.0.113.1");
    for (second, last) in [(DAY, 1), (DAY + 1, 2), (DAY + 2, 3)] {
        let _ = world.fail([192, 0, 2, last].into(), second);
    }
    let everything = world.judge.everything();
    let mut judge = crate::judge::Judge::new(banning([mail()])).saved();
    let saved = crate::judge::saved::Saved {
        bans: everything
            .bans
            .into_iter()
            .map(|change| match change {
                crate::judge::saved::BanChange::Began { ban, .. } => ban,
                change @ crate::judge::saved::BanChange::Ended { .. } => panic!("{change:?}"),
            })
            .collect(),
        raids: everything
            .raids
            .into_iter()
            .map(|change| match change {
                crate::judge::saved::RaidChange::Began(raid) => raid,
                change @ crate::judge::saved::RaidChange::Ended { .. } => panic!("{change:?}"),
            })
            .collect(),
        ..crate::judge::saved::Saved::default()
    };
    assert_eq!(saved.raids.len(), 1);
    let mut gone = saved.clone();
    gone.bans.clear();
    let now = world.now(DAY + 10);
    let _ = judge.handle(Input::Restore(saved), now);
    assert_eq!(judge.changes(), crate::judge::saved::Changes::default());
    assert_eq!(judge.unban(Target::Address([192, 0, 2, 9].into()), now).instead.len(), 3);
    // Of a ban that does not go on nothing is kept.
    let mut judge = crate::judge::Judge::new(banning([mail()])).saved();
    let _ = judge.handle(Input::Restore(gone), now);
    assert_eq!(judge.changes().raids.len(), 1);
}

#[test]
fn a_flood_of_prefixes_pushes_out_those_that_failed_longest_ago() {
    let mut bounded = banning([mail()]);
    bounded.limits.sources = 20;
    let mut world = World::new(bounded);
    world.check("0 succeed 203.0.113.1");
    let mut effects = Vec::new();
    for round in 0..3 {
        // One source of the attacked prefix, and ten of as many others.
        effects = world.fail([192, 0, 2, round].into(), DAY + u64::from(round));
        for other in 0..10 {
            let _ = world.fail([198, 18, round * 10 + other, 1].into(), DAY + u64::from(round));
        }
    }
    assert_eq!(effects.len(), 2, "a prefix that goes on failing stays, and is banned: {effects:?}");
    let known = |address: [u8; 4]| world.judge.why(address.into()).neighbourhood.unwrap().members.len();
    assert_eq!((known([198, 18, 0, 1]), known([198, 18, 29, 1])), (0, 1));
}

fn now(second: u64) -> Now {
    World::new(policy([])).now(second)
}

#[test]
fn a_source_is_found_again_by_its_place_in_the_prefix() {
    let table = [
        ("192.0.2.7/32", 24, 56, Some("192.0.2.0/24")),
        ("192.0.2.7/32", 8, 56, Some("192.0.0.0/8")),
        ("192.0.2.7/32", 31, 56, Some("192.0.2.6/31")),
        ("2001:db8:1:2::/64", 24, 56, Some("2001:db8:1::/56")),
        ("2001:db8:1:2::/64", 24, 32, Some("2001:db8::/32")),
        ("2001:db8:1:2::/64", 24, 63, Some("2001:db8:1:2::/63")),
        ("2001:db8:1::/56", 24, 56, None),
        ("2001:db8::/48", 24, 56, None),
    ];
    for (source, ipv4, ipv6, prefix) in table {
        let source: ipnet::IpNet = source.parse().unwrap();
        let found = scope::neighbourhood(source, ipv4, ipv6);
        assert_eq!(found.map(|prefix| prefix.to_string()).as_deref(), prefix, "{source}");
        let Some(neighbour) = found.and_then(|prefix| Neighbour::of(source, prefix)) else { continue };
        let mut known = Neighbourhoods::new();
        known.note(neighbour, now(5).wall.as_log_time(), 10, 3);
        assert_eq!(known.members(neighbour.prefix, 64), [(source, now(5).wall.as_log_time())]);
    }
}

proptest! {
    /// Against a naive list: who is known, and in whatever order equal times come.
    #[test]
    fn the_newest_members_within_the_time_are_known(
        most in 2_u16..6,
        within in 1_u32..50,
        failures in prop::collection::vec((0_u8..8, 0_u64..100), 1..40),
    ) {
        let prefix: ipnet::IpNet = "192.0.2.0/24".parse().unwrap();
        let mut known = Neighbourhoods::new();
        let mut last = std::collections::BTreeMap::<u8, u64>::new();
        for (host, second) in failures {
            let source = ipnet::IpNet::from(IpAddr::from([192, 0, 2, host]));
            let number = known.note(Neighbour::of(source, prefix).unwrap(), now(second).wall.as_log_time(), within, most);
            let at = last.entry(host).or_default();
            *at = second.max(*at);
            let newest = *last.values().max().unwrap();
            let mut naive: Vec<_> = last.iter().map(|(host, at)| (*at, *host)).filter(|(at, _)| at + u64::from(within) >= newest).collect();
            naive.sort_unstable();
            naive.drain(..naive.len().saturating_sub(most.into()));
            last.retain(|host, _| naive.iter().any(|(_, known)| known == host));
            let members: Vec<_> = known.members(prefix, 64).into_iter().map(|(source, _)| source.addr()).collect();
            let expected: Vec<_> = naive.iter().map(|(_, host)| IpAddr::from([192, 0, 2, *host])).collect();
            prop_assert_eq!(members, expected);
            prop_assert_eq!(usize::from(number), naive.len());
        }
    }

    /// Whoever fails, logs in and is unbanned: no prefix is banned that holds what is ignored or a customer, an address that was just
    /// unbanned passes, and no other is let go or caught for a moment in between.
    #[test]
    fn a_prefix_ban_spares_whom_it_must(
        steps in prop::collection::vec((0_u8..3, 0_u8..6, 0_u8..12, 0_u64..400), 1..80),
    ) {
        let ignored: IpAddr = "198.51.100.5".parse().unwrap();
        let policy = Policy { ignoreip: vec![ignored.into()], increment: Some(doubling()), ..banning([mail()]) };
        let mut world = World::new(policy);
        world.check("0 succeed 203.0.113.1");
        let mut kernel = FakeKernel::with_room_for(usize::MAX);
        let nets = [[192, 0, 2], [198, 51, 100], [198, 18, 0]];
        let probes: Vec<IpAddr> = nets.iter().flat_map(|[a, b, c]| (0..12).map(move |host| [*a, *b, *c, host].into())).collect();
        let mut customers = Vec::new();
        let mut second = DAY;
        for (deed, net, host, wait) in steps {
            second += wait;
            let [a, b, c] = nets[usize::from(net) % 3];
            let address = IpAddr::from([a, b, c, host]);
            let now = world.now(second);
            let effects = match deed {
                0 | 1 if net < 5 => world.fail(address, second),
                // Nobody logs in whose packets are dropped.
                1 if !kernel.drops(address, SMTP, now.boot) => {
                    customers.push(address);
                    world.log_in(address, second)
                }
                2 => world.judge.unban(Target::Address(address), now).effects,
                _ => world.judge.handle(Input::Tick, now),
            };
            kernel.carry_out(&effects, &probes, BootTime(now.boot.0));
            prop_assert!(!kernel.drops(ignored, SMTP, now.boot));
            if deed == 2 {
                prop_assert!(!kernel.drops(address, SMTP, now.boot), "{} was unbanned", address);
            }
            for ban in world.judge.bans(None, 1000).bans {
                prop_assert!(matches!(ban.until, Until::Boot(_)) && ban.origin == Origin::Jail(name("mail")));
                prop_assert!(!ban.prefix.contains(&ignored));
                prop_assert_eq!(ban.prefix.prefix_len() < 32, ban.members.len() == 3);
                prop_assert!(ban.members.is_empty() || !customers.iter().any(|customer| ban.prefix.contains(customer)));
            }
        }
    }
}
