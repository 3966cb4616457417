//! What is known of one address.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Ban, BanTime, Failures, Origin, Prefix, Text, Time};
use crate::judge;

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
    /// Why those bans were made, where that is known.
    #[serde(default)]
    pub causes: Vec<Cause>,
    /// How far it is from a ban, in each jail that counts failures of it.
    pub tally: Vec<Tally>,
    /// What else is known of it.
    #[serde(default)]
    pub standing: Standing,
    /// The prefix around it, where such are banned for the sources in them; `null` where not.
    #[serde(default)]
    pub network: Option<Network>,
    /// Its remembered failures, the oldest first.
    pub failures: Vec<Failure>,
    /// The line of the newest.
    pub newest_line: Option<Text>,
    /// Failures that were logged although it was banned: it reaches the server past this host's interfaces.
    pub failures_while_banned: u64,
    /// The bans that covered it and have ended, the latest first, at most [`HISTORY_MAX`].
    #[serde(default)]
    pub history: Vec<PastBan>,
    /// Why that, and `causes`, cannot be told; `null` where it can.
    #[serde(default)]
    pub history_unknown: Option<Text>,
    /// What would let it in, in the order in which to think of it; nothing where it is not banned.
    #[serde(default)]
    pub remedies: Vec<Text>,
}

/// Why a ban was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// Whose packets are dropped.
    pub prefix: Prefix,
    /// Who made the ban.
    pub origin: Origin,
    /// The jail that it counted for; `null` where there is none.
    pub jail: Option<Text>,
    /// The weight of the failures that it was for.
    pub failures: Failures,
    /// The weight that bans; `null` where it is not known any more.
    pub limit: Option<Failures>,
    /// The filter of the last failure.
    pub filter: Text,
    /// What else was taken into account, in the order in which it was.
    pub reasons: Vec<Reason>,
    /// The line of the last failure.
    pub line: Option<Text>,
}

/// What changed how a source was judged, beside its failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Its name: `known_accounts`, `customer`, `shared_source`, `trap`, `spraying`, `many_accounts`, `under_attack`, `banned_before`,
    /// `recidivist`, `members`, `member_of`.
    pub reason: Text,
    /// For people.
    pub text: Text,
}

impl From<&judge::reason::Reason> for Reason {
    fn from(reason: &judge::reason::Reason) -> Self {
        Self { reason: reason.name().into(), text: Text::from(reason.to_string()) }
    }
}

/// What is known of a source beside its failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Somebody has logged in from there lately.
    pub customer: bool,
    /// Accounts that have, counted up to as many as make it shared.
    pub accounts: u64,
    /// As many as that have.
    pub shared: bool,
    /// The fuse is tripped: its failures on accounts that logged in from there count against nobody.
    pub spared: bool,
    /// Accounts that it has tried lately, of those that are kept.
    pub tried: u64,
    /// Of these, those under attack.
    pub attacked: u64,
    /// Its bans that make the next one longer.
    pub banned_before: u64,
}

/// How the prefix around a source stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// The prefix.
    pub prefix: Prefix,
    /// The sources in it that failed lately, or for which it is banned.
    pub members: Vec<Prefix>,
    /// So many ban it.
    pub limit: u64,
    /// Somebody has logged in from there lately: it is not banned.
    pub customers: bool,
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
    /// The weight that bans; `null` where it is not known any more.
    #[serde(default)]
    pub limit: Option<Failures>,
    /// What else was taken into account.
    #[serde(default)]
    pub reasons: Vec<Reason>,
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
    /// What that comes to by what else is known of it: this is compared with `maxretry`.
    #[serde(default)]
    pub weighed: Option<Failures>,
    /// The weight that bans.
    pub maxretry: u16,
    /// Seconds.
    pub findtime: u64,
    /// How long it would be banned for, were that enough.
    #[serde(default)]
    pub bantime: Option<BanTime>,
    /// What was taken into account for both.
    #[serde(default)]
    pub reasons: Vec<Reason>,
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
