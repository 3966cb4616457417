//! How times since boot are kept on disk, and what they are after a restart, a stepped clock or a reboot.
//!
//! On disk are nanoseconds since the Unix epoch. All rows in force were computed with one and the same difference between the wall
//! clock and the time since boot, and that is on disk too, with the boot that it belongs to. So a restart within a boot gets back
//! exactly the deadlines that there were, whatever the wall clock has been set to in between. When the wall clock was set, the
//! difference is renewed and the rows in force are moved along, all in the next transaction. After a reboot the wall clock is all
//! that there is to go by.

use std::time::Duration;

use crate::{
    clock::{BootTime, Now, WallTime},
    judge::effect::Until,
};

/// A time on disk is at most so far from the epoch, in nanoseconds (the year 2116): moving it never overflows.
pub(super) const DISK_MAX: i64 = (1 << 62) - 1;

/// How far the wall clock must have been set before the rows are moved. The kernel's own discipline (adjtimex(2)) slews both
/// clocks alike.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The difference between the wall clock and the time since boot, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offset(pub(super) i64);

impl Offset {
    /// As the clocks stand.
    pub(super) fn of(now: Now) -> Self {
        Self(wall(now.wall).saturating_sub(now.boot.0).clamp(-DISK_MAX, DISK_MAX))
    }

    /// This, or where the wall clock was set since, that of now.
    pub(super) fn renewed(self, now: Now) -> Self {
        let current = Self::of(now);
        if u128::from(current.0.abs_diff(self.0)) > TOLERANCE.as_nanos() { current } else { self }
    }

    /// What a time since boot is on disk.
    pub(super) fn disk(self, boot: BootTime) -> i64 {
        boot.0.saturating_add(self.0).clamp(-DISK_MAX, DISK_MAX)
    }

    /// What a deadline is on disk; `None` for ever.
    pub(super) fn deadline(self, until: Until) -> Option<i64> {
        match until {
            Until::Boot(boot) => Some(self.disk(boot)),
            Until::Permanent => None,
        }
    }

    /// The time since boot that is on disk.
    pub(super) fn boot(self, disk: i64) -> BootTime {
        BootTime(disk.saturating_sub(self.0))
    }
}

/// What a wall-clock time is on disk.
pub(super) fn wall(wall: WallTime) -> i64 {
    wall.0.saturating_mul(1_000).clamp(-DISK_MAX, DISK_MAX)
}

/// The wall-clock time that is on disk.
pub(super) fn from_disk(disk: i64) -> WallTime {
    WallTime(disk.div_euclid(1_000))
}

/// When a ban of an earlier boot began and ends: it never lasts longer than it would have, so one that has begun later than now
/// begins now.
pub(super) fn after_reboot(since: i64, until: Option<i64>, now: i64) -> (i64, Option<i64>) {
    let ahead = since.saturating_sub(now).max(0);
    (since.saturating_sub(ahead), until.map(|until| until.saturating_sub(ahead)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const DAY: i64 = 86_400 * SECOND;
    /// 2026-11-22, in nanoseconds.
    const TODAY: i64 = 1_795_305_600 * SECOND;
    /// 2036-02-07 06:28:16, where the clocks of NTP's first era end.
    const FAR: i64 = 2_085_978_496 * SECOND;

    fn now(boot: i64, wall: i64) -> Now {
        Now { boot: BootTime(boot), wall: WallTime(wall / 1_000) }
    }

    #[test]
    fn times_since_boot_come_back_to_the_nanosecond() {
        let offset = Offset::of(now(12_345_678_901, TODAY));
        for boot in [0, 1, 12_345_678_901, -5 * DAY - 1, 3_000 * DAY] {
            assert_eq!(offset.boot(offset.disk(BootTime(boot))), BootTime(boot));
        }
        assert_eq!(offset.deadline(Until::Permanent), None);
        assert_eq!(offset.disk(BootTime(i64::MAX)), DISK_MAX, "too far ends in 2116");
        assert_eq!(Offset::of(now(i64::MIN, i64::MAX)).disk(BootTime(i64::MIN)), -DISK_MAX);
    }

    #[test]
    fn the_difference_is_renewed_when_the_clock_was_set() {
        let start = Offset::of(now(0, TODAY));
        let table = [
            ("nothing happened", 0, false),
            ("less than a second", SECOND, false),
            ("more than a second", SECOND + 1_000, true),
            ("back", -SECOND - 1_000, true),
            ("back a day", -DAY, true),
            ("to 1970", -TODAY, true),
        ];
        for (case, step, is_renewed) in table {
            let later = now(5 * SECOND, TODAY + 5 * SECOND + step);
            let expected = if is_renewed { Offset(start.0 + step) } else { start };
            assert_eq!(start.renewed(later), expected, "{case}");
        }
    }

    #[test]
    fn after_a_reboot_a_ban_lasts_no_longer_than_its_own_length() {
        // A ban of an hour, ten minutes old when the machine went down: what is left of it, by the clock at the new start.
        let (since, until) = (TODAY, TODAY + 3_600 * SECOND);
        let table = [
            ("at once", TODAY + 600 * SECOND, 3_000),
            ("half an hour later", TODAY + 2_400 * SECOND, 1_200),
            ("a second before its end", TODAY + 3_599 * SECOND, 1),
            ("at its end", TODAY + 3_600 * SECOND, 0),
            ("the clock back a day", TODAY + 600 * SECOND - DAY, 3_600),
            ("forward a day", TODAY + 600 * SECOND + DAY, 3_000 - 86_400),
            ("1970, no battery", 30 * SECOND, 3_600),
            ("2036", FAR, (TODAY + 3_600 * SECOND - FAR) / SECOND),
        ];
        for (case, now, left) in table {
            let (since, until) = after_reboot(since, Some(until), now);
            assert_eq!(until.unwrap() - now, left * SECOND, "{case}");
            assert_eq!(until.unwrap() - since, 3_600 * SECOND, "{case}: as long as before");
            assert!(since <= now, "{case}");
        }
        assert_eq!(after_reboot(TODAY, None, 0), (0, None), "a permanent one stays so");
    }
}
