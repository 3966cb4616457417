//! Reading the rows of a table, those passed over that make no sense.

use rusqlite::{Connection, Row};

use super::{failure::Failure, loaded::Notice};

/// Reads what a query finds. A row that `parse` cannot make anything of is left out, and counted in a notice that says `what` it is.
pub(super) fn read<T>(
    connection: &Connection,
    query: &str,
    what: &'static str,
    notices: &mut Vec<Notice>,
    mut parse: impl FnMut(&Row<'_>) -> rusqlite::Result<Option<T>>,
) -> Result<Vec<T>, Failure> {
    let (mut read, mut unreadable) = (Vec::new(), 0_usize);
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match parse(row)? {
            Some(value) => read.push(value),
            None => unreadable = unreadable.saturating_add(1),
        }
    }
    if unreadable > 0 {
        notices.push(Notice::Unreadable { what, rows: unreadable });
    }
    Ok(read)
}
