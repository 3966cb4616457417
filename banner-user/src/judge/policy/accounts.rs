//! What follows from an account that many sources fail on.

use std::{sync::Arc, time::Duration};

/// An account that many sources fail on is under attack, by a botnet whose members try too seldom to be counted one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// From so many sources on that failed within `findtime` and never logged in. At least 2.
    pub sources: u16,
    /// How long failures on accounts are remembered.
    pub findtime: Duration,
    /// A source that only ever failed, and on accounts under attack alone, is banned by so many failures within `findtime`. At
    /// least 2; who was banned for it before is banned by the next.
    pub maxretry: u16,
    /// For so long at least: who tries once a day does not notice ten minutes.
    pub bantime: Duration,
    /// Accounts that never existed, whose first try bans: names, with `*` for any text. Lower case.
    pub traps: Vec<Arc<str>>,
}

impl Default for Accounts {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { sources: 10, findtime: 7 * day, maxretry: 2, bantime: 7 * day, traps: Vec::new() }
    }
}
