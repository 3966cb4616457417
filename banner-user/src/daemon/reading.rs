//! What is read, and that each line is judged, and all that follows from it done, before the next one is looked at.

use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use tracing::warn;

use super::{Daemon, view};
use crate::{
    clock::{Now, WallTime},
    config::Config,
    control::protocol::Text,
    detect::Detector,
    event::FileId,
    judge::{Input, Line},
    source::{
        Progress, TimeOfLine,
        journal::{self, JOURNAL, Journal, JournalPosition, Journalctl},
    },
};

/// How much of the logs is read before the loop looks at everything else again: some milliseconds of work.
const READ_BUDGET: usize = 1 << 20;

/// How long the start reads logs at most.
const CATCH_UP_MAX: Duration = Duration::from_secs(1);

impl Daemon {
    /// Reads what the log files have.
    pub(super) fn read(&mut self) {
        let now = Now::read();
        let decided_all = self.detector.gave_up() == 0;
        let mut has_lines = false;
        let Self { follower, detector, judge, enforcer, .. } = self;
        self.progress = follower.poll(
            now.boot,
            READ_BUDGET,
            &mut |line| {
                has_lines = true;
                let events = detector.handle(line.bytes, now.wall);
                if !events.is_empty() {
                    // It may be younger than the slice that it is read in, and its ban lasts from when it is judged.
                    let now = now.moved_on();
                    let (bytes, position, sources, live) = (line.bytes, line.position, line.patterns, line.live);
                    enforcer.carry_out(judge, Input::Line(Line { events, bytes, position, sources, live }), now);
                }
            },
            &mut |notice| warn!("{notice}"),
        );
        self.lag.polled(now.boot, has_lines, self.progress == Progress::More);
        self.tell_of_lines(decided_all);
    }

    /// Reads what was written before the start: whom it bans should be banned when the service manager starts the mail servers.
    /// A long log is read on beside everything else.
    pub(super) fn catch_up(&mut self) {
        let begun = Instant::now();
        self.read();
        while self.progress == Progress::More && begun.elapsed() < CATCH_UP_MAX {
            self.read();
        }
    }

    /// Reads what the journal has.
    pub(super) fn read_journal(&mut self) {
        let now = Now::read();
        let decided_all = self.detector.gave_up() == 0;
        // The last of the sources: see `Policy::sources`.
        let place = self.config.policy.sources().len().saturating_sub(1);
        let mut has_entries = false;
        let mut notices = Vec::new();
        let Self { journal: Some(journal), detector, judge, enforcer, .. } = self else { return };
        let progress = journal.poll(
            now,
            READ_BUDGET,
            &mut |entry| {
                has_entries = true;
                let events = detector.handle_entry(entry.bytes, now.wall, &entry.writer);
                if !events.is_empty() {
                    // It may be younger than the slice that it is read in, and its ban lasts from when it is judged.
                    let now = now.moved_on();
                    let (bytes, position, live) = (entry.bytes, entry.position, entry.live);
                    let line = Line { events, bytes, position, sources: &[place], live };
                    enforcer.carry_out(judge, Input::Line(line), now);
                }
            },
            &mut |notice| notices.push(notice),
        );
        self.journal_position = journal.position();
        // What journald throws away of other services is nobody's loss here.
        let is_of_others = |notice: &journal::Notice| matches!(notice, journal::Notice::Suppressed { unit, .. } if !self.detector.reads_unit(unit));
        notices.iter().filter(|notice| !is_of_others(notice)).for_each(|notice| warn!("{notice}"));
        self.detector.take_refusals().iter().for_each(|refusal| warn!("{refusal}"));
        self.journal_lag.polled(now.boot, has_entries, progress == Progress::More);
        self.tell_of_lines(decided_all);
    }

    fn tell_of_lines(&mut self, decided_all: bool) {
        // Once; from then on `status` shows how many.
        if decided_all && let Some(warning) = view::gave_up(self.detector.gave_up()) {
            warn!("{warning}");
        }
        for stale in self.enforcer.take_stale() {
            warn!("{}: {stale}", self.source_name(stale.file));
        }
    }

    /// Where a line came from, for an operator.
    pub(super) fn source_name(&self, file: FileId) -> Text {
        if file == FileId::JOURNAL {
            return JOURNAL.into();
        }
        self.follower.path(file).map_or_else(|| "a file that is no longer followed".into(), Text::from)
    }
}

/// Returns when the journal should be read; never without one.
pub(super) async fn wait(journal: Option<&mut Journal>) {
    match journal {
        Some(journal) => journal.wait().await,
        None => std::future::pending().await,
    }
}

/// How far back a log that was never read is of interest to any jail.
pub(super) fn findtime(config: &Config) -> Duration {
    config.policy.jails.iter().map(|jail| jail.findtime).max().unwrap_or_default()
}

/// Reads when a line was written.
pub(super) fn time_of_line(config: &Config) -> TimeOfLine {
    let mut stamps = Detector::new(Vec::new(), config.time_zone.clone().unwrap_or_else(TimeZone::system));
    Box::new(move |line, near| stamps.time(line, near))
}

/// The files that are followed. The journal is the last of the sources, so that these have their places in that list.
pub(super) fn files(config: &Config) -> Vec<String> {
    config.policy.sources().into_iter().filter(|source| *source != JOURNAL).map(str::to_owned).collect()
}

/// The journal, where a jail reads it: from `position` on, and without one what findtime reaches and is not older than `floor`.
pub(super) fn journal(
    config: &Config,
    position: Option<JournalPosition>,
    floor: WallTime,
    now: Now,
) -> Option<Journal> {
    let is_read = config.policy.sources().contains(&JOURNAL);
    is_read.then(|| Journal::new(Journalctl::system(), position, findtime(config), now).not_before(floor))
}
