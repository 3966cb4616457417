//! More bans within a minute than is usual: told, and nothing else. Whoever could stop banning by being banned often would.

use std::time::Duration;

use super::capacity::Hourly;
use crate::clock::BootTime;

const MINUTE: Duration = Duration::from_secs(60);

/// How many bans there were of late.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    /// When the minute began that is counted.
    since: BootTime,
    bans: u32,
    told: Hourly,
}

impl Alarm {
    /// A jail has banned. The bans within the minute, where they have come to the limit and that is to be told.
    pub(super) fn banned(&mut self, limit: u32, now: BootTime) -> Option<u32> {
        if now - self.since >= MINUTE {
            (self.since, self.bans) = (now, 0);
        }
        self.bans = self.bans.saturating_add(1);
        (self.bans >= limit && self.told.due(now)).then_some(self.bans)
    }
}
