//! `banner match`: lines, and what they add up to.

use std::{net::IpAddr, time::Duration};

use serde::Serialize;

use super::style::{Style, count, table};
use crate::{
    cli::{
        matching::{FilterTotals, Place, Totals},
        progress::rate,
    },
    clock::LogTime,
    control::protocol::{Failures, Text, Time},
    detect::Missed,
    event::{Attempt, Event, FilterName, Weight},
    source::LINE_MAX,
};

/// Rows of events, written as they come.
#[derive(Debug)]
pub(in crate::cli) struct MatchedListing {
    begun: bool,
    /// What a row's place in its file is called.
    place: &'static str,
    /// The longest name of a filter.
    filter_width: usize,
}

impl MatchedListing {
    /// By these filters.
    pub(in crate::cli) fn of<'n>(filters: impl Iterator<Item = &'n FilterName>) -> Self {
        let longest = filters.map(|name| name.chars().count()).max().unwrap_or(0);
        Self { begun: false, place: "LINE", filter_width: longest.max("FILTER".len()) }
    }

    /// The same of a log that is followed, where nobody counts lines.
    pub(in crate::cli) fn by_offset<'n>(filters: impl Iterator<Item = &'n FilterName>) -> Self {
        Self { place: "OFFSET", ..Self::of(filters) }
    }

    /// One event's; before the first, the heading too. Widths are fixed, since what comes later is not known.
    pub(in crate::cli) fn row(&mut self, place: Place<'_>, event: &Event, style: &Style) -> String {
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            let heading = self.line(self.place, "TIME", "KIND", "WEIGHT", "FILTER", "ADDRESS", "USER");
            text = format!("{}\n", style.heading(heading.trim_end()));
        }
        let Meaning { kind, at, source, user, weight } = Meaning::of(event);
        let at_line = place.offset.unwrap_or(place.line);
        let place = match place.file {
            Some(file) => format!("{file}:{at_line}"),
            None => at_line.to_string(),
        };
        let source = source.map_or_else(|| "-".to_owned(), |source| source.to_string());
        let user = user.map_or_else(|| "-".to_owned(), |user| user.to_string());
        let filter = Text::from(&**event.filter());
        let at = style.time(Time::from(at));
        let row = self.line(&place, &at, kind, &weight.to_string(), filter.as_str(), &source, &user);
        let row = row.trim_end();
        let row = match event {
            Event::Failure(_) => row.to_owned(),
            Event::Success(_) => style.good(row),
            Event::Outage(_) => style.warning(row),
        };
        text + &row + "\n"
    }

    #[expect(clippy::too_many_arguments, reason = "a column each")]
    fn line(&self, place: &str, at: &str, kind: &str, weight: &str, filter: &str, source: &str, user: &str) -> String {
        let width = self.filter_width;
        format!("{place:>8}  {at:<25}  {kind:<7}  {weight:>6}  {filter:<width$}  {source:<15}  {user}")
    }
}

/// What an event says, whatever its kind.
struct Meaning {
    kind: &'static str,
    at: LogTime,
    source: Option<IpAddr>,
    user: Option<Text>,
    weight: Failures,
}

impl Meaning {
    fn of(event: &Event) -> Self {
        let of_attempt = |kind, attempt: &Attempt| Self {
            kind,
            at: attempt.at,
            source: Some(attempt.source),
            user: attempt.user.as_ref().map(Text::from),
            weight: attempt.weight.into(),
        };
        match event {
            Event::Failure(attempt) => of_attempt("failure", attempt),
            Event::Success(attempt) => of_attempt("success", attempt),
            Event::Outage(outage) => {
                let (at, source, weight) = (outage.at, outage.source, Weight::ZERO.into());
                Self { kind: "outage", at, source, user: None, weight }
            }
        }
    }
}

/// A line that no filter knows, and why.
pub(in crate::cli) fn missed(place: Place<'_>, line: &[u8], why: &Missed) -> String {
    let Place { file, line: number, .. } = place;
    let file = file.map(|file| format!("{file}:")).unwrap_or_default();
    format!("{file}{number}: {}\n    {}\n", Text::escape(line), Text::from(why.to_string()))
}

/// A line that is too long to be read.
pub(in crate::cli) fn overlong(place: Place<'_>, bytes: u64) -> String {
    let Place { file, line: number, .. } = place;
    let file = file.map(|file| format!("{file}:")).unwrap_or_default();
    format!("{file}{number}: {bytes} bytes\n    longer than the {LINE_MAX} bytes that are read\n")
}

/// All about a line that means something.
pub(in crate::cli) fn explained(line: &[u8], events: &[Event], style: &Style) -> String {
    let mut text = quoted(line, style);
    for event in events {
        let Meaning { kind, at, source, user, weight } = Meaning::of(event);
        let kind = match event {
            Event::Failure(_) => style.bad(kind),
            Event::Success(_) => style.good(kind),
            Event::Outage(_) => style.warning(&format!("{kind} of the authentication backend: counts against nobody")),
        };
        let mut rows = vec![
            ["means".to_owned(), kind],
            ["filter".to_owned(), Text::from(&**event.filter()).to_string()],
            ["time".to_owned(), style.time(Time::from(at))],
        ];
        rows.extend(source.map(|source| ["address".to_owned(), source.to_string()]));
        rows.extend(user.map(|user| ["user".to_owned(), user.to_string()]));
        if matches!(event, Event::Failure(_)) {
            rows.push(["weight".to_owned(), weight.to_string()]);
        }
        text += &table(&rows);
    }
    text
}

/// All about a line that means nothing.
pub(in crate::cli) fn unexplained(line: &[u8], time: Option<LogTime>, why: &Missed, style: &Style) -> String {
    let mut rows = vec![
        ["means".to_owned(), style.warning("nothing")],
        ["why".to_owned(), Text::from(why.to_string()).to_string()],
    ];
    rows.extend(time.map(|time| ["time".to_owned(), style.time(Time::from(time))]));
    quoted(line, style) + &table(&rows)
}

fn quoted(line: &[u8], style: &Style) -> String {
    format!("{}\n", style.heading(Text::escape(line).as_str()))
}

/// What all lines add up to, and how long it took.
pub(in crate::cli) fn totals(totals: &Totals, elapsed: Duration, style: &Style) -> String {
    let Totals { lines, matched, outages, ignored, missed, overlong, gave_up, filters } = totals;
    let mut text = style.heading(&format!(
        "{}: {matched} matched, {}, {ignored} ignored, {missed} missed",
        count(*lines, "line"),
        count(*outages, "outage"),
    ));
    text += "\n";
    if *overlong > 0 {
        let overlong = format!("{} not read: longer than {LINE_MAX} bytes", count(*overlong, "line"));
        text += &format!("  {}\n", style.warning(&overlong));
    }
    if *gave_up > 0 {
        let gave_up =
            format!("{} not decided by an imported filter: a pattern turned back too often", count(*gave_up, "line"));
        text += &format!("  {}\n", style.warning(&gave_up));
    }
    let mut rows = vec![["FILTER", "FAILURES", "WEIGHT", "SUCCESSES", "OUTAGES", "IGNORED"].map(str::to_owned)];
    rows.extend(filters.iter().map(|(name, totals)| {
        let FilterTotals { failures, quarters, successes, outages, ignored } = totals;
        [
            Text::from(&**name).to_string(),
            failures.to_string(),
            Failures::of_quarters(*quarters).to_string(),
            successes.to_string(),
            outages.to_string(),
            ignored.to_string(),
        ]
    }));
    text += &table(&rows);
    text + &format!("  read in {:.2} s, {}\n", elapsed.as_secs_f64(), rate(*lines, elapsed))
}

/// An event that counts, as JSON; none of an outage.
pub(in crate::cli) fn counted_line<'a>(place: Place<'a>, event: &Event) -> Option<CountedLine<'a>> {
    let Meaning { kind, at, source, user, weight } = Meaning::of(event);
    let addr = match event {
        Event::Failure(_) | Event::Success(_) => source?,
        Event::Outage(_) => return None,
    };
    let Place { file, line, offset } = place;
    let filter = Text::from(&**event.filter());
    Some(CountedLine { file, line, offset, filter, addr, user, weight, kind, at: Time::from(at) })
}

/// `{"line":17,"filter":"cyrus","addr":"192.0.2.1","user":"alice","weight":1,"kind":"failure","at":"2026-11-22T12:00:00Z"}`:
/// these keys in this order, and before them `file` where more than one was named. Of a log that is followed, always `file`,
/// and `offset` behind `line`, which then counts what was read since the start.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct CountedLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Text>,
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    filter: Text,
    addr: IpAddr,
    user: Option<Text>,
    weight: Failures,
    kind: &'static str,
    at: Time,
}

/// The totals as JSON.
pub(in crate::cli) fn totals_json(totals: &Totals) -> impl Serialize {
    let Totals { lines, matched, outages, ignored, missed, overlong, gave_up, ref filters } = *totals;
    let filters = filters.iter().map(|(name, totals)| {
        let FilterTotals { failures, quarters, successes, outages, ignored } = *totals;
        let (filter, weight) = (Text::from(&**name), Failures::of_quarters(quarters));
        FilterCounts { filter, failures, weight, successes, outages, ignored }
    });
    Counts { lines, matched, outages, ignored, missed, overlong, gave_up, filters: filters.collect() }
}

#[derive(Debug, Serialize)]
struct Counts {
    lines: u64,
    matched: u64,
    outages: u64,
    ignored: u64,
    missed: u64,
    overlong: u64,
    gave_up: u64,
    filters: Vec<FilterCounts>,
}

#[derive(Debug, Serialize)]
struct FilterCounts {
    filter: Text,
    failures: u64,
    weight: Failures,
    successes: u64,
    outages: u64,
    ignored: u64,
}

#[cfg(test)]
mod tests;
