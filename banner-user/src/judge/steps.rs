//! The wall clock is set while the machine runs: what happened a minute ago was a minute ago all the same.
//!
//! Failures are kept at the times that lines tell, by the wall clock. When that is set, what is kept moves along, so that the
//! window of a source neither loses what it has nor holds it for longer. Lines that were written before the clock was set, and are
//! read after it, are judged as those of any wrong clock.

use std::time::Duration;

use super::Judge;
use crate::clock::{BootTime, Now, WallTime};

/// What is no more than this is no step: clocks are slewed all the time.
const STEP_MIN: Duration = Duration::from_secs(1);

/// How the wall clock went with the time since boot when it was last looked at, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offset(i64);

impl Offset {
    fn of(now: Now) -> Self {
        Self(now.wall.0.saturating_sub(now.boot.0 / 1_000))
    }

    /// What the wall clock shows at a time since boot.
    pub(super) fn wall_at(self, boot: BootTime) -> WallTime {
        WallTime((boot.0 / 1_000).saturating_add(self.0))
    }

    /// By how much the clock was set since, in microseconds.
    fn step(self, current: Self) -> Option<i64> {
        let step = current.0.saturating_sub(self.0);
        (Duration::from_micros(step.unsigned_abs()) > STEP_MIN).then_some(step)
    }
}

impl Judge {
    /// Moves what is kept along with a clock that was set.
    pub(super) fn follow_clock(&mut self, now: Now) {
        let current = Offset::of(now);
        let Some(step) = self.offset.get_or_insert(current).step(current) else { return };
        self.offset = Some(current);
        for jail in &mut self.jails {
            jail.shift(step);
        }
        self.excuses.shift(step);
        self.customers.shift(step);
        self.fuses.shift(step);
        self.archive.shift(step);
        self.history.shift(step);
        self.accounts.shift(step);
        self.suspects.sources_mut().shift(step);
        self.neighbourhoods.shift(step);
    }
}
