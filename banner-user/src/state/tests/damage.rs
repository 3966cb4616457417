use crate::state::Past;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::sys::stat::Mode;
use rusqlite::Connection;

use super::*;
use crate::state::HistoryError;

/// What happens to the file of a database.
type Damage = fn(&Path);

/// A state with enough in it to be damaged in the middle, closed.
fn kept() -> World {
    let (mut world, _) = World::new();
    let bans = (0..2_000).map(|number| began(ban(&format!("198.18.{}.{}/32", number / 256, number % 256), at(0), 600)));
    assert_eq!(world.commit(with_bans(complete(at(0)), bans)), Outcome::Committed);
    world.close(Batch::new(at(1)));
    world
}

fn database(world: &World) -> PathBuf {
    world.path().join("state.db")
}

/// The names in the state directory.
fn names(world: &World) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(world.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Overwrites the page where a table begins.
fn overwrite(path: &Path, table: &str) {
    let connection = Connection::open(path).unwrap();
    let page = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let page: u64 = connection.query_row(page, [table], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap();
    drop(connection);
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0xff; 4096], (page - 1) * 4096).unwrap();
}

#[test]
fn a_database_that_cannot_be_used_is_set_aside_and_a_new_one_begun() {
    let table: [(&str, Damage); 9] = [
        ("text", |path| fs::write(path, "state").unwrap()),
        ("zeros", |path| fs::write(path, [0; 8192]).unwrap()),
        ("its header zeroed", |path| {
            OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0; 100], 0).unwrap();
        }),
        ("cut off in the middle", |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2 + 1_000).unwrap();
        }),
        ("bans overwritten", |path| overwrite(path, "bans")),
        ("tallies overwritten", |path| overwrite(path, "tallies")),
        ("another program's", |path| {
            fs::remove_file(path).unwrap();
            Connection::open(path).unwrap().execute_batch("CREATE TABLE bans (ip)").unwrap();
        }),
        ("a table is missing", |path| Connection::open(path).unwrap().execute_batch("DROP TABLE tallies").unwrap()),
        ("a pipe", |path| {
            fs::remove_file(path).unwrap();
            nix::unistd::mkfifo(path, Mode::S_IRUSR).unwrap();
        }),
    ];
    for (case, damage) in table {
        let mut world = kept();
        damage(&database(&world));
        let loaded = world.open(at(2));
        assert!(loaded.is_new, "{case}");
        assert_eq!(loaded.saved.bans, [], "{case}");
        let [Notice::SetAside { to, why }] = &loaded.notices[..] else { panic!("{case}: {:?}", loaded.notices) };
        assert!(to.exists(), "{case}");
        assert_eq!(to.file_name().unwrap(), "state.db.corrupt-20260101T000002Z", "{case}");
        assert!(!why.is_empty(), "{case}");
        assert_eq!(world.store().trouble(), None, "{case}");
        assert_eq!(world.store().wants(), Wants::Everything, "{case}");
        let kept = ban("192.0.2.1/32", at(0), 600);
        assert_eq!(world.commit(with_bans(complete(at(3)), [began(kept.clone())])), Outcome::Committed, "{case}");
        assert_eq!(world.restart(at(4)).saved.bans, [kept], "{case}");
    }
}

#[test]
fn an_empty_file_is_told_of() {
    let mut world = kept();
    fs::write(database(&world), "").unwrap();
    let loaded = world.open(at(2));
    assert_eq!((loaded.is_new, loaded.notices), (true, vec![Notice::Empty { path: database(&world) }]));
}

#[test]
fn three_damaged_databases_are_kept_at_most() {
    let mut world = kept();
    for seconds in 2..8 {
        fs::write(database(&world), "damaged").unwrap();
        fs::write(world.path().join("state.db-wal"), "as well").unwrap();
        world.open(at(seconds));
        world.close(complete(at(seconds)));
    }
    let kept = ["5", "6", "7"].map(|second| format!("state.db.corrupt-20260101T00000{second}Z"));
    let expected: Vec<_> = ["state.db".to_owned()]
        .into_iter()
        .chain(kept.iter().flat_map(|name| [name.clone(), format!("{name}-wal")]))
        .collect();
    assert_eq!(names(&world), expected);
}

#[test]
fn a_database_that_goes_while_banner_runs_is_written_anew() {
    let table: [(&str, Damage); 5] = [
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("deleted with its log", |path| {
            fs::remove_file(path).unwrap();
            fs::remove_file(path.with_extension("db-wal")).unwrap();
        }),
        ("an older copy put in its place", |path| fs::rename(path.with_extension("copy"), path).unwrap()),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("overwritten", |path| fs::write(path, [7; 10_000]).unwrap()),
    ];
    for (case, damage) in table {
        let mut world = kept();
        fs::copy(database(&world), world.path().join("state.copy")).unwrap();
        let bans = world.open(at(2)).saved.bans;
        let new = ban("192.0.2.1/32", at(3), 600);
        world.commit(with_bans(Batch::new(at(3)), [began(new.clone())]));
        damage(&database(&world));
        let later = with_bans(Batch::new(at(4)), [ended("198.18.0.0/32", at(4), Ended::ByHand)]);
        let outcome = world.commit(later.clone());
        let Outcome::Lost { batch: Some(batch), notice } = outcome else { panic!("{case}: {outcome:?}") };
        assert_eq!(batch, later, "{case}");
        assert_eq!(
            matches!(notice, Notice::SetAside { .. }),
            ["emptied", "overwritten"].contains(&case),
            "{case}: {notice}"
        );
        assert_eq!(world.store().wants(), Wants::Everything, "{case}");
        assert_eq!(world.store().commit(later.clone()), Err(Box::new(later)), "{case}: what has changed is not enough");
        let in_force: Vec<_> = bans.iter().skip(1).chain([&new]).cloned().collect();
        let everything = with_bans(complete(at(5)), in_force.iter().cloned().map(began));
        assert_eq!(world.commit(everything), Outcome::Committed, "{case}");
        assert_eq!(world.store().wants(), Wants::Changes, "{case}");
        let mut loaded = world.restart(at(6)).saved.bans;
        loaded.sort_by_key(|ban| (ban.since, ban.prefix));
        assert_eq!(loaded, in_force, "{case}");
    }
}

#[test]
fn a_deleted_log_costs_nothing() {
    let mut world = kept();
    let mut bans = world.open(at(2)).saved.bans;
    for (seconds, prefix) in [(3, "192.0.2.1/32"), (4, "192.0.2.2/32")] {
        let ban = ban(prefix, at(seconds), 600);
        bans.push(ban.clone());
        assert_eq!(world.commit(with_bans(Batch::new(at(seconds)), [began(ban)])), Outcome::Committed);
        fs::remove_file(world.path().join("state.db-wal")).unwrap();
    }
    assert_eq!(world.commit(Batch::new(at(5))), Outcome::Committed, "an empty batch looks after the files, too");
    world.store = None;
    assert_eq!(world.open(at(6)).saved.bans, bans);
}

#[test]
fn damage_that_is_found_when_the_history_is_read_loses_no_ban() {
    let mut world = kept();
    overwrite(&database(&world), "history");
    assert_eq!(world.open(at(2)).saved.bans.len(), 2_000, "what is in force can be read");
    let answer = block_on(world.store().history(vec!["192.0.2.1/32".parse().unwrap()], 1)).unwrap();
    // The index of the prefixes is whole, and has none.
    assert_eq!(answer, Ok(Past::default()));
    let outcome = world.commit(with_bans(Batch::new(at(3)), [ended("198.18.0.0/32", at(3), Ended::Expired)]));
    assert!(matches!(outcome, Outcome::Lost { batch: Some(_), notice: Notice::SetAside { .. } }), "{outcome:?}");
    world.close(complete(at(4)));
    overwrite(&database(&world), "sqlite_autoindex_history_1");
    world.open(at(5));
    let answer = block_on(world.store().history(vec!["192.0.2.1/32".parse().unwrap()], 1)).unwrap();
    assert!(matches!(answer, Err(HistoryError::Trouble(_))), "{answer:?}");
    let outcome = world.outcome();
    assert!(matches!(outcome, Outcome::Lost { batch: None, notice: Notice::SetAside { .. } }), "{outcome:?}");
    assert_eq!(world.store().wants(), Wants::Everything);
    assert_eq!(world.commit(complete(at(6))), Outcome::Committed);
}

#[test]
fn rows_that_make_no_sense_are_passed_over_and_removed() {
    let mut world = kept();
    let connection = Connection::open(database(&world)).unwrap();
    connection
        .execute_batch(
            "DELETE FROM bans WHERE id > 6;
             UPDATE bans SET prefix = '192.0.2.1/33' WHERE id = 1;
             UPDATE bans SET prefix = '192.0.2.1/24' WHERE id = 2;
             UPDATE bans SET origin = 'nobody' WHERE id = 3;
             UPDATE bans SET services = 77 WHERE id = 4;
             INSERT INTO service_sets VALUES (8, 'gone'), (9, 'smtp,lmtp');
             UPDATE bans SET services = 8 WHERE id = 5;
             UPDATE bans SET services = 9 WHERE id = 6;
             INSERT INTO tallies (jail, source, told, failures) VALUES ('mail', '192.0.2.1/32', 0, x'00'), ('mail', '192.0.2.2/32', 0, zeroblob(10)),
                 ('mail', '192.0.2.3/32', 0, x'0200000000000000010001000000000000000100'), ('mail', 'x', 0, x'');
             INSERT INTO tallies VALUES ('mail', '192.0.2.4/32', 0, x'02000000000000000100', x'0000000000000000');
             INSERT INTO logins VALUES ('x', 0, 1, 1);
             INSERT INTO offences VALUES ('192.0.2.1/32', 0, 1, x'00'), ('x', 0, 1, x'0100000002000000'),
                 ('192.0.2.1/32', 1, 70000, x'0100000002000000'), ('192.0.2.2/32', 1, 1, x'0300000002000000');
             INSERT INTO raids VALUES ('192.0.2.0/24', 'hand', '', 'x'), ('192.0.2.0/24', 'nobody', '192.0.2.1/32', 'x');
             INSERT INTO suspects VALUES ('x', 0, x''), ('192.0.2.1/32', -1, x''), ('192.0.2.2/32', 0, x'00'),
                 ('192.0.2.3/32', 0, zeroblob(9)), ('192.0.2.4/32', 0, x'010000000000000002'), ('192.0.2.5/32', 0,
                 x'010000000000000000010000000000000000010000000000000000010000000000000000010000000000000000010000000000000000010000000000000000');
             INSERT INTO positions VALUES (11, x'2f', 1, 1, 'open', -1, x'', x''),
                 (12, x'2f', 1, 2, 'open', 0, zeroblob(257), x''), (13, x'2f', 1, 3, 'ajar', 0, x'', x'');",
        )
        .unwrap();
    drop(connection);
    let loaded = world.open(at(2));
    let smtp = world.services.mask(["smtp"]).unwrap();
    assert_eq!(loaded.saved.bans, [SavedBan { services: smtp, ..ban("198.18.0.5/32", at(0), 600) }]);
    assert_eq!((loaded.saved.tallies, loaded.saved.offences, loaded.positions), (vec![], vec![], vec![]));
    let expected = [
        Notice::UnknownServices { names: vec!["gone".to_owned(), "lmtp".to_owned()], bans: 2 },
        Notice::Unreadable { what: "bans", rows: 4 },
        Notice::Unreadable { what: "tallies", rows: 5 },
        Notice::Unreadable { what: "logins", rows: 1 },
        Notice::Unreadable { what: "offences", rows: 4 },
        Notice::Unreadable { what: "records of members", rows: 2 },
        Notice::Unreadable { what: "suspects", rows: 6 },
        Notice::Unreadable { what: "positions", rows: 3 },
    ];
    assert_eq!(loaded.notices, expected);
    let past = block_on(world.store().history(vec!["198.18.0.4/32".parse().unwrap()], 1)).unwrap().unwrap();
    assert_eq!(past.bans, []);
    assert_eq!(world.commit(Batch::new(at(3))), Outcome::Committed);
    let past = block_on(world.store().history(vec!["198.18.0.4/32".parse().unwrap()], 1)).unwrap().unwrap();
    assert_eq!(
        (past.bans[0].why.as_str(), &past.bans[0].services[..]),
        ("none of its services is configured any more", &["gone".to_owned()][..])
    );
    let again = world.restart(at(4));
    assert_eq!(again.notices.len(), 7, "bans were put right, what is written anew anyway was not: {:?}", again.notices);
}
