//! The rows of suspects: which accounts sources have tried.

use std::num::NonZeroU32;

use rusqlite::{Connection, Transaction, params};

use super::{
    columns::{prefix, show},
    failure::Failure,
    loaded::Notice,
    rows,
};
use crate::judge::{
    LogSeconds, Suspect, TRIES_MAX, Try,
    account::AccountTag,
    saved::{SavedSuspect, SuspectChange},
};

/// The bytes of one try: its account's tag, its time, and whether the account was under attack.
const TRY: usize = 9;

/// Reads the suspects.
pub(super) fn read(connection: &Connection, notices: &mut Vec<Notice>) -> Result<Vec<SavedSuspect>, Failure> {
    rows::read(connection, "SELECT source, banned_until, tries FROM suspects", "suspects", notices, |row| {
        let banned_until = row.get_ref(1)?.as_i64().ok().and_then(|until| u32::try_from(until).ok()).map(LogSeconds);
        let tries = row.get_ref(2)?.as_blob().ok().and_then(decode);
        Ok(match (prefix(row.get_ref(0)?), banned_until, tries) {
            (Some(source), Some(banned_until), Some(tries)) => {
                Some(SavedSuspect { source, suspect: Suspect::restored(&tries, banned_until) })
            }
            _ => None,
        })
    })
}

/// Writes what has changed.
pub(super) fn write(transaction: &Transaction<'_>, changes: &[SuspectChange], complete: bool) -> rusqlite::Result<()> {
    if complete {
        transaction.execute("DELETE FROM suspects", [])?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    let mut put =
        transaction.prepare("INSERT OR REPLACE INTO suspects (source, banned_until, tries) VALUES (?1, ?2, ?3)")?;
    let mut remove = transaction.prepare("DELETE FROM suspects WHERE source = ?1")?;
    let (mut text, mut tries) = (String::new(), Vec::new());
    for change in changes {
        match change {
            SuspectChange::Tried(SavedSuspect { source, suspect }) => {
                show(&mut text, source);
                encode(&mut tries, suspect);
                put.execute(params![text, suspect.banned_until().unwrap_or_default().0, tries])?;
            }
            SuspectChange::Gone { source } => {
                show(&mut text, source);
                remove.execute([&text])?;
            }
        }
    }
    Ok(())
}

fn encode(bytes: &mut Vec<u8>, suspect: &Suspect) {
    bytes.clear();
    for (Try { account, at }, attacked) in suspect.tries() {
        bytes.extend(account.0.get().to_le_bytes());
        bytes.extend(at.0.to_le_bytes());
        bytes.push(attacked.into());
    }
}

/// `None` where it is not what [`encode`] makes.
fn decode(bytes: &[u8]) -> Option<Vec<(Try, bool)>> {
    let (tries, rest) = bytes.as_chunks::<TRY>();
    let tries: Option<Vec<_>> = tries
        .iter()
        .map(|[a, b, c, d, e, f, g, h, attacked]| {
            let account = AccountTag(NonZeroU32::new(u32::from_le_bytes([*a, *b, *c, *d]))?);
            let at = LogSeconds(u32::from_le_bytes([*e, *f, *g, *h]));
            (*attacked <= 1).then_some((Try { account, at }, *attacked == 1))
        })
        .collect();
    tries.filter(|tries| rest.is_empty() && tries.len() <= TRIES_MAX)
}
