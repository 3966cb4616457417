//! The database, open: what it gives, and what it takes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use rusqlite::{
    Connection, MAIN_DB, OptionalExtension as _, Transaction, TransactionBehavior, config::DbConfig, limits::Limit,
    params,
};

use super::{
    bans::{self, Kept, Repairs},
    batch::Batch,
    failure::Failure,
    files::{self, Files},
    history::{self, Limits, Past},
    loaded::Loaded,
    logins, offences,
    offset::{self, Offset},
    places, raids,
    schema::{self, Was},
    suspects, tallies,
    trouble::Reason,
};
use crate::{clock::Now, judge::saved::Changes, service::Services};

/// How long another process may have the database before that is trouble.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest text or blob that is read or written: what a damaged file can make us allocate.
const VALUE_MAX: i32 = 1 << 20;

/// How large the write-ahead log stays after a batch that made it larger, in bytes.
const LOG_MAX: i64 = 16 << 20;

/// How much of the database is kept in memory, in KiB.
const CACHE_MIN: i64 = 8 << 10;

/// The same while a large batch is written.
const CACHE_MAX: i64 = 128 << 10;

/// Which boot this is (`/proc/sys/kernel/random/boot_id`). An unknown one is like none before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BootId(pub(super) Option<String>);

impl BootId {
    pub(super) fn read() -> Self {
        Self(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned()))
    }
}

/// An open database. No other process can open it meanwhile.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    /// As the files were after the last transaction.
    files: Files,
    boot: BootId,
    clock: Clock,
    /// How many it has taken.
    batches: i64,
    repairs: Repairs,
}

/// What ties the rows in force to the time since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    offset: Offset,
    /// The rows on disk are of another boot, and are still to be tied to this one: when the wall clock said this.
    after_reboot: Option<i64>,
}

/// How the files of an open database are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integrity {
    /// As they were left.
    Sound,
    /// The log is gone; what it had is in the open file.
    LogGone,
    /// Another file, or none, has the database's name.
    Replaced,
    /// Somebody else has changed them.
    Meddled,
}

impl Database {
    /// Opens what is at `path`, an empty file at least, and brings it up to date.
    pub(super) fn open(path: &Path, boot: &BootId, now: Now) -> Result<(Self, Was), Failure> {
        if !fs::metadata(path)?.is_file() {
            return Err(Failure::Damaged("it is not a file".to_owned()));
        }
        let mut connection = Connection::open(path)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        if connection.is_readonly(MAIN_DB)? {
            let is_on_read_only = files::is_on_read_only(path);
            return Err(Failure::Trouble(if is_on_read_only { Reason::ReadOnly } else { Reason::Permission }));
        }
        connection.busy_timeout(PATIENCE)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_MAX)?;
        // Exclusive before WAL is entered: the index of the log is in this process's memory, and no other process gets in
        // (https://sqlite.org/wal.html#noshm).
        connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        connection.pragma_update(None, "cell_size_check", true)?;
        // No other file is ever made: the service may write nowhere else.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Failure::Damaged(format!("its journal mode stays {mode}")));
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", LOG_MAX)?;
        connection.pragma_update(None, "cache_size", -CACHE_MIN)?;
        let was = schema::migrate(&mut connection)?;
        Ok((Self::reading(connection, path, boot, now)?, was))
    }

    /// What is open and up to date.
    pub(super) fn reading(connection: Connection, path: &Path, boot: &BootId, now: Now) -> Result<Self, Failure> {
        let clock = Clock::read(&connection, boot, now)?;
        let batches = connection.query_row("SELECT value FROM meta WHERE name = 'batches'", [], |row| row.get(0))?;
        let files = Files::see(path)?;
        let (path, boot) = (path.to_owned(), boot.clone());
        Ok(Self { connection, path, files, boot, clock, batches, repairs: Repairs::default() })
    }

    /// Reads what a daemon that starts goes on from.
    pub(super) fn load(&self, services: &Services) -> Result<(Loaded, Repairs), Failure> {
        let mut loaded = Loaded::default();
        let Kept { bans, repairs, notices } =
            bans::read(&self.connection, services, self.clock.offset, self.clock.after_reboot)?;
        loaded.saved.bans = bans;
        loaded.notices = notices;
        loaded.saved.tallies = tallies::read(&self.connection, &mut loaded.notices)?;
        loaded.saved.logins = logins::read(&self.connection, &mut loaded.notices)?;
        loaded.saved.offences = offences::read(&self.connection, &mut loaded.notices)?;
        loaded.saved.raids = raids::read(&self.connection, &mut loaded.notices)?;
        loaded.saved.suspects = suspects::read(&self.connection, &mut loaded.notices)?;
        places::read(&self.connection, &mut loaded)?;
        Ok((loaded, repairs))
    }

    /// What the next batch is to put right.
    pub(super) fn repair(&mut self, repairs: Repairs) {
        self.repairs = repairs;
    }

    /// Writes a batch. It is on disk, or nothing of it is.
    pub(super) fn commit(&mut self, batch: &Batch, services: &Services, limits: Limits) -> Result<(), Failure> {
        let clock = Clock { offset: self.clock.offset.renewed(batch.at), after_reboot: None };
        if clock == self.clock && self.repairs.is_empty() && batch.is_empty() {
            return Ok(());
        }
        let cache = cache(batch);
        if cache > CACHE_MIN {
            self.connection.pragma_update(None, "cache_size", -cache)?;
        }
        let result = self.write(batch, services, limits, clock);
        if cache > CACHE_MIN {
            self.connection.pragma_update(None, "cache_size", -CACHE_MIN)?;
            self.connection.execute_batch("PRAGMA shrink_memory")?;
        }
        result
    }

    fn write(&mut self, batch: &Batch, services: &Services, limits: Limits, clock: Clock) -> Result<(), Failure> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.clock.write(&transaction, clock, &self.boot)?;
        self.repairs.write(&transaction, batch.at)?;
        let changes = &batch.changes;
        let ended = bans::write(&transaction, &changes.bans, changes.complete, services, clock.offset, batch.at)?;
        tallies::write(&transaction, &changes.tallies, changes.complete)?;
        logins::write(&transaction, &changes.logins, changes.complete)?;
        offences::write(&transaction, &changes.offences, changes.complete)?;
        raids::write(&transaction, &changes.raids, changes.complete)?;
        suspects::write(&transaction, &changes.suspects, changes.complete)?;
        places::write(&transaction, batch)?;
        history::trim(&transaction, limits, batch.at, ended)?;
        let batches = self.batches.saturating_add(1);
        transaction.execute("UPDATE meta SET value = ?1 WHERE name = 'batches'", [batches])?;
        transaction.commit()?;
        self.batches = batches;
        self.clock = clock;
        self.repairs = Repairs::default();
        self.files = Files::see(&self.path)?;
        Ok(())
    }

    /// Whether it can be written.
    pub(super) fn probe(&mut self) -> Result<(), Failure> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE meta SET value = value WHERE name = 'batches'", [])?;
        transaction.commit()?;
        self.files = Files::see(&self.path)?;
        Ok(())
    }

    /// The bans of exactly these prefixes that have ended, the latest first.
    pub(super) fn history(&self, prefixes: &[IpNet], limit: usize) -> Result<Past, Failure> {
        history::read(&self.connection, prefixes, limit)
    }

    /// Looks at the files.
    pub(super) fn integrity(&self) -> Result<Integrity, Failure> {
        let files = match Files::see(&self.path) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Integrity::Replaced),
            Err(error) => return Err(error.into()),
        };
        Ok(if files == self.files {
            Integrity::Sound
        } else if !files.database.is_same_file(self.files.database) {
            Integrity::Replaced
        } else if files.database == self.files.database && files.log.is_none() {
            Integrity::LogGone
        } else {
            Integrity::Meddled
        })
    }

    /// How many batches it has taken, ever.
    pub(super) fn batches(&self) -> i64 {
        self.batches
    }

    /// Removes what would spoil another database of this name.
    pub(super) fn remove_orphaned_log(&self) -> Result<(), Failure> {
        Ok(self.files.remove_orphaned_log(&self.path)?)
    }

    /// Closes it in order: what the log has is copied into the database, and the log removed. Dropped instead, the files stay as
    /// they are, whosever they are by now.
    pub(super) fn close(self) {
        // Where this fails, the log stays, and is read at the next start.
        let _ = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
    }
}

impl Clock {
    fn read(connection: &Connection, boot: &BootId, now: Now) -> Result<Self, Failure> {
        let value = "SELECT value FROM meta WHERE name = ?1";
        let written_in: Option<String> = connection.query_row(value, ["boot_id"], |row| row.get(0)).optional()?;
        let offset: Option<i64> = connection.query_row(value, ["offset"], |row| row.get(0)).optional()?;
        Ok(match offset {
            Some(offset) if written_in.is_some() && written_in == boot.0 => {
                Self { offset: Offset(offset), after_reboot: None }
            }
            _ => Self { offset: Offset::of(now), after_reboot: Some(offset::wall(now.wall)) },
        })
    }

    /// Makes of rows that are tied as this says, rows that are tied as `to` says.
    fn write(self, transaction: &Transaction<'_>, to: Self, boot: &BootId) -> rusqlite::Result<()> {
        if self == to {
            return Ok(());
        }
        let by = to.offset.0.saturating_sub(self.offset.0).clamp(-offset::DISK_MAX, offset::DISK_MAX);
        bans::tie(transaction, self.after_reboot, by)?;
        let mut set = transaction.prepare("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        set.execute(params!["boot_id", boot.0.as_deref().unwrap_or_default()])?;
        set.execute(params!["offset", to.offset.0])?;
        Ok(())
    }
}

/// How much of the database is kept in memory while a batch is written, in KiB. Its rows lie all over the indexes: about 128 bytes
/// for each are the part of them that it changes.
fn cache(batch: &Batch) -> i64 {
    let Changes { bans, tallies, offences, logins, suspects, raids: _, complete: _ } = &batch.changes;
    let rows = [bans.len(), tallies.len(), offences.len(), logins.len(), suspects.len()]
        .into_iter()
        .fold(0, usize::saturating_add);
    i64::try_from(rows / 8).unwrap_or(CACHE_MAX).clamp(CACHE_MIN, CACHE_MAX)
}
