//! The rows of logins.

use rusqlite::{Connection, Transaction, params};

use super::{
    columns::{prefix, show},
    failure::Failure,
    loaded::Notice,
    rows,
};
use crate::{
    clock::LogTime,
    judge::{Login, Seen, account::AccountId},
};

/// Reads the logins.
pub(super) fn read(connection: &Connection, notices: &mut Vec<Notice>) -> Result<Vec<(Login, Seen)>, Failure> {
    rows::read(connection, "SELECT source, account, at, counts FROM logins", "logins", notices, |row| {
        let account = row.get::<_, i64>(1)?.cast_unsigned();
        let account = (account != 0).then_some(AccountId(account));
        let seen = Seen { at: LogTime(row.get(2)?), counts: row.get(3)? };
        Ok(prefix(row.get_ref(0)?).map(|source| (Login { source, account }, seen)))
    })
}

/// Writes what has changed.
pub(super) fn write(
    transaction: &Transaction<'_>,
    changes: &[(Login, Option<Seen>)],
    complete: bool,
) -> rusqlite::Result<()> {
    if complete {
        transaction.execute("DELETE FROM logins", [])?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    let mut put =
        transaction.prepare("INSERT OR REPLACE INTO logins (source, account, at, counts) VALUES (?1, ?2, ?3, ?4)")?;
    let mut remove = transaction.prepare("DELETE FROM logins WHERE source = ?1 AND account = ?2")?;
    let mut text = String::new();
    for (Login { source, account }, seen) in changes {
        show(&mut text, source);
        let account = account.map_or(0, |account| account.0.cast_signed());
        match seen {
            Some(seen) => put.execute(params![text, account, seen.at.0, seen.counts])?,
            None => remove.execute(params![text, account])?,
        };
    }
    Ok(())
}
