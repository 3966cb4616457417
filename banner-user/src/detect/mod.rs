//! What a log line says. No clock, no I/O: lines and the time they were read near come in, events go out.
//!
//! ```text
//! line ──prefix──> stamp, ident, message ──filter──> finding ──stamp──> Event
//! ```
//!
//! A line is attacker input. What the logger wrote (stamp, host, ident) is parsed by code, at the very start of the line; what
//! the server wrote is matched by the filters' patterns, anchored at both ends of the message; an address is read where the
//! server puts it and nowhere else. A line without a valid stamp yields nothing, and no filter makes more than one event of a
//! line. fail2ban's filters are the exception: they search in the whole line, as they do there (see `imported`).

mod address;
mod filter;
mod ident;
mod imported;
mod logfmt;
mod missed;
mod pattern;
mod prefix;
mod rule;
mod rules;
mod sessions;
mod stamp;

use jiff::tz::TimeZone;

pub use self::{
    filter::{Filter, FilterError},
    imported::{ImportRefused, Imports, Place},
    missed::Missed,
    pattern::PatternError,
    rule::RuleFault,
};
use self::{imported::Outcome, prefix::Line, rule::Finding, stamp::Stamps};
use crate::{
    clock::{LogTime, WallTime},
    event::{Attempt, Event, FilterName, Outage, Weight},
};

/// Reads events out of log lines by a set of filters.
#[derive(Debug)]
pub struct Detector {
    filters: Vec<Filter>,
    stamps: Stamps,
    /// What the last line told. Kept, so that no line allocates.
    events: Vec<Event>,
    /// The filter, by its place, that knew the last line as one to be ignored.
    ignored: Option<usize>,
    /// The filters, by their places, that read whole lines.
    line_readers: Vec<usize>,
    gave_up: u64,
}

impl Detector {
    /// Stamps without a zone are read in `zone`.
    #[must_use]
    pub fn new(filters: Vec<Filter>, zone: TimeZone) -> Self {
        let line_readers = filters.iter().enumerate().filter(|(_, filter)| filter.reads_lines());
        let line_readers = line_readers.map(|(place, _)| place).collect();
        Self { filters, stamps: Stamps::new(zone), events: Vec::new(), ignored: None, line_readers, gave_up: 0 }
    }

    /// What a line tells: one event for each filter that knows it, in the order of the filters, imported ones last; mostly none. Only its first
    /// physical line is read; the line's end may be there or not.
    ///
    /// A stamp without a year (RFC 3164) is taken for the time nearest to `near`: now for a followed file, the file's own time
    /// for an old one. The caller bounds the line's length (16 KiB in a followed file).
    pub fn handle(&mut self, line: &[u8], near: WallTime) -> &[Event] {
        self.events.clear();
        self.ignored = None;
        let line = first_physical_line(line);
        self.read_message(line, near);
        self.read_line(line, near);
        &self.events
    }

    /// What it tells filters that read messages.
    fn read_message(&mut self, line: &[u8], near: WallTime) {
        let Self { filters, stamps, events, ignored, .. } = self;
        let Some(Line { stamp, ident, message, .. }) = prefix::parse(line) else { return };
        let mut at = None;
        for (index, filter) in filters.iter_mut().enumerate() {
            let Some(finding) = filter.find(ident, message) else { continue };
            if finding == Finding::Ignored {
                ignored.get_or_insert(index);
                continue;
            }
            at = at.or_else(|| stamps.resolve(stamp, near));
            let Some(at) = at else { return };
            events.extend(event(finding, filter.name(), at));
        }
    }

    /// What it tells filters that read whole lines.
    fn read_line(&mut self, line: &[u8], near: WallTime) {
        for place in &self.line_readers {
            let Some(filter) = self.filters.get_mut(*place) else { continue };
            match filter.find_in_line(line) {
                None => {}
                Some(Outcome::GaveUp) => self.gave_up += 1,
                Some(Outcome::Found(Finding::Ignored, _)) => {
                    self.ignored.get_or_insert(*place);
                }
                Some(Outcome::Found(finding, stamp)) => {
                    let at = self.stamps.resolve(stamp, near);
                    self.events.extend(at.and_then(|at| event(finding, filter.name(), at)));
                }
            }
        }
    }

    /// The filter that knew the last line as one to be ignored.
    #[must_use]
    pub fn ignored_by(&self) -> Option<&FilterName> {
        self.filters.get(self.ignored?).map(Filter::name)
    }

    /// On how many lines an imported filter gave up, because a pattern of it that needs backtracking turned back too often: what
    /// they say is not known, and they told nothing.
    #[must_use]
    pub fn gave_up(&self) -> u64 {
        self.gave_up
    }

    /// Why a line tells nothing. Slower than [`Self::handle`], and for a line that tells something of no meaning.
    pub fn why_missed(&mut self, line: &[u8], near: WallTime) -> Missed {
        missed::why(&mut self.filters, &mut self.stamps, first_physical_line(line), near)
    }
}

fn event(finding: Finding, filter: &FilterName, at: LogTime) -> Option<Event> {
    let filter = filter.clone();
    match finding {
        Finding::Failure { source, user, weight } => Some(Event::Failure(Attempt { filter, source, user, weight, at })),
        Finding::Success { source, user } => {
            Some(Event::Success(Attempt { filter, source, user, weight: Weight::ZERO, at }))
        }
        Finding::Outage { source } => Some(Event::Outage(Outage { filter, source, at })),
        Finding::Ignored | Finding::Noted => None,
    }
}

/// Up to the first newline: a daemon may log one that came from a client, and what follows it looks like a line of its own.
fn first_physical_line(line: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', line).and_then(|end| line.get(..end)).unwrap_or(line)
}
