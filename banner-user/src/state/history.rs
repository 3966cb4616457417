//! Bans that have ended: what is kept of them, and for how long.

use std::time::Duration;

use ipnet::IpNet;
use rusqlite::{Connection, Row, Transaction, params};

use super::{
    causes::{self, ToldCause},
    columns::{Origins, prefix},
    failure::Failure,
    offset,
};
use crate::{
    clock::{Now, WallTime},
    judge::Origin,
};

/// The most bans that are told at once.
const TOLD_MAX: usize = 1_000;

/// How many rows a batch removes at most, beside two for each that it adds: some milliseconds of work.
const STEP: usize = 256;

/// How much history is kept. What is beyond either bound is removed a little with each batch, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Since a ban's end.
    pub age: Duration,
    /// Bans that have ended.
    pub rows: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { age: Duration::from_secs(90 * 24 * 60 * 60), rows: 1_000_000 }
    }
}

/// A ban that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastBan {
    /// Whose packets.
    pub prefix: IpNet,
    /// Who had made it.
    pub origin: Origin,
    /// Since when, as the wall clock stood when it was written.
    pub since: WallTime,
    /// Until when it would have been; `None` for ever.
    pub until: Option<WallTime>,
    /// The names of the services, as they were called then.
    pub services: Vec<String>,
    /// It was counted, not dropped.
    pub observe: bool,
    /// It was made by hand with force.
    pub forced: bool,
    /// What was counted; not for a ban by hand or of an earlier run.
    pub cause: Option<ToldCause>,
    /// When it ended.
    pub ended: WallTime,
    /// Why, as a sentence's end. `unknown` where the daemon was not there, or could not write, when it ended.
    pub why: String,
}

/// Why the history cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The state cannot be used at present: [`Store::trouble`](super::Store::trouble) says why.
    #[error("the history cannot be read: {0}")]
    Trouble(String),
    /// More is being asked than answered.
    #[error("the history cannot be read now: too many ask for it at once; ask again")]
    Busy,
}

/// What the disk knows of some prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Why they are banned, those that are, by whom.
    pub causes: Vec<(IpNet, Origin, ToldCause)>,
    /// Their bans that have ended, the latest first.
    pub bans: Vec<PastBan>,
}

/// Reads what is known of exactly these prefixes, and at most so many of their bans that have ended.
pub(super) fn read(connection: &Connection, prefixes: &[IpNet], limit: usize) -> Result<Past, Failure> {
    Ok(Past { causes: causes::read(connection, prefixes)?, bans: bans(connection, prefixes, limit)? })
}

fn bans(connection: &Connection, prefixes: &[IpNet], limit: usize) -> Result<Vec<PastBan>, Failure> {
    let limit = limit.min(TOLD_MAX);
    let rows_max = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare(
        "SELECT prefix, origin, since, until, names, observe, forced, failures, filter, line, maximum, reasons, ended, why
         FROM history LEFT JOIN service_sets ON service_sets.id = services WHERE prefix = ?1 ORDER BY since DESC LIMIT ?2",
    )?;
    let mut origins = Origins::default();
    let mut bans = Vec::new();
    for prefix in prefixes {
        let mut rows = statement.query(params![prefix.to_string(), rows_max])?;
        while let Some(row) = rows.next()? {
            bans.extend(past_ban(row, &mut origins)?);
        }
    }
    bans.sort_by_key(|ban| std::cmp::Reverse(ban.since));
    bans.truncate(limit);
    Ok(bans)
}

fn past_ban(row: &Row<'_>, origins: &mut Origins) -> rusqlite::Result<Option<PastBan>> {
    let (Some(prefix), Some(origin)) = (prefix(row.get_ref(0)?), origins.parse(row.get_ref(1)?)) else {
        return Ok(None);
    };
    let names: Option<String> = row.get(4)?;
    Ok(Some(PastBan {
        prefix,
        origin,
        since: offset::from_disk(row.get(2)?),
        until: row.get::<_, Option<i64>>(3)?.map(offset::from_disk),
        services: names.unwrap_or_default().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        observe: row.get(5)?,
        forced: row.get(6)?,
        cause: causes::cause(row, 7)?,
        ended: offset::from_disk(row.get(12)?),
        why: row.get(13)?,
    }))
}

/// Removes some of what is beyond the limits, after `added` rows were added.
///
/// The oldest are those that were written first. Ends that lie in the future, written by a clock that was wrong then or is now,
/// stay until their number is beyond the limit.
pub(super) fn trim(transaction: &Transaction<'_>, limits: Limits, now: Now, added: usize) -> rusqlite::Result<()> {
    let ids = "SELECT (SELECT min(id) FROM history), (SELECT max(id) FROM history)";
    let (oldest, newest) = transaction.query_row(ids, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(oldest), Some(newest)): (Option<i64>, Option<i64>) = (oldest, newest) else { return Ok(()) };
    let step = STEP.saturating_add(added.saturating_mul(2));
    let before = oldest.saturating_add(i64::try_from(step).unwrap_or(i64::MAX));
    let too_many = newest.saturating_sub(i64::try_from(limits.rows).unwrap_or(i64::MAX));
    let too_old = offset::wall(now.wall).saturating_sub(i64::try_from(limits.age.as_nanos()).unwrap_or(i64::MAX));
    transaction.execute(
        "DELETE FROM history WHERE id < ?1 AND (id <= ?2 OR ended < ?3)",
        params![before, too_many, too_old],
    )?;
    Ok(())
}
