//! What has changed since the state was last saved.

use std::{borrow::Cow, collections::BTreeSet};

use ipnet::IpNet;

use super::{
    Judge,
    ledger::{Key, Record},
    origin::{Origin, OriginId},
    prefixes::Raid,
    recent::Recent,
    report::{Because, Ended},
    saved::{
        BanChange, Cause, Changes, OffencesChange, RaidChange, SavedBan, SavedOffences, SavedRaid, SavedSuspect,
        SavedTally, SuspectChange, TallyChange,
    },
    suspects::Suspect,
};
use crate::{clock::BootTime, judge::jail::Tracked};

/// So many beginnings and ends of bans may wait to be saved, or as many as there are bans: where the state cannot be written for
/// hours. Beyond, it is only known which bans there are, and to write all of them is less than to write what has changed.
const BANS_MIN: usize = 200_000;

/// Beginnings and ends of bans that are not saved yet.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    bans: Vec<BanChange>,
    /// Bans of prefixes whose members came on record, or off it.
    raids: BTreeSet<(IpNet, Origin)>,
    /// What is to be saved is everything.
    is_everything: bool,
    /// When what happens now happens.
    pub(super) now: BootTime,
}

impl Unsaved {
    pub(super) fn bans(&self) -> &[BanChange] {
        &self.bans
    }

    /// `in_force` is how many bans there are.
    pub(super) fn note(&mut self, change: BanChange, in_force: usize) {
        if self.is_everything {
            return;
        }
        self.bans.push(change);
        if self.bans.len() > in_force.max(BANS_MIN) {
            self.everything();
        }
    }

    pub(super) fn note_raid(&mut self, prefix: IpNet, origin: Origin) {
        if !self.is_everything {
            self.raids.insert((prefix, origin));
        }
        if self.raids.len() > BANS_MIN {
            self.everything();
        }
    }

    pub(super) fn everything(&mut self) {
        self.bans = Vec::new();
        self.raids = BTreeSet::new();
        self.is_everything = true;
    }
}

impl Judge {
    /// Remembers from now on what changes, for [`Self::changes`]. To be called before anything is judged.
    #[must_use]
    pub fn saved(mut self) -> Self {
        self.unsaved = Some(Unsaved::default());
        for jail in &mut self.jails {
            jail.tracked = Recent::watched();
        }
        self.customers.watch();
        self.history.watch();
        self.suspects.watch();
        self
    }

    /// What has changed since this was last asked for.
    #[must_use]
    pub fn changes(&mut self) -> Changes {
        let Some(unsaved) = &mut self.unsaved else { return Changes::default() };
        let (bans, raids) = (std::mem::take(&mut unsaved.bans), std::mem::take(&mut unsaved.raids));
        let is_everything = std::mem::take(&mut unsaved.is_everything);
        // Asked of all before anything is gathered: each is asked once a batch, and everything makes the rest needless.
        let tallies: Vec<_> = self.jails.iter_mut().map(|jail| jail.tracked.take_changed()).collect();
        let tallies: Option<Vec<_>> = tallies.into_iter().collect();
        let logins = self.customers.take_changed();
        let offences = [false, true].map(|observe| self.history.of_mut(observe).take_changed());
        let suspects = self.suspects.sources_mut().take_changed();
        let (false, Some(tallies), Some(logins), [Some(offences), Some(observed)], Some(suspects)) =
            (is_everything, tallies, logins, offences, suspects)
        else {
            return self.everything();
        };
        let mut changes = Changes { bans, ..Changes::default() };
        for (jail, sources) in self.jails.iter().zip(tallies) {
            changes.tallies.extend(sources.into_iter().map(|source| {
                let name = || jail.jail.name.clone();
                match jail.tracked.get(source) {
                    Some(tracked) => TallyChange::Counted(tally(name(), source, &tracked)),
                    None => TallyChange::Gone { jail: name(), source },
                }
            }));
        }
        changes.logins = logins.into_iter().map(|login| (login, self.customers.get(login))).collect();
        changes.raids.extend(raids.into_iter().map(|(prefix, origin)| match self.raid(prefix, &origin) {
            Some(raid) => RaidChange::Began(saved_raid(prefix, origin, raid)),
            None => RaidChange::Ended { prefix, origin },
        }));
        for (observe, prefixes) in [(false, offences), (true, observed)] {
            let history = self.history.of(observe);
            changes.offences.extend(prefixes.into_iter().map(|prefix| {
                let offences = history.get(prefix).as_deref().copied();
                let banned = |offences| OffencesChange::Banned(SavedOffences { prefix, observe, offences });
                offences.map_or(OffencesChange::Gone { prefix, observe }, banned)
            }));
        }
        changes.suspects.extend(suspects.into_iter().map(|source| {
            let tried = |suspect: Cow<'_, Suspect>| SuspectChange::Tried(SavedSuspect { source, suspect: *suspect });
            self.suspects.get(source).map_or(SuspectChange::Gone { source }, tried)
        }));
        for change in &mut changes.bans {
            if let BanChange::Began { ban, cause: Some(cause) } = change {
                cause.line = self.archive.get(ban.prefix).map(|evidence| evidence.line.clone()).unwrap_or_default();
            }
        }
        changes
    }

    /// These could not be saved: they are among the next [`Self::changes`] again.
    pub fn not_saved(&mut self, changes: Changes) {
        let Some(unsaved) = &mut self.unsaved else { return };
        if changes.complete {
            return unsaved.everything();
        }
        changes.logins.iter().for_each(|(login, _)| self.customers.note_changed(*login));
        let later = std::mem::take(&mut unsaved.bans);
        if !unsaved.is_everything {
            unsaved.bans = changes.bans;
            later.into_iter().for_each(|change| unsaved.note(change, self.ledger.len()));
        }
        for tally in &changes.tallies {
            let (TallyChange::Counted(SavedTally { jail: name, source, .. })
            | TallyChange::Gone { jail: name, source }) = tally;
            if let Some(jail) = self.jails.iter_mut().find(|jail| jail.jail.name == *name) {
                jail.tracked.note_changed(*source);
            }
        }
        if let Some(unsaved) = &mut self.unsaved {
            for change in changes.raids {
                let (RaidChange::Began(SavedRaid { prefix, origin, .. }) | RaidChange::Ended { prefix, origin }) =
                    change;
                unsaved.note_raid(prefix, origin);
            }
        }
        for change in changes.offences {
            let (OffencesChange::Banned(SavedOffences { prefix, observe, .. })
            | OffencesChange::Gone { prefix, observe }) = change;
            self.history.of_mut(observe).note_changed(prefix);
        }
        for change in changes.suspects {
            let (SuspectChange::Tried(SavedSuspect { source, .. }) | SuspectChange::Gone { source }) = change;
            self.suspects.sources_mut().note_changed(source);
        }
    }

    /// Nothing of what was saved is there any more: everything is among the next [`Self::changes`].
    pub fn nothing_is_saved(&mut self) {
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.everything();
        }
    }

    /// All that there is.
    pub(super) fn everything(&self) -> Changes {
        // There may be a million, which are copied while the loop stands still.
        let mut bans = Vec::with_capacity(self.ledger.len());
        let began = |(key, record)| BanChange::Began { ban: self.saved_ban(key, record), cause: None };
        // The file of a list is the truth about its bans.
        bans.extend(self.ledger.after(None).filter(|(key, _)| !key.origin.is_list()).map(began));
        let tallies = self.jails.iter().flat_map(|jail| {
            let tallies = jail.tracked.iter();
            tallies.map(|(source, tracked)| TallyChange::Counted(tally(jail.jail.name.clone(), source, &tracked)))
        });
        let logins = self.customers.iter().map(|(login, seen)| (login, Some(seen))).collect();
        let offences = [false, true].into_iter().flat_map(|observe| {
            let history = self.history.of(observe).iter();
            history.map(move |(prefix, offences)| SavedOffences { prefix, observe, offences: *offences })
        });
        let offences = offences.map(OffencesChange::Banned).collect();
        let raid = |(key, raid): (&Key, &Raid)| saved_raid(key.prefix, self.origins.origin(key.origin), raid);
        let raids = self.raids.iter().map(raid).map(RaidChange::Began).collect();
        let suspects = self.suspects.sources().iter();
        let suspects =
            suspects.map(|(source, suspect)| SuspectChange::Tried(SavedSuspect { source, suspect: *suspect }));
        let (tallies, suspects) = (tallies.collect(), suspects.collect());
        Changes { bans, tallies, offences, logins, raids, suspects, complete: true }
    }

    pub(super) fn note_began(&mut self, key: Key, because: Option<&Because>) {
        if self.unsaved.is_none() || key.origin.is_list() {
            return;
        }
        let Some(ban) = self.ledger.get(key).map(|record| self.saved_ban(key, record)) else { return };
        // The line is looked for when the change is asked for: this one is not kept yet.
        let cause = because.map(|because| Cause {
            failures: because.failures,
            limit: because.limit,
            filter: because.filter.clone(),
            reasons: because.reasons.clone(),
            line: Box::default(),
        });
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.note(BanChange::Began { ban, cause }, self.ledger.len());
        }
    }

    pub(super) fn note_ended(&mut self, key: Key, at: BootTime, why: Ended) {
        if key.origin.is_list() {
            return;
        }
        let origin = self.origins.origin(key.origin);
        if let Some(unsaved) = &mut self.unsaved {
            let at = at.min(unsaved.now);
            unsaved.note(BanChange::Ended { prefix: key.prefix, origin, at, why }, self.ledger.len());
        }
    }

    pub(super) fn note_raid(&mut self, key: Key) {
        let origin = self.origins.origin(key.origin);
        if let Some(unsaved) = &mut self.unsaved {
            unsaved.note_raid(key.prefix, origin);
        }
    }

    fn raid(&self, prefix: IpNet, origin: &Origin) -> Option<&Raid> {
        let key = |origin| Key { prefix, origin };
        let mut raids = self.raids.range(key(OriginId::FIRST)..=key(OriginId::LAST));
        raids.find(|(key, _)| self.origins.origin(key.origin) == *origin).map(|(_, raid)| raid)
    }

    fn saved_ban(&self, key: Key, record: &Record) -> SavedBan {
        SavedBan {
            prefix: key.prefix,
            origin: self.origins.origin(key.origin),
            since: record.since,
            until: record.until(),
            services: record.services,
            observe: record.observe,
            // Whoever else bans does it inside no protection.
            forced: key.origin == OriginId::HAND && self.ledger.protections().covering(key.prefix).next().is_some(),
        }
    }
}

fn tally(jail: std::sync::Arc<str>, source: IpNet, tracked: &Tracked) -> SavedTally {
    SavedTally { jail, source, failures: tracked.window.failures().to_vec(), told: tracked.told }
}

fn saved_raid(prefix: IpNet, origin: Origin, raid: &Raid) -> SavedRaid {
    SavedRaid { prefix, origin, members: raid.members.to_vec(), filter: raid.filter.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_changes_wait_as_there_are_bans_but_no_more() {
        let origin = Origin::Hand;
        for (in_force, number, is_everything) in
            [(3, BANS_MIN, false), (3, BANS_MIN + 1, true), (BANS_MIN + 5, BANS_MIN + 5, false)]
        {
            let mut unsaved = Unsaved::default();
            for _ in 0..number {
                let prefix = IpNet::from(std::net::IpAddr::from([192, 0, 2, 1]));
                let (at, why) = (BootTime::default(), Ended::Expired);
                unsaved.note(BanChange::Ended { prefix, origin: origin.clone(), at, why }, in_force);
            }
            assert_eq!(unsaved.is_everything, is_everything, "{number} changes, {in_force} bans");
            assert_eq!(unsaved.bans.len(), if is_everything { 0 } else { number });
        }
    }
}
