//! How everything is.

use serde::{Deserialize, Serialize};

use super::{BanTime, Text, Time, TrippedFuse};

/// The answer to `GET /v1/status`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The running daemon; `null` where this was read from the kernel's pinned maps because none runs.
    pub daemon: Option<Daemon>,
    /// Where packets are dropped, or should be.
    pub interfaces: Vec<Interface>,
    /// In the order of the configuration; empty without a daemon.
    pub jails: Vec<Jail>,
    /// The logs that are read; empty without a daemon.
    pub files: Vec<File>,
    /// How long lines wait before they are judged; `null` without a daemon.
    pub lag: Option<Lag>,
    /// What the XDP program did, as the kernel counts it, since it was first attached.
    pub packets: Packets,
    /// How full the bounded tables are.
    pub limits: Limits,
    /// In the order of the configuration; empty without a daemon.
    #[serde(default)]
    pub lists: Vec<List>,
    /// Entries in the kernel's maps that follow from no ban: others have written them. `null` without a daemon, and from one that
    /// does not look for them.
    #[serde(default)]
    pub foreign_entries: Option<u64>,
    /// Fuses that are tripped.
    #[serde(default)]
    pub fuse: Vec<TrippedFuse>,
    /// Accounts that many networks fail on from which nobody logs in. Empty without a daemon, and from one that does not tell.
    #[serde(default)]
    pub accounts_under_attack: AccountsUnderAttack,
    /// What an operator should look at, a sentence each.
    pub warnings: Vec<Text>,
}

/// A running daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daemon {
    /// Its version.
    pub version: Text,
    /// Its process.
    pub pid: u32,
    /// When it started.
    pub since: Time,
}

/// Accounts that many networks fail on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountsUnderAttack {
    /// How many there are.
    pub total: u64,
    /// At most [`ATTACKS_MAX`] of them, the one that was failed on last first.
    pub accounts: Vec<AccountUnderAttack>,
}

/// The most accounts under attack that [`Status`] names.
pub const ATTACKS_MAX: usize = 100;

/// An account that many networks fail on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountUnderAttack {
    /// Its name, as a client wrote it; `null` where nobody has failed on it since the daemon started.
    pub account: Option<Text>,
    /// Since when.
    pub since: Time,
    /// The last failure.
    pub last: Time,
}

/// A network interface that is guarded, or should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// As the kernel or the configuration names it.
    pub name: Text,
    /// Where in the kernel the program runs; `null` where it does not.
    pub mode: Option<Mode>,
    /// Whether it runs.
    pub state: InterfaceState,
    /// Why it does not, or why not natively.
    pub note: Option<Text>,
}

/// Where in the kernel the XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In the driver.
    Native,
    /// Behind the driver, in the network stack: slower.
    Generic,
}

/// Whether an interface is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceState {
    /// The program runs there.
    Attached,
    /// It is configured, and does not exist.
    Missing,
    /// It exists, and the program cannot be attached.
    Failed,
}

/// A jail: what it is configured to do, and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jail {
    /// As the operator named it.
    pub name: Text,
    /// Sources with failures within findtime that are not banned.
    pub currently_failed: u64,
    /// Failures since the daemon started.
    pub total_failed: u64,
    /// Its bans that hold.
    pub currently_banned: u64,
    /// Its bans since the daemon started.
    pub total_banned: u64,
    /// So many failures ban.
    pub maxretry: u16,
    /// Within so many seconds.
    pub findtime: u64,
    /// For so long.
    pub bantime: BanTime,
    /// What a banned source cannot reach.
    pub services: Vec<Text>,
    /// The filters whose failures it counts.
    pub filter: Vec<Text>,
    /// The paths and patterns of paths that it reads.
    pub source: Vec<Text>,
    /// It only counts what it would drop.
    pub observe: bool,
}

/// A file of prefixes that are banned, or never are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// As the operator named it.
    pub name: Text,
    /// What is done with its prefixes.
    pub action: ListAction,
    /// It only counts what it would drop.
    pub observe: bool,
    /// Its file.
    pub file: Text,
    /// Prefixes that were last read from it, without those inside others.
    pub entries: u64,
    /// Its bans: fewer than `entries` where some are ignored, or where `follows` is not true.
    pub banned: u64,
    /// All its bans are as its file was last read.
    pub follows: bool,
    /// When it was last read; `null` for never.
    pub read: Option<Time>,
    /// Packets dropped by the kernel's entries for its prefixes, shared with other bans of the same prefixes. Of many entries as
    /// they were some minutes ago: a thousand are counted a second.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Why its file as it is now is not used.
    pub trouble: Option<Text>,
}

/// What is done with the prefixes of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListAction {
    /// They are banned.
    Ban,
    /// They are never banned.
    Ignore,
}

/// A log that is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its path.
    pub path: Text,
    /// Whether it is being read.
    pub state: FileState,
    /// Bytes from its start to the end of the last line that was read; of the journal, the number of the last entry.
    pub offset: u64,
    /// Bytes behind that line that are not read yet, in older files of this path too; 0 for the journal.
    #[serde(default)]
    pub behind: u64,
    /// Lines that were read since the daemon started.
    pub lines: u64,
    /// Why it is not read, or what is odd about it (stamps far from now, cut lines).
    pub note: Option<Text>,
}

/// Whether a log is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// It is read as it grows.
    Following,
    /// Its path now names another file; what is still written to it is read too.
    Draining,
    /// It does not exist, and is read once it does.
    Missing,
    /// It exists and cannot be read.
    Unreadable,
}

/// The longest that a line has waited between being written and being judged, in milliseconds: never less than it was, and
/// up to the second between two looks more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// Of the lines that are judged now, or were last.
    pub current_ms: u64,
    /// Of those that were judged within the last minute.
    pub worst_ms: u64,
}

/// Packets by what the XDP program decided. The names are those of `banner_common::Reason`, which says what each means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "banner_common::Reason documents each")]
pub struct Packets {
    pub dropped_ban: u64,
    pub dropped_odd: u64,
    pub dropped_unreadable: u64,
    pub observed: u64,
    pub passed_clean: u64,
    pub passed_ban: u64,
    pub passed_odd: u64,
    pub passed_unguarded: u64,
}

impl Packets {
    /// Takes the counter of each reason from `count`.
    ///
    /// # Errors
    /// The first that `count` returns.
    pub fn read<E>(mut count: impl FnMut(banner_common::Reason) -> Result<u64, E>) -> Result<Self, E> {
        use banner_common::Reason;
        Ok(Self {
            dropped_ban: count(Reason::DroppedBan)?,
            dropped_odd: count(Reason::DroppedOdd)?,
            dropped_unreadable: count(Reason::DroppedUnreadable)?,
            observed: count(Reason::Observed)?,
            passed_clean: count(Reason::PassedClean)?,
            passed_ban: count(Reason::PassedBan)?,
            passed_odd: count(Reason::PassedOdd)?,
            passed_unguarded: count(Reason::PassedUnguarded)?,
        })
    }
}

/// How full the bounded tables are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The kernel's map of IPv4 addresses.
    pub bans_v4: Fill,
    /// The kernel's map of IPv6 /64s.
    pub bans_v6: Fill,
    /// The kernel's map of all other IPv4 prefixes.
    pub prefixes_v4: Fill,
    /// The kernel's map of all other IPv6 prefixes.
    pub prefixes_v6: Fill,
    /// Sources with failures that the daemon remembers; `null` without a daemon.
    pub sources: Option<Fill>,
    /// Sources and prefixes whose former bans the daemon remembers; `null` without a daemon.
    #[serde(default)]
    pub offenders: Option<Fill>,
    /// Logins that the daemon remembers, by source and account; `null` without a daemon.
    #[serde(default)]
    pub customers: Option<Fill>,
}

/// How full one table is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Entries in it.
    pub used: u64,
    /// Entries that it can hold.
    pub limit: u64,
    /// Entries that had to give way, or found no room, since the daemon started.
    pub overflowed: u64,
}
