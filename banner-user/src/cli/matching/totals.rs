//! How many lines meant what.

use crate::event::{Event, FilterName};

/// Of all that was read. Every line is one of matched, outage, ignored, missed and overlong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Totals {
    /// All.
    pub(in crate::cli) lines: u64,
    /// Of somebody's failure or success.
    pub(in crate::cli) matched: u64,
    /// Of an outage, and of nothing that counts.
    pub(in crate::cli) outages: u64,
    /// A filter knows them as ones to be ignored.
    pub(in crate::cli) ignored: u64,
    /// Of nothing that a filter knows.
    pub(in crate::cli) missed: u64,
    /// Too long to be read.
    pub(in crate::cli) overlong: u64,
    /// Some imported filter gave up on them; counted above too, by what the other filters say.
    pub(in crate::cli) gave_up: u64,
    /// What each filter found, in their order.
    pub(in crate::cli) filters: Vec<(FilterName, FilterTotals)>,
}

/// What one filter found: numbers of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct FilterTotals {
    pub(in crate::cli) failures: u64,
    /// How much the failures count together, in quarters of one.
    pub(in crate::cli) quarters: u64,
    pub(in crate::cli) successes: u64,
    pub(in crate::cli) outages: u64,
    pub(in crate::cli) ignored: u64,
}

impl Totals {
    pub(super) fn of(filters: impl Iterator<Item = FilterName>) -> Self {
        Self { filters: filters.map(|name| (name, FilterTotals::default())).collect(), ..Self::default() }
    }

    /// A line with events, of each filter at most one.
    pub(super) fn add(&mut self, events: &[Event]) {
        self.lines += 1;
        if events.iter().any(|event| !matches!(event, Event::Outage(_))) {
            self.matched += 1;
        } else {
            self.outages += 1;
        }
        for event in events {
            let Some(filter) = self.filter(event.filter()) else { continue };
            match event {
                Event::Failure(attempt) => {
                    filter.failures += 1;
                    filter.quarters += u64::from(attempt.weight.0);
                }
                Event::Success(_) => filter.successes += 1,
                Event::Outage(_) => filter.outages += 1,
            }
        }
    }

    /// A line without.
    pub(super) fn add_silent(&mut self, ignored_by: Option<&FilterName>) {
        self.lines += 1;
        let Some(name) = ignored_by else {
            self.missed += 1;
            return;
        };
        self.ignored += 1;
        if let Some(filter) = self.filter(name) {
            filter.ignored += 1;
        }
    }

    pub(super) fn add_overlong(&mut self) {
        self.lines += 1;
        self.overlong += 1;
    }

    fn filter(&mut self, name: &FilterName) -> Option<&mut FilterTotals> {
        self.filters.iter_mut().find(|(other, _)| other == name).map(|(_, totals)| totals)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::{
        clock::LogTime,
        event::{Attempt, Outage, Weight},
    };

    fn attempt(filter: &str, weight: Weight) -> Attempt {
        let source = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
        Attempt { filter: filter.into(), source, user: None, weight, at: LogTime(0) }
    }

    #[test]
    fn every_line_is_counted_once_and_every_event_for_its_filter() {
        let mut totals = Totals::of(["cyrus".into(), "postfix-sasl".into()].into_iter());
        let outage =
            |filter: &str| Event::Outage(Outage { filter: filter.into(), source: None, retold: false, at: LogTime(0) });
        totals.add(&[Event::Failure(attempt("cyrus", Weight::ONE.times(3)))]);
        totals.add(&[Event::Failure(attempt("cyrus", Weight::LOW))]);
        totals.add(&[Event::Success(attempt("cyrus", Weight::ZERO)), outage("postfix-sasl")]);
        totals.add(&[outage("postfix-sasl")]);
        totals.add_silent(Some(&"cyrus".into()));
        totals.add_silent(None);
        totals.add_overlong();
        let cyrus = FilterTotals { failures: 2, quarters: 13, successes: 1, outages: 0, ignored: 1 };
        let postfix = FilterTotals { outages: 2, ..FilterTotals::default() };
        let expected = Totals {
            lines: 7,
            matched: 3,
            outages: 1,
            ignored: 1,
            missed: 1,
            overlong: 1,
            gave_up: 0,
            filters: vec![("cyrus".into(), cyrus), ("postfix-sasl".into(), postfix)],
        };
        assert_eq!(totals, expected);
    }
}
