//! What a log line says. No clock, no I/O: lines and the time they were read near come in, events go out.
//!
//! ```text
//! line ──markers──> maybe ──prefix──> stamp, ident, message ──readers──> filters ──automaton──> rules ──filter──> finding ──stamp──> Event
//! ```
//!
//! A line is attacker input. What the logger wrote (stamp, host, ident) is parsed by code, at the very start of the line; what
//! the server wrote is matched by the filters' patterns, anchored at both ends of the message; an address is read where the
//! server puts it and nowhere else. A line without a valid stamp yields nothing, and no filter makes more than one event of a
//! line. fail2ban's filters are the exception: they search in the whole line, as they do there (see `imported`).

mod address;
mod ambiguity;
mod automaton;
mod filter;
mod ident;
mod imported;
mod landmarks;
mod logfmt;
mod markers;
mod missed;
mod pattern;
mod prefix;
mod readers;
mod rule;
mod rules;
mod sessions;
mod stamp;
mod writers;

use jiff::tz::TimeZone;

pub use self::{
    ambiguity::Ambiguity,
    filter::{Filter, FilterError},
    imported::{ImportRefused, Imports, Place},
    missed::Missed,
    pattern::PatternError,
    rule::RuleFault,
    writers::{Doubt, Refusal},
};
use self::{
    automaton::RuleId,
    imported::Outcome,
    markers::Markers,
    prefix::Line,
    readers::Readers,
    rule::Finding,
    stamp::{Stamp, Stamps},
    writers::Refused,
};
use crate::{
    clock::{LogTime, WallTime},
    event::{Attempt, Event, FilterName, Outage, Weight, Writer},
};

/// Reads events out of log lines by a set of filters.
#[derive(Debug)]
pub struct Detector {
    filters: Vec<Filter>,
    /// What a line must have for any of them to know its message.
    markers: Markers,
    /// Which of them read a message.
    readers: Readers,
    /// The filters, by their places, that read whole lines.
    line_readers: Vec<usize>,
    /// Lines on which one of them gave up.
    gave_up: u64,
    /// What was not believed.
    refused: Refused,
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
        let line_readers = filters.iter().enumerate().filter(|(_, filter)| filter.reads_lines());
        let line_readers = line_readers.map(|(place, _)| place).collect();
        let markers = Markers::of(filters.iter().flat_map(Filter::starts));
        let (readers, stamps, told) = (Readers::default(), Stamps::new(zone), Told::default());
        Self { filters, markers, readers, line_readers, stamps, told, gave_up: 0, refused: Refused::default() }
    }

    /// The filters that tell of no logins.
    pub fn without_logins(&self) -> impl Iterator<Item = &FilterName> {
        self.filters.iter().filter(|filter| !filter.tells_logins()).map(Filter::name)
    }

    /// Takes over what a detector that ran before knows beyond single lines: open sessions and connections, of the filters that
    /// both have, and what was counted.
    pub fn continue_from(&mut self, former: Self) {
        self.gave_up = former.gave_up;
        self.refused.continue_from(&former.refused);
        for former in former.filters {
            if let Some(filter) = self.filters.iter_mut().find(|filter| filter.name() == former.name()) {
                filter.continue_from(former);
            }
        }
    }

    /// What a line tells: one event for each filter that knows it, in the order of the filters, imported ones last; mostly none.
    /// Only its first physical line is read; the line's end may be there or not.
    ///
    /// A stamp without a year (RFC 3164) is taken for the time nearest to `near`: now for a followed file, the file's own time
    /// for an old one. The caller bounds the line's length (16 KiB in a followed file).
    pub fn handle(&mut self, line: &[u8], near: WallTime) -> &[Event] {
        self.read(line, near, None)
    }

    /// The same of an entry of the systemd journal, written out as a line: a filter that does not believe its writer does not
    /// read it.
    pub fn handle_entry(&mut self, line: &[u8], near: WallTime, writer: &Writer<'_>) -> &[Event] {
        self.read(line, near, Some(writer))
    }

    fn read(&mut self, line: &[u8], near: WallTime, writer: Option<&Writer<'_>>) -> &[Event] {
        self.told.events.clear();
        self.told.ignored = None;
        if !self.line_readers.is_empty() || self.markers.may_be_known(line) {
            let line = first_physical_line(line);
            self.read_message(line, near, writer);
            self.read_line(line, near, writer);
        }
        &self.told.events
    }

    /// What it tells filters that read messages.
    fn read_message(&mut self, line: &[u8], near: WallTime, writer: Option<&Writer<'_>>) {
        let Self { filters, readers, stamps, told, refused, .. } = self;
        let Some(Line { stamp, ident, message, times }) = prefix::parse(line) else { return };
        let mut at = || stamps.resolve(stamp, near);
        let (reading, automaton) = readers.of(ident, filters);
        match automaton.and_then(|automaton| automaton.matching(message)) {
            Some(rules) => {
                for rules in rules.chunk_by(|one, next| one.filter == next.filter) {
                    let [RuleId { filter: place, .. }, ..] = *rules else { continue };
                    let Some(filter) = filters.get_mut(place).filter(|_| reading.contains(&place)) else { continue };
                    if let Some((writer, doubt)) = doubt(filter, writer) {
                        refused.note(filter.name(), doubt, writer);
                        continue;
                    }
                    let finding = filter.find_among(rules.iter().map(|rule| rule.rule), message);
                    told.tell(finding.map(|finding| finding.times(times)), place, filter.name(), &mut at);
                }
            }
            // Asked one by one, the filters find the same.
            None => {
                for place in reading {
                    let Some(filter) = filters.get_mut(*place) else { continue };
                    if doubt(filter, writer).is_some() {
                        continue;
                    }
                    let finding = filter.find(ident, message);
                    told.tell(finding.map(|finding| finding.times(times)), *place, filter.name(), &mut at);
                }
            }
        }
    }

    /// What it tells filters that read whole lines.
    fn read_line(&mut self, line: &[u8], near: WallTime, writer: Option<&Writer<'_>>) {
        let Self { filters, line_readers, stamps, told, gave_up, .. } = self;
        for place in line_readers {
            let Some(filter) = filters.get_mut(*place) else { continue };
            if doubt(filter, writer).is_some() {
                continue;
            }
            match filter.find_in_line(line) {
                None => {}
                Some(Outcome::GaveUp) => *gave_up += 1,
                Some(Outcome::Found(finding, stamp)) => {
                    told.tell(Some(finding), *place, filter.name(), || stamps.resolve(stamp, near));
                }
            }
        }
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

    /// On how many lines an imported filter gave up, because a pattern of it that needs backtracking turned back too often: what
    /// they say is not known, and they told nothing.
    #[must_use]
    pub fn gave_up(&self) -> u64 {
        self.gave_up
    }

    /// How many entries of the journal a filter in banner's own form knew, and did not believe.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.entries()
    }

    /// Those of them that an operator should be told of, and was not yet: of each filter each doubt once.
    pub fn take_refusals(&mut self) -> Vec<Refusal> {
        self.refused.take_untold()
    }

    /// Whether any filter can believe entries of this unit: what journald throws away of other units does not matter.
    #[must_use]
    pub fn reads_unit(&self, unit: &[u8]) -> bool {
        self.filters.iter().any(|filter| filter.reads_unit(unit))
    }

    /// Why a line tells nothing. Slower than [`Self::handle`], and for a line that tells something of no meaning.
    pub fn why_missed(&mut self, line: &[u8], near: WallTime) -> Missed {
        missed::why(&mut self.filters, &mut self.stamps, first_physical_line(line), near)
    }
}

impl Told {
    fn tell(
        &mut self,
        finding: Option<Finding>,
        place: usize,
        filter: &FilterName,
        at: impl FnOnce() -> Option<LogTime>,
    ) {
        let Some(finding) = finding else { return };
        if finding == Finding::Ignored {
            self.ignored.get_or_insert(place);
        } else if let Some(at) = at() {
            self.events.extend(event(finding, filter, at));
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
        Finding::Outage { source, retold } => Some(Event::Outage(Outage { filter, source, retold, at })),
        Finding::Ignored | Finding::Noted => None,
    }
}

/// The writer of an entry, and what a filter doubts of it.
fn doubt<'w>(filter: &Filter, writer: Option<&'w Writer<'w>>) -> Option<(&'w Writer<'w>, Doubt)> {
    let writer = writer?;
    Some((writer, filter.doubt(writer)?))
}

/// Up to the first newline: a daemon may log one that came from a client, and what follows it looks like a line of its own.
fn first_physical_line(line: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', line).and_then(|end| line.get(..end)).unwrap_or(line)
}

#[cfg(test)]
mod tests;
