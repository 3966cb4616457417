//! The time since boot, which everything here is noted in, and the kernel's ticks, which deadlines are in.

use std::{sync::OnceLock, thread, time::Duration};

use anyhow::{Context as _, anyhow};
use banner_tests::object::{self, Program};
use nix::time::{ClockId, clock_gettime};

/// How far a ban may end from where it should: three of the longest ticks, for what two conversions round and a tick in between.
pub(crate) const TOLERANCE: Duration = Duration::from_millis(30);

/// The time since boot. No clock step moves it.
pub(crate) fn now() -> anyhow::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME)?.into())
}

/// Lets time pass in which other things happen; nothing is waited for.
pub(crate) fn let_pass(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "what varies is the moment; nothing is waited for")]
    thread::sleep(time);
}

/// How ticks and the time since boot go together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    hertz: u64,
    ticks: u64,
    boot: Duration,
}

impl Ticks {
    /// As this kernel counts them.
    pub(crate) fn of_this_machine() -> anyhow::Result<Self> {
        static SAMPLED: OnceLock<Result<Ticks, String>> = OnceLock::new();
        SAMPLED
            .get_or_init(|| Self::sample().map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(|error| anyhow!(error))
    }

    fn sample() -> anyhow::Result<Self> {
        let objects = object::under_test("the clock of a ban")?;
        let mut program = Program::load(objects.first().context("an object is under test")?)?;
        let (earlier, began) = program.clocks()?;
        let_pass(Duration::from_millis(200));
        let (ticks, boot) = program.clocks()?;
        let measured = u128::from(ticks - earlier) * 1_000_000_000 / (boot - began).as_nanos();
        // The rates that Linux can be built with (`kernel/Kconfig.hz`).
        let hertz = [100, 250, 300, 1000].into_iter().min_by_key(|hertz| u128::from(*hertz).abs_diff(measured));
        Ok(Self { hertz: hertz.context("there are rates")?, ticks, boot })
    }

    /// When a tick begins; none where it never comes.
    pub(crate) fn begins(&self, tick: u64) -> Option<Duration> {
        if tick == u64::MAX {
            return None;
        }
        let length = |ticks: u64| Duration::from_nanos(ticks.saturating_mul(1_000_000_000) / self.hertz);
        Some(match tick.checked_sub(self.ticks) {
            Some(later) => self.boot + length(later),
            None => self.boot.saturating_sub(length(self.ticks - tick)),
        })
    }
}
