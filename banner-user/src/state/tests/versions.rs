use std::{fs::DirBuilder, os::unix::fs::DirBuilderExt as _};

use rusqlite::Connection;

use super::*;
use crate::state::{
    failure::Failure,
    schema::{MIGRATIONS, Was, migrate_by},
};

/// A database as the first version wrote it. It stays as it is, whatever the tables become.
const VERSION_1: &str = include_str!("version_1.sql");

#[test]
fn a_database_of_the_first_version_is_loaded() {
    let mut world = World::on(TempDir::new().unwrap());
    DirBuilder::new().mode(0o700).create(world.path()).unwrap();
    Connection::open(world.path().join("state.db")).unwrap().execute_batch(VERSION_1).unwrap();
    let loaded = world.open(at(100));
    let by_hand = SavedBan {
        prefix: "2001:db8:0:1::/64".parse().unwrap(),
        origin: Origin::Hand,
        until: Until::Permanent,
        observe: true,
        forced: true,
        ..ban("192.0.2.1/32", at(5), 0)
    };
    assert_eq!(loaded.saved.bans, [ban("192.0.2.1/32", at(0), 600), by_hand]);
    let tally = SavedTally {
        jail: "mail".into(),
        source: "192.0.2.7/32".parse().unwrap(),
        failures: vec![
            Counted { at: LogTime(1), weight: Weight::LOW, account: None },
            Counted { at: LogTime(2), weight: Weight::ONE, account: None },
        ],
        told: true,
    };
    assert_eq!(loaded.saved.tallies, [tally]);
    let PositionChange::Is(position) = read_to(Batch::new(at(0)), 4711).positions.changes.remove(0) else { panic!() };
    assert_eq!(loaded.positions, [position]);
    let cursor = format!("s={0:032x};i=2;b={0:032x};m=3;t=4;x=5", 1);
    assert_eq!(loaded.journal, Some(cursor.parse().unwrap()));
    assert_eq!(loaded.saved_at, Some(at(6).wall));
    assert_eq!(loaded.interfaces, ["eth0"]);
    assert_eq!((loaded.is_new, loaded.notices), (false, vec![]));
    let past = block_on(world.store().history(vec!["192.0.2.3/32".parse().unwrap()], 1)).unwrap().unwrap();
    assert_eq!(past.bans[0].why, "its time is over");
    assert_eq!(world.commit(read_to(Batch::new(at(101)), 4712)), Outcome::Committed);
}

#[test]
fn each_migration_is_made_once() {
    let mut connection = Connection::open_in_memory().unwrap();
    let later = ["ALTER TABLE bans ADD COLUMN note TEXT", "CREATE TABLE peers (name TEXT)"];
    let version = |connection: &Connection| {
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap()
    };
    let known: Vec<_> = MIGRATIONS.into_iter().chain(later).collect();
    assert_eq!(migrate_by(&mut connection, &MIGRATIONS), Ok(Was::New));
    assert_eq!(version(&connection), i64::try_from(MIGRATIONS.len()).unwrap());
    for _ in 0..2 {
        assert_eq!(migrate_by(&mut connection, &known), Ok(Was::Kept));
        assert_eq!(version(&connection), i64::try_from(known.len()).unwrap());
    }
    let broken: Vec<_> = known.iter().copied().chain(["CREATE TABLE sound (id)", "CREATE TABLE peers (id)"]).collect();
    assert!(matches!(migrate_by(&mut connection, &broken), Err(Failure::Damaged(_))));
    assert_eq!(migrate_by(&mut connection, &known), Ok(Was::Kept), "all of them or none");
    assert_eq!(version(&connection), i64::try_from(known.len()).unwrap());
}

#[test]
fn a_downgraded_banner_goes_on_with_what_it_may_read() {
    let (mut world, _) = World::new();
    let kept = ban("192.0.2.1/32", at(0), 600);
    world.commit(with_bans(complete(at(1)), [began(kept.clone())]));
    world.close(Batch::new(at(2)));
    let path = world.path().join("state.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("ALTER TABLE bans ADD COLUMN note TEXT; PRAGMA user_version = 99")
        .unwrap();
    assert_eq!(world.open(at(3)).saved.bans, [kept]);
    assert_eq!(world.commit(read_to(Batch::new(at(4)), 1)), Outcome::Committed);
    world.close(Batch::new(at(5)));

    // Until a change that it cannot know forbids that.
    Connection::open(&path).unwrap().execute_batch("UPDATE meta SET value = 99 WHERE name = 'minimum_reader'").unwrap();
    let loaded = world.open(at(6));
    let to = world.path().join("state.db.version-99-20260101T000006Z");
    let why = "a later banner has written it (version 99)".to_owned();
    assert_eq!(
        loaded,
        Loaded { is_new: true, notices: vec![Notice::SetAside { to: to.clone(), why }], ..Loaded::default() }
    );
    assert_eq!(world.commit(complete(at(7))), Outcome::Committed);
    let kept = Connection::open(to).unwrap().query_row("SELECT prefix FROM bans", [], |row| row.get::<_, String>(0));
    assert_eq!(kept.unwrap(), "192.0.2.1/32", "the later banner's is whole");
}
