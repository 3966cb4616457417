//! Carries the judge's effects out in the kernel, and hands back to it what the kernel says.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use tracing::{error, info, warn};

use crate::{
    clock::{self, Now},
    enforce::{
        bans::BanMapError,
        kernel::{Kernel, KernelError},
    },
    judge::{
        Input, Judge,
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
}

/// How many refused entries are remembered; one beyond is written when its source fails again.
const REFUSED_MAX: usize = 65_536;

/// A suspend that is shorter makes a ban last longer by no more than this.
const SUSPEND_MIN: Duration = Duration::from_millis(100);

impl Enforcer {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self { kernel, refused: BTreeSet::new(), refusals: 0, refusal: None }
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

    /// Does what the judge wants, in its order: what protects an address stands before the prefix around it.
    pub(super) fn carry_out_all(&mut self, judge: &mut Judge, effects: Vec<Effect>, now: Now) {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Write(entry) => match self.kernel.bans.write(&entry, &self.kernel.ticks) {
                    Ok(()) => {
                        self.refused.remove(&entry.slot);
                    }
                    // What makes room comes before what was next.
                    Err(BanMapError::Full) => judge
                        .handle(Input::Full(entry), now)
                        .into_iter()
                        .rev()
                        .for_each(|effect| effects.push_front(effect)),
                    Err(error) => self.remember(entry.slot, &error),
                },
                Effect::Remove(slot) => match self.kernel.bans.remove(slot) {
                    Ok(_) => {
                        self.refused.remove(&slot);
                    }
                    // It ends by its deadline all the same.
                    Err(error) => warn!("{error}"),
                },
                Effect::Report(report) => log(&report),
            }
        }
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
            // The kernel's ticks stood still: by the old relation the entries still say what was meant, and are written anew
            // by the new one.
            let entries = self.entries()?;
            self.kernel.resample()?;
            info!("the machine was suspended: the deadlines of {} entries are set right", entries.len());
            self.carry_out_all(judge, entries.into_iter().map(Effect::Write).collect(), now);
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

/// What an operator reads in the journal: bans and their ends as information, what wants attention as warnings.
fn log(report: &Report) {
    match report {
        Report::Unbanned { why: Ended::Yielded(_) | Ended::CannotProtect(_), .. }
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
