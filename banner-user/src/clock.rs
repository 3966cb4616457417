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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(pub i64);

/// Nanoseconds since boot, suspend included. Never steps. Negative for what has outlived a reboot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub i64);

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

/// How far apart the clocks of one reading are read.
const TOGETHER: Duration = Duration::from_millis(1);

/// How often they are read at most: a machine on which that is not enough keeps no time anyway.
const READINGS_MAX: usize = 8;

impl Now {
    /// Reads both clocks, within a millisecond of each other: what the one shows is translated into the other by this, and a
    /// thread that has to wait for the processor in between would shift the end of a ban by its waiting.
    #[must_use]
    pub fn read() -> Self {
        let mut before = boot_time();
        for _ in 0..READINGS_MAX {
            let wall = WallTime(Timestamp::now().as_microsecond());
            let after = boot_time();
            if after - before <= TOGETHER {
                return Self { boot: before, wall };
            }
            before = after;
        }
        Self { boot: before, wall: WallTime(Timestamp::now().as_microsecond()) }
    }

    /// What the clocks show by now, a moment after this was read. The wall clock is not read again, which takes twice as long as all
    /// else: where it was set in between, the next reading tells.
    #[must_use]
    pub fn moved_on(self) -> Self {
        let boot = boot_time();
        Self { boot, wall: self.wall_at(boot) }
    }

    /// The wall-clock time at which a deadline falls, as the clock stands now.
    #[must_use]
    pub fn wall_at(self, deadline: BootTime) -> WallTime {
        WallTime(self.wall.0.saturating_add(deadline.0.saturating_sub(self.boot.0) / 1_000))
    }

    /// The time since boot at which the wall clock, as it stands now, shows this.
    #[must_use]
    pub fn boot_at(self, wall: WallTime) -> BootTime {
        BootTime(self.boot.0.saturating_add(wall.0.saturating_sub(self.wall.0).saturating_mul(1_000)))
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
    /// So many microseconds later, or earlier.
    #[must_use]
    pub fn shifted(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// How far apart two log times are, whichever is later.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_micros(self.0.abs_diff(other.0))
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }
}

impl Sub for BootTime {
    type Output = Duration;
    /// Zero where `earlier` is not earlier.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
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

/// How the kernel's ticks and the time since boot go together.
///
/// Jiffies are counted off the monotonic clock (`tick_do_update_jiffies64`, `kernel/time/tick-sched.c`), which stands still
/// during a suspend while the time since boot goes on. So the two differ by a constant from one suspend to the next: one
/// sample serves for all conversions, until [`TickClock::suspended`] says that a new one is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickClock {
    hertz: u64,
    /// The first tick that begins after `boot`, and no more than a tick's length after it.
    ticks: Ticks,
    boot: BootTime,
    suspended: Duration,
}

/// The tick rates that Linux can be built with (`kernel/Kconfig.hz`; only Alpha and MIPS have others).
const HERTZ: [u64; 4] = [100, 250, 300, 1000];

impl TickClock {
    /// From two samples, at least 50 ms apart, and the time that the machine has been suspended since boot.
    #[must_use]
    pub fn new(earlier: (Ticks, BootTime), later: (Ticks, BootTime), suspended: Duration) -> Option<Self> {
        let nanos = u64::try_from((later.1 - earlier.1).as_nanos()).ok().filter(|nanos| *nanos >= 50_000_000)?;
        let measured = later.0.0.checked_sub(earlier.0.0)?.checked_mul(1_000_000_000)? / nanos;
        let hertz = HERTZ.into_iter().min_by_key(|hertz| hertz.abs_diff(measured))?;
        // A tick more or less in the interval, and no more: a sample that a suspend fell into is not used.
        let tolerance = 2_000_000_000 / nanos;
        // The sampled tick began at some time within one tick before the sample; the next one begins after it.
        let ticks = Ticks(later.0.0.checked_add(1)?);
        (hertz.abs_diff(measured) <= tolerance).then_some(Self { hertz, ticks, boot: later.1, suspended })
    }

    /// Ticks in a second.
    #[must_use]
    pub fn hertz(&self) -> u64 {
        self.hertz
    }

    /// How long the machine had been suspended since boot when this was sampled. When that has grown, it no longer holds.
    #[must_use]
    pub fn suspended(&self) -> Duration {
        self.suspended
    }

    /// A tick that begins no earlier than this time, and less than two ticks' length after it: a deadline never comes early.
    #[must_use]
    pub fn ticks_at(&self, boot: BootTime) -> Ticks {
        let scaled = |nanos: Duration| (nanos.as_nanos() * u128::from(self.hertz)).div_ceil(1_000_000_000);
        let ticks = |scaled: u128| u64::try_from(scaled).unwrap_or(u64::MAX);
        if boot >= self.boot {
            Ticks(self.ticks.0.saturating_add(ticks(scaled(boot - self.boot))))
        } else {
            Ticks(self.ticks.0.saturating_sub(ticks(scaled(self.boot - boot))))
        }
    }

    /// The time since boot before which a tick does not begin; it does within a tick's length. [`TickClock::ticks_at`] leads
    /// back to the tick.
    #[must_use]
    pub fn boot_at(&self, ticks: Ticks) -> BootTime {
        let nanos =
            |ticks: u64| i64::try_from(u128::from(ticks) * 1_000_000_000 / u128::from(self.hertz)).unwrap_or(i64::MAX);
        if ticks >= self.ticks {
            BootTime(self.boot.0.saturating_add(nanos(ticks.0 - self.ticks.0)))
        } else {
            BootTime(self.boot.0.saturating_sub(nanos(self.ticks.0 - ticks.0)))
        }
    }
}

fn boot_time() -> BootTime {
    // clock_gettime on this clock fails only for a bad pointer (clock_gettime(2)): a zero never stands for a real time.
    let boot = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from);
    BootTime(i64::try_from(boot.as_nanos()).unwrap_or(i64::MAX))
}

/// How long the machine has been suspended since boot.
#[must_use]
pub fn suspended() -> Duration {
    let read = |clock| nix::time::clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    // Read in this order the difference is never negative, and too large by what passes between the calls at most.
    let monotonic = read(nix::time::ClockId::CLOCK_MONOTONIC);
    read(nix::time::ClockId::CLOCK_BOOTTIME).saturating_sub(monotonic)
}

fn rfc3339(micros: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match Timestamp::from_second(micros.div_euclid(1_000_000)) {
        Ok(timestamp) => write!(f, "{timestamp}"),
        Err(_) => f.write_str("-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: i64 = 1_000_000;

    fn clock(hertz: u64) -> TickClock {
        let start = 4_294_667_296;
        let earlier = (Ticks(start), BootTime(1_000 * MILLISECOND));
        let later = (Ticks(start + hertz / 10), BootTime(1_100 * MILLISECOND));
        TickClock::new(earlier, later, Duration::ZERO).unwrap()
    }

    #[test]
    fn a_reading_that_moves_on_keeps_the_clocks_together() {
        let read = Now::read();
        let long_ago = Now { boot: BootTime(read.boot.0 - 2_000 * MILLISECOND), wall: WallTime(7_000_000) };
        let later = long_ago.moved_on();
        assert!(later.boot >= read.boot, "the time since boot is read");
        assert!(later.wall >= WallTime(9_000_000), "and the wall clock goes on with it");
        assert_eq!(later.wall, long_ago.wall_at(later.boot));
    }

    #[test]
    fn the_tick_rate_is_recognised() {
        for hertz in [100, 250, 300, 1000] {
            assert_eq!(clock(hertz).hertz(), hertz);
        }
        let start = (Ticks(0), BootTime(0));
        let table = [
            ((Ticks(26), BootTime(100 * MILLISECOND)), Some(250), "a tick more than the rate says"),
            ((Ticks(26), BootTime(40 * MILLISECOND)), None, "too short an interval to tell"),
            ((Ticks(10), BootTime(900 * MILLISECOND)), None, "a suspend in between"),
        ];
        for (later, expected, case) in table {
            assert_eq!(TickClock::new(start, later, Duration::ZERO).map(|clock| clock.hertz()), expected, "{case}");
        }
    }

    #[test]
    fn a_deadline_in_ticks_is_never_early_and_less_than_two_ticks_late() {
        for hertz in [100, 250, 300, 1000] {
            let tick = 1_000_000_000_000 / hertz; // in picoseconds
            // How long before the sample its tick had begun.
            for into in [0, tick / 2, tick - 1] {
                let at = |ticks: u64| {
                    BootTime::default() + Duration::from_nanos((5_000_000_000_000 + ticks * tick + into) / 1_000)
                };
                let begins = |ticks: Ticks| 5_000_000_000_000 + ticks.0 * tick;
                let clock =
                    TickClock::new((Ticks(0), at(0)), (Ticks(hertz / 10), at(hertz / 10)), Duration::ZERO).unwrap();
                for nanos in [5_200_000_000, 5_200_000_001, 5_234_567_890, 600_000_000_000] {
                    let deadline = clock.ticks_at(BootTime::default() + Duration::from_nanos(nanos));
                    let (begins, wanted) = (begins(deadline), nanos * 1_000);
                    // A nanosecond for the rounding of the sample.
                    let in_time = begins + 1_000 >= wanted && begins < wanted + 2 * tick + 1_000;
                    assert!(in_time, "{hertz} Hz, {into} into the tick, {nanos}: {begins}");
                    assert_eq!(
                        clock.ticks_at(clock.boot_at(deadline)),
                        deadline,
                        "a taken over ban ends in the same tick"
                    );
                }
            }
        }
    }
}
