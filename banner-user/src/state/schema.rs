//! The tables, and how those of an older banner become them.
//!
//! `user_version` counts the migrations that a database has been through. Migrations only ever add, so that a banner which is set
//! back to an older version goes on with what it knows; the one migration that would break that raises `minimum_reader` in `meta`.

use rusqlite::{Connection, TransactionBehavior};

use super::failure::Failure;

/// `application_id`: "bann".
const APPLICATION: i64 = 0x6261_6e6e;

/// Each leads from the version of its place to the next one.
pub(super) const MIGRATIONS: [&str; 2] = [VERSION_1, VERSION_2];

const VERSION_1: &str = "
-- Times are nanoseconds since 1970-01-01T00:00:00Z.

-- boot_id, offset: the boot whose wall clock minus time since boot was `offset` when the rows of `bans` were written.
-- batches: how many batches were written. saved_at: when the last was. minimum_reader: the user_version that a reader must know at least.
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('minimum_reader', 1), ('batches', 0);

-- Names, by commas: a bit may mean another service the next time.
CREATE TABLE service_sets (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE) STRICT;

-- Bans in force. origin: hand, adopted, or jail:NAME. until: NULL for ever. failures: quarters of one. The cause (failures,
-- filter, line) is NULL for a ban by hand or of an earlier run; line is what an attacker wrote.
CREATE TABLE bans (
    id INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL,
    origin TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    services INTEGER NOT NULL,
    observe INTEGER NOT NULL,
    forced INTEGER NOT NULL,
    failures INTEGER,
    filter TEXT,
    line BLOB,
    UNIQUE (prefix, origin)
) STRICT;

-- Bans that have ended, in the order of their ends.
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL,
    origin TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    services INTEGER NOT NULL,
    observe INTEGER NOT NULL,
    forced INTEGER NOT NULL,
    failures INTEGER,
    filter TEXT,
    line BLOB,
    ended INTEGER NOT NULL,
    why TEXT NOT NULL,
    UNIQUE (prefix, since, origin)
) STRICT;

-- failures: ten bytes each, oldest first: its time (microseconds since 1970, by the log) and its weight, little-endian.
CREATE TABLE tallies (
    jail TEXT NOT NULL,
    source TEXT NOT NULL,
    told INTEGER NOT NULL,
    failures BLOB NOT NULL,
    PRIMARY KEY (jail, source)
) STRICT, WITHOUT ROWID;

-- How far files were read. state: open, closed, emptied. device and inode are unsigned.
CREATE TABLE positions (
    key INTEGER PRIMARY KEY,
    path BLOB NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    state TEXT NOT NULL,
    offset INTEGER NOT NULL,
    beginning BLOB NOT NULL,
    before BLOB NOT NULL
) STRICT;

-- How far the journal was read, as a cursor of systemd's: one row.
CREATE TABLE journal (id INTEGER PRIMARY KEY CHECK (id = 1), cursor TEXT NOT NULL) STRICT;

-- The interfaces that were guarded last.
CREATE TABLE interfaces (place INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
";

const VERSION_2: &str = "
-- Four bytes for each of the failures: the tag of its account, little-endian, 0 where the line had none. NULL: no line had one.
ALTER TABLE tallies ADD COLUMN accounts BLOB;

-- Beside failures, the weight that bans, in quarters; and what else was taken into account, as it was told: a JSON array of objects
-- with the strings reason (a name) and text. NULL where failures is, and in rows of an older banner.
ALTER TABLE bans ADD COLUMN maximum INTEGER;
ALTER TABLE bans ADD COLUMN reasons TEXT;
ALTER TABLE history ADD COLUMN maximum INTEGER;
ALTER TABLE history ADD COLUMN reasons TEXT;

-- Who has logged in lately. account: the number of its name, as a signed one; 0 where the line had no name. at: microseconds since
-- 1970. counts: whether it makes the source a customer's.
CREATE TABLE logins (
    source TEXT NOT NULL,
    account INTEGER NOT NULL,
    at INTEGER NOT NULL,
    counts INTEGER NOT NULL,
    PRIMARY KEY (source, account)
) STRICT, WITHOUT ROWID;

-- The bans that prefixes have had and that make the next one longer; observing ones for themselves. bans: how many. latest: eight
-- bytes for each of the last of them, by their beginnings: when it began and when it ends or ended (all ones: never), in seconds
-- since 1970, little-endian.
CREATE TABLE offences (
    prefix TEXT NOT NULL,
    observe INTEGER NOT NULL,
    bans INTEGER NOT NULL,
    latest BLOB NOT NULL,
    PRIMARY KEY (prefix, observe)
) STRICT, WITHOUT ROWID;

-- The sources that a prefix in `bans` is banned for, by commas, and the filter of the last failure.
CREATE TABLE raids (
    prefix TEXT NOT NULL,
    origin TEXT NOT NULL,
    members TEXT NOT NULL,
    filter TEXT NOT NULL,
    PRIMARY KEY (prefix, origin)
) STRICT, WITHOUT ROWID;

-- Which accounts sources have tried. banned_until: until when it was last banned for that, in seconds since 1970; 0 for never. tries:
-- nine bytes each: the tag of its account and its time (seconds since 1970), little-endian, and 1 where the account was under attack.
CREATE TABLE suspects (
    source TEXT PRIMARY KEY,
    banned_until INTEGER NOT NULL,
    tries BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What a database was before it was brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Was {
    /// Empty.
    New,
    /// A database of banner's.
    Kept,
}

/// Brings a database up to date.
pub(super) fn migrate(connection: &mut Connection) -> Result<Was, Failure> {
    migrate_by(connection, &MIGRATIONS)
}

pub(super) fn migrate_by(connection: &mut Connection, migrations: &[&str]) -> Result<Was, Failure> {
    let newest = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    let version = pragma(connection, "user_version")?;
    let is_empty = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get::<_, bool>(0))?;
    if !is_empty && pragma(connection, "application_id")? != APPLICATION {
        return Err(Failure::Damaged("it is a database of another program".to_owned()));
    }
    let was = if is_empty { Was::New } else { Was::Kept };
    if version > newest {
        let reader = connection
            .query_row("SELECT value FROM meta WHERE name = 'minimum_reader'", [], |row| row.get::<_, i64>(0))?;
        return if reader > newest { Err(Failure::Newer { version }) } else { Ok(was) };
    }
    let missing = usize::try_from(version).ok().and_then(|version| migrations.get(version..)).unwrap_or_default();
    if !missing.is_empty() {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for migration in missing {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", newest)?;
        transaction.commit()?;
    }
    Ok(was)
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, Failure> {
    Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
}
