//! What the store does, in memory.

use std::{collections::BTreeMap, sync::Arc};

use crate::judge::{
    Login, Origin, Seen,
    saved::{
        BanChange, Changes, OffencesChange, RaidChange, Saved, SavedBan, SavedOffences, SavedRaid, SavedSuspect,
        SavedTally, SuspectChange, TallyChange,
    },
};

/// The saved state of a judge.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    bans: BTreeMap<(ipnet::IpNet, Origin), SavedBan>,
    tallies: BTreeMap<(Arc<str>, ipnet::IpNet), SavedTally>,
    logins: BTreeMap<Login, Seen>,
    offences: BTreeMap<(ipnet::IpNet, bool), SavedOffences>,
    raids: BTreeMap<(ipnet::IpNet, Origin), SavedRaid>,
    suspects: BTreeMap<ipnet::IpNet, SavedSuspect>,
    /// How many lines had been judged.
    pub(super) position: usize,
}

impl Disk {
    pub(super) fn commit(&mut self, changes: Changes, position: usize) {
        if changes.complete {
            *self = Self::default();
        }
        for change in changes.bans {
            match change {
                BanChange::Began { ban, .. } => drop(self.bans.insert((ban.prefix, ban.origin.clone()), ban)),
                BanChange::Ended { prefix, origin, .. } => {
                    assert!(self.bans.remove(&(prefix, origin)).is_some(), "only what has begun ends: {prefix}");
                }
            }
        }
        for change in changes.tallies {
            match change {
                TallyChange::Counted(tally) => drop(self.tallies.insert((tally.jail.clone(), tally.source), tally)),
                TallyChange::Gone { jail, source } => drop(self.tallies.remove(&(jail, source))),
            }
        }
        for (login, seen) in changes.logins {
            match seen {
                Some(seen) => drop(self.logins.insert(login, seen)),
                None => drop(self.logins.remove(&login)),
            }
        }
        for change in changes.offences {
            match change {
                OffencesChange::Banned(saved) => drop(self.offences.insert((saved.prefix, saved.observe), saved)),
                OffencesChange::Gone { prefix, observe } => drop(self.offences.remove(&(prefix, observe))),
            }
        }
        for change in changes.raids {
            match change {
                RaidChange::Began(raid) => drop(self.raids.insert((raid.prefix, raid.origin.clone()), raid)),
                RaidChange::Ended { prefix, origin } => drop(self.raids.remove(&(prefix, origin))),
            }
        }
        for change in changes.suspects {
            match change {
                SuspectChange::Tried(saved) => drop(self.suspects.insert(saved.source, saved)),
                SuspectChange::Gone { source } => drop(self.suspects.remove(&source)),
            }
        }
        self.position = position;
    }

    pub(super) fn saved(&self) -> Saved {
        Saved {
            bans: self.bans.values().cloned().collect(),
            tallies: self.tallies.values().cloned().collect(),
            logins: self.logins.iter().map(|(login, seen)| (*login, *seen)).collect(),
            offences: self.offences.values().copied().collect(),
            raids: self.raids.values().cloned().collect(),
            suspects: self.suspects.values().copied().collect(),
        }
    }
}
