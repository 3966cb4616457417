//! The rows of raids: whom prefixes are banned for.

use rusqlite::{Connection, Transaction, params, types::ValueRef};

use super::{
    columns::{Column, Origins, prefix, show},
    failure::Failure,
    loaded::Notice,
    rows,
};
use crate::judge::{
    MEMBERS_MAX,
    saved::{RaidChange, SavedRaid},
};

/// Reads the raids.
pub(super) fn read(connection: &Connection, notices: &mut Vec<Notice>) -> Result<Vec<SavedRaid>, Failure> {
    let mut origins = Origins::default();
    let query = "SELECT prefix, origin, members, filter FROM raids";
    rows::read(connection, query, "records of members", notices, |row| {
        let members = row.get_ref(2)?.as_str().ok().and_then(|members| {
            let members = members.split(',').take(usize::from(MEMBERS_MAX));
            members.map(|member| prefix(ValueRef::Text(member.as_bytes()))).collect::<Option<Vec<_>>>()
        });
        Ok(match (prefix(row.get_ref(0)?), origins.parse(row.get_ref(1)?), members, row.get_ref(3)?.as_str()) {
            (Some(prefix), Some(origin), Some(members), Ok(filter)) => {
                Some(SavedRaid { prefix, origin, members, filter: filter.into() })
            }
            _ => None,
        })
    })
}

/// Writes what has changed.
pub(super) fn write(transaction: &Transaction<'_>, changes: &[RaidChange], complete: bool) -> rusqlite::Result<()> {
    if complete {
        transaction.execute("DELETE FROM raids", [])?;
    }
    if changes.is_empty() {
        return Ok(());
    }
    let mut put = transaction
        .prepare("INSERT OR REPLACE INTO raids (prefix, origin, members, filter) VALUES (?1, ?2, ?3, ?4)")?;
    let mut remove = transaction.prepare("DELETE FROM raids WHERE prefix = ?1 AND origin = ?2")?;
    let (mut prefix_text, mut origin_text) = (String::new(), String::new());
    for change in changes {
        let (RaidChange::Began(SavedRaid { prefix, origin, .. }) | RaidChange::Ended { prefix, origin }) = change;
        show(&mut prefix_text, prefix);
        show(&mut origin_text, Column(origin));
        match change {
            RaidChange::Began(raid) => {
                let members: Vec<String> = raid.members.iter().map(ToString::to_string).collect();
                put.execute(params![prefix_text, origin_text, members.join(","), &*raid.filter])?;
            }
            RaidChange::Ended { .. } => {
                remove.execute(params![prefix_text, origin_text])?;
            }
        }
    }
    Ok(())
}
