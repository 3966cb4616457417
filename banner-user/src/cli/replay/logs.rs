//! Several log files, read at once and handed on line by line in the order of their times.

use std::path::Path;

use crate::{
    cli::{output::Output, progress::Progress},
    clock::{LogTime, WallTime},
    detect::Detector,
    event::{Event, FileId},
    log_file::{Chronology, Line, LogFile, LogFileError},
    replay::{Merge, protocol::Read},
};

/// Files under way. Of each there is one line in memory, beside what reading it needs.
pub(super) struct Logs<const POLICIES: usize> {
    logs: Vec<Log<POLICIES>>,
    /// Of each policy: they may know different filters, and live in different zones.
    detectors: [Detector; POLICIES],
    merge: Merge<Told<POLICIES>>,
    read: Read,
    errors: Vec<LogFileError>,
    progress: Progress,
    latest: LogTime,
}

struct Log<const POLICIES: usize> {
    file: LogFile,
    chronologies: [Chronology; POLICIES],
    /// The time of its last line that told anything.
    last: LogTime,
}

/// What a line tells, to each policy.
type Told<const POLICIES: usize> = [Vec<Event>; POLICIES];

impl<const POLICIES: usize> Logs<POLICIES> {
    /// Opens the files, `-` for standard input, which is being written now. Nothing was logged after `latest`.
    ///
    /// # Errors
    /// All those that cannot be opened.
    pub(super) fn open(
        paths: &[impl AsRef<Path>],
        detectors: [Detector; POLICIES],
        now: WallTime,
        latest: WallTime,
        output: &mut Output,
    ) -> Result<Self, Vec<LogFileError>> {
        let mut logs = Vec::new();
        let mut errors = Vec::new();
        for path in paths.iter().map(AsRef::as_ref) {
            let file = if path == Path::new("-") { LogFile::standard_input() } else { LogFile::open(path) };
            match file {
                Ok(file) => {
                    let chronology = Chronology::of(file.written().unwrap_or(now));
                    logs.push(Log {
                        file,
                        chronologies: std::array::from_fn(|_| chronology.clone()),
                        last: LogTime(i64::MIN),
                    });
                }
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let merge = Merge::of(logs.len());
        let mut opened = Self {
            logs,
            detectors,
            merge,
            read: Read::default(),
            errors,
            progress: Progress::start(),
            latest: latest.as_log_time(),
        };
        for index in 0..opened.logs.len() {
            opened.advance(index, output);
        }
        Ok(opened)
    }

    /// What the next line tells that tells anything to anyone, and the file that it stands in.
    pub(super) fn next(&mut self, output: &mut Output) -> Option<(FileId, Told<POLICIES>)> {
        let (index, told) = self.merge.take()?;
        self.advance(index, output);
        Some((FileId(u32::try_from(index).unwrap_or(u32::MAX)), told))
    }

    /// What was read so far.
    pub(super) fn read(&self) -> Read {
        self.read
    }

    /// What could not be read to its end.
    pub(super) fn errors(&self) -> &[LogFileError] {
        &self.errors
    }

    /// As it was named.
    pub(super) fn name(&self, file: FileId) -> Option<&str> {
        self.logs.get(usize::try_from(file.0).ok()?).map(|log| log.file.name())
    }

    /// Reads a file on to its next line that tells anything.
    fn advance(&mut self, index: usize, output: &mut Output) {
        let Some(Log { file, chronologies, last }) = self.logs.get_mut(index) else { return };
        loop {
            self.progress.tick(self.read.lines, file, output);
            let bytes = match file.next_line() {
                Ok(Some(Line::Whole { bytes, .. })) => bytes,
                Ok(Some(Line::Overlong { .. })) => {
                    self.read.lines = self.read.lines.saturating_add(1);
                    self.read.overlong = self.read.overlong.saturating_add(1);
                    continue;
                }
                Ok(None) => return,
                Err(error) => return self.errors.push(error),
            };
            self.read.lines = self.read.lines.saturating_add(1);
            let mut told: Told<POLICIES> = std::array::from_fn(|_| Vec::new());
            for ((detector, chronology), told) in self.detectors.iter_mut().zip(&mut *chronologies).zip(&mut told) {
                let near = chronology.near(detector, bytes);
                let events = detector.handle(bytes, near);
                if !events.is_empty() {
                    told.extend_from_slice(events);
                }
            }
            // Zones may differ, the line is one.
            if let Some(at) = told.iter().flatten().map(Event::at).next() {
                // One line with a wrong clock must not hold up all that stand behind it.
                *last = if at > self.latest { *last } else { at };
                return self.merge.put(index, *last, told);
            }
        }
    }
}
