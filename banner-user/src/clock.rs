//! The clocks: what a log line claims, what the wall says, what passes while the machine runs, and what the kernel's program
//! compares deadlines with. They are different types, so that one is never taken for another.
//!
//! | type | counts | used for |
//! | --- | --- | --- |
//! | [`LogTime`] | µs since the Unix epoch, as a log line claims | the sliding window of a jail |
//! | [`WallTime`] | µs since the Unix epoch, as this machine believes | judging a stamp, showing times, state on disk |
//! | [`BootTime`] | ns since boot, suspend included (CLOCK_BOOTTIME) | how long a ban lasts: no clock step moves it |
//! | [`Ticks`] | jiffies64 | deadlines in the maps |

use std::{
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use jiff::Timestamp;

/// Microseconds since the Unix epoch, as a log line claims. Attacker-free (the prefix is the logger's), but possibly wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(pub i64);

/// Microseconds since the Unix epoch, as this machine's clock says. Steps when the clock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// Nanoseconds since boot, suspend included. Never steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

/// The kernel's jiffies64 (`include/linux/jiffies.h`): one every 1 to 10 ms, standing still during suspend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticks(pub u64);

/// One reading of the clocks, handed to everything that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For durations and deadlines.
    pub boot: BootTime,
    /// For comparing with log time and for showing.
    pub wall: WallTime,
}

impl Now {
    /// Reads both clocks.
    #[must_use]
    pub fn read() -> Self {
        // clock_gettime on these two clocks fails only for a bad pointer (clock_gettime(2)): a zero never stands for a real time.
        let boot = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
        Self {
            boot: BootTime(u64::try_from(boot.as_nanos()).unwrap_or(u64::MAX)),
            wall: WallTime(Timestamp::now().as_microsecond()),
        }
    }

    /// The wall-clock time at which a deadline falls, as the clock stands now.
    #[must_use]
    pub fn wall_at(self, deadline: BootTime) -> WallTime {
        let micros = |nanos: u64| i64::try_from(nanos / 1_000).unwrap_or(i64::MAX);
        if deadline >= self.boot {
            WallTime(self.wall.0.saturating_add(micros(deadline.0 - self.boot.0)))
        } else {
            WallTime(self.wall.0.saturating_sub(micros(self.boot.0 - deadline.0)))
        }
    }
}

impl WallTime {
    /// Reads this as what a log line claims: for a line without a believable stamp, judged by its arrival.
    #[must_use]
    pub fn as_log_time(self) -> LogTime {
        LogTime(self.0)
    }
}

impl LogTime {
    /// How far apart two log times are, whichever is later.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_micros(self.0.abs_diff(other.0))
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for BootTime {
    type Output = Duration;
    /// Zero where `earlier` is not earlier.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rfc3339(self.0, f)
    }
}

impl fmt::Display for LogTime {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        rfc3339(self.0, f)
    }
}

fn rfc3339(micros: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match Timestamp::from_second(micros.div_euclid(1_000_000)) {
        Ok(timestamp) => write!(f, "{timestamp}"),
        Err(_) => f.write_str("-"),
    }
}
