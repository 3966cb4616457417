use std::num::NonZeroU32;

use super::*;
use crate::judge::{
    LogSeconds, Login, Offence, Offences, Seen, Suspect, Try,
    account::{AccountId, AccountTag},
    saved::{OffencesChange, RaidChange, SavedOffences, SavedRaid, SavedSuspect, SuspectChange},
};

#[test]
fn what_was_committed_is_loaded() {
    let (mut world, loaded) = World::new();
    assert_eq!(loaded, Loaded { is_new: true, ..Loaded::default() });
    assert_eq!(world.store().wants(), Wants::Everything);
    let bans = vec![
        ban("192.0.2.1/32", at(0), 600),
        ban("2001:db8:0:1::/64", at(-5), 3600),
        SavedBan { origin: Origin::Hand, until: Until::Permanent, forced: true, ..ban("198.51.100.0/24", at(1), 0) },
        SavedBan { origin: Origin::Adopted, observe: true, ..ban("192.0.2.1/32", at(2), 60) },
    ];
    let tallies = vec![SavedTally {
        jail: "mail".into(),
        source: "192.0.2.7/32".parse().unwrap(),
        failures: vec![
            Counted { at: LogTime(-1), weight: Weight::LOW, account: None },
            Counted {
                at: LogTime(1_767_225_600_000_000),
                weight: Weight(40),
                account: NonZeroU32::new(7).map(AccountTag),
            },
        ],
        told: true,
    }];
    let offence = |began, until| Offence { began, until };
    let offences = |prefix: &str, observe, bans, latest: &[Offence]| SavedOffences {
        prefix: prefix.parse().unwrap(),
        observe,
        offences: Offences::restored(bans, latest).unwrap(),
    };
    let offences = vec![
        offences("192.0.2.0/24", false, 1, &[offence(1, u32::MAX)]),
        offences("192.0.2.1/32", false, 700, &[offence(1, 2); 5]),
        offences("192.0.2.1/32", true, 2, &[offence(1, 3), offence(2, 2)]),
    ];
    let raids = vec![SavedRaid {
        prefix: "198.51.100.0/24".parse().unwrap(),
        origin: Origin::Hand,
        members: ["198.51.100.1/32", "2001:db8::/64"].map(|member| member.parse().unwrap()).into(),
        filter: "cyrus".into(),
    }];
    let login = |source: &str, account: Option<u64>, at, counts| {
        (Login { source: source.parse().unwrap(), account: account.map(AccountId) }, Seen { at: LogTime(at), counts })
    };
    let logins = vec![
        login("192.0.2.9/32", None, 1, true),
        login("192.0.2.9/32", Some(u64::MAX), i64::MAX, false),
        login("2001:db8::/64", Some(1), 2, true),
    ];
    let tried = |account, at, attacked| {
        (Try { account: AccountTag(NonZeroU32::new(account).unwrap()), at: LogSeconds(at) }, attacked)
    };
    let suspect = |source: &str, tries: &[_], until| SavedSuspect {
        source: source.parse().unwrap(),
        suspect: Suspect::restored(tries, LogSeconds(until)),
    };
    let suspects = vec![
        suspect("192.0.2.8/32", &[tried(1, 1_767_225_600, true), tried(u32::MAX, u32::MAX, false)], 0),
        suspect("2001:db8::/64", &[], u32::MAX),
    ];
    let position = Bookmark {
        key: u64::MAX,
        path: "/var/log/mail.log".into(),
        inode: Inode { device: u64::MAX, number: 7 },
        offset: 123_456_789_000,
        beginning: vec![0; 256].into(),
        before: (*b"\xffx").into(),
        state: BookmarkState::Emptied,
    };
    let cursor = format!("s={0:032x};i=2;b={0:032x};m=3;t=4;x=5", 1);
    let journal = Some(cursor.parse().unwrap());
    let interfaces = vec!["eth1".to_owned(), "eth0".to_owned()];
    let mut batch = complete(at(3));
    batch.changes.bans = bans.iter().cloned().map(began).collect();
    batch.changes.tallies = tallies.iter().cloned().map(TallyChange::Counted).collect();
    batch.changes.offences = offences.iter().copied().map(OffencesChange::Banned).collect();
    batch.changes.raids = raids.iter().cloned().map(RaidChange::Began).collect();
    batch.changes.suspects = suspects.iter().copied().map(SuspectChange::Tried).collect();
    batch.changes.logins = logins.iter().map(|(login, seen)| (*login, Some(*seen))).collect();
    batch.positions.changes = vec![PositionChange::Is(position.clone())];
    batch.journal.clone_from(&journal);
    batch.interfaces = Some(interfaces.clone());
    assert_eq!(world.commit(batch), Outcome::Committed);
    assert_eq!(world.store().wants(), Wants::Changes);

    let loaded = world.restart(at(4));
    assert_eq!(loaded.saved.bans, bans);
    assert_eq!(loaded.saved.tallies, tallies);
    assert_eq!((loaded.saved.offences, &loaded.saved.raids), (offences.clone(), &raids));
    assert_eq!(loaded.saved.suspects, suspects);
    let mut loaded_logins = loaded.saved.logins;
    loaded_logins.sort_by_key(|(login, _)| *login);
    assert_eq!(loaded_logins, logins);
    assert_eq!(loaded.positions, [position]);
    assert_eq!(loaded.saved_at, Some(at(3).wall));
    assert_eq!((loaded.journal, loaded.interfaces), (journal, interfaces));
    assert_eq!((loaded.is_new, loaded.notices), (false, vec![]));

    let mut batch = Batch::new(at(5));
    let prefix = "192.0.2.1/32".parse().unwrap();
    batch.changes.offences = vec![OffencesChange::Gone { prefix, observe: false }];
    batch.changes.raids = vec![RaidChange::Ended { prefix: raids[0].prefix, origin: Origin::Hand }];
    batch.changes.suspects = vec![SuspectChange::Gone { source: "192.0.2.8/32".parse().unwrap() }];
    batch.changes.logins = logins.iter().take(2).map(|(login, _)| (*login, None)).collect();
    assert_eq!(world.commit(batch), Outcome::Committed);
    let saved = world.restart(at(6)).saved;
    assert_eq!((saved.offences, saved.raids), (vec![offences[0], offences[2]], vec![]));
    assert_eq!(saved.suspects, suspects[1..]);
    assert_eq!(saved.logins, logins[2..]);
}
