//! When a failure counts: what its line claims, as far as that can be believed.
//!
//! - A line that was read as it was written, and claims a time within a minute of now, counts then; never later than now.
//! - A line that was read as it was written, and claims another time, is from a logger with a wrong clock or zone. It counts
//!   when it arrived, and the operator is told which file it is in.
//! - A line that was written before anybody read it counts when it claims; never later than now.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    clock::{BootTime, LogTime, Now},
    event::FileId,
};

/// How far the stamp of a line that was just written may be from now.
const BELIEVED: Duration = Duration::from_secs(60);

/// A file whose stamps were all believable for so long is good again. Two loggers with different zones may share one file,
/// so a single good line says little.
const GOOD_AGAIN: Duration = Duration::from_secs(600);

/// Files that are remembered; beyond, the one that was seen first is forgotten.
const FILES_MAX: usize = 1024;

/// A file with stamps that are not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleStamps {
    /// Which.
    pub file: FileId,
    /// How far the last such stamp was from its arrival.
    pub off_by: Duration,
    /// Whether it lay after its arrival.
    pub ahead: bool,
    /// Failures that were judged by their arrival.
    pub lines: u64,
    last: BootTime,
}

impl fmt::Display for StaleStamps {
    /// Everything but the file's path, which only the source knows.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "its stamps are {} s {} now, so its lines are judged by their arrival; check the clock and the time zone of what \
             writes it (a chroot needs its own etc/localtime)",
            self.off_by.as_secs(),
            if self.ahead { "after" } else { "before" },
        )
    }
}

/// The files whose stamps are not believed now.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    stale: BTreeMap<FileId, StaleStamps>,
}

impl Stamps {
    /// When a failure counts. Where its stamp is not believed and its file was good until now, also that.
    pub(super) fn judge(
        &mut self,
        claimed: LogTime,
        file: FileId,
        live: bool,
        now: Now,
    ) -> (LogTime, Option<StaleStamps>) {
        let arrival = now.wall.as_log_time();
        if live && claimed.distance(arrival) > BELIEVED {
            return (arrival, self.note(claimed, file, now));
        }
        if live && self.stale.get(&file).is_some_and(|stale| now.boot - stale.last > GOOD_AGAIN) {
            self.stale.remove(&file);
        }
        (claimed.min(arrival), None)
    }

    pub(super) fn stale(&self) -> impl Iterator<Item = &StaleStamps> {
        self.stale.values()
    }

    fn note(&mut self, claimed: LogTime, file: FileId, now: Now) -> Option<StaleStamps> {
        let arrival = now.wall.as_log_time();
        let known = self.stale.get(&file);
        let stale = StaleStamps {
            file,
            off_by: claimed.distance(arrival),
            ahead: claimed > arrival,
            lines: known.map_or(0, |stale| stale.lines).saturating_add(1),
            last: now.boot,
        };
        let first = known.is_none();
        self.stale.insert(file, stale);
        while self.stale.len() > FILES_MAX {
            self.stale.pop_first();
        }
        first.then_some(stale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    const SECOND: i64 = 1_000_000;
    /// Where the wall stands when the machine has run for no time.
    const EPOCH: i64 = 1_700_000_000;

    fn now(seconds: u64) -> Now {
        let wall = WallTime((EPOCH + i64::try_from(seconds).unwrap()) * SECOND);
        Now { boot: BootTime::default() + Duration::from_secs(seconds), wall }
    }

    #[test]
    fn a_stamp_is_believed_within_a_minute_of_its_arrival() {
        let table = [
            // claimed (seconds from now), live, counts (seconds from now), believed
            (0, true, 0, true),
            (-60, true, -60, true),
            (-61, true, 0, false),
            (-3600, true, 0, false),
            (30, true, 0, true),
            (60, true, 0, true),
            (61, true, 0, false),
            (7200, true, 0, false),
            (-61, false, -61, true),
            (-86_400, false, -86_400, true),
            (1, false, 0, true),
            (86_400, false, 0, true),
        ];
        for (claimed, live, counts, believed) in table {
            let base = now(1000).wall.0;
            let (at, stale) = Stamps::default().judge(LogTime(base + claimed * SECOND), FileId(0), live, now(1000));
            assert_eq!(at, LogTime(base + counts * SECOND), "{claimed} live {live}");
            assert_eq!(stale.is_none(), believed, "{claimed} live {live}");
        }
    }

    #[test]
    fn a_file_is_named_once_until_it_has_been_good_for_ten_minutes() {
        let mut stamps = Stamps::default();
        let mut line = |seconds: u64, off: i64, file: u32| {
            let at = LogTime(now(seconds).wall.0 + off * SECOND);
            stamps.judge(at, FileId(file), true, now(seconds)).1.is_some()
        };
        assert!(line(0, 3600, 1));
        assert!(line(0, 3600, 2), "each file");
        assert!(!line(10, 3600, 1), "once");
        assert!(!line(20, 0, 1), "one good line between");
        assert!(!line(600, 3600, 1), "is not good again");
        assert!(!line(1201, 0, 1));
        assert!(line(1202, 3600, 1), "after ten good minutes it is");
        assert!(!line(9999, 3600, 1), "but silence is not good");
        assert_eq!(stamps.stale().map(|stale| (stale.file.0, stale.lines)).collect::<Vec<_>>(), [(1, 2), (2, 1)]);
    }

    #[test]
    fn many_bad_files_are_bounded() {
        let mut stamps = Stamps::default();
        for file in 0..5000 {
            stamps.judge(LogTime(0), FileId(file), true, now(0));
        }
        assert_eq!(stamps.stale().count(), FILES_MAX);
    }
}
