//! The rows of offences: the bans that prefixes have had.

use rusqlite::{Connection, Transaction, params};

use super::{
    columns::{prefix, show},
    failure::Failure,
    loaded::Notice,
    rows,
};
use crate::judge::{
    Offence, Offences,
    saved::{OffencesChange, SavedOffences},
};

/// The bytes of one ban's times.
const OFFENCE: usize = 8;

/// Reads the offences.
pub(super) fn read(connection: &Connection, notices: &mut Vec<Notice>) -> Result<Vec<SavedOffences>, Failure> {
    rows::read(connection, "SELECT prefix, observe, bans, latest FROM offences", "offences", notices, |row| {
        let bans = row.get_ref(2)?.as_i64().ok().and_then(|bans| u16::try_from(bans).ok());
        let offences = bans.zip(row.get_ref(3)?.as_blob().ok()).and_then(|(bans, latest)| decode(bans, latest));
        let observe = row.get(1)?;
        Ok(prefix(row.get_ref(0)?).zip(offences).map(|(prefix, offences)| SavedOffences { prefix, observe, offences }))
    })
}

/// Writes what has changed.
pub(super) fn write(transaction: &Transaction<'_>, changes: &[OffencesChange], complete: bool) -> rusqlite::Result<()> {
    if complete {
        transaction.execute("DELETE FROM offences", [])?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    let mut put = transaction
        .prepare("INSERT OR REPLACE INTO offences (prefix, observe, bans, latest) VALUES (?1, ?2, ?3, ?4)")?;
    let mut remove = transaction.prepare("DELETE FROM offences WHERE prefix = ?1 AND observe = ?2")?;
    let mut text = String::new();
    for change in changes {
        match change {
            OffencesChange::Banned(SavedOffences { prefix, observe, offences }) => {
                show(&mut text, prefix);
                put.execute(params![text, observe, offences.bans(), encode(offences)])?;
            }
            OffencesChange::Gone { prefix, observe } => {
                show(&mut text, prefix);
                remove.execute(params![text, observe])?;
            }
        }
    }
    Ok(())
}

fn encode(offences: &Offences) -> Vec<u8> {
    let times = offences.latest().flat_map(|offence| [offence.began, offence.until]);
    times.flat_map(u32::to_le_bytes).collect()
}

/// `None` where it is not what [`encode`] makes.
fn decode(bans: u16, latest: &[u8]) -> Option<Offences> {
    let (latest, rest) = latest.as_chunks::<OFFENCE>();
    let offence = |[a, b, c, d, e, f, g, h]: &[u8; OFFENCE]| Offence {
        began: u32::from_le_bytes([*a, *b, *c, *d]),
        until: u32::from_le_bytes([*e, *f, *g, *h]),
    };
    let latest: Vec<Offence> = latest.iter().map(offence).collect();
    Offences::restored(bans, &latest).filter(|_| rest.is_empty())
}
