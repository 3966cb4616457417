//! The fuse: failures of customers that are taken for an outage.

use serde::{Deserialize, Serialize};

use super::{Text, Time};

/// The body of `POST /v1/fuse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum FuseRequest {
    /// Have it be tripped for all filters.
    Trip {
        /// For so many seconds, 1 to [`TRIPPED_MAX`].
        seconds: u64,
    },
    /// Have it be tripped no more, and not trip by itself for the length of its window.
    Reset,
}

/// The longest that it can be tripped by hand, in seconds: a day. An outage that lasts longer is looked at again.
pub const TRIPPED_MAX: u64 = 24 * 60 * 60;

/// The answer to `POST /v1/fuse`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FuseAnswer {
    /// What is tripped now.
    pub tripped: Vec<TrippedFuse>,
    /// How many were and are no more.
    pub reset: u64,
}

/// A fuse that is tripped: failures of customers count against nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrippedFuse {
    /// For what this filter tells; `null` where it was tripped by hand, for all.
    pub filter: Option<Text>,
    /// Since when customers fail, or when it was tripped by hand.
    pub since: Time,
    /// When it ends, where it was tripped by hand.
    pub until: Option<Time>,
    /// Failures that were spared.
    pub spared: u64,
}
