//! What of the judge outlives the daemon: bans and tallies, as they change.
//!
//! The store gets what has changed since it was last asked for (`Judge::changes`), commits it together with how far the logs
//! were read, and a new daemon gets it back (`Input::Restore`) before it reads on: so each line takes
//! effect once, whenever the daemon dies.

use std::sync::Arc;

use ipnet::IpNet;

use super::{
    Quarters,
    customers::{Login, Seen},
    effect::Until,
    history::Offences,
    origin::Origin,
    reason::Reason,
    report::Ended,
    suspects::Suspect,
    window::Counted,
};
use crate::{clock::BootTime, event::FilterName, service::ServiceMask};

/// One ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedBan {
    /// Whose packets.
    pub prefix: IpNet,
    /// Who made it. One origin bans a prefix once.
    pub origin: Origin,
    /// Since when: before the machine has started, for one that has outlived a reboot.
    pub since: BootTime,
    /// Until when.
    pub until: Until,
    /// From what.
    pub services: ServiceMask,
    /// Counted, not dropped.
    pub observe: bool,
    /// Made by hand with force, over what would have protected it.
    pub forced: bool,
}

/// What one source has done in one jail within its window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedTally {
    /// The jail's name.
    pub jail: Arc<str>,
    /// The source.
    pub source: IpNet,
    /// Its failures, oldest first.
    pub failures: Vec<Counted>,
    /// It was over the limit, is never banned, and that was told.
    pub told: bool,
}

/// The bans that a prefix has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedOffences {
    /// What was banned.
    pub prefix: IpNet,
    /// They only observed.
    pub observe: bool,
    /// The bans.
    pub offences: Offences,
}

/// Whom a prefix was banned for, as long as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRaid {
    /// What is banned.
    pub prefix: IpNet,
    /// Who made the ban.
    pub origin: Origin,
    /// The sources in it that failed, the one that failed longest ago first.
    pub members: Vec<IpNet>,
    /// The filter that found the last failure.
    pub filter: FilterName,
}

/// Which accounts a source has tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedSuspect {
    /// The source.
    pub source: IpNet,
    /// Its tries.
    pub suspect: Suspect,
}

/// What a new daemon goes on from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// The bans that were in force, those that have ended since among them.
    pub bans: Vec<SavedBan>,
    /// The tallies, those whose windows are over by now among them.
    pub tallies: Vec<SavedTally>,
    /// Who has logged in lately.
    pub logins: Vec<(Login, Seen)>,
    /// Who was banned before.
    pub offences: Vec<SavedOffences>,
    /// Whom prefixes were banned for.
    pub raids: Vec<SavedRaid>,
    /// Which accounts were tried by whom, what is too long ago by now among it.
    pub suspects: Vec<SavedSuspect>,
}

/// What has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// In the order in which it happened.
    pub bans: Vec<BanChange>,
    /// Each source once for each jail, as it is now.
    pub tallies: Vec<TallyChange>,
    /// Each login once, as it is now; none where it is too long ago by now.
    pub logins: Vec<(Login, Option<Seen>)>,
    /// Each prefix once for each history, as it is now.
    pub offences: Vec<OffencesChange>,
    /// Each ban once, as it is now.
    pub raids: Vec<RaidChange>,
    /// Each source once, as it is now.
    pub suspects: Vec<SuspectChange>,
    /// This is everything, not what has changed: what else is stored, is not so any more.
    pub complete: bool,
}

/// What happened to a ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BanChange {
    /// It began, or (by hand, at the same prefix) was changed.
    Began {
        /// As it is from then on.
        ban: SavedBan,
        /// What was counted; not for a ban by hand or of an earlier run.
        cause: Option<Cause>,
    },
    /// It ended.
    Ended {
        /// Whose packets.
        prefix: IpNet,
        /// Who had made it.
        origin: Origin,
        /// When.
        at: BootTime,
        /// Why.
        why: Ended,
    },
}

/// Why a source was banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The weight of its failures within the window, in quarters.
    pub failures: Quarters,
    /// The weight that bans, in quarters.
    pub limit: Quarters,
    /// The filter that found the last one.
    pub filter: FilterName,
    /// What else was taken into account, in the order in which it was.
    pub reasons: Vec<Reason>,
    /// The last one's line, as far as it is kept. Attacker text.
    pub line: Box<[u8]>,
}

/// How a tally is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TallyChange {
    /// Like this.
    Counted(SavedTally),
    /// It is no longer needed: banned, forgiven, or its window is over.
    Gone {
        /// The jail's name.
        jail: Arc<str>,
        /// The source.
        source: IpNet,
    },
}

/// How the history of a prefix is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffencesChange {
    /// Like this.
    Banned(SavedOffences),
    /// Its bans are forgotten, or taken back.
    Gone {
        /// What was banned.
        prefix: IpNet,
        /// They only observed.
        observe: bool,
    },
}

/// Whom a prefix is banned for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaidChange {
    /// For these.
    Began(SavedRaid),
    /// It is no longer banned for anybody.
    Ended {
        /// What was banned.
        prefix: IpNet,
        /// Who had made the ban.
        origin: Origin,
    },
}

/// How what is known of a suspect is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspectChange {
    /// Like this.
    Tried(SavedSuspect),
    /// It is forgotten.
    Gone {
        /// The source.
        source: IpNet,
    },
}
