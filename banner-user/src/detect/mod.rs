//! What a log line says. No clock, no I/O: lines and the time they were read near come in, events go out.
//!
//! ```text
//! line ──prefix──> stamp, ident, message ──filter──> finding ──stamp──> Event
//! ```
//!
//! A line is attacker input. What the logger wrote (stamp, host, ident) is parsed by code, at the very start of the line; what
//! the server wrote is matched by the filters' patterns, anchored at both ends of the message; an address is read where the
//! server puts it and nowhere else. A line without a valid prefix yields nothing, and no line yields more than one event.

mod address;
mod filter;
mod ident;
mod logfmt;
mod pattern;
mod prefix;
mod rule;
mod stamp;

use jiff::tz::TimeZone;

pub use self::{
    filter::{Filter, FilterError},
    pattern::PatternError,
    rule::RuleFault,
};
use self::{prefix::Line, rule::Finding, stamp::Stamps};
use crate::{
    clock::WallTime,
    event::{Attempt, Event, Outage, Weight},
};

/// Reads events out of log lines by a set of filters.
#[derive(Debug)]
pub struct Detector {
    filters: Vec<Filter>,
    stamps: Stamps,
}

impl Detector {
    /// Filters are asked in their order; the first that knows a line decides. Stamps without a zone are read in `zone`.
    #[must_use]
    pub fn new(filters: Vec<Filter>, zone: TimeZone) -> Self {
        Self { filters, stamps: Stamps::new(zone) }
    }

    /// The event that a line tells, if any. Only its first physical line is read; the line's end may be there or not.
    ///
    /// A stamp without a year (RFC 3164) is taken for the time nearest to `near`: now for a followed file, the file's own time
    /// for an old one. The caller bounds the line's length (16 KiB in a followed file).
    pub fn handle(&mut self, line: &[u8], near: WallTime) -> Option<Event> {
        let Line { stamp, ident, message } = prefix::parse(first_physical_line(line))?;
        let (filter, finding) = self.filters.iter_mut().find_map(|filter| {
            let finding = filter.find(ident, message)?;
            Some((filter.name().clone(), finding))
        })?;
        let at = self.stamps.resolve(stamp, near)?;
        Some(match finding {
            Finding::Failure { source, user, weight } => Event::Failure(Attempt { filter, source, user, weight, at }),
            Finding::Success { source, user } => {
                Event::Success(Attempt { filter, source, user, weight: Weight::ZERO, at })
            }
            Finding::Outage { source } => Event::Outage(Outage { filter, source, at }),
        })
    }
}

/// Up to the first newline: a daemon may log one that came from a client, and what follows it looks like a line of its own.
fn first_physical_line(line: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', line).and_then(|end| line.get(..end)).unwrap_or(line)
}
