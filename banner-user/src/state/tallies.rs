//! The rows of tallies.

use rusqlite::{Connection, Transaction, params};

use super::{
    columns::{Origins, prefix, show},
    failure::Failure,
    loaded::Notice,
};
use crate::{
    clock::LogTime,
    event::Weight,
    judge::saved::{SavedTally, TallyChange},
};

/// The bytes of one failure: its time and its weight.
const FAILURE: usize = 10;

/// Reads the tallies.
pub(super) fn read(connection: &Connection, notices: &mut Vec<Notice>) -> Result<Vec<SavedTally>, Failure> {
    let mut jails = Origins::default();
    let mut tallies = Vec::new();
    let mut unreadable = 0_usize;
    let mut statement = connection.prepare("SELECT jail, source, told, failures FROM tallies")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let source = prefix(row.get_ref(1)?);
        let failures = row.get_ref(3)?.as_blob().ok().and_then(decode);
        match (row.get_ref(0)?.as_str(), source, failures) {
            (Ok(jail), Some(source), Some(failures)) => {
                tallies.push(SavedTally { jail: jails.jail(jail), source, failures, told: row.get(2)? });
            }
            _ => unreadable = unreadable.saturating_add(1),
        }
    }
    if unreadable > 0 {
        notices.push(Notice::Unreadable { what: "tallies", rows: unreadable });
    }
    Ok(tallies)
}

/// Writes what has changed.
pub(super) fn write(transaction: &Transaction<'_>, changes: &[TallyChange], complete: bool) -> rusqlite::Result<()> {
    if complete {
        transaction.execute("DELETE FROM tallies", [])?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    let mut count =
        transaction.prepare("INSERT OR REPLACE INTO tallies (jail, source, told, failures) VALUES (?1, ?2, ?3, ?4)")?;
    let mut remove = transaction.prepare("DELETE FROM tallies WHERE jail = ?1 AND source = ?2")?;
    let (mut text, mut bytes) = (String::new(), Vec::new());
    for change in changes {
        match change {
            TallyChange::Counted(SavedTally { jail, source, failures, told }) => {
                show(&mut text, source);
                encode(&mut bytes, failures);
                count.execute(params![jail.as_ref(), text, told, bytes])?;
            }
            TallyChange::Gone { jail, source } => {
                show(&mut text, source);
                remove.execute(params![jail.as_ref(), text])?;
            }
        }
    }
    Ok(())
}

fn encode(bytes: &mut Vec<u8>, failures: &[(LogTime, Weight)]) {
    bytes.clear();
    for (time, weight) in failures {
        bytes.extend(time.0.to_le_bytes());
        bytes.extend(weight.0.to_le_bytes());
    }
}

/// `None` where it is not what [`encode`] makes of a window: oldest first, and nothing without weight.
fn decode(bytes: &[u8]) -> Option<Vec<(LogTime, Weight)>> {
    let (failures, rest) = bytes.as_chunks::<FAILURE>();
    let failures: Vec<_> = failures
        .iter()
        .map(|[a, b, c, d, e, f, g, h, low, high]| {
            (LogTime(i64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h])), Weight(u16::from_le_bytes([*low, *high])))
        })
        .collect();
    let makes_sense = rest.is_empty()
        && failures.is_sorted_by_key(|(time, _)| *time)
        && failures.iter().all(|(_, weight)| weight.0 > 0);
    makes_sense.then_some(failures)
}
