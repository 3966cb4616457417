//! What the service manager is told, where there is one (`Type=notify`, sd_notify(3)): that the start is over, that the loop
//! still goes round, that the end has come.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::warn;

/// The service manager, or nobody.
#[derive(Debug)]
pub(super) struct ServiceManager {
    /// How often it wants to hear of the loop at least (`WatchdogSec`), and when it last has.
    watchdog: Option<(Duration, Instant)>,
}

impl ServiceManager {
    /// As the environment tells.
    pub(super) fn from_environment() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled().map(|interval| (interval, Instant::now())) }
    }

    /// Packets of banned sources are dropped from now on, and the control socket answers.
    pub(super) fn ready(&self) {
        tell(&NotifyState::Ready);
    }

    /// The loop goes round. To be called by it, every second, and by nobody else: a loop that hangs is ended and started again.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        if let Some((interval, last)) = &mut self.watchdog
            && is_due(now.duration_since(*last), *interval)
        {
            *last = now;
            tell(&NotifyState::Watchdog);
        }
    }

    /// The loop has ended; what is left is tidying up.
    pub(super) fn stopping(&self) {
        tell(&NotifyState::Stopping);
    }
}

/// Four times in an interval: a second that comes late does no harm.
fn is_due(since: Duration, interval: Duration) -> bool {
    since >= interval / 4
}

fn tell(what: &NotifyState<'_>) {
    // Nothing happens where nobody listens.
    if let Err(error) = sd_notify::notify(std::slice::from_ref(what)) {
        warn!("cannot tell the service manager `{what}`: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_manager_hears_of_the_loop_in_time_whatever_the_interval() {
        for interval in [1, 2, 3, 4, 5, 10, 30, 3600] {
            let interval = Duration::from_secs(interval);
            // The loop ticks every second, and one tick is a second late.
            let told = (1..).map(Duration::from_secs).find(|since| is_due(*since, interval));
            let told = told.unwrap();
            assert!(
                told <= (interval / 4).max(Duration::from_secs(1)) + Duration::from_secs(1),
                "{interval:?}: {told:?}"
            );
            assert!(interval < Duration::from_secs(4) || told >= Duration::from_secs(1));
        }
    }
}
