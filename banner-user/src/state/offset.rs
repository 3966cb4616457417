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
