//! Bans: listing them, making them, lifting them.

use serde::{Deserialize, Serialize};

use super::{BanTime, Prefix, Text, Time};

/// The most bans of one page, and how many a page has if nothing is said.
pub const PAGE_MAX: u16 = 10_000;

/// One ban. Bans overlap: an address may be held by several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Whose packets are dropped.
    pub prefix: Prefix,
    /// Who made it.
    pub origin: Origin,
    /// The jail that it counts for; `null` where there is none or it is not known.
    pub jail: Option<Text>,
    /// The list that has it; `null` where none does, or where it is not known.
    #[serde(default)]
    pub list: Option<Text>,
    /// What the source cannot reach.
    pub services: Vec<Text>,
    /// When it began; `null` where only the kernel knows of it, which does not keep that.
    pub since: Option<Time>,
    /// When it ends; `null` for never.
    pub until: Option<Time>,
    /// Seconds until then, rounded up; `null` for never.
    pub remaining: Option<u64>,
    /// Packets dropped by the kernel's entry for this prefix, which all bans of the prefix share.
    pub packets: u64,
    /// Their bytes, from the Ethernet header on.
    pub bytes: u64,
    /// When the last of them came; `null` for never.
    pub last_seen: Option<Time>,
    /// It drops nothing, and only counts what it would drop.
    pub observe: bool,
    /// It drops nothing yet: the kernel's map is full, and it waits for room.
    pub waits: bool,
}

/// Who made a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A jail, over its limit.
    Jail,
    /// An operator.
    Hand,
    /// An earlier run of the daemon; it was found in the kernel.
    Adopted,
    /// A list, while it has the prefix.
    List,
}

/// The query of `GET /v1/bans`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BansQuery {
    /// Only this jail's.
    pub jail: Option<Text>,
    /// Only this list's. Without it, no list's: there may be hundreds of thousands.
    #[serde(default)]
    pub list: Option<Text>,
    /// Only prefixes after this one: `next` of the page before.
    pub after: Option<Prefix>,
    /// So many at most, from 1 to [`PAGE_MAX`]. A page is never cut between two bans of one prefix, and may be longer by those; it
    /// may be shorter though more follow.
    pub limit: Option<u16>,
}

/// The answer to `GET /v1/bans`: bans in the order of their prefixes, IPv4 first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BansPage<B = Ban> {
    /// The bans of this page: read, or as they were written.
    pub bans: Vec<B>,
    /// What to ask for next (`after`); `null` on the last page.
    pub next: Option<Prefix>,
}

/// The body of `POST /v1/ban`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BanRequest {
    /// Whose packets to drop.
    pub prefix: Prefix,
    /// For how long; the jail's bantime if nothing is said.
    #[serde(default)]
    pub bantime: Option<BanTime>,
    /// From what; the jail's services if nothing is said.
    #[serde(default)]
    pub services: Vec<Text>,
    /// The jail that it counts for; the first one if nothing is said.
    #[serde(default)]
    pub jail: Option<Text>,
    /// Ban even what is wider than /8 (IPv6: /19) or on ignoreip.
    #[serde(default)]
    pub force: bool,
}

/// The answer to `POST /v1/ban`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Banned {
    /// Whose packets are dropped.
    pub prefix: Prefix,
    /// When it ends; `null` for never.
    pub until: Option<Time>,
    /// What the source cannot reach.
    pub services: Vec<Text>,
    /// What stays reachable inside the prefix, because it is protected.
    pub except: Vec<Prefix>,
    /// What `force` overrode.
    pub overridden: Vec<Text>,
    /// It drops nothing yet: the kernel's map is full of bans that do not yield, and it waits for room.
    pub waits: bool,
    /// Why it would be forgotten at a restart; `null` where it is on disk.
    #[serde(default)]
    pub not_saved: Option<Text>,
}

/// The body of `POST /v1/unban`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnbanRequest {
    /// Whose bans to lift.
    pub prefix: Prefix,
}

/// The answer to `POST /v1/unban`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unbanned {
    /// Whose bans were lifted; its failures are forgotten too.
    pub prefix: Prefix,
    /// How many bans that were.
    pub lifted: u64,
    /// Sources that are banned one by one instead of the prefix around it, which had been banned for them.
    #[serde(default)]
    pub instead: Vec<Prefix>,
    /// Wider bans that still hold it.
    pub still_banned_by: Vec<Prefix>,
    /// Why it would be forgotten at a restart; `null` where it is on disk.
    #[serde(default)]
    pub not_saved: Option<Text>,
}

/// The answer to `POST /v1/reload`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Bans that were lifted because their source is protected now.
    pub lifted: u64,
    /// What the configuration says that takes effect only at a restart, or seems unintended.
    pub warnings: Vec<Text>,
}

/// The answer to `POST /v1/detach`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detached {
    /// The interfaces that packets pass again.
    pub interfaces: Vec<Text>,
    /// How many entries the removed maps held.
    pub entries: u64,
    /// Why the bans return with the next start all the same; `null` where they do not.
    #[serde(default)]
    pub not_saved: Option<Text>,
}
