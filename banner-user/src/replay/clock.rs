//! The clock of a replay: it shows what the lines claim, and never goes back.

use std::time::Duration;

use crate::clock::{BootTime, LogTime, Now, WallTime};

/// No log is older: lines that claim so are taken to be of that time.
const OLDEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// Counts the time since [`OLDEST`] before the latest time that a line may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    earliest: WallTime,
    latest: BootTime,
    now: BootTime,
}

impl Clock {
    pub(super) fn new(latest: WallTime) -> Self {
        let oldest = i64::try_from(OLDEST.as_micros()).unwrap_or(i64::MAX);
        let earliest = WallTime(latest.0.saturating_sub(oldest));
        Self { earliest, latest: BootTime::default() + OLDEST, now: BootTime::default() }
    }

    pub(super) fn now(&self) -> Now {
        Now { boot: self.now, wall: Now { boot: BootTime::default(), wall: self.earliest }.wall_at(self.now) }
    }

    /// The time at which a line is judged: the one that it claims, but not before that of any line before it, and now where it
    /// cannot be true.
    pub(super) fn of(&self, claimed: LogTime) -> BootTime {
        let micros = u64::try_from(claimed.0.saturating_sub(self.earliest.0)).unwrap_or(0);
        let claimed = BootTime::default() + Duration::from_micros(micros);
        if claimed > self.latest { self.now } else { claimed.max(self.now) }
    }

    /// Lets it be so late; a time that has passed is now.
    pub(super) fn reach(&mut self, then: BootTime) -> Now {
        self.now = self.now.max(then);
        self.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: i64 = 1_800_000_000_000_000;

    #[test]
    fn it_shows_what_lines_claim_to_the_microsecond_and_never_goes_back() {
        let mut clock = Clock::new(WallTime(LATEST));
        let mut read = |claimed: i64| {
            let then = clock.of(LogTime(claimed));
            clock.reach(then).wall.0
        };
        let oldest = LATEST - i64::try_from(OLDEST.as_micros()).unwrap();
        assert_eq!(read(i64::MIN), oldest);
        assert_eq!(read(1_700_000_000_123_456), 1_700_000_000_123_456);
        assert_eq!(read(1_700_000_000_123_455), 1_700_000_000_123_456, "back");
        assert_eq!(read(i64::MAX), 1_700_000_000_123_456, "a wrong clock in the log");
        assert_eq!(read(LATEST + 1), 1_700_000_000_123_456);
        assert_eq!(read(LATEST), LATEST);
    }

    #[test]
    fn time_since_boot_passes_as_the_walls_does() {
        let mut clock = Clock::new(WallTime(LATEST));
        let mut read = |claimed: i64| {
            let then = clock.of(LogTime(claimed));
            clock.reach(then).boot
        };
        let first = read(1_700_000_000_000_000);
        assert_eq!(read(1_700_000_600_000_000) - first, Duration::from_secs(600));
    }
}
