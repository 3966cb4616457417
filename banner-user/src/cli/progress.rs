//! How far a long reading is, for somebody who waits at a terminal.

use std::time::{Duration, Instant};

use super::output::Output;
use crate::log_file::LogFile;

/// What takes less needs no word.
const PATIENCE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(200);
/// The clock is looked at once in so many lines: a power of two.
const LINES: u64 = 8192;

/// The progress of reading log files.
pub(super) struct Progress {
    begun: Instant,
    told: Duration,
}

impl Progress {
    pub(super) fn start() -> Self {
        Self { begun: Instant::now(), told: PATIENCE - INTERVAL }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// To be told of every line. `lines` is how many were read in all.
    pub(super) fn tick(&mut self, lines: u64, log: &LogFile, output: &mut Output) {
        if !lines.is_multiple_of(LINES) {
            return;
        }
        let elapsed = self.elapsed();
        if elapsed >= self.told + INTERVAL {
            self.told = elapsed;
            output.progress(&shown(lines, elapsed, log.position(), log.size(), log.name()));
        }
    }
}

/// Percent of a file as it lies on disk, compressed or not.
fn shown(lines: u64, elapsed: Duration, position: u64, size: Option<u64>, name: &str) -> String {
    let percent = size.filter(|size| *size > 0).map(|size| u128::from(position) * 100 / u128::from(size));
    let percent = percent.map(|percent| format!("{:>3} % of ", percent.min(100))).unwrap_or_default();
    format!("{percent}{name}: {lines} lines, {}", rate(lines, elapsed))
}

/// Lines a second, to three digits.
pub(super) fn rate(lines: u64, elapsed: Duration) -> String {
    let rate = lines as f64 / elapsed.as_secs_f64().max(1e-6);
    if rate >= 1e6 { format!("{:.2} million lines/s", rate / 1e6) } else { format!("{rate:.0} lines/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_by_the_bytes_of_the_file() {
        let after = Duration::from_secs(2);
        assert_eq!(shown(8192, after, 30, Some(90), "a"), " 33 % of a: 8192 lines, 4096 lines/s");
        assert_eq!(shown(8_192_000, after, 9, None, "-"), "-: 8192000 lines, 4.10 million lines/s");
        // It has grown since.
        assert_eq!(shown(8192, after, 91, Some(90), "a"), "100 % of a: 8192 lines, 4096 lines/s");
        assert_eq!(shown(8192, after, 0, Some(0), "a"), "a: 8192 lines, 4096 lines/s");
    }
}
