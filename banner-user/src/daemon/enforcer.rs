//! Carries the judge's effects out in the kernel, and hands back to it what the kernel says.

use std::{collections::VecDeque, time::Duration};

use tracing::{error, info, warn};

use super::{comparison::Comparison, connections::Connections, foreign::Foreign, log, refusals::Refusals};
use crate::{
    clock::{self, Now},
    enforce::{
        bans::BanMapError,
        kernel::{Kernel, KernelError},
    },
    judge::{
        self, Input, Judge, NoRoom, StaleStamps,
        effect::{Effect, Entry, Map, Slot, Until},
        report::Report,
    },
};

/// The kernel, and what could not be written to it yet.
pub(super) struct Enforcer {
    kernel: Kernel,
    connections: Connections,
    refusals: Refusals,
    comparison: Comparison,
    foreign: Foreign,
    /// What was written to empty hashes before its turn, in the order of the turns.
    filled: [VecDeque<Slot>; 2],
    /// Files whose stamps are not believed, to be told with their paths, which only the follower knows. At most one a file.
    stale: Vec<StaleStamps>,
}

/// A suspend that is shorter makes a ban last longer by no more than this.
const SUSPEND_MIN: Duration = Duration::from_millis(100);

impl Enforcer {
    pub(super) fn new(kernel: Kernel, connections: Connections) -> Self {
        let (refusals, comparison, foreign) = (Refusals::default(), Comparison::default(), Foreign::default());
        let filled = [VecDeque::new(), VecDeque::new()];
        Self { kernel, connections, refusals, comparison, foreign, filled, stale: Vec::new() }
    }

    pub(super) fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    pub(super) fn kernel_ref(&self) -> &Kernel {
        &self.kernel
    }

    /// What the kernel does not do at present, if anything.
    pub(super) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// What becomes of the open connections of banned sources.
    pub(super) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// What others have written to the maps.
    pub(super) fn foreign(&self) -> &Foreign {
        &self.foreign
    }

    /// Compares everything that should be in the kernel, and everything that is, with haste: after what may have changed it.
    pub(super) fn compare_with_haste(&mut self) {
        self.comparison.make_haste();
        self.foreign.make_haste();
    }

    /// Every entry in the kernel's maps.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, KernelError> {
        let entries = self.kernel.bans.entries(&self.kernel.ticks)?;
        Ok(entries.into_iter().map(|(entry, _)| entry).collect())
    }

    /// Has the judge take over what is in the kernel's maps, and brings these in line with it. After a reboot that is to write every
    /// entry, and what the hashes are to have is written thousands at a time.
    pub(super) fn adopt(&mut self, judge: &mut Judge, now: Now) -> Result<(), KernelError> {
        let found = self.entries()?;
        let empty = [Map::BansV4, Map::BansV6].map(|map| !found.iter().any(|entry| entry.slot.map() == map));
        let effects = judge.handle(Input::Adopt(found), now);
        for ((map, filled), is_empty) in [Map::BansV4, Map::BansV6].into_iter().zip(&mut self.filled).zip(empty) {
            let written = |effect: &'_ Effect| match effect {
                Effect::Write(entry) if entry.slot.map() == map => Some(*entry),
                Effect::Write(_) | Effect::Remove(_) | Effect::Report(_) => None,
            };
            let taken = if is_empty {
                self.kernel.bans.fill(map, effects.iter().filter_map(written), &self.kernel.ticks)
            } else {
                0
            };
            *filled = effects.iter().filter_map(written).take(taken).map(|entry| entry.slot).collect();
        }
        self.carry_out_all(judge, effects, now);
        self.filled = [VecDeque::new(), VecDeque::new()];
        Ok(())
    }

    /// Has the judge decide, and does what it wants.
    pub(super) fn carry_out(&mut self, judge: &mut Judge, input: Input<'_>, now: Now) {
        let effects = judge.handle(input, now);
        self.carry_out_all(judge, effects, now);
    }

    /// Does what the judge wants, in its order, and tells the operator what it tells.
    pub(super) fn carry_out_all(&mut self, judge: &mut Judge, effects: Vec<Effect>, now: Now) {
        for report in judge.carry_out(effects, now, self) {
            if let Report::StaleStamps(stale) = report {
                self.stale.push(stale);
            } else {
                log::report(&report);
            }
        }
    }

    /// The files whose stamps have turned out not to be believed since this was last asked.
    pub(super) fn take_stale(&mut self) -> Vec<StaleStamps> {
        std::mem::take(&mut self.stale)
    }

    /// Tries again what the kernel refused, sets the deadlines right after a suspend, and looks whether a slice of what should
    /// be in the kernel still is, and whether a slice of what is there should be.
    ///
    /// # Errors
    /// Where the clocks cannot be read.
    pub(super) fn keep_house(&mut self, judge: &mut Judge, now: Now) -> Result<(), KernelError> {
        for slot in self.refusals.due() {
            let effect = judge.entry(slot).map_or(Effect::Remove(slot), Effect::Write);
            self.carry_out_all(judge, vec![effect], now);
        }
        if clock::suspended().saturating_sub(self.kernel.ticks.suspended()) > SUSPEND_MIN {
            // The kernel's ticks stood still: what it holds ends too late, and is written anew.
            self.kernel.resample()?;
            let slots = self.entries()?.into_iter().map(|entry| entry.slot);
            let effects: Vec<Effect> = slots.filter_map(|slot| judge.entry(slot)).map(Effect::Write).collect();
            info!("the machine was suspended: the deadlines of {} entries are set right", effects.len());
            self.carry_out_all(judge, effects, now);
        }
        self.look_for_missing(judge, now);
        self.look_for_foreign(judge, now);
        Ok(())
    }

    /// Whoever may write to the maps can also take entries out of them. Told once a slice, whatever has happened to it.
    fn look_for_missing(&mut self, judge: &mut Judge, now: Now) {
        let mut missing = Vec::new();
        let entries: u64 = Map::ALL.map(|map| self.kernel.bans.used(map)).iter().sum();
        for entry in self.comparison.slice(judge, usize::try_from(entries).unwrap_or(usize::MAX)) {
            let is_known = judge.waits(entry.slot) || self.refusals.reason(entry.slot).is_some();
            // Where it cannot be read, it cannot be told whether it is missing: writing tells.
            if !is_known && !self.kernel.bans.still_holds(&entry, &self.kernel.ticks).unwrap_or(false) {
                missing.push(entry);
            }
        }
        if let Some(first) = missing.first() {
            let (number, prefix) = (missing.len(), first.slot.prefix());
            warn!(
                "{number} entries in the kernel were missing or changed by others, {prefix} the first; they are written again"
            );
            self.carry_out_all(judge, missing.into_iter().map(Effect::Write).collect(), now);
        }
    }

    /// Whoever may write to the maps can also put entries there. They are told of once and left until they end, unless they
    /// take away what must hold: an address that is never banned, or a ban.
    fn look_for_foreign(&mut self, judge: &mut Judge, now: Now) {
        let unlisted = |error: &BanMapError| warn!("entries that banner did not make cannot be looked for: {error}");
        let slice = self.foreign.slice(&self.kernel.bans, &self.kernel.ticks, now.boot, unlisted);
        let (mut removed, mut news) = (Vec::new(), Vec::new());
        for entry in slice {
            let slot = entry.slot;
            if judge.entry(slot).is_some() || self.refusals.reason(slot).is_some() {
                continue;
            }
            let is_news = self.foreign.found(slot);
            if is_news {
                self.kernel.bans.count_foreign(slot);
            }
            if entry.until <= Until::Boot(now.boot) {
                removed.push(Effect::Remove(slot));
            } else if let Some(objection) = judge.objection(&entry) {
                warn!(
                    "the entry of {} in the kernel, which banner did not make, is removed: {objection}",
                    slot.prefix()
                );
                removed.push(Effect::Remove(slot));
            } else if is_news {
                news.push(slot);
            }
        }
        self.carry_out_all(judge, removed, now);
        for slot in self.foreign.end_slice(&self.kernel.bans, now.boot) {
            let counted = self.kernel.bans.discount_foreign(slot);
            self.note(slot, counted);
        }
        if let Some(first) = news.first() {
            let (number, prefix) = (news.len(), first.prefix());
            warn!(
                "{number} entries in the kernel follow from no ban, {prefix} the first: others have written them. They are left \
                 until they end"
            );
        }
    }

    /// Whether an entry is in the kernel as it should be now is found out by doing it again.
    fn note(&mut self, slot: Slot, done: Result<(), BanMapError>) {
        match done {
            Ok(()) => self.refusals.settle(slot),
            Err(refusal) => {
                let reason = refusal.to_string();
                if self.refusals.remember(slot, reason.clone()) {
                    error!(
                        "the entry of {} is not as it should be, and tried again every second: {reason}",
                        slot.prefix()
                    );
                }
            }
        }
    }
}

impl judge::Kernel for Enforcer {
    fn write(&mut self, entry: &Entry) -> Result<(), NoRoom> {
        let [v4, v6] = &mut self.filled;
        let filled = if let Slot::V4(_) = entry.slot { v4 } else { v6 };
        let is_written = filled.front() == Some(&entry.slot);
        let written = if is_written { Ok(()) } else { self.kernel.bans.write(entry, &self.kernel.ticks) };
        if is_written {
            filled.pop_front();
        }
        self.foreign.settle(entry.slot);
        if let Err(BanMapError::Full) = written {
            // From here on the judge sees to it.
            self.refusals.settle(entry.slot);
            return Err(NoRoom);
        }
        if written.is_ok() {
            self.connections.written(entry);
        }
        self.note(entry.slot, written);
        Ok(())
    }

    fn remove(&mut self, slot: Slot) {
        let removed = self.kernel.bans.remove(slot);
        self.foreign.settle(slot);
        self.note(slot, removed.map(drop));
    }
}
