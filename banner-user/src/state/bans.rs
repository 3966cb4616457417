//! The rows of bans: those in force, and how they become history.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Transaction, params};

use super::{
    causes,
    columns::{Column, Origins, ServiceSets, prefix, show},
    failure::Failure,
    loaded::Notice,
    offset::{self, Offset},
};
use crate::{
    clock::Now,
    judge::{
        LINE_MAX,
        effect::Until,
        saved::{BanChange, Cause, SavedBan},
    },
    service::{ServiceMask, Services},
};

/// Why a ban ended that is not in force any more, but of whose end nobody has told.
const UNKNOWN: &str = "unknown";

/// Why a ban ended whose services are gone.
const NO_SERVICES: &str = "none of its services is configured any more";

/// How many rows one statement changes: SQLite keeps their pages as they were, in memory, until it ends.
const SLICE: i64 = 10_000;

/// The bans in force, and what was wrong with some.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Those that can go on.
    pub(super) bans: Vec<SavedBan>,
    /// What is done about the others with the first batch.
    pub(super) repairs: Repairs,
    /// What to tell of the others.
    pub(super) notices: Vec<Notice>,
}

/// Rows that cannot go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Repairs {
    /// They make no sense.
    unreadable: Vec<i64>,
    /// They are for services that are gone.
    without_services: Vec<i64>,
}

impl Repairs {
    pub(super) fn is_empty(&self) -> bool {
        self.unreadable.is_empty() && self.without_services.is_empty()
    }

    /// Ends or removes the rows.
    pub(super) fn write(&self, transaction: &Transaction<'_>, now: Now) -> rusqlite::Result<()> {
        let mut end = transaction.prepare(END_BY_ID)?;
        for id in &self.without_services {
            end.execute(params![id, offset::wall(now.wall), NO_SERVICES])?;
        }
        let mut remove = transaction.prepare("DELETE FROM bans WHERE id = ?1")?;
        for id in self.without_services.iter().chain(&self.unreadable) {
            remove.execute([id])?;
        }
        Ok(())
    }
}

/// Reads the bans in force. `after_reboot`: the wall clock of the first start in another boot than the one that wrote them.
pub(super) fn read(
    connection: &Connection,
    services: &Services,
    offset: Offset,
    after_reboot: Option<i64>,
) -> Result<Kept, Failure> {
    let sets = ServiceSets::read(connection, services)?;
    let mut origins = Origins::default();
    let mut kept = Kept::default();
    let (mut unknown, mut for_unknown) = (HashSet::new(), 0_usize);
    let mut statement =
        connection.prepare("SELECT id, prefix, origin, since, until, services, observe, forced FROM bans")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let set = sets.masks.get(&row.get(5)?);
        let prefix = prefix(row.get_ref(1)?);
        let origin = origins.parse(row.get_ref(2)?);
        let (Some(prefix), Some(origin), Some((mask, missing))) = (prefix, origin, set) else {
            kept.repairs.unreadable.push(id);
            continue;
        };
        if !missing.is_empty() {
            unknown.extend(missing);
            for_unknown = for_unknown.saturating_add(1);
        }
        if mask.is_empty() {
            kept.repairs.without_services.push(id);
            continue;
        }
        let (since, until) = (row.get(3)?, row.get(4)?);
        let (since, until) = after_reboot.map_or((since, until), |now| offset::after_reboot(since, until, now));
        kept.bans.push(SavedBan {
            prefix,
            origin,
            since: offset.boot(since),
            until: until.map_or(Until::Permanent, |until| Until::Boot(offset.boot(until))),
            services: *mask,
            observe: row.get(6)?,
            forced: row.get(7)?,
        });
    }
    if for_unknown > 0 {
        let mut names: Vec<String> = unknown.into_iter().cloned().collect();
        names.sort_unstable();
        kept.notices.push(Notice::UnknownServices { names, bans: for_unknown });
    }
    if !kept.repairs.unreadable.is_empty() {
        kept.notices.push(Notice::Unreadable { what: "bans", rows: kept.repairs.unreadable.len() });
    }
    Ok(kept)
}

/// Writes what has changed; returns how many bans have become history.
pub(super) fn write(
    transaction: &Transaction<'_>,
    changes: &[BanChange],
    complete: bool,
    services: &Services,
    offset: Offset,
    now: Now,
) -> rusqlite::Result<usize> {
    let mut ended: usize = 0;
    if complete {
        ended = end_all_but(transaction, changes, now)?;
    }
    if changes.is_empty() {
        return Ok(ended);
    }
    let mut sets = HashMap::new();
    let mut begin = transaction.prepare(BEGIN)?;
    let mut end = transaction.prepare(END)?;
    let mut remove = transaction.prepare("DELETE FROM bans WHERE prefix = ?1 AND origin = ?2")?;
    let (mut prefix_text, mut origin_text) = (String::new(), String::new());
    for change in changes {
        let (BanChange::Began { ban: SavedBan { prefix, origin, .. }, .. } | BanChange::Ended { prefix, origin, .. }) =
            change;
        show(&mut prefix_text, prefix);
        show(&mut origin_text, Column(origin));
        match change {
            BanChange::Began { ban, cause } => {
                let set = match sets.get(&ban.services) {
                    Some(set) => *set,
                    None => {
                        let set = service_set(transaction, services, ban.services)?;
                        sets.insert(ban.services, set);
                        set
                    }
                };
                let line = |cause: &Cause| cause.line.get(..LINE_MAX).unwrap_or(&cause.line).to_vec();
                begin.execute(params![
                    prefix_text,
                    origin_text,
                    offset.disk(ban.since),
                    offset.deadline(ban.until),
                    set,
                    ban.observe,
                    ban.forced,
                    cause.as_ref().map(|cause| cause.failures),
                    cause.as_ref().map(|cause| &*cause.filter),
                    cause.as_ref().map(line),
                    cause.as_ref().map(|cause| cause.limit),
                    cause.as_ref().map(|cause| causes::column(&cause.reasons)),
                ])?;
            }
            BanChange::Ended { at, why, .. } => {
                let moved = end.execute(params![prefix_text, origin_text, offset.disk(*at), why.to_string()])?;
                remove.execute(params![prefix_text, origin_text])?;
                ended = ended.saturating_add(moved);
            }
        }
    }
    Ok(ended)
}

/// A ban that is in force already is changed: only where it differs, and not its cause where that is not known any more.
const BEGIN: &str = "
    INSERT INTO bans (prefix, origin, since, until, services, observe, forced, failures, filter, line, maximum, reasons)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT (prefix, origin) DO UPDATE SET
        failures = iif(since = excluded.since AND excluded.failures IS NULL, failures, excluded.failures),
        filter = iif(since = excluded.since AND excluded.failures IS NULL, filter, excluded.filter),
        line = iif(since = excluded.since AND excluded.failures IS NULL, line, excluded.line),
        maximum = iif(since = excluded.since AND excluded.failures IS NULL, maximum, excluded.maximum),
        reasons = iif(since = excluded.since AND excluded.failures IS NULL, reasons, excluded.reasons),
        since = excluded.since,
        until = excluded.until,
        services = excluded.services,
        observe = excluded.observe,
        forced = excluded.forced
    WHERE excluded.failures IS NOT NULL OR (since, until, services, observe, forced)
        IS NOT (excluded.since, excluded.until, excluded.services, excluded.observe, excluded.forced)";

// A transaction that was told to have failed may be on disk all the same; what is in it comes again then. So a ban becomes the
// same row of the history however often it ends.
const END: &str = "
    INSERT OR REPLACE INTO history
        (prefix, origin, since, until, services, observe, forced, failures, filter, line, maximum, reasons, ended, why)
    SELECT prefix, origin, since, until, services, observe, forced, failures, filter, line, maximum, reasons, ?3, ?4
    FROM bans WHERE prefix = ?1 AND origin = ?2";

const END_BY_ID: &str = "
    INSERT OR REPLACE INTO history
        (prefix, origin, since, until, services, observe, forced, failures, filter, line, maximum, reasons, ended, why)
    SELECT prefix, origin, since, until, services, observe, forced, failures, filter, line, maximum, reasons, ?2, ?3
    FROM bans WHERE id = ?1";

/// Ends the bans that are in force on disk and not by `changes`.
fn end_all_but(transaction: &Transaction<'_>, changes: &[BanChange], now: Now) -> rusqlite::Result<usize> {
    let mut in_force = HashSet::with_capacity(changes.len());
    for change in changes {
        match change {
            BanChange::Began { ban, .. } => in_force.insert((ban.prefix, &ban.origin)),
            // What is told to have ended, has its own reason.
            BanChange::Ended { prefix, origin, .. } => in_force.insert((*prefix, origin)),
        };
    }
    let mut origins = Origins::default();
    let mut gone = Vec::new();
    let mut statement = transaction.prepare("SELECT id, prefix, origin FROM bans")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = prefix(row.get_ref(1)?).zip(origins.parse(row.get_ref(2)?));
        if !key.is_some_and(|(prefix, origin)| in_force.contains(&(prefix, &origin))) {
            gone.push(row.get::<_, i64>(0)?);
        }
    }
    let mut end = transaction.prepare(END_BY_ID)?;
    let mut remove = transaction.prepare("DELETE FROM bans WHERE id = ?1")?;
    for id in &gone {
        end.execute(params![id, offset::wall(now.wall), UNKNOWN])?;
        remove.execute([id])?;
    }
    Ok(gone.len())
}

/// Ties the rows in force to other clocks: lets none begin later than `latest`, as [`offset::after_reboot`] does, and moves all of
/// them by so many nanoseconds.
pub(super) fn tie(transaction: &Transaction<'_>, latest: Option<i64>, by: i64) -> rusqlite::Result<()> {
    let mut slice =
        transaction.prepare("SELECT max(id) FROM (SELECT id FROM bans WHERE id > ?1 ORDER BY id LIMIT ?2)")?;
    let mut begin = transaction.prepare(
        "UPDATE bans SET until = until - (since - ?3), since = ?3 WHERE id > ?1 AND id <= ?2 AND since > ?3",
    )?;
    let mut shift = transaction.prepare(
        "UPDATE bans SET since = max(-?4, min(?4, since)) + ?3, until = max(-?4, min(?4, until)) + ?3
         WHERE id > ?1 AND id <= ?2",
    )?;
    let mut after = i64::MIN;
    while let Some(last) = slice.query_row(params![after, SLICE], |row| row.get::<_, Option<i64>>(0))? {
        if let Some(latest) = latest {
            begin.execute(params![after, last, latest])?;
        }
        if by != 0 {
            shift.execute(params![after, last, by, offset::DISK_MAX])?;
        }
        after = last;
    }
    Ok(())
}

fn service_set(transaction: &Transaction<'_>, services: &Services, mask: ServiceMask) -> rusqlite::Result<i64> {
    let names = services.names(mask).collect::<Vec<_>>().join(",");
    transaction.execute("INSERT INTO service_sets (names) VALUES (?1) ON CONFLICT (names) DO NOTHING", [&names])?;
    transaction.query_row("SELECT id FROM service_sets WHERE names = ?1", [&names], |row| row.get(0))
}
