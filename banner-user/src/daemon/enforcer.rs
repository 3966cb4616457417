//! Carries the judge's effects out in the kernel, and hands back to it what the kernel says.

use std::{collections::BTreeSet, time::Duration};

use tracing::{debug, error, info, warn};

use crate::{
    clock::{self, Now},
    enforce::{
        bans::BanMapError,
        kernel::{Kernel, KernelError},
    },
    judge::{
        self, Input, Judge, NoRoom, StaleStamps,
        effect::{Effect, Entry, Slot},
        report::{Ended, Report},
    },
};

/// The kernel, and what could not be written to it yet.
pub(super) struct Enforcer {
    kernel: Kernel,
    /// Entries that the kernel refused for another reason than a full map. Tried again every second.
    refused: BTreeSet<Slot>,
    /// Refusals since the daemon started.
    refusals: u64,
    /// Why it last refused: told once, until it is another reason.
    refusal: Option<String>,
    /// Files whose stamps are not believed, to be told with their paths, which only the follower knows. At most one a file.
    stale: Vec<StaleStamps>,
}

/// How many refused entries are remembered; one beyond is written when its source fails again.
const REFUSED_MAX: usize = 65_536;

/// A suspend that is shorter makes a ban last longer by no more than this.
const SUSPEND_MIN: Duration = Duration::from_millis(100);

impl Enforcer {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self { kernel, refused: BTreeSet::new(), refusals: 0, refusal: None, stale: Vec::new() }
    }

    pub(super) fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    pub(super) fn kernel_ref(&self) -> &Kernel {
        &self.kernel
    }

    /// Why entries are not in the kernel that should be, if any.
    pub(super) fn refusal(&self) -> Option<String> {
        let reason = self.refusal.as_ref().filter(|_| !self.refused.is_empty())?;
        Some(format!(
            "{} entries are not in the kernel and are tried again ({} refusals since the start): {reason}",
            self.refused.len(),
            self.refusals
        ))
    }

    /// Every entry in the kernel's maps.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, KernelError> {
        let entries = self.kernel.bans.entries(&self.kernel.ticks)?;
        Ok(entries.into_iter().map(|(entry, _)| entry).collect())
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
                log(&report);
            }
        }
    }

    /// The files whose stamps have turned out not to be believed since this was last asked.
    pub(super) fn take_stale(&mut self) -> Vec<StaleStamps> {
        std::mem::take(&mut self.stale)
    }

    /// Tries again what the kernel refused, and sets the deadlines right after a suspend.
    ///
    /// # Errors
    /// Where the clocks cannot be read.
    pub(super) fn keep_house(&mut self, judge: &mut Judge, now: Now) -> Result<(), KernelError> {
        for slot in std::mem::take(&mut self.refused) {
            if let Some(entry) = judge.entry(slot) {
                self.carry_out_all(judge, vec![Effect::Write(entry)], now);
            }
        }
        if clock::suspended().saturating_sub(self.kernel.ticks.suspended()) > SUSPEND_MIN {
            // The kernel's ticks stood still: what it holds ends too late, and is written anew.
            self.kernel.resample()?;
            let slots = self.entries()?.into_iter().map(|entry| entry.slot);
            let effects: Vec<Effect> = slots.filter_map(|slot| judge.entry(slot)).map(Effect::Write).collect();
            info!("the machine was suspended: the deadlines of {} entries are set right", effects.len());
            self.carry_out_all(judge, effects, now);
        }
        Ok(())
    }

    fn remember(&mut self, slot: Slot, error: &BanMapError) {
        self.refusals += 1;
        let reason = error.to_string();
        if self.refusal.as_ref() != Some(&reason) || self.refused.is_empty() {
            error!("an entry cannot be written, and is tried again every second: {reason}");
            self.refusal = Some(reason);
        }
        if self.refused.len() < REFUSED_MAX {
            self.refused.insert(slot);
        }
    }
}

impl judge::Kernel for Enforcer {
    fn write(&mut self, entry: &Entry) -> Result<(), NoRoom> {
        match self.kernel.bans.write(entry, &self.kernel.ticks) {
            Ok(()) => {
                self.refused.remove(&entry.slot);
                Ok(())
            }
            Err(BanMapError::Full) => Err(NoRoom),
            Err(error) => {
                self.remember(entry.slot, &error);
                Ok(())
            }
        }
    }

    fn remove(&mut self, slot: Slot) {
        self.refused.remove(&slot);
        if let Err(error) = self.kernel.bans.remove(slot) {
            // It ends by its deadline all the same.
            warn!("{error}");
        }
    }
}

/// What an operator reads in the journal: bans and their ends as information, what wants attention as warnings.
fn log(report: &Report) {
    match report {
        // One by one they would fill the journal: the report that the map is full counts them.
        Report::Unbanned { why: Ended::Yielded(_), .. } => debug!("{report}"),
        Report::Unbanned { why: Ended::CannotProtect(_), .. }
        | Report::Ignored { .. }
        | Report::StaleStamps(_)
        | Report::LateFailure { .. }
        | Report::SourcesEvicted { .. }
        | Report::MapFull { .. }
        | Report::Vanished { .. }
        | Report::OutageBegan(_) => warn!("{report}"),
        Report::Banned { .. } | Report::Unbanned { .. } | Report::Adopted { .. } | Report::OutageEnded(_) => {
            info!("{report}");
        }
    }
}
