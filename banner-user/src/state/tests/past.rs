use ipnet::IpNet;

use super::*;
use crate::{
    judge::{Protection, ProtectionKind},
    state::{HistoryError, Past, PastBan},
};

fn history(world: &mut World, prefix: &str) -> Vec<PastBan> {
    block_on(world.store().history(vec![prefix.parse().unwrap()], 10)).unwrap().unwrap().bans
}

#[test]
fn a_ban_that_has_ended_is_history_with_its_cause() {
    let (mut world, _) = World::new();
    let protection = Protection { prefix: "192.0.2.0/24".parse().unwrap(), kind: ProtectionKind::IgnoreIp };
    world.commit(with_bans(
        complete(at(9)),
        [
            began(ban("192.0.2.1/32", at(0), 600)),
            ended("192.0.2.1/32", at(5), Ended::ByHand),
            began(ban("192.0.2.1/32", at(6), 600)),
            began(ban("192.0.2.2/32", at(6), 600)),
        ],
    ));
    world.commit(with_bans(Batch::new(at(700)), [ended("192.0.2.1/32", at(606), Ended::Protected(protection))]));
    assert_eq!(world.restart(at(701)).saved.bans, [ban("192.0.2.2/32", at(6), 600)]);
    let past = history(&mut world, "192.0.2.1/32");
    assert_eq!(past.len(), 2);
    assert_eq!((past[0].since, past[0].ended), (at(6).wall, at(606).wall), "the latest first");
    assert_eq!(past[0].why, "192.0.2.0/24 is in ignoreip");
    assert_eq!((past[1].why.as_str(), past[1].until), ("lifted by hand", Some(at(600).wall)));
    let cause = past[0].cause.as_ref().unwrap();
    assert_eq!((cause.failures, cause.filter.as_str(), &cause.line[..10]), (12, "cyrus", &b"badlogin: "[..]));
    assert_eq!(past[0].services, ["smtp", "imap"]);
    assert_eq!(history(&mut world, "192.0.2.2/32"), [], "in force is not past");
    assert_eq!(history(&mut world, "192.0.2.0/24"), [], "exactly this prefix");
}

#[test]
fn what_is_missing_from_a_complete_batch_has_ended_unknown() {
    let (mut world, _) = World::new();
    let kept = ban("192.0.2.1/32", at(0), 600);
    let gone = ban("192.0.2.2/32", at(0), 600);
    let mut batch = with_bans(read_to(complete(at(1)), 5), [began(kept.clone()), began(gone)]);
    let tally = |source: &str| {
        TallyChange::Counted(SavedTally {
            jail: "mail".into(),
            source: source.parse().unwrap(),
            failures: vec![Counted { at: LogTime(1), weight: Weight::ONE, account: None }],
            told: false,
        })
    };
    batch.changes.tallies = vec![tally("192.0.2.7/32"), tally("192.0.2.8/32")];
    world.commit(batch);
    // The judge that tells everything has forgotten the causes.
    let mut batch = with_bans(complete(at(30)), [BanChange::Began { ban: kept, cause: None }]);
    batch.changes.tallies = vec![tally("192.0.2.8/32")];
    world.commit(batch);
    let past = history(&mut world, "192.0.2.2/32");
    assert_eq!((past[0].why.as_str(), past[0].ended), ("unknown", at(30).wall));
    world.commit(with_bans(Batch::new(at(600)), [ended("192.0.2.1/32", at(600), Ended::Expired)]));
    assert!(history(&mut world, "192.0.2.1/32")[0].cause.is_some(), "the cause was kept");
    let loaded = world.restart(at(601));
    assert_eq!(loaded.saved.bans, []);
    assert_eq!(loaded.saved.tallies.len(), 1);
    assert_eq!(loaded.positions, []);
}

#[test]
fn what_is_written_twice_is_there_once() {
    let (mut world, _) = World::new();
    let twice = with_bans(
        complete(at(9)),
        [began(ban("192.0.2.1/32", at(0), 600)), ended("192.0.2.1/32", at(5), Ended::ByHand)],
    );
    for _ in 0..2 {
        assert_eq!(world.commit(twice.clone()), Outcome::Committed);
    }
    assert_eq!(history(&mut world, "192.0.2.1/32").len(), 1);
    // What never was in force does not become history.
    world.commit(with_bans(Batch::new(at(10)), [ended("192.0.2.9/32", at(10), Ended::Expired)]));
    assert_eq!(history(&mut world, "192.0.2.9/32"), []);
}

#[test]
fn a_ban_changed_by_hand_stays_one() {
    let (mut world, _) = World::new();
    let first = SavedBan { origin: Origin::Hand, ..ban("192.0.2.1/32", at(0), 600) };
    let longer = SavedBan { until: Until::Permanent, observe: true, ..first.clone() };
    world.commit(with_bans(complete(at(0)), [BanChange::Began { ban: first, cause: None }]));
    world.commit(with_bans(Batch::new(at(1)), [BanChange::Began { ban: longer.clone(), cause: None }]));
    assert_eq!(world.restart(at(2)).saved.bans, [longer]);
    assert_eq!(history(&mut world, "192.0.2.1/32"), []);
}

#[test]
fn the_history_is_bounded_by_age_and_by_rows() {
    let address = |number: i64| format!("198.18.{}.{}/32", number / 256, number % 256);
    let past = |range: std::ops::Range<i64>| {
        range.flat_map(|number| {
            let prefix = address(number);
            [began(ban(&prefix, at(number), 1)), ended(&prefix, at(number + 1), Ended::Expired)]
        })
    };
    let count = |world: &World| -> i64 {
        let connection = rusqlite::Connection::open(world.path().join("state.db")).unwrap();
        connection.query_row("SELECT count(*) FROM history", [], |row| row.get(0)).unwrap()
    };
    let (mut world, _) = World::new();
    world.commit(with_bans(complete(at(2_000)), past(0..2_000)));
    world.close(Batch::new(at(2_000)));
    assert_eq!(count(&world), 2_000);

    // By rows; not all at once.
    world.limits = Limits { age: Duration::from_secs(86_400), rows: 1_000 };
    world.open(at(2_000));
    world.commit(read_to(Batch::new(at(2_000)), 1));
    world.close(Batch::new(at(2_000)));
    assert_eq!(count(&world), 2_000 - 256);
    world.open(at(2_000));
    for offset in 2..10 {
        world.commit(read_to(Batch::new(at(2_000)), offset));
    }
    assert_eq!(history(&mut world, &address(999)), [], "the oldest went");
    assert_eq!(history(&mut world, &address(1_000)).len(), 1);
    // A flood of ends is kept up with.
    world.commit(with_bans(Batch::new(at(5_000)), past(2_000..5_000)));
    world.close(Batch::new(at(5_000)));
    assert_eq!(count(&world), 1_000);

    // By age.
    world.open(at(4_500 + 86_400));
    for offset in 10..20 {
        world.commit(read_to(Batch::new(at(4_500 + 86_400)), offset));
    }
    world.close(Batch::new(at(4_500 + 86_400)));
    assert_eq!(count(&world), 501);
}

#[test]
fn too_many_who_ask_are_told_so() {
    let (mut world, _) = World::new();
    // The thread is busy with this meanwhile.
    let bans = (0..20_000).map(|number| began(ban(&format!("198.18.{}.{}/32", number / 256, number % 256), at(0), 1)));
    world.store().commit(with_bans(complete(at(0)), bans)).unwrap();
    let prefix: IpNet = "192.0.2.1/32".parse().unwrap();
    let store = world.store();
    let answers: Vec<_> = (0..100).map(|_| store.history(vec![prefix], 1)).collect();
    let answers: Vec<_> = answers.into_iter().map(|answer| block_on(answer).unwrap()).collect();
    assert!(answers.contains(&Err(HistoryError::Busy)));
    assert!(answers.contains(&Ok(Past::default())));
    assert_eq!(world.outcome(), Outcome::Committed);
    assert_eq!(history(&mut world, "192.0.2.1/32"), [], "and later answered again");
}
