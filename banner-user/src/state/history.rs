//! Bans that have ended: what is kept of them, and for how long.

use std::time::Duration;

use ipnet::IpNet;

use crate::{
    clock::WallTime,
    judge::{Origin, Quarters},
};

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
    pub cause: Option<PastCause>,
    /// When it ended.
    pub ended: WallTime,
    /// Why, as a sentence's end. `unknown` where the daemon was not there, or could not write, when it ended.
    pub why: String,
}

/// Why a source was banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastCause {
    /// The weight of its failures within the window, in quarters.
    pub failures: Quarters,
    /// The filter that found the last one.
    pub filter: String,
    /// The last one's line, as far as it is kept. Attacker text.
    pub line: Box<[u8]>,
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
