//! `banner match`: what each line of a log means to the filters, or why it means nothing.
//!
//! Only counted lines are answers (exit 0, JSON): a failure or a success of somebody. An outage is shown and has its own number
//! in the totals, for it counts against nobody. A line that two filters know is one line, and one event of each.

mod filters;
mod follow;
mod positions;
mod subject;
mod totals;

use std::path::Path;

pub(in crate::cli) use self::totals::{FilterTotals, Totals};
use self::{filters::Filters, subject::Subject};
use super::{
    Exit, Failure,
    arguments::MatchArguments,
    output::{self, Output},
    progress::Progress,
    render::{self, MatchedListing},
};
use crate::{
    clock::Now,
    control::protocol::Text,
    detect::Detector,
    log_file::{Chronology, Line, LogFile, LogFileError},
};

/// Matches what was named, and says whether any line was counted.
pub(super) fn run(arguments: &MatchArguments, config: Option<&Path>, output: &mut Output) -> Result<Exit, Failure> {
    let filters = Filters::read(&arguments.filters, config, output)?;
    if arguments.follow {
        return follow::run(arguments, filters, output);
    }
    let Filters { filters, zone, is_complete } = filters;
    let subjects: Vec<_> = arguments.subjects.iter().map(|argument| Subject::of(argument)).collect();
    let totals = Totals::of(filters.iter().map(|filter| filter.name().clone()));
    let mut matching = Matching {
        detector: Detector::new(filters, zone),
        answer: Answer::of(arguments),
        listing: MatchedListing::of(totals.filters.iter().map(|(name, _)| name)),
        totals,
        is_told_apart: subjects.len() > 1,
        is_whole: is_complete,
        is_begun: false,
        progress: Progress::start(),
    };
    for subject in &subjects {
        matching.read(subject, output)?;
    }
    output.end_progress();
    matching.totals.gave_up = matching.detector.gave_up();
    let shows_totals = arguments.count || subjects.iter().any(|subject| !matches!(subject, Subject::Line(_)));
    // Of nothing, they would look like an answer.
    if shows_totals && matching.is_begun {
        matching.tell_totals(output)?;
    }
    Ok(match matching.totals.matched {
        _ if !matching.is_whole => Exit::Usage,
        0 => Exit::No,
        _ => Exit::Done,
    })
}

/// What is said of each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The counted ones, and outages.
    Matched,
    /// Why the others are not.
    Missed,
    /// An object for each event that counts; with `count` only one, of the totals.
    Json { count: bool },
    /// Nothing.
    Count,
}

impl Answer {
    fn of(arguments: &MatchArguments) -> Self {
        match arguments {
            MatchArguments { json: true, count, .. } => Self::Json { count: *count },
            MatchArguments { count: true, .. } => Self::Count,
            MatchArguments { missed: true, .. } => Self::Missed,
            MatchArguments { .. } => Self::Matched,
        }
    }
}

struct Matching {
    detector: Detector,
    answer: Answer,
    listing: MatchedListing,
    totals: Totals,
    /// Lines are named by their file too, since there are several.
    is_told_apart: bool,
    /// Nothing that was to be read could not be.
    is_whole: bool,
    /// Something could be read.
    is_begun: bool,
    progress: Progress,
}

impl Matching {
    fn read(&mut self, subject: &Subject<'_>, output: &mut Output) -> Result<(), Failure> {
        match subject.open() {
            Ok(log) => {
                self.is_begun = true;
                self.read_log(log, subject, output)
            }
            Err(error) => {
                self.tell_error(&error, output);
                Ok(())
            }
        }
    }

    fn read_log(&mut self, mut log: LogFile, subject: &Subject<'_>, output: &mut Output) -> Result<(), Failure> {
        let mut chronology = Chronology::of(log.written().unwrap_or_else(|| Now::read().wall));
        let file = self.is_told_apart.then(|| subject.name());
        let explains = matches!(subject, Subject::Line(_)) && matches!(self.answer, Answer::Matched | Answer::Missed);
        loop {
            match log.next_line() {
                Ok(Some(Line::Whole { number, bytes })) => {
                    let place = Place { file: file.as_ref(), line: number, offset: None };
                    if explains {
                        self.explain(bytes, &mut chronology, output)?;
                    } else {
                        self.read_line(place, bytes, &mut chronology, output)?;
                    }
                }
                Ok(Some(Line::Overlong { number, bytes })) => {
                    self.totals.add_overlong();
                    if explains || self.answer == Answer::Missed {
                        let place = Place { file: file.as_ref(), line: number, offset: None };
                        output.text(&render::overlong(place, bytes))?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.tell_error(&error, output);
                    return Ok(());
                }
            }
            self.progress.tick(self.totals.lines, &log, output);
        }
    }

    fn read_line(
        &mut self,
        place: Place<'_>,
        line: &[u8],
        chronology: &mut Chronology,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let near = chronology.near(&mut self.detector, line);
        let events = self.detector.handle(line, near);
        if events.is_empty() {
            let ignored_by = self.detector.ignored_by();
            self.totals.add_silent(ignored_by);
            if self.answer == Answer::Missed && ignored_by.is_none() {
                let why = self.detector.why_missed(line, near);
                output.text(&render::missed(place, line, &why))?;
            }
            return Ok(());
        }
        self.totals.add(events);
        for event in events {
            match self.answer {
                Answer::Matched => {
                    let row = self.listing.row(place, event, output.style());
                    output.text(&row)?;
                }
                Answer::Json { count: false } => {
                    if let Some(counted) = render::counted_line(place, event) {
                        output.json(&counted)?;
                    }
                }
                Answer::Missed | Answer::Json { count: true } | Answer::Count => {}
            }
        }
        Ok(())
    }

    /// Says all about one line that was given itself.
    fn explain(&mut self, line: &[u8], chronology: &mut Chronology, output: &mut Output) -> Result<(), Failure> {
        let near = chronology.near(&mut self.detector, line);
        let events = self.detector.handle(line, near);
        if !events.is_empty() {
            self.totals.add(events);
            let text = render::explained(line, events, output.style());
            return output.text(&text);
        }
        self.totals.add_silent(self.detector.ignored_by());
        let why = self.detector.why_missed(line, near);
        let time = self.detector.time(line, near);
        let text = render::unexplained(line, time, &why, output.style());
        output.text(&text)
    }

    fn tell_totals(&self, output: &mut Output) -> Result<(), Failure> {
        let elapsed = self.progress.elapsed();
        match self.answer {
            Answer::Json { count: true } => output.json(&render::totals_json(&self.totals)),
            // Stdout is for the objects. Nobody knows stderr's colours.
            Answer::Json { count: false } => {
                output.note(&render::totals(&self.totals, elapsed, &output.style().without_colour()));
                Ok(())
            }
            Answer::Matched | Answer::Missed | Answer::Count => {
                let is_behind_rows = self.answer != Answer::Count;
                let text = render::totals(&self.totals, elapsed, output.style());
                output.text(&format!("{}{text}", if is_behind_rows { "\n" } else { "" }))
            }
        }
    }

    fn tell_error(&mut self, error: &LogFileError, output: &mut Output) {
        self.is_whole = false;
        output.note(&output::printable(&format!("error: {error}")));
    }
}

/// Which line.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Place<'a> {
    /// Where there are several.
    pub(in crate::cli) file: Option<&'a Text>,
    /// Counted from one.
    pub(in crate::cli) line: u64,
    /// Where it begins in a file that is followed, in bytes.
    pub(in crate::cli) offset: Option<u64>,
}
