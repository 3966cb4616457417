//! Log time to the second, in half the room.

use std::time::Duration;

use crate::clock::LogTime;

/// Seconds since the Unix epoch, as a log line claims; from 1970 to 2106.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogSeconds(pub u32);

const MICROS: i64 = 1_000_000;

impl LogSeconds {
    /// The time that lies `by` before.
    pub(super) fn earlier(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(u32::try_from(by.as_secs()).unwrap_or(u32::MAX)))
    }

    /// So many microseconds later, or earlier.
    pub(super) fn shifted(self, micros: i64) -> Self {
        self.as_log_time().shifted(micros).into()
    }

    /// The beginning of the second.
    #[must_use]
    pub fn as_log_time(self) -> LogTime {
        LogTime(i64::from(self.0).saturating_mul(MICROS))
    }
}

impl From<LogTime> for LogSeconds {
    fn from(at: LogTime) -> Self {
        let seconds = at.0.div_euclid(MICROS).clamp(0, i64::from(u32::MAX));
        Self(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_u32_holds_is_the_nearest_that_it_does() {
        let table = [(-1, 0), (0, 0), (1_999_999, 1), (i64::MAX, u32::MAX), (i64::MIN, 0)];
        for (micros, expected) in table {
            assert_eq!(LogSeconds::from(LogTime(micros)), LogSeconds(expected), "{micros}");
        }
        assert_eq!(LogSeconds(5).earlier(Duration::from_secs(6)), LogSeconds(0));
        assert_eq!(LogSeconds(5).shifted(-2_000_000), LogSeconds(3));
    }
}
