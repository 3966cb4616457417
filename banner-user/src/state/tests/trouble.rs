use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rusqlite::{Connection, config::DbConfig};

use super::*;
use crate::state::{Reason, Trouble};

/// A file system of a megabyte.
struct Disk(PathBuf);

impl Disk {
    /// `None` where this user may not mount, and in CI a failure.
    fn new(path: &Path) -> Option<Self> {
        fs::create_dir(path).unwrap();
        match mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("size=1m,mode=700")) {
            Ok(()) => Some(Self(path.to_owned())),
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "mounting needs root: {error}");
                eprintln!("left out: mounting needs root ({error})");
                None
            }
        }
    }

    fn remount(&self, flags: MsFlags) {
        mount(None::<&str>, &self.0, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The thread of a store that was dropped may still have it.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

fn failed(outcome: Outcome) -> (Batch, Trouble) {
    let Outcome::Failed { batch: Some(batch), trouble } = outcome else { panic!("{outcome:?}") };
    (batch, trouble)
}

#[test]
fn a_full_disk_gives_the_batch_back_until_there_is_room() {
    let mut world = World::on(TempDir::new().unwrap());
    let Some(disk) = Disk::new(&world.path()) else { return };
    world.open(at(0));
    let first = ban("192.0.2.1/32", at(0), 600);
    assert_eq!(world.commit(with_bans(complete(at(1)), [began(first.clone())])), Outcome::Committed);
    let ballast = disk.0.join("ballast");
    let _ = fs::write(&ballast, vec![7; 1 << 20]);

    let many: Vec<_> =
        (0..3_000).map(|number| ban(&format!("198.18.{}.{}/32", number / 256, number % 256), at(2), 600)).collect();
    let batch = with_bans(Batch::new(at(2)), many.iter().cloned().map(began));
    let (back, trouble) = failed(world.commit(batch.clone()));
    assert_eq!(back, batch);
    assert_eq!(trouble, Trouble { path: disk.0.join("state.db"), since: at(2).wall, reason: Reason::Full });
    assert_eq!(world.store().trouble(), Some(&trouble));
    assert_eq!(world.store().wants(), Wants::Nothing);
    assert_eq!(world.store().commit(batch.clone()), Err(Box::new(batch)));

    // What was committed is there; no more than that.
    fs::remove_file(&ballast).unwrap();
    assert_eq!(world.outcome(), Outcome::Recovered);
    assert_eq!(world.store().trouble(), None);
    assert_eq!(world.store().wants(), Wants::Changes);
    let few = with_bans(Batch::new(at(3)), many.iter().take(500).cloned().map(began));
    assert_eq!(world.commit(few), Outcome::Committed);
    let expected: Vec<_> = [first].into_iter().chain(many.into_iter().take(500)).collect();
    assert_eq!(world.restart(at(4)).saved.bans, expected);
    world.close(Batch::new(at(5)));
}

#[test]
fn a_read_only_disk_is_waited_for() {
    let mut world = World::on(TempDir::new().unwrap());
    let Some(disk) = Disk::new(&world.path()) else { return };
    world.open(at(0));
    let first = ban("192.0.2.1/32", at(0), 600);
    assert_eq!(world.commit(with_bans(complete(at(1)), [began(first.clone())])), Outcome::Committed);
    // A disk goes read-only under open files; that is not to be had here. Close, and start on it.
    world.close(Batch::new(at(2)));
    disk.remount(MsFlags::MS_RDONLY);
    let loaded = world.open(at(3));
    assert_eq!(world.store().trouble().unwrap().reason, Reason::ReadOnly);
    assert_eq!((loaded.saved.bans, loaded.is_new), (vec![first.clone()], false), "what it has can be read");
    // With a log that a killed daemon has left, too.
    world.store = None;
    disk.remount(MsFlags::empty());
    let killed = Connection::open(world.path().join("state.db")).unwrap();
    killed.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    killed.execute_batch("UPDATE bans SET observe = 1").unwrap();
    drop(killed);
    assert!(fs::metadata(world.path().join("state.db-wal")).unwrap().len() > 0);
    disk.remount(MsFlags::MS_RDONLY);
    let first = SavedBan { observe: true, ..first };
    assert_eq!(world.open(at(3)).saved.bans, std::slice::from_ref(&first));
    disk.remount(MsFlags::empty());
    assert_eq!(world.outcome(), Outcome::Recovered);
    let second = ban("192.0.2.2/32", at(4), 600);
    assert_eq!(world.commit(with_bans(Batch::new(at(4)), [began(second.clone())])), Outcome::Committed);
    assert_eq!(world.restart(at(5)).saved.bans, [first, second]);
    world.close(Batch::new(at(6)));
}

#[test]
fn a_database_that_another_has_open_is_loaded_when_it_is_free() {
    let (mut world, _) = World::new();
    let kept = ban("192.0.2.1/32", at(0), 600);
    world.commit(with_bans(complete(at(1)), [began(kept.clone())]));
    world.close(Batch::new(at(2)));
    let other = Connection::open(world.path().join("state.db")).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE").unwrap();
    let loaded = world.open(at(3));
    assert_eq!(loaded, Loaded { is_new: true, ..Loaded::default() });
    assert_eq!(world.store().trouble().unwrap().reason, Reason::InUse);
    assert_eq!(world.store().wants(), Wants::Nothing);
    drop(other);
    let Outcome::Opened(loaded) = world.outcome() else { panic!("it was not opened") };
    assert_eq!((loaded.saved.bans, loaded.is_new), (vec![kept], false));
    assert_eq!(world.store().trouble(), None);
    assert_eq!(world.store().wants(), Wants::Everything);
    assert_eq!(world.commit(complete(at(4))), Outcome::Committed);
}

#[test]
fn a_second_store_gets_nothing_and_spoils_nothing() {
    let (mut world, _) = World::new();
    world.commit(with_bans(complete(at(1)), [began(ban("192.0.2.1/32", at(0), 600))]));
    let (second, loaded) = Store::open_in(world.boot.clone(), &world.path(), &world.services, world.limits, at(2));
    assert_eq!((second.trouble().unwrap().reason.clone(), loaded.saved.bans), (Reason::InUse, vec![]));
    drop(second);
    assert_eq!(world.commit(read_to(Batch::new(at(3)), 1)), Outcome::Committed);
    assert_eq!(world.restart(at(4)).saved.bans.len(), 1);
}

#[test]
fn a_directory_that_cannot_be_made_is_trouble_with_its_reason() {
    let mut world = World::on(TempDir::new().unwrap());
    fs::write(world.path(), "a file").unwrap();
    let loaded = world.open(at(0));
    assert!(loaded.is_new);
    let trouble = world.store().trouble().unwrap().to_string();
    assert!(trouble.contains("/state/state.db has not been written since 2026-01-01T00:00:00Z: "), "{trouble}");
    let last = world.store.take().unwrap().close(Batch::new(at(1)), Duration::from_secs(5));
    assert!(block_on(last).is_err());
    world.open(at(2));
    fs::remove_file(world.path()).unwrap();
    let Outcome::Opened(loaded) = world.outcome() else { panic!("it was not opened") };
    assert!(loaded.is_new);
    assert_eq!(world.commit(complete(at(3))), Outcome::Committed);
}

#[test]
fn the_files_are_the_owners_alone() {
    let (mut world, loaded) = World::new();
    assert_eq!(loaded.notices, []);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&world.path()), 0o700);
    for name in ["state.db", "state.db-wal"] {
        assert_eq!(mode(&world.path().join(name)), 0o600, "{name}");
    }
    world.close(Batch::new(at(1)));
    fs::set_permissions(world.path().join("state.db"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let loaded = world.open(at(2));
    assert_eq!(loaded.notices, [Notice::OpenDirectory { path: world.path(), mode: 0o755 }]);
    assert_eq!(mode(&world.path()), 0o755, "an operator's directory stays as it is");
    for name in ["state.db", "state.db-wal"] {
        assert_eq!(mode(&world.path().join(name)), 0o600, "{name}");
    }
}

#[test]
fn the_last_batch_is_written_after_the_one_in_flight() {
    let (mut world, _) = World::new();
    world.store().commit(with_bans(complete(at(1)), [began(ban("192.0.2.1/32", at(0), 600))])).unwrap();
    world.close(with_bans(Batch::new(at(2)), [ended("192.0.2.1/32", at(2), Ended::ByHand)]));
    let names: Vec<_> = fs::read_dir(world.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["state.db"], "its log is copied into it");
    let loaded = world.open(at(3));
    assert_eq!((loaded.saved.bans, loaded.is_new), (vec![], false));
}
