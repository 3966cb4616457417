//! Which entries are new: those that journald took in after we began to read.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use super::cursor::{JournalPosition, identity};

/// The moment at which reading began. On the monotonic clock, as journald has it: no clock step moves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// None where it cannot be known: then no entry is new, and each is judged by its stamp.
    boot: Option<u128>,
    /// Microseconds of CLOCK_MONOTONIC.
    monotonic: u64,
}

impl Beginning {
    pub(super) fn now() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::MAX, Duration::from);
        Self {
            boot: identity(&boot.trim_end().replace('-', "")),
            monotonic: u64::try_from(monotonic.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Whether journald took this entry in later.
    pub(super) fn is_before(&self, entry: &JournalPosition) -> bool {
        self.is_in_boot_of(entry) && entry.monotonic() >= self.monotonic
    }

    /// Whether the entry is of this boot.
    pub(super) fn is_in_boot_of(&self, entry: &JournalPosition) -> bool {
        self.boot == Some(entry.boot())
    }
}
