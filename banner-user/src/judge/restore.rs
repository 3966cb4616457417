//! What an earlier run has saved goes on.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{
    Judge,
    customers::{Customers, Login, Seen},
    effect::{Effect, Until},
    jail::{JailState, Tracked},
    ledger::{Key, Record},
    origin::Origin,
    prefixes::Raid,
    report::{Ended, Report},
    saved::{BanChange, Saved, SavedBan, SavedOffences, SavedRaid, SavedTally},
    window::Window,
};
use crate::clock::{LogTime, Now};

impl Judge {
    /// Takes bans and tallies over, but for those that are over or protected by now. Writes nothing: see
    /// [`Input::Restore`](super::Input::Restore).
    pub(super) fn restore(&mut self, saved: Saved, now: Now, effects: &mut Vec<Effect>) {
        // Of who logs in every hour only the last time is kept. Whoever was banned before was so by a run that heard of logins, too.
        let first = saved.offences.iter().flat_map(|saved| saved.offences.latest()).map(|offence| offence.began).min();
        for SavedOffences { prefix, observe, offences } in saved.offences {
            let history = self.history.of_mut(observe);
            // What has happened since the start is known better, where the state could not be opened then.
            if !history.has_changed(prefix) {
                history.restore(prefix, offences);
            }
        }
        let (mut bans, mut ended) = (Vec::with_capacity(saved.bans.len()), 0_usize);
        let lifted = self.lifted_meanwhile();
        for ban in saved.bans {
            if let Until::Boot(until) = ban.until
                && until <= now.boot
            {
                self.was_banned(&ban, now.wall_at(until).as_log_time());
                self.note_over(ban, Ended::Expired);
                ended = ended.saturating_add(1);
            } else if !lifted.contains(&ban.prefix) {
                bans.extend(self.restored_ban(ban, effects));
            }
        }
        // The first of a key has it.
        bans.sort_by_key(|(key, _)| *key);
        bans.dedup_by_key(|(key, _)| *key);
        bans.iter().for_each(|(key, _)| self.origins.goes_on(key.origin));
        let number = bans.len();
        self.ledger.restore(bans);
        saved.raids.into_iter().for_each(|raid| self.restore_raid(raid));
        // By age, as they came: each has its place at the end then.
        let mut tallies = saved.tallies;
        tallies.sort_by_key(|tally| tally.failures.iter().map(|failure| failure.at).max());
        let tallies = tallies.into_iter().filter_map(|tally| self.restore_tally(tally)).count();
        self.restore_logins(saved.logins, now);
        if let Some(began) = first {
            self.customers.known_since(LogTime(i64::from(began).saturating_mul(1_000_000)));
        }
        self.restore_suspects(saved.suspects, now);
        self.bound_sources(now, effects);
        let is_any = number > 0 || ended > 0 || tallies > 0;
        effects.extend(is_any.then_some(Effect::Report(Report::Restored { bans: number, ended, tallies })));
    }

    /// What was found in the kernel and lifted since the start, where the state could not be opened then: no ban that it still
    /// has comes back.
    fn lifted_meanwhile(&self) -> BTreeSet<IpNet> {
        let changes = self.unsaved.iter().flat_map(|unsaved| unsaved.bans());
        changes
            .filter_map(|change| match change {
                BanChange::Ended {
                    prefix, why: Ended::ByHand | Ended::Yielded(_) | Ended::CannotProtect(_), ..
                } => Some(*prefix),
                BanChange::Began { .. } | BanChange::Ended { .. } => None,
            })
            .collect()
    }

    /// The ban as the ledger takes it, where it goes on.
    fn restored_ban(&mut self, ban: SavedBan, effects: &mut Vec<Effect>) -> Option<(Key, Record)> {
        if let Some(protection) = self.ledger.protections().forbids(ban.prefix, ban.forced) {
            let why = Ended::Protected(protection);
            effects.push(Effect::Report(Report::Unbanned { origin: ban.origin.clone(), prefix: ban.prefix, why }));
            self.note_in_history(ban.prefix, &ban.origin, (ban.observe, ban.until), why);
            self.note_over(ban, why);
            return None;
        }
        let key = Key { prefix: ban.prefix, origin: self.origins.of_earlier_run(ban.origin)? };
        // One that is there was made since the start: the state could not be opened then.
        let is_new = self.ledger.get(key).is_none();
        is_new.then(|| (key, Record::new(ban.since, ban.until, ban.services, ban.observe)))
    }

    fn restore_logins(&mut self, logins: Vec<(Login, Seen)>, now: Now) {
        let remember = self.policy.customers.as_ref().map(|policy| policy.remember);
        let start = remember.map(|remember| Customers::start(now.wall.as_log_time(), remember));
        for (login, seen) in logins {
            if start.is_some_and(|start| seen.at >= start) {
                self.customers.restore(login, seen);
            } else {
                self.customers.note_changed(login); // Gone.
            }
        }
    }

    /// Whom a prefix was banned for, where that ban goes on.
    fn restore_raid(&mut self, SavedRaid { prefix, origin, members, filter }: SavedRaid) {
        let made_it = |key: &Key| self.origins.origin(key.origin) == origin;
        match self.ledger.at(prefix).map(|(key, _)| key).find(made_it) {
            Some(key) => {
                self.raids.entry(key).or_insert(Raid { members: members.into(), filter });
            }
            None => {
                if let Some(unsaved) = &mut self.unsaved {
                    unsaved.note_raid(prefix, origin);
                }
            }
        }
    }

    fn restore_tally(&mut self, SavedTally { jail, source, failures, told }: SavedTally) -> Option<()> {
        let jail = self.jails.iter_mut().find(|state| state.jail.name == jail)?;
        let window = Window::restored(failures);
        // What is over is forgotten with the first thing that happens, and so is gone from the state.
        window.newest()?;
        // The state could not be opened at the start: logs were read back instead, and what has happened since is known here.
        if jail.tracked.has_changed(source) {
            return None;
        }
        jail.tracked.restore(source, Tracked { window, told });
        Some(())
    }

    /// Lines from the time of a ban that is over by now may be still to be read.
    fn was_banned(&mut self, ban: &SavedBan, until: LogTime) {
        let made_it = |jail: &&mut JailState| matches!(&ban.origin, Origin::Jail(name) if *name == jail.jail.name);
        if let Some(jail) = self.jails.iter_mut().find(made_it) {
            jail.was_banned(ban.prefix, until);
        }
    }

    fn note_over(&mut self, ban: SavedBan, why: Ended) {
        let SavedBan { prefix, origin, until, .. } = ban;
        if let Some(unsaved) = &mut self.unsaved {
            let at = match until {
                Until::Boot(at) => at.min(unsaved.now),
                Until::Permanent => unsaved.now,
            };
            unsaved.note(BanChange::Ended { prefix, origin, at, why }, self.ledger.len());
        }
    }
}
