//! What follows from an account that many sources fail on.

use std::{sync::Arc, time::Duration};

/// The most traps; more have no effect.
pub const TRAPS_MAX: usize = 1_000;

/// An account that many sources fail on is under attack, by a botnet whose members try too seldom to be counted one by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// From so many networks (IPv4 /24, IPv6 /48) on that failed within `window`, and from which nobody logged in. At least 2.
    pub sources: u16,
    /// How long their failures count; and when nobody has failed for so long, the attack is over.
    pub window: Duration,
    /// A source that only ever failed, and on accounts under attack alone, is banned by so many failures within `findtime`. At
    /// least 2, at most [`TRIES_MAX`](crate::judge::TRIES_MAX); who was banned for it before is banned by the next.
    pub maxretry: u16,
    /// How long the tries of a source are remembered.
    pub findtime: Duration,
    /// For so long at least: who tries once a day does not notice ten minutes. Traps ban for as long.
    pub bantime: Duration,
    /// Accounts that never existed, whose first try bans: names, with `*` for any text. Lower case, at most [`TRAPS_MAX`].
    pub traps: Vec<Arc<str>>,
}

impl Default for Accounts {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { sources: 10, window: day, maxretry: 2, findtime: 7 * day, bantime: 7 * day, traps: Vec::new() }
    }
}
