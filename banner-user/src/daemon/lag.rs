//! How long a line has waited, at most, before it was judged.
//!
//! When a line was written, nobody tells: stamps are in whole seconds, of a clock that is not ours. But what a poll finds was not
//! there when everything was last read to its end. So the time since then is the longest that anything in it has waited:
//!
//! ```text
//!   everything read        lines are written            a poll reads them
//!   ──────┼──────────────────────x──x─────────────────────────┼──────> time
//!         └──────────────── no line has waited longer ────────┘
//! ```
//!
//! While the follower is behind, this grows; once it has caught up, it is the time between two polls. What was written before
//! the daemon started has waited since the start, as far as the daemon is concerned.

use std::{collections::VecDeque, time::Duration};

use crate::{clock::BootTime, control::protocol};

/// Over how long the worst is kept.
const WORST_OF: Duration = Duration::from_secs(60);

/// In how many slices: the worst is that of the last 55 to 60 s.
const SLICES: u32 = 12;

/// Measures it.
#[derive(Debug)]
pub(super) struct Lag {
    /// When everything was last read to its end.
    caught_up: BootTime,
    /// What was judged last had waited so long.
    last: Duration,
    is_behind: bool,
    /// The beginnings and worst figures of slices of the last minute that had lines: at most [`SLICES`] and one, oldest first.
    worst: VecDeque<(BootTime, Duration)>,
}

impl Lag {
    /// Nothing has been read yet.
    pub(super) fn new(started: BootTime) -> Self {
        Self { caught_up: started, last: Duration::ZERO, is_behind: false, worst: VecDeque::new() }
    }

    /// A poll that began `now` has read some lines or none, and everything there is or not.
    pub(super) fn polled(&mut self, now: BootTime, has_lines: bool, is_behind: bool) {
        if has_lines || is_behind {
            self.last = now - self.caught_up;
            self.remember(now);
        }
        self.is_behind = is_behind;
        if !is_behind {
            self.caught_up = now;
        }
    }

    /// The longest that a line which is judged now has waited, or that the last one has.
    pub(super) fn current(&self, now: BootTime) -> Duration {
        if self.is_behind { now - self.caught_up } else { self.last }
    }

    /// The longest that a line has waited that was judged within the last minute.
    pub(super) fn worst(&self, now: BootTime) -> Duration {
        let recent = self.worst.iter().filter(|(from, _)| now - *from < WORST_OF);
        let worst = recent.map(|(_, worst)| *worst).max().unwrap_or_default();
        if self.is_behind { worst.max(self.current(now)) } else { worst }
    }

    fn remember(&mut self, now: BootTime) {
        let slice = WORST_OF / SLICES;
        while self.worst.front().is_some_and(|(from, _)| now - *from >= WORST_OF) {
            self.worst.pop_front();
        }
        match self.worst.back_mut() {
            Some((from, worst)) if now - *from < slice => *worst = self.last.max(*worst),
            _ => self.worst.push_back((now, self.last)),
        }
    }
}

/// The longest of several, for `status`: in milliseconds, rounded up.
pub(super) fn longest(lags: [&Lag; 2], now: BootTime) -> protocol::Lag {
    let milliseconds = |lag: Duration| u64::try_from(lag.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    let longest = |measure: fn(&Lag, BootTime) -> Duration| {
        milliseconds(lags.map(|lag| measure(lag, now)).into_iter().max().unwrap_or_default())
    };
    protocol::Lag { current_ms: longest(Lag::current), worst_ms: longest(Lag::worst) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::default() + Duration::from_millis(milliseconds)
    }

    /// The time of a poll in ms, whether it had lines, whether it left some; then the current lag and the worst, in ms.
    type Row = (u64, bool, bool, u64, u64);

    #[test]
    fn lag_is_the_time_since_everything_was_read() {
        let table: &[Row] = &[
            (1000, false, false, 0, 0),
            (1250, false, false, 0, 0),
            (1500, true, false, 250, 250),
            (1600, false, false, 250, 250),
            (1610, true, false, 10, 250),
            // A burst that takes three polls.
            (1860, true, true, 250, 250),
            (2060, true, true, 450, 450),
            (2260, true, false, 650, 650),
            (2300, true, false, 40, 650),
            // The poll of 2260 leaves the last minute with its slice, which began at 1500.
            (61_499, false, false, 40, 650),
            (61_500, false, false, 40, 0),
            // Nothing but over-long lines is lag too, though it has no line.
            (61_600, false, true, 100, 100),
            (61_700, false, true, 200, 200),
        ];
        let mut lag = Lag::new(at(900));
        for (time, has_lines, is_behind, current, worst) in table {
            lag.polled(at(*time), *has_lines, *is_behind);
            let found = (lag.current(at(*time)).as_millis(), lag.worst(at(*time)).as_millis());
            assert_eq!(found, (u128::from(*current), u128::from(*worst)), "at {time} ms");
        }
        assert_eq!(lag.current(at(62_600)).as_millis(), 1100, "it grows between two polls");
        assert_eq!(lag.worst(at(62_600)).as_millis(), 1100);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut lag = Lag::new(at(0));
        for poll in 0..100_000 {
            lag.polled(at(poll * 3), true, poll % 3 == 0);
            assert!(lag.worst.len() <= SLICES as usize + 1);
        }
    }
}
