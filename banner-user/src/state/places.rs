//! The rows that say where to go on: in files, in the journal, at which interfaces.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{
    batch::{Batch, PositionChange},
    failure::Failure,
    loaded::{Loaded, Notice},
    offset,
};
use crate::source::{BEFORE_MAX, BEGINNING_MAX, Bookmark, BookmarkState, Inode};

/// The states of bookmarks, as they are called on disk.
const STATES: [(BookmarkState, &str); 3] =
    [(BookmarkState::Open, "open"), (BookmarkState::Closed, "closed"), (BookmarkState::Emptied, "emptied")];

/// Reads all of them.
pub(super) fn read(connection: &Connection, loaded: &mut Loaded) -> Result<(), Failure> {
    let mut statement = connection
        .prepare("SELECT key, path, device, inode, state, offset, beginning, before FROM positions ORDER BY key")?;
    let mut rows = statement.query([])?;
    let mut unreadable = 0_usize;
    while let Some(row) = rows.next()? {
        let (beginning, before): (Vec<u8>, Vec<u8>) = (row.get(6)?, row.get(7)?);
        let state = STATES.iter().find(|(_, name)| row.get_ref(4).is_ok_and(|value| value.as_str() == Ok(name)));
        match (u64::try_from(row.get::<_, i64>(5)?), state) {
            (Ok(offset), Some((state, _))) if beginning.len() <= BEGINNING_MAX && before.len() <= BEFORE_MAX => {
                loaded.positions.push(Bookmark {
                    key: row.get::<_, i64>(0)?.cast_unsigned(),
                    path: PathBuf::from(OsStr::from_bytes(row.get_ref(1)?.as_blob().unwrap_or_default())),
                    inode: Inode {
                        device: row.get::<_, i64>(2)?.cast_unsigned(),
                        number: row.get::<_, i64>(3)?.cast_unsigned(),
                    },
                    offset,
                    beginning: beginning.into(),
                    before: before.into(),
                    state: *state,
                });
            }
            _ => unreadable = unreadable.saturating_add(1),
        }
    }
    if unreadable > 0 {
        loaded.notices.push(Notice::Unreadable { what: "positions", rows: unreadable });
    }
    loaded.saved_at = connection
        .query_row("SELECT value FROM meta WHERE name = 'saved_at'", [], |row| row.get(0))
        .optional()?
        .map(offset::from_disk);
    let cursor: Option<String> = connection.query_row("SELECT cursor FROM journal", [], |row| row.get(0)).optional()?;
    match cursor.map(|cursor| cursor.parse()).transpose() {
        Ok(position) => loaded.journal = position,
        Err(_) => loaded.notices.push(Notice::Unreadable { what: "positions in the journal", rows: 1 }),
    }
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
            "INSERT OR REPLACE INTO positions (key, path, device, inode, state, offset, beginning, before)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let mut gone = transaction.prepare("DELETE FROM positions WHERE key = ?1")?;
        for change in &positions.changes {
            match change {
                PositionChange::Is(Bookmark { key, path, inode, offset, beginning, before, state }) => {
                    let name = STATES.iter().find(|(known, _)| known == state).map(|(_, name)| name);
                    // loff_t is signed: no file reaches farther.
                    let offset = i64::try_from(*offset).unwrap_or(i64::MAX);
                    let (device, inode) = (inode.device.cast_signed(), inode.number.cast_signed());
                    let (key, path) = (key.cast_signed(), path.as_os_str().as_bytes());
                    is.execute(params![key, path, device, inode, name, offset, beginning, before])?
                }
                PositionChange::Gone(key) => gone.execute([key.cast_signed()])?,
            };
        }
    }
    transaction
        .execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('saved_at', ?1)", [offset::wall(batch.at.wall)])?;
    if let Some(position) = &batch.journal {
        transaction.execute("INSERT OR REPLACE INTO journal (id, cursor) VALUES (1, ?1)", [position.to_string()])?;
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
