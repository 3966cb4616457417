//! The store, from outside: what was written is there again.

mod clocks;
mod damage;
mod keeping;
mod kill;
mod model;
mod past;
mod trouble;
mod versions;

use std::{path::PathBuf, time::Duration};

use tempfile::TempDir;

use super::{Batch, Limits, Loaded, Notice, Outcome, PositionChange, Store, Wants, database::BootId};
use crate::{
    clock::{BootTime, LogTime, Now, WallTime},
    event::Weight,
    judge::{
        Counted, Origin,
        effect::Until,
        reason::Reason,
        report::Ended,
        saved::{BanChange, Cause, SavedBan, SavedTally, TallyChange},
    },
    service::Services,
    source::{Bookmark, BookmarkState, Inode},
};

/// Nanoseconds.
const SECOND: i64 = 1_000_000_000;

/// So many seconds after a start at 2026-01-01, with an odd difference between the clocks.
fn at(seconds: i64) -> Now {
    Now {
        boot: BootTime(1_000 * SECOND + 123 + seconds * SECOND),
        wall: WallTime(1_767_225_600_000_456 + seconds * 1_000_000),
    }
}

/// A state directory, and the store on it.
struct World {
    directory: TempDir,
    boot: BootId,
    services: Services,
    limits: Limits,
    store: Option<Store>,
}

impl World {
    fn on(directory: TempDir) -> Self {
        Self {
            directory,
            boot: BootId(Some("first".to_owned())),
            services: Services::default(),
            limits: Limits::default(),
            store: None,
        }
    }

    /// Opened for the first time.
    fn new() -> (Self, Loaded) {
        let mut world = Self::on(TempDir::new().unwrap());
        let loaded = world.open(at(0));
        (world, loaded)
    }

    fn open(&mut self, now: Now) -> Loaded {
        assert!(self.store.is_none());
        let (store, loaded) = Store::open_in(self.boot.clone(), &self.path(), &self.services, self.limits, now);
        self.store = Some(store);
        loaded
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    /// Hands a batch over and waits for what becomes of it.
    fn commit(&mut self, batch: Batch) -> Outcome {
        self.store().commit(batch).unwrap();
        self.outcome()
    }

    fn outcome(&mut self) -> Outcome {
        let store = self.store();
        block_on(async { tokio::time::timeout(Duration::from_secs(20), store.outcome()).await.unwrap() })
    }

    fn close(&mut self, last: Batch) {
        let store = self.store.take().unwrap();
        block_on(store.close(last, Duration::from_secs(20))).unwrap();
    }

    /// Ends the store in order and opens it anew.
    fn restart(&mut self, now: Now) -> Loaded {
        self.close(Batch::new(now));
        self.open(now)
    }

    /// The state directory, which the store makes.
    fn path(&self) -> PathBuf {
        self.directory.path().join("state")
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn complete(at: Now) -> Batch {
    let mut batch = Batch::new(at);
    batch.changes.complete = true;
    batch.positions.complete = true;
    batch
}

fn ban(prefix: &str, since: Now, seconds: i64) -> SavedBan {
    SavedBan {
        prefix: prefix.parse().unwrap(),
        origin: Origin::Jail("mail".into()),
        since: since.boot,
        until: Until::Boot(BootTime(since.boot.0 + seconds * SECOND)),
        services: Services::default().mask(["smtp", "imap"]).unwrap(),
        observe: false,
        forced: false,
    }
}

fn began(ban: SavedBan) -> BanChange {
    let cause = Cause {
        failures: 12,
        limit: 8,
        filter: "cyrus".into(),
        reasons: vec![Reason::BannedBefore { times: 2 }, Reason::Trap("old \"name\"".into())],
        line: (*b"badlogin: \xff\0 [192.0.2.1]").into(),
    };
    BanChange::Began { ban, cause: Some(cause) }
}

fn ended(prefix: &str, at: Now, why: Ended) -> BanChange {
    BanChange::Ended { prefix: prefix.parse().unwrap(), origin: Origin::Jail("mail".into()), at: at.boot, why }
}

fn with_bans(mut batch: Batch, bans: impl IntoIterator<Item = BanChange>) -> Batch {
    batch.changes.bans = bans.into_iter().collect();
    batch
}

/// How far a file was read, in a batch that says no more.
fn read_to(mut batch: Batch, offset: u64) -> Batch {
    let position = Bookmark {
        key: 3,
        path: "/var/log/mail.log".into(),
        inode: Inode { device: 1, number: 2 },
        offset,
        beginning: (*b"Nov 22").into(),
        before: (*b"]\n").into(),
        state: BookmarkState::Open,
    };
    batch.positions.changes.push(PositionChange::Is(position));
    batch
}
