//! Outages of the authentication backend: while one lasts, right passwords fail too. Told when it begins and when it is over.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    clock::{BootTime, LogTime, Now},
    event::FilterName,
};

/// An outage is over when nothing was heard of it for so long.
const QUIET: Duration = Duration::from_secs(60);

/// Filters whose outages are told apart; a further one is not told. Only filters of a configured jail come here.
const FILTERS_MAX: usize = 256;

/// What is known of an outage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutageState {
    /// Whose lines told of it.
    pub filter: FilterName,
    /// When its first line says it began.
    pub since: LogTime,
    /// When its last line says it still was.
    pub last: LogTime,
    /// Lines so far.
    pub lines: u64,
    quiet_at: BootTime,
}

/// The outages of now, by filter.
#[derive(Debug, Default)]
pub(super) struct Outages {
    current: BTreeMap<FilterName, OutageState>,
}

impl Outages {
    /// Notes a line. The outage, where it has just begun.
    pub(super) fn note(&mut self, filter: &FilterName, at: LogTime, now: Now) -> Option<OutageState> {
        if at.distance(now.wall.as_log_time()) > QUIET {
            return None; // Read late: that outage is over.
        }
        let quiet_at = now.boot + QUIET;
        if let Some(state) = self.current.get_mut(filter) {
            state.last = state.last.max(at);
            state.lines = state.lines.saturating_add(1);
            state.quiet_at = quiet_at;
            return None;
        }
        if self.current.len() >= FILTERS_MAX {
            return None;
        }
        let state = OutageState { filter: filter.clone(), since: at, last: at, lines: 1, quiet_at };
        self.current.insert(filter.clone(), state.clone());
        Some(state)
    }

    /// An outage that is over, taken out.
    pub(super) fn over(&mut self, now: BootTime) -> Option<OutageState> {
        let filter = self.current.values().find(|state| state.quiet_at <= now)?.filter.clone();
        self.current.remove(&filter)
    }

    pub(super) fn next_deadline(&self) -> Option<BootTime> {
        self.current.values().map(|state| state.quiet_at).min()
    }

    pub(super) fn current(&self) -> impl Iterator<Item = &OutageState> {
        self.current.values()
    }
}
