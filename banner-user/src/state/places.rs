//! The rows that say where to go on: in files, in the journal, at which interfaces.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{
    batch::{Batch, JournalPosition, Position, PositionChange, PositionKey},
    failure::Failure,
    loaded::{Loaded, Notice},
    offset,
};
use crate::source::{BEFORE_MAX, BEGINNING_MAX};

/// Reads all of them.
pub(super) fn read(connection: &Connection, loaded: &mut Loaded) -> Result<(), Failure> {
    let mut statement =
        connection.prepare("SELECT path, device, inode, truncated, offset, beginning, before FROM positions")?;
    let mut rows = statement.query([])?;
    let mut unreadable = 0_usize;
    while let Some(row) = rows.next()? {
        let (beginning, before): (Vec<u8>, Vec<u8>) = (row.get(5)?, row.get(6)?);
        match u64::try_from(row.get::<_, i64>(4)?) {
            Ok(offset) if beginning.len() <= BEGINNING_MAX && before.len() <= BEFORE_MAX => {
                loaded.positions.push(Position {
                    path: PathBuf::from(OsStr::from_bytes(row.get_ref(0)?.as_blob().unwrap_or_default())),
                    device: row.get::<_, i64>(1)?.cast_unsigned(),
                    inode: row.get::<_, i64>(2)?.cast_unsigned(),
                    truncated: row.get(3)?,
                    offset,
                    beginning: beginning.into(),
                    before: before.into(),
                });
            }
            _ => unreadable = unreadable.saturating_add(1),
        }
    }
    if unreadable > 0 {
        loaded.notices.push(Notice::Unreadable { what: "positions", rows: unreadable });
    }
    loaded.journal = connection
        .query_row("SELECT cursor, realtime FROM journal", [], |row| {
            Ok(JournalPosition { cursor: row.get(0)?, realtime: offset::from_disk(row.get(1)?) })
        })
        .optional()?;
    let mut statement = connection.prepare("SELECT name FROM interfaces ORDER BY place")?;
    loaded.interfaces = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(())
}

/// Writes what has changed.
pub(super) fn write(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let positions = &batch.positions;
    if positions.complete {
        transaction.execute("DELETE FROM positions", [])?;
    }
    if !positions.changes.is_empty() {
        let mut is = transaction.prepare(
            "INSERT OR REPLACE INTO positions (path, device, inode, truncated, offset, beginning, before)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let mut gone = transaction
            .prepare("DELETE FROM positions WHERE path = ?1 AND device = ?2 AND inode = ?3 AND truncated = ?4")?;
        for change in &positions.changes {
            match change {
                PositionChange::Is(Position { path, device, inode, offset, beginning, before, truncated }) => {
                    // loff_t is signed: no file reaches farther.
                    let offset = i64::try_from(*offset).unwrap_or(i64::MAX);
                    let (path, device, inode) = (bytes(path), device.cast_signed(), inode.cast_signed());
                    is.execute(params![path, device, inode, truncated, offset, beginning, before])?
                }
                PositionChange::Gone(PositionKey { path, device, inode, truncated }) => {
                    gone.execute(params![bytes(path), device.cast_signed(), inode.cast_signed(), truncated])?
                }
            };
        }
    }
    if let Some(JournalPosition { cursor, realtime }) = &batch.journal {
        transaction.execute(
            "INSERT OR REPLACE INTO journal (id, cursor, realtime) VALUES (1, ?1, ?2)",
            params![cursor, offset::wall(*realtime)],
        )?;
    }
    if let Some(interfaces) = &batch.interfaces {
        transaction.execute("DELETE FROM interfaces", [])?;
        let mut insert = transaction.prepare("INSERT INTO interfaces (name) VALUES (?1)")?;
        for name in interfaces {
            insert.execute([name])?;
        }
    }
    Ok(())
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
