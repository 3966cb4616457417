//! What is known of one address.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Ban, Failures, Origin, Prefix, Text, Time};

/// The answer to `GET /v1/why/{address}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// The address asked for.
    pub address: IpAddr,
    /// What it is counted as: itself, or for IPv6 a prefix.
    pub source: Prefix,
    /// What keeps its packets from being dropped, whatever ban covers it; `null` where nothing does, or where a ban was forced
    /// over it.
    pub protected: Option<Text>,
    /// The bans that cover it, the narrowest first.
    pub bans: Vec<Ban>,
    /// How far it is from a ban, in each jail that counts failures of it.
    pub tally: Vec<Tally>,
    /// Its remembered failures, the oldest first.
    pub failures: Vec<Failure>,
    /// The line of the newest.
    pub newest_line: Option<Text>,
    /// Failures that were logged although it was banned: it reaches the server past this host's interfaces.
    pub failures_while_banned: u64,
    /// The bans that covered it and have ended, the latest first, at most [`HISTORY_MAX`].
    #[serde(default)]
    pub history: Vec<PastBan>,
    /// Why that cannot be told; `null` where it can.
    #[serde(default)]
    pub history_unknown: Option<Text>,
}

/// The most bans that have ended in one answer.
pub const HISTORY_MAX: usize = 20;

/// A ban that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastBan {
    /// Whose packets were dropped.
    pub prefix: Prefix,
    /// Who made it.
    pub origin: Origin,
    /// The jail that it counted for; `null` where there is none or it is not known.
    pub jail: Option<Text>,
    /// What the source could not reach.
    pub services: Vec<Text>,
    /// When it began.
    pub since: Time,
    /// When it ended.
    pub ended: Time,
    /// Why it ended.
    pub end: Text,
    /// It dropped nothing, and only counted what it would have dropped.
    pub observe: bool,
    /// The weight of the failures that it was for; `null` where it was for none.
    pub failures: Option<Failures>,
    /// The filter of the last of them.
    pub filter: Option<Text>,
    /// The line of the last of them.
    pub line: Option<Text>,
}

/// How far a source is from a ban in one jail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The jail.
    pub jail: Text,
    /// The weight of its failures within findtime.
    pub failures: Failures,
    /// The weight that bans.
    pub maxretry: u16,
    /// Seconds.
    pub findtime: u64,
    /// Why this jail never bans it, though others may; `null` where it can.
    pub protected: Option<Text>,
}

/// One failure to authenticate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What the line claims.
    pub at: Time,
    /// The filter that matched.
    pub filter: Text,
    /// The name that was tried, where the line has it.
    pub user: Option<Text>,
    /// What it counts: 1 for a wrong password.
    pub weight: Failures,
    /// The log that it stood in.
    pub file: Text,
    /// Bytes from that log's start to the line; of the journal, the number of the entry.
    pub offset: u64,
}
