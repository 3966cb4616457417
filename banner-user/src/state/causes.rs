//! Why a source was banned, beside the row of its ban.

use ipnet::IpNet;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::{columns::Origins, failure::Failure};
use crate::judge::{Origin, Quarters, reason::Reason};

/// Why a source was banned, as it was told then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldCause {
    /// The weight of its failures within the window, in quarters.
    pub failures: Quarters,
    /// The weight that bans, in quarters; not of a ban that an older banner made.
    pub limit: Option<Quarters>,
    /// The filter that found the last one.
    pub filter: String,
    /// What else was taken into account.
    pub reasons: Vec<ToldReason>,
    /// The last one's line, as far as it is kept. Attacker text.
    pub line: Box<[u8]>,
}

/// What changed how a source was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldReason {
    /// [`Reason::name`].
    pub reason: String,
    /// A sentence's part, for people.
    pub text: String,
}

impl From<&Reason> for ToldReason {
    fn from(reason: &Reason) -> Self {
        Self { reason: reason.name().to_owned(), text: reason.to_string() }
    }
}

/// What stands in the column `reasons`.
pub(super) fn column(reasons: &[Reason]) -> Option<String> {
    let reasons: Vec<_> = reasons.iter().map(ToldReason::from).collect();
    // Nothing in it can fail: strings, in structs, in a list.
    if reasons.is_empty() { None } else { serde_json::to_string(&reasons).ok() }
}

/// The columns failures, filter, line, maximum and reasons, from the place `first` on.
pub(super) fn cause(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<ToldCause>> {
    let [failures, filter, line, limit, reasons] = [0, 1, 2, 3, 4].map(|place: usize| first.saturating_add(place));
    let (Some(failures), Some(filter), Some(line)) =
        (row.get(failures)?, row.get(filter)?, row.get::<_, Option<Vec<u8>>>(line)?)
    else {
        return Ok(None);
    };
    let reasons: Option<String> = row.get(reasons)?;
    // What cannot be read any more is left out: the ban is what it was.
    let reasons = reasons.and_then(|reasons| serde_json::from_str(&reasons).ok()).unwrap_or_default();
    Ok(Some(ToldCause { failures, limit: row.get(limit)?, filter, reasons, line: line.into() }))
}

/// Why exactly these prefixes are banned, and by whom.
pub(super) fn read(connection: &Connection, prefixes: &[IpNet]) -> Result<Vec<(IpNet, Origin, ToldCause)>, Failure> {
    let mut statement =
        connection.prepare("SELECT origin, failures, filter, line, maximum, reasons FROM bans WHERE prefix = ?1")?;
    let mut origins = Origins::default();
    let mut causes = Vec::new();
    for prefix in prefixes {
        let mut rows = statement.query(params![prefix.to_string()])?;
        while let Some(row) = rows.next()? {
            let cause = cause(row, 1)?;
            causes.extend(origins.parse(row.get_ref(0)?).zip(cause).map(|(origin, cause)| (*prefix, origin, cause)));
        }
    }
    Ok(causes)
}
