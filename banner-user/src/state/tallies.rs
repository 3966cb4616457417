//! The rows of tallies.

use std::num::NonZeroU32;

use rusqlite::{Connection, Transaction, params};

use super::{
    columns::{Origins, prefix, show},
    failure::Failure,
    loaded::Notice,
    rows,
};
use crate::{
    clock::LogTime,
    event::Weight,
    judge::{
        Counted,
        account::AccountTag,
        saved::{SavedTally, TallyChange},
    },
};

/// The bytes of one failure: its time and its weight.
const FAILURE: usize = 10;

/// Those of the tag of its account.
const ACCOUNT: usize = 4;

/// Reads the tallies.
pub(super) fn read(connection: &Connection, notices: &mut Vec<Notice>) -> Result<Vec<SavedTally>, Failure> {
    let mut jails = Origins::default();
    rows::read(connection, "SELECT jail, source, told, failures, accounts FROM tallies", "tallies", notices, |row| {
        let failures = row.get_ref(3)?.as_blob().ok().and_then(|bytes| {
            let accounts = row.get_ref(4).ok()?.as_blob_or_null().ok()?;
            decode(bytes, accounts)
        });
        Ok(match (row.get_ref(0)?.as_str(), prefix(row.get_ref(1)?), failures) {
            (Ok(jail), Some(source), Some(failures)) => {
                Some(SavedTally { jail: jails.jail(jail), source, failures, told: row.get(2)? })
            }
            _ => None,
        })
    })
}

/// Writes what has changed.
pub(super) fn write(transaction: &Transaction<'_>, changes: &[TallyChange], complete: bool) -> rusqlite::Result<()> {
    if complete {
        transaction.execute("DELETE FROM tallies", [])?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    let mut count = transaction.prepare(
        "INSERT OR REPLACE INTO tallies (jail, source, told, failures, accounts) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut remove = transaction.prepare("DELETE FROM tallies WHERE jail = ?1 AND source = ?2")?;
    let (mut text, mut bytes, mut accounts) = (String::new(), Vec::new(), Vec::new());
    for change in changes {
        match change {
            TallyChange::Counted(SavedTally { jail, source, failures, told }) => {
                show(&mut text, source);
                encode(&mut bytes, &mut accounts, failures);
                let accounts = failures.iter().any(|failure| failure.account.is_some()).then_some(&accounts);
                count.execute(params![jail.as_ref(), text, told, bytes, accounts])?;
            }
            TallyChange::Gone { jail, source } => {
                show(&mut text, source);
                remove.execute(params![jail.as_ref(), text])?;
            }
        }
    }
    Ok(())
}

fn encode(bytes: &mut Vec<u8>, accounts: &mut Vec<u8>, failures: &[Counted]) {
    bytes.clear();
    accounts.clear();
    for failure in failures {
        bytes.extend(failure.at.0.to_le_bytes());
        bytes.extend(failure.weight.0.to_le_bytes());
        accounts.extend(failure.account.map_or(0, |account| account.0.get()).to_le_bytes());
    }
}

/// `None` where it is not what [`encode`] makes of a window: oldest first, and nothing without weight.
fn decode(bytes: &[u8], accounts: Option<&[u8]>) -> Option<Vec<Counted>> {
    let (failures, rest) = bytes.as_chunks::<FAILURE>();
    let (accounts, odd) = accounts.unwrap_or_default().as_chunks::<ACCOUNT>();
    let account = |index: usize| NonZeroU32::new(u32::from_le_bytes(*accounts.get(index)?)).map(AccountTag);
    let failures: Vec<_> = failures
        .iter()
        .enumerate()
        .map(|(index, [a, b, c, d, e, f, g, h, low, high])| Counted {
            at: LogTime(i64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h])),
            weight: Weight(u16::from_le_bytes([*low, *high])),
            account: account(index),
        })
        .collect();
    let makes_sense = rest.is_empty()
        && odd.is_empty()
        && (accounts.is_empty() || accounts.len() == failures.len())
        && failures.is_sorted_by_key(|failure| failure.at)
        && failures.iter().all(|failure| failure.weight.0 > 0);
    makes_sense.then_some(failures)
}
