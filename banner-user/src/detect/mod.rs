//! What a log line says. No clock, no I/O: lines and the time they were read near come in, events go out.
//!
//! ```text
//! line ──prefix──> stamp, ident, message ──automaton──> rules ──filter──> finding ──stamp──> Event
//! ```
//!
//! A line is attacker input. What the logger wrote (stamp, host, ident) is parsed by code, at the very start of the line; what
//! the server wrote is matched by the filters' patterns, anchored at both ends of the message; an address is read where the
//! server puts it and nowhere else. A line without a valid stamp yields nothing, and no filter makes more than one event of a
//! line.

mod address;
mod ambiguity;
mod automaton;
mod filter;
mod ident;
mod landmarks;
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
    ambiguity::Ambiguity,
    filter::{Filter, FilterError},
    missed::Missed,
    pattern::PatternError,
    rule::RuleFault,
};
use self::{
    automaton::{Automaton, RuleId},
    prefix::Line,
    rule::Finding,
    stamp::{Stamp, Stamps},
};
use crate::{
    clock::{LogTime, WallTime},
    event::{Attempt, Event, FilterName, Outage, Weight},
};

/// Reads events out of log lines by a set of filters.
#[derive(Debug)]
pub struct Detector {
    filters: Vec<Filter>,
    /// The rules of all filters; none where they are too large for it.
    automaton: Option<Automaton>,
    stamps: Stamps,
    told: Told,
}

/// What the filters found in a line.
#[derive(Debug, Default)]
struct Told {
    /// What the last line told. Kept, so that no line allocates.
    events: Vec<Event>,
    /// The filter, by its place, that knew the last line as one to be ignored.
    ignored: Option<usize>,
}

impl Detector {
    /// Stamps without a zone are read in `zone`.
    #[must_use]
    pub fn new(filters: Vec<Filter>, zone: TimeZone) -> Self {
        let automaton = Automaton::compile(filters.iter().map(Filter::expressions));
        Self { filters, automaton, stamps: Stamps::new(zone), told: Told::default() }
    }

    /// What a line tells: one event for each filter that knows it, in the order of the filters; mostly none. Only its first
    /// physical line is read; the line's end may be there or not.
    ///
    /// A stamp without a year (RFC 3164) is taken for the time nearest to `near`: now for a followed file, the file's own time
    /// for an old one. The caller bounds the line's length (16 KiB in a followed file).
    pub fn handle(&mut self, line: &[u8], near: WallTime) -> &[Event] {
        let Self { filters, automaton, stamps, told } = self;
        told.events.clear();
        told.ignored = None;
        let Some(Line { stamp, ident, message, .. }) = prefix::parse(first_physical_line(line)) else { return &[] };
        let mut at = || stamps.resolve(stamp, near);
        match automaton.as_mut().and_then(|automaton| automaton.matching(message)) {
            Some(rules) => {
                for rules in rules.chunk_by(|one, next| one.filter == next.filter) {
                    let [RuleId { filter: place, .. }, ..] = *rules else { continue };
                    let Some(filter) = filters.get_mut(place) else { continue };
                    let finding = filter.find_among(rules.iter().map(|rule| rule.rule), ident, message);
                    told.tell(finding, place, filter, &mut at);
                }
            }
            // Asked one by one, the filters find the same.
            None => {
                for (place, filter) in filters.iter_mut().enumerate() {
                    let finding = filter.find(ident, message);
                    told.tell(finding, place, filter, &mut at);
                }
            }
        }
        &told.events
    }

    /// The filter that knew the last line as one to be ignored.
    #[must_use]
    pub fn ignored_by(&self) -> Option<&FilterName> {
        self.filters.get(self.told.ignored?).map(Filter::name)
    }

    /// When a line was written, whether any filter knows it or not; a stamp without a year as in [`Self::handle`]. None where it has
    /// no stamp, or none with a time.
    pub fn time(&mut self, line: &[u8], near: WallTime) -> Option<LogTime> {
        let stamp = prefix::parse(first_physical_line(line))?.stamp;
        (stamp != Stamp::Absent).then(|| self.stamps.resolve(stamp, near))?
    }

    /// Why a line tells nothing. Slower than [`Self::handle`], and for a line that tells something of no meaning.
    pub fn why_missed(&mut self, line: &[u8], near: WallTime) -> Missed {
        missed::why(&mut self.filters, &mut self.stamps, first_physical_line(line), near)
    }
}

impl Told {
    fn tell(&mut self, finding: Option<Finding>, place: usize, filter: &Filter, at: impl FnOnce() -> Option<LogTime>) {
        let Some(finding) = finding else { return };
        if finding == Finding::Ignored {
            self.ignored.get_or_insert(place);
        } else if let Some(at) = at() {
            self.events.extend(event(finding, filter.name(), at));
        }
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

#[cfg(test)]
mod tests;
