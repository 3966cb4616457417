//! A compiled pattern of fail2ban's.

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::{
    dialect::{self, Translated},
    refused::{ImportRefused, Place},
};

/// What one compiled pattern may take of memory, in bytes; as much again for what matching caches.
const COMPILED_MAX: usize = 1 << 21;
/// The same for all patterns of a filter together.
const SET_MAX: usize = 16 << 20;
/// How often a search may turn back. Debian's own patterns turn back some hundred times in their own sample lines.
const BACKTRACKS_MAX: usize = 10_000;
/// How long the program of a backtracking pattern may be, in instructions.
const PROGRAM_MAX: usize = 20_000;

/// A pattern, searched for in a text.
#[derive(Debug)]
pub(super) struct Expression {
    /// Matches at least what the pattern matches, in linear time.
    outline: Regex,
    /// Where that is not the same.
    exact: Option<fancy_regex::Regex>,
    names: Vec<Option<String>>,
}

/// Where the groups of a match are, by their numbers.
#[derive(Debug)]
pub(super) struct Spans(Vec<Option<(usize, usize)>>);

/// A search that turned back too often. Whether the pattern matches is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GaveUp;

impl Expression {
    /// Compiles a pattern in Python's dialect whose tags are replaced.
    pub(super) fn compile(pattern: &str, place: Place) -> Result<Self, ImportRefused> {
        let Translated { exact, outline } = dialect::translated(pattern, place)?;
        // The last line of what they say; before it stands the pattern, with all that was put for its tags.
        let refused = |error: String| {
            let error = error.lines().last().unwrap_or_default();
            let error = error.strip_prefix("error: ").unwrap_or(error).to_owned();
            ImportRefused::Pattern { place, error }
        };
        let outline = RegexBuilder::new(&outline)
            .unicode(false)
            .size_limit(COMPILED_MAX)
            .dfa_size_limit(COMPILED_MAX)
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let exact = match exact {
            None => None,
            Some(exact) => {
                let exact = fancy_regex::RegexBuilder::new(&exact)
                    .bytes_mode(fancy_regex::BytesMode::Ascii)
                    .backtrack_limit(BACKTRACKS_MAX)
                    .delegate_size_limit(COMPILED_MAX)
                    .delegate_dfa_size_limit(COMPILED_MAX)
                    .max_prog_size(PROGRAM_MAX)
                    .build()
                    .map_err(|error| refused(error.to_string()))?;
                Some(exact)
            }
        };
        let owned = |name: Option<&str>| name.map(str::to_owned);
        let names = match &exact {
            Some(exact) => exact.capture_names().map(owned).collect(),
            None => outline.capture_names().map(owned).collect(),
        };
        Ok(Self { outline, exact, names })
    }

    /// The number of a named group.
    pub(super) fn group(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|group| group.as_deref() == Some(name))
    }

    /// The named groups with their numbers.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&str, usize)> {
        self.names.iter().enumerate().filter_map(|(number, name)| Some((name.as_deref()?, number)))
    }

    /// Whether the pattern matches somewhere.
    pub(super) fn is_match(&self, text: &[u8]) -> Result<bool, GaveUp> {
        match &self.exact {
            _ if !self.outline.is_match(text) => Ok(false),
            None => Ok(true),
            Some(exact) => exact.is_match(text).map_err(|_| GaveUp),
        }
    }

    /// The first match.
    pub(super) fn search(&self, text: &[u8]) -> Result<Option<Spans>, GaveUp> {
        // Cheaper than looking for groups at once: hardly a text matches.
        if !self.outline.is_match(text) {
            return Ok(None);
        }
        let numbers = 0..self.names.len();
        Ok(match &self.exact {
            None => self.outline.captures(text).map(|found| {
                Spans(numbers.map(|number| found.get(number).map(|group| (group.start(), group.end()))).collect())
            }),
            Some(exact) => exact.captures(text).map_err(|_| GaveUp)?.map(|found| {
                Spans(numbers.map(|number| found.get(number).map(|group| (group.start(), group.end()))).collect())
            }),
        })
    }
}

impl Spans {
    /// Where a group is; none where it took no part.
    pub(super) fn get(&self, group: Option<usize>) -> Option<(usize, usize)> {
        self.0.get(group?).copied().flatten()
    }
}

/// Which of several patterns may match, in one pass.
#[derive(Debug)]
pub(super) struct Outlines(RegexSet);

impl Outlines {
    pub(super) fn compile<'e>(expressions: impl Iterator<Item = &'e Expression>) -> Result<Self, ImportRefused> {
        RegexSetBuilder::new(expressions.map(|expression| expression.outline.as_str()))
            .unicode(false)
            .size_limit(SET_MAX)
            .dfa_size_limit(SET_MAX)
            .build()
            .map(Self)
            .map_err(|error| ImportRefused::TooLarge { error: error.to_string() })
    }

    /// The indices of the patterns that may match, in their order.
    pub(super) fn matches(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        self.0.matches(text).into_iter()
    }
}
