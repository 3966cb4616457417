use std::num::NonZeroU32;

use super::*;
use crate::judge::{
    LogSeconds, Suspect, Try,
    account::AccountTag,
    saved::{SavedSuspect, SuspectChange},
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
    batch.changes.suspects = suspects.iter().copied().map(SuspectChange::Tried).collect();
    batch.positions.changes = vec![PositionChange::Is(position.clone())];
    batch.journal.clone_from(&journal);
    batch.interfaces = Some(interfaces.clone());
    assert_eq!(world.commit(batch), Outcome::Committed);
    assert_eq!(world.store().wants(), Wants::Changes);

    let loaded = world.restart(at(4));
    assert_eq!(loaded.saved.bans, bans);
    assert_eq!(loaded.saved.tallies, tallies);
    assert_eq!(loaded.saved.suspects, suspects);
    assert_eq!(loaded.positions, [position]);
    assert_eq!(loaded.saved_at, at(3).wall);
    assert_eq!((loaded.journal, loaded.interfaces), (journal, interfaces));
    assert_eq!((loaded.is_new, loaded.notices), (false, vec![]));
    let mut batch = Batch::new(at(5));
    batch.changes.suspects = vec![SuspectChange::Gone { source: "192.0.2.8/32".parse().unwrap() }];
    assert_eq!(world.commit(batch), Outcome::Committed);
    assert_eq!(world.restart(at(6)).saved.suspects, suspects[1..]);
}
