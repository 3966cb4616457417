//! Why a line tells nothing, for somebody who expected that it would.

use std::fmt;

use super::{filter::Filter, imported::Outcome, prefix, rule::Finding, stamp::Stamps};
use crate::{
    clock::WallTime,
    event::{Escaped, FilterName},
};

/// Why a line tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It does not start with a time.
    NoStamp,
    /// None of the filters reads lines of this program.
    NoFilter {
        /// The syslog tag; none where the line has neither host nor tag.
        ident: Option<Vec<u8>>,
    },
    /// Filters read the program's lines, but none knows this one.
    NoRule {
        /// Which.
        filters: Vec<FilterName>,
    },
    /// A filter of fail2ban has a pattern that would have taken too long on it.
    GaveUp {
        /// Which.
        filter: FilterName,
    },
    /// A filter knows it as one to be ignored, or as one that only explains later ones.
    Ignored {
        /// Which.
        filter: FilterName,
    },
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStamp => f.write_str("it does not start with a time that loggers write"),
            Self::NoFilter { ident: Some(ident) } => write!(f, "no filter reads lines of `{}`", Escaped(ident)),
            Self::NoFilter { ident: None } => {
                f.write_str("it has no host and tag with a process id, and no filter reads lines without")
            }
            Self::NoRule { filters } => {
                f.write_str("no rule matches, of the filters that read this program's lines:")?;
                filters.iter().try_for_each(|filter| write!(f, " {filter}"))
            }
            Self::GaveUp { filter } => write!(f, "a pattern of {filter} gave up on it: it turned back too often"),
            Self::Ignored { filter } => write!(f, "{filter} knows it and counts nothing"),
        }
    }
}

pub(super) fn why(filters: &mut [Filter], stamps: &mut Stamps, line: &[u8], near: WallTime) -> Missed {
    let mut names = Vec::new();
    for filter in filters.iter_mut().filter(|filter| filter.reads_lines()) {
        match filter.find_in_line(line) {
            Some(Outcome::GaveUp) => return Missed::GaveUp { filter: filter.name().clone() },
            Some(Outcome::Found(Finding::Ignored | Finding::Noted, _)) => {
                return Missed::Ignored { filter: filter.name().clone() };
            }
            Some(Outcome::Found(..)) | None => names.push(filter.name().clone()),
        }
    }
    let split = prefix::parse(line).filter(|line| stamps.resolve(line.stamp, near).is_some());
    // Imported filters know more stamps than there are before messages.
    let Some(line) = split else {
        return if names.is_empty() { Missed::NoStamp } else { Missed::NoRule { filters: names } };
    };
    for filter in filters.iter_mut().filter(|filter| filter.reads(line.ident)) {
        if matches!(filter.find(line.ident, line.message), Some(Finding::Ignored | Finding::Noted)) {
            return Missed::Ignored { filter: filter.name().clone() };
        }
        names.push(filter.name().clone());
    }
    if names.is_empty() {
        return Missed::NoFilter { ident: line.ident.map(|ident| ident.name().to_vec()) };
    }
    Missed::NoRule { filters: names }
}
