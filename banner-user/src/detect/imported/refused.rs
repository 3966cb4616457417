//! What of fail2ban's filters cannot be had.

use std::fmt;

use crate::event::Escaped;

/// Where in a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The option `prefregex`.
    Prefregex,
    /// A line of `failregex`, counted from one.
    Failregex(usize),
    /// A line of `ignoreregex`, counted from one.
    Ignoreregex(usize),
    /// A line of `datepattern`, counted from one.
    Datepattern(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefregex => f.write_str("prefregex"),
            Self::Failregex(number) => write!(f, "failregex {number}"),
            Self::Ignoreregex(number) => write!(f, "ignoreregex {number}"),
            Self::Datepattern(number) => write!(f, "datepattern {number}"),
        }
    }
}

/// Why a filter of fail2ban's cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportRefused {
    /// `maxlines` above 1.
    #[error("maxlines: patterns over several lines are not supported, only maxlines = 1")]
    SeveralLines,
    /// A tag that asks for what banner does not do.
    #[error("{place}: <{tag}> {why}")]
    Tag {
        /// Where.
        place: Place,
        /// The tag, without its brackets.
        tag: String,
        /// What it would take.
        why: &'static str,
    },
    /// A construct of Python's regular expressions.
    #[error("{place}: {what} is not supported")]
    Construct {
        /// Where.
        place: Place,
        /// Which.
        what: &'static str,
    },
    /// What the regex compiler says.
    #[error("{place}: {}", Escaped(.error.as_bytes()))]
    Pattern {
        /// Where.
        place: Place,
        /// In its words.
        error: String,
    },
    /// A pattern that finds nobody.
    #[error("{place}: it has no <HOST>, nor has prefregex")]
    NoAddress {
        /// Where.
        place: Place,
    },
    /// A filter that finds nothing.
    #[error("failregex: there is none")]
    NoFailregex,
    /// More patterns than are worth their memory.
    #[error("{what}: more than {limit} patterns")]
    TooMany {
        /// Of which option.
        what: &'static str,
        /// The most.
        limit: usize,
    },
    /// All failregex together.
    #[error("failregex: all together: {error}")]
    TooLarge {
        /// What the regex compiler says.
        error: String,
    },
    /// A time that is written in a way that is not read.
    #[error("{place}: `{}` {why}", Escaped(.part.as_bytes()))]
    Date {
        /// Where.
        place: Place,
        /// What of the pattern.
        part: String,
        /// Why not.
        why: &'static str,
    },
}
