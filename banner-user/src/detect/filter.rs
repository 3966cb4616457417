//! Filters: what to look for in a server's log, as data (banner-user/filters/*.toml).
//!
//! ```toml
//! ident = ["*/smtpd"]                    # whose lines: a tag, or `*` and how it ends
//! nobody = ["(unavailable)"]             # what stands in a user's place where there is none
//!
//! [[rule]]
//! kind = "failure"                       # or "success", or "outage": the backend is down, nobody's fault
//! weight = "low"                         # of a failure: "low" is a quarter, without it one
//! start = "warning: "                    # the message starts with this, or with a word where it starts with `*`
//! pattern = '<NAME>\[<ADDR>\]: gave up'  # and all of the rest matches this (tags: see `pattern`)
//! longest = 600                          # and the message has no more bytes, where that matters
//! example = 'warning: host.example.net[192.0.2.1]: gave up'
//!
//! [[rule]]                               # for logfmt: instead of start and pattern
//! kind = "failure"
//! event = "login.bad"                    # the message starts with `event=login.bad`
//! fields = { "r.clienthost" = '\[<ADDR>\]' }  # and each of these keys is there, all of its value matching
//! example = 'event=login.bad r.clienthost=[192.0.2.1]'
//! ```
//!
//! Rules are asked in their order; the first that matches decides. Every rule carries an example, and a filter is refused
//! where an example is not decided by its own rule: a rule that cannot match, or stands behind one that takes its lines.

use serde::Deserialize;

use super::{
    ident::{Ident, IdentPattern},
    pattern::{PatternError, PatternSet},
    rule::{Finding, Rule, RuleFault, Start, WrittenRule},
};
use crate::event::FilterName;

/// The filters that exist without configuration.
const BUILT_IN: [(&str, &str); 2] = [
    ("cyrus", include_str!("../../filters/cyrus.toml")),
    ("postfix-sasl", include_str!("../../filters/postfix-sasl.toml")),
];

/// A compiled filter.
#[derive(Debug)]
pub struct Filter {
    name: FilterName,
    idents: Vec<IdentPattern>,
    /// What stands in a user's place where there is none.
    nobody: Vec<String>,
    /// How the rules' messages start, each start once.
    starts: Vec<Start>,
    rules: Vec<Rule>,
    /// All rules in one pass: which of them may match.
    candidates: PatternSet,
}

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No filter has this name.
    #[error("there is no filter `{name}`{}", nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default())]
    Unknown {
        /// As it was asked for.
        name: String,
        /// The name nearest to it.
        nearest: Option<&'static str>,
    },
    /// Not TOML, or not of a filter's shape.
    #[error("filter `{name}`: {error}")]
    Syntax {
        /// The filter's name.
        name: String,
        /// With line and column.
        error: toml::de::Error,
    },
    /// More patterns than are worth their memory.
    #[error("filter `{name}`: all rules together: {error}")]
    TooLarge {
        /// The filter's name.
        name: String,
        /// What the regex compiler says.
        error: PatternError,
    },
    /// A rule that cannot be.
    #[error("filter `{name}`, rule {rule}: {fault}")]
    Rule {
        /// The filter's name.
        name: String,
        /// Counted from one.
        rule: usize,
        /// What is wrong with it.
        fault: RuleFault,
    },
}

impl Filter {
    /// A filter that exists without configuration.
    ///
    /// # Errors
    /// [`FilterError::Unknown`] for any other name.
    pub fn built_in(name: &str) -> Result<Self, FilterError> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::parse(name, text),
            None => Err(FilterError::Unknown { name: name.to_owned(), nearest: nearest(name) }),
        }
    }

    /// The names that [`Filter::built_in`] knows.
    pub fn built_in_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Reads a filter from TOML.
    ///
    /// # Errors
    /// [`FilterError::Syntax`] or [`FilterError::Rule`].
    pub fn parse(name: &str, text: &str) -> Result<Self, FilterError> {
        let written: WrittenFilter =
            toml::from_str(text).map_err(|error| FilterError::Syntax { name: name.to_owned(), error })?;
        let fault = |index: usize, fault| FilterError::Rule { name: name.to_owned(), rule: index + 1, fault };
        let examples: Vec<_> = written.rule.iter().map(|rule| rule.example.clone()).collect();
        let rules = written.rule.into_iter().enumerate();
        let rules: Vec<_> = rules
            .map(|(index, rule)| Rule::compile(rule).map_err(|reason| fault(index, reason)))
            .collect::<Result<_, _>>()?;
        let candidates = PatternSet::compile(rules.iter().map(Rule::expression))
            .map_err(|error| FilterError::TooLarge { name: name.to_owned(), error })?;
        let mut starts: Vec<_> = rules.iter().map(|rule| rule.start().clone()).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut filter =
            Self { name: name.into(), idents: written.ident, nobody: written.nobody, starts, rules, candidates };
        for (index, example) in examples.iter().enumerate() {
            match filter.decide(example.as_bytes()) {
                Some((first, _)) if first == index => {}
                Some((first, _)) => return Err(fault(index, RuleFault::ExampleTaken(first + 1))),
                None => return Err(fault(index, RuleFault::ExampleMissed)),
            }
        }
        Ok(filter)
    }

    /// As jails name it.
    #[must_use]
    pub fn name(&self) -> &FilterName {
        &self.name
    }

    /// What a message says, if it is this filter's.
    pub(super) fn find(&mut self, ident: Ident<'_>, message: &[u8]) -> Option<Finding> {
        // Nearly all lines end here.
        if !self.starts.iter().any(|start| start.rest(message).is_some()) {
            return None;
        }
        if !self.idents.iter().any(|pattern| pattern.matches(ident)) {
            return None;
        }
        self.decide(message).map(|(_, finding)| finding)
    }

    /// The first rule that matches, by its index, and what it says.
    fn decide(&mut self, message: &[u8]) -> Option<(usize, Finding)> {
        let nobody = &self.nobody;
        self.candidates
            .matches(message)
            .find_map(|index| Some((index, self.rules.get_mut(index)?.find(message, nobody)?)))
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    Filter::built_in_names()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A filter as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFilter {
    ident: Vec<IdentPattern>,
    #[serde(default)]
    nobody: Vec<String>,
    rule: Vec<WrittenRule>,
}

#[cfg(test)]
mod tests;
