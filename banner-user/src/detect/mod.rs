//! What a log line says. No clock, no I/O: lines and the time they were read near come in, events go out.
//!
//! ```text
//! line ──prefix──> stamp, ident, message ──filter──> finding ──stamp──> Event
//! ```
//!
//! A line is attacker input. What the logger wrote (stamp, host, ident) is parsed by code, at the very start of the line; what
//! the server wrote is matched by the filters' patterns, anchored at both ends of the message; an address is read where the
//! server puts it and nowhere else. A line without a valid stamp yields nothing, and no filter makes more than one event of a
//! line. fail2ban's filters are the exception: they search in the line as they do there (see `imported`).

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

use self::{filter::Answer, rule::Finding, stamp::Stamps};
pub use self::{
    filter::{Filter, FilterError},
    imported::{ImportRefused, Imports, Place},
    missed::Missed,
    pattern::PatternError,
    rule::RuleFault,
};
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
    gave_up: u64,
}

impl Detector {
    /// Stamps without a zone are read in `zone`.
    #[must_use]
    pub fn new(filters: Vec<Filter>, zone: TimeZone) -> Self {
        Self { filters, stamps: Stamps::new(zone), events: Vec::new(), ignored: None, gave_up: 0 }
    }

    /// What a line tells: one event for each filter that knows it, in the order of the filters; mostly none. Only its first
    /// physical line is read; the line's end may be there or not.
    ///
    /// A stamp without a year (RFC 3164) is taken for the time nearest to `near`: now for a followed file, the file's own time
    /// for an old one. The caller bounds the line's length (16 KiB in a followed file).
    pub fn handle(&mut self, line: &[u8], near: WallTime) -> &[Event] {
        self.events.clear();
        self.ignored = None;
        let Self { filters, stamps, events, ignored, gave_up } = self;
        let line = first_physical_line(line);
        let split = prefix::parse(line);
        for (index, filter) in filters.iter_mut().enumerate() {
            let (finding, stamp) = match filter.find(line, split.as_ref()) {
                None => continue,
                Some(Answer::Found(Finding::Ignored, _)) => {
                    ignored.get_or_insert(index);
                    continue;
                }
                Some(Answer::Found(finding, stamp)) => (finding, stamp),
                Some(Answer::GaveUp) => {
                    *gave_up += 1;
                    continue;
                }
            };
            let Some(at) = stamps.resolve(stamp, near) else { continue };
            events.extend(event(finding, filter.name(), at));
        }
        &self.events
    }

    /// The filter that knew the last line as one to be ignored.
    #[must_use]
    pub fn ignored_by(&self) -> Option<&FilterName> {
        self.filters.get(self.ignored?).map(Filter::name)
    }

    /// How many lines an imported filter could not be sure about, because a pattern of it that needs backtracking turned back
    /// too often. They told nothing.
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
