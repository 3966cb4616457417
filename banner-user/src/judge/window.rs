//! The sliding window of one source: its failures in log time.
//!
//! The window is the `findtime` that ends at the source's newest failure, both ends included. A failure counts where its stamp
//! puts it: one from before the window does not count at all, one from within it counts in whatever order the lines come. No
//! stamp lies after `now`, so none moves the window ahead of the clock.

use std::{num::NonZeroU32, time::Duration};

use smallvec::{SmallVec, smallvec};

use super::account::AccountTag;
use crate::{clock::LogTime, event::Weight};

/// The sum of weights, in quarters of a failure.
pub type Quarters = u32;

/// One failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// When it counts.
    pub at: LogTime,
    /// How much, before anything else is taken into account.
    pub weight: Weight,
    /// Whose password was tried, where the line has it.
    pub account: Option<AccountTag>,
}

/// The failures of one source within the window, oldest first. Never empty once one was added.
///
/// Each weighs at least a quarter and their sum stays at or below the limit, so there are at most as many as the limit has
/// quarters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// Nearly all sources have failed once or twice.
    failures: SmallVec<[Counted; 2]>,
}

impl Window {
    /// Adds a failure and returns the sum within the window. `now` is the latest time that a stamp can have.
    pub(super) fn add(&mut self, failure: Counted, findtime: Duration, now: LogTime) -> Quarters {
        // Only a clock that was set back leaves failures later than now. They happened; they count as just now.
        for failure in &mut self.failures {
            failure.at = failure.at.min(now);
        }
        let at = failure.at.min(now);
        let place = self.failures.partition_point(|failure| failure.at <= at);
        self.failures.reserve_exact(1);
        self.failures.insert(place, Counted { at, ..failure });
        let start = self.newest().map_or(at, |newest| earlier(newest, findtime));
        self.failures.retain(|failure| failure.at >= start);
        self.sum()
    }

    /// One that was saved. In whatever order, and however many, its failures come: that of another limit is trimmed when the
    /// next failure comes.
    pub(super) fn restored(mut failures: Vec<Counted>) -> Self {
        failures.retain(|failure| failure.weight > Weight::ZERO);
        failures.sort_unstable_by_key(|failure| failure.at);
        failures.shrink_to_fit();
        Self { failures: failures.into() }
    }

    /// All of it, where that is one failure that fits.
    pub(super) fn lone(&self) -> Option<Lone> {
        let [failure] = self.failures() else { return None };
        Lone::of(*failure)
    }

    /// Moves all by so many microseconds.
    pub(super) fn shift(&mut self, step: i64) {
        for failure in &mut self.failures {
            failure.at = failure.at.shifted(step);
        }
    }

    /// Oldest first.
    pub(super) fn failures(&self) -> &[Counted] {
        &self.failures
    }

    /// Forgets these.
    pub(super) fn forget(&mut self, which: impl Fn(&Counted) -> bool) {
        self.failures.retain(|failure| !which(failure));
    }

    /// Of these, forgets the oldest ones that their sum can spare and still reach `limit`.
    pub(super) fn trim(&mut self, limit: Quarters, which: impl Fn(&Counted) -> bool) {
        let mut spare = sum(self.failures.iter().filter(|failure| which(failure))).saturating_sub(limit);
        self.failures.retain(|failure| {
            let weight = Quarters::from(failure.weight.0);
            let is_kept = !which(failure) || weight > spare;
            match (which(failure), is_kept) {
                (true, false) => spare -= weight,
                (true, true) => spare = 0, // No gaps: only the oldest go.
                (false, _) => {}
            }
            is_kept
        });
    }

    /// The sum as it was when the newest failure came.
    pub(super) fn sum(&self) -> Quarters {
        sum(self.failures.iter())
    }

    pub(super) fn newest(&self) -> Option<LogTime> {
        self.failures.last().map(|failure| failure.at)
    }
}

fn sum<'a>(failures: impl Iterator<Item = &'a Counted>) -> Quarters {
    failures.fold(0, |sum, failure| sum.saturating_add(Quarters::from(failure.weight.0)))
}

/// One failure of a source that has no others, in 12 bytes and without loss: almost all that there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lone {
    seconds: u32,
    /// The microseconds, and in the lowest bits the weight.
    micros_and_weight: NonZeroU32,
    account: Option<AccountTag>,
}

const SECOND: i64 = 1_000_000;

/// Beside 20 bits for the microseconds.
const WEIGHT_BITS: u32 = 12;

impl Lone {
    /// `None` for one that claims to be from before 1970 or after 2106, weighs nothing, or a thousand and more.
    fn of(Counted { at, weight, account }: Counted) -> Option<Self> {
        let seconds = u32::try_from(at.0.div_euclid(SECOND)).ok()?;
        let micros = u32::try_from(at.0.rem_euclid(SECOND)).ok()?;
        let weight = u32::from(weight.0);
        let micros_and_weight = NonZeroU32::new(micros << WEIGHT_BITS | weight)?;
        ((1..1 << WEIGHT_BITS).contains(&weight)).then_some(Self { seconds, micros_and_weight, account })
    }
}

impl From<Lone> for Window {
    fn from(Lone { seconds, micros_and_weight, account }: Lone) -> Self {
        let (micros, weight) = (micros_and_weight.get() >> WEIGHT_BITS, micros_and_weight.get() % (1 << WEIGHT_BITS));
        let at = LogTime(i64::from(seconds) * SECOND + i64::from(micros));
        let weight = Weight(u16::try_from(weight).unwrap_or(u16::MAX));
        Self { failures: smallvec![Counted { at, weight, account }] }
    }
}

/// The time that lies `by` before `at`.
pub(super) fn earlier(at: LogTime, by: Duration) -> LogTime {
    LogTime(at.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn failure(at: i64, weight: Weight) -> Counted {
        Counted { at: LogTime(at), weight, account: None }
    }

    /// Adds failures of weight one at these seconds, findtime 600, all in the past of `now`; the sums in whole failures.
    fn sums(seconds: &[i64]) -> Vec<u32> {
        let mut window = Window::default();
        seconds
            .iter()
            .map(|s| window.add(failure(s * SECOND, Weight::ONE), Duration::from_secs(600), LogTime(i64::MAX)) / 4)
            .collect()
    }

    #[test]
    fn the_window_ends_at_the_newest_failure() {
        let table: [(&str, &[i64], &[u32]); 6] = [
            ("in order", &[0, 300, 600], &[1, 2, 3]),
            ("the edge is inside", &[0, 600, 1200], &[1, 2, 2]),
            ("a second beyond is outside", &[0, 601, 1202], &[1, 1, 1]),
            ("out of order, inside", &[600, 0, 300], &[1, 2, 3]),
            ("out of order, outside", &[1000, 0, 399, 400], &[1, 1, 1, 2]),
            ("it slides, it does not rescale", &[0, 1, 599, 601, 1300], &[1, 2, 3, 3, 1]),
        ];
        for (promise, seconds, expected) in table {
            assert_eq!(sums(seconds), expected, "{promise}");
        }
    }

    #[test]
    fn no_stamp_moves_the_window_ahead_of_the_clock() {
        let mut window = Window::default();
        let findtime = Duration::from_secs(600);
        let mut add =
            |at: i64, now: i64| window.add(failure(at * SECOND, Weight::ONE), findtime, LogTime(now * SECOND)) / 4;
        assert_eq!(add(0, 0), 1);
        assert_eq!(add(1_000_000, 5), 2, "a stamp in the future is now");
        assert_eq!(add(600, 600), 3, "and pushed nothing out");
        assert_eq!(add(100, 100), 4, "a clock set back: what came before is not after it");
    }

    #[test]
    fn trimming_keeps_the_newest_that_reach_the_limit() {
        let mut window = Window::default();
        for second in 0..100 {
            window.add(failure(second * SECOND, Weight::ONE), Duration::from_secs(600), LogTime(i64::MAX));
            window.trim(12, |_| true);
        }
        assert_eq!(window.failures.len(), 3);
        assert_eq!(window.failures[0].at, LogTime(97 * SECOND));
    }

    proptest! {
        /// From before 1970 to after 2106.
        #[test]
        fn a_lone_failure_is_kept_to_the_microsecond_or_not_in_brief(
            at in prop_oneof![any::<i64>(), -5 * SECOND..5 * SECOND, 1_700_000_000 * SECOND..1_700_000_001 * SECOND],
            weight in prop_oneof![any::<u16>(), 0_u16..9, 4090_u16..4100],
            account in any::<u32>(),
        ) {
            let account = NonZeroU32::new(account).map(AccountTag);
            let failure = Counted { at: LogTime(at), weight: Weight(weight), account };
            let lone = Lone::of(failure);
            let fits = (0..i64::from(u32::MAX) * SECOND).contains(&at) && (1..4096).contains(&weight);
            prop_assert!(lone.is_some() || !fits);
            if let Some(lone) = lone {
                let window = Window::from(lone);
                prop_assert_eq!(window.failures(), [failure]);
            }
        }

        /// Against all failures ever, summed anew each time.
        #[test]
        fn it_counts_what_a_naive_sum_counts(
            findtime in 1i64..50,
            failures in prop::collection::vec((0i64..200, 1u16..10, 0i64..200), 1..60),
        ) {
            let mut window = Window::default();
            let mut all = Vec::new();
            let mut now = 0;
            for (at, weight, step) in failures {
                // Stamps are of any order, and up to 20 seconds ahead of a clock that only goes forward.
                now += step / 20;
                let at = (at - 180 + now).min(now + 20);
                all.push((at.min(now), u32::from(weight)));
                let newest = all.iter().map(|(at, _)| *at).max().unwrap();
                let naive: u32 = all.iter().filter(|(at, _)| *at >= newest - findtime).map(|(_, weight)| weight).sum();
                let sum = window.add(
                    failure(at * SECOND, Weight(weight)),
                    Duration::from_secs(findtime.unsigned_abs()),
                    LogTime(now * SECOND),
                );
                prop_assert_eq!(sum, naive);
                prop_assert!(window.failures.is_sorted_by_key(|failure| failure.at));
            }
        }
    }
}
