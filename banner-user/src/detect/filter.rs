//! Filters: what to look for in a server's log, as data (banner-user/filters/*.toml).
//!
//! ```toml
//! ident = ["*/smtpd"]                    # whose lines: a tag, or `*` and how it ends
//!
//! [[rule]]
//! kind = "failure"                       # or "success", or "outage": the backend is down, nobody's fault
//! weight = "low"                         # of a failure: "low" is a quarter, without it one
//! start = "warning: "                    # the message starts with this: compared first, so that other lines cost nothing
//! pattern = '<NAME>\[<ADDR>\]: gave up'  # and all of the rest matches this (tags: see `pattern`)
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

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::{
    address,
    ident::{Ident, IdentPattern},
    logfmt,
    pattern::{Captured, Pattern, PatternError},
};
use crate::event::{FilterName, User, Weight};

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
    rules: Vec<Rule>,
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

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// Neither form, or both.
    #[error("it needs either `start` and `pattern`, or `event` and `fields`")]
    Form,
    /// A failure or success without a client.
    #[error("it captures no <ADDR>, so nobody could be counted")]
    NoAddress,
    /// More than one address or user over all fields.
    #[error("it captures <ADDR> or <USER> more than once; which one would count?")]
    Twice,
    /// A weight where nothing is weighed.
    #[error("only a failure has a weight")]
    Weight,
    /// A pattern that cannot be.
    #[error("pattern `{pattern}`: {error}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// Why not.
        error: PatternError,
    },
    /// No rule matches the example.
    #[error("it does not match its own example")]
    ExampleMissed,
    /// An earlier rule matches the example.
    #[error("its example is taken by rule {0}, which stands before it")]
    ExampleTaken(usize),
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
        let mut filter = Self { name: name.into(), idents: written.ident, rules: Vec::new() };
        let mut examples = Vec::new();
        for (index, rule) in written.rule.into_iter().enumerate() {
            let (rule, example) = Rule::compile(rule).map_err(|reason| fault(index, reason))?;
            filter.rules.push(rule);
            examples.push(example);
        }
        for (index, example) in examples.iter().enumerate() {
            match filter.rules.iter_mut().position(|rule| rule.find(example.as_bytes()).is_some()) {
                Some(first) if first == index => {}
                Some(first) => return Err(fault(index, RuleFault::ExampleTaken(first + 1))),
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
        if !self.idents.iter().any(|pattern| pattern.matches(ident)) {
            return None;
        }
        self.rules.iter_mut().find_map(|rule| rule.find(message))
    }
}

fn nearest(name: &str) -> Option<&'static str> {
    Filter::built_in_names()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Failure { source: IpAddr, user: Option<User>, weight: Weight },
    Success { source: IpAddr, user: Option<User> },
    Outage { source: Option<IpAddr> },
}

#[derive(Debug)]
struct Rule {
    verdict: Verdict,
    form: Form,
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Failure(Weight),
    Success,
    Outage,
}

#[derive(Debug)]
enum Form {
    Text { start: String, pattern: Pattern },
    Logfmt { start: String, fields: Vec<(String, Pattern)> },
}

impl Rule {
    fn compile(written: WrittenRule) -> Result<(Self, String), RuleFault> {
        let verdict = match (written.kind, written.weight) {
            (Kind::Failure, None) => Verdict::Failure(Weight::ONE),
            (Kind::Failure, Some(WrittenWeight::Low)) => Verdict::Failure(Weight::LOW),
            (Kind::Success, None) => Verdict::Success,
            (Kind::Outage, None) => Verdict::Outage,
            (Kind::Success | Kind::Outage, Some(_)) => return Err(RuleFault::Weight),
        };
        let compile =
            |pattern: String| Pattern::compile(&pattern).map_err(|error| RuleFault::Pattern { pattern, error });
        let form = match (written.start, written.pattern, written.event, written.fields) {
            (Some(start), Some(pattern), None, None) => Form::Text { start, pattern: compile(pattern)? },
            (None, None, Some(event), Some(fields)) => Form::Logfmt {
                start: format!("event={event}"),
                fields: fields
                    .into_iter()
                    .map(|(key, pattern)| Ok((key, compile(pattern)?)))
                    .collect::<Result<_, RuleFault>>()?,
            },
            _ => return Err(RuleFault::Form),
        };
        let addresses = form.patterns().filter(|pattern| pattern.has_address()).count();
        let users = form.patterns().filter(|pattern| pattern.has_user()).count();
        if addresses > 1 || users > 1 {
            return Err(RuleFault::Twice);
        }
        if addresses == 0 && !matches!(verdict, Verdict::Outage) {
            return Err(RuleFault::NoAddress);
        }
        Ok((Self { verdict, form }, written.example))
    }

    fn find(&mut self, message: &[u8]) -> Option<Finding> {
        match &mut self.form {
            Form::Text { start, pattern } => {
                finding(self.verdict, pattern.captures(message.strip_prefix(start.as_bytes())?)?)
            }
            Form::Logfmt { start, fields } => {
                if !matches!(message.strip_prefix(start.as_bytes())?, [] | [b' ', ..]) {
                    return None;
                }
                let values = fields
                    .iter()
                    .map(|(key, _)| logfmt::value(message, key.as_bytes()))
                    .collect::<Option<Vec<Cow<'_, [u8]>>>>()?;
                let mut captured = Captured::default();
                for ((_, pattern), value) in fields.iter_mut().zip(&values) {
                    let Captured { address, user } = pattern.captures(value)?;
                    captured = Captured { address: captured.address.or(address), user: captured.user.or(user) };
                }
                finding(self.verdict, captured)
            }
        }
    }
}

impl Form {
    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        let (text, logfmt) = match self {
            Self::Text { pattern, .. } => (Some(pattern), None),
            Self::Logfmt { fields, .. } => (None, Some(fields)),
        };
        text.into_iter().chain(logfmt.into_iter().flatten().map(|(_, pattern)| pattern))
    }
}

/// None where what stands in the address's place is no address.
fn finding(verdict: Verdict, captured: Captured<'_>) -> Option<Finding> {
    let source = match captured.address {
        Some(text) => Some(address::parse(text)?),
        None => None,
    };
    let user = captured.user.map(User::new);
    Some(match verdict {
        Verdict::Failure(weight) => Finding::Failure { source: source?, user, weight },
        Verdict::Success => Finding::Success { source: source?, user },
        Verdict::Outage => Finding::Outage { source },
    })
}

/// A filter as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFilter {
    ident: Vec<IdentPattern>,
    rule: Vec<WrittenRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    kind: Kind,
    weight: Option<WrittenWeight>,
    start: Option<String>,
    pattern: Option<String>,
    event: Option<String>,
    fields: Option<BTreeMap<String, String>>,
    example: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Failure,
    Success,
    Outage,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenWeight {
    Low,
}

#[cfg(test)]
mod tests;
