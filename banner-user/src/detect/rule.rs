//! One rule of a filter: what a message must be, and what it then says.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::{
    address, logfmt,
    pattern::{Captured, Pattern, PatternError},
};
use crate::event::{User, Weight};

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Failure { source: IpAddr, user: Option<User>, weight: Weight },
    Success { source: IpAddr, user: Option<User> },
    Outage { source: Option<IpAddr> },
}

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    verdict: Verdict,
    /// The most bytes that a message may have.
    longest: usize,
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
    Text { start: Start, pattern: Pattern },
    Logfmt { start: Start, fields: Vec<(String, Pattern)> },
}

impl Rule {
    pub(super) fn compile(written: WrittenRule) -> Result<Self, RuleFault> {
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
            (Some(start), Some(pattern), None, None) => {
                Form::Text { start: Start::from(start), pattern: compile(pattern)? }
            }
            (None, None, Some(event), Some(fields)) => Form::Logfmt {
                start: Start::Literal(format!("event={event}")),
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
        Ok(Self { verdict, longest: written.longest.unwrap_or(usize::MAX), form })
    }

    /// How its messages start.
    pub(super) fn start(&self) -> &Start {
        match &self.form {
            Form::Text { start, .. } | Form::Logfmt { start, .. } => start,
        }
    }

    /// A regular expression that every message of this rule matches; of a text rule, no other.
    pub(super) fn expression(&self) -> String {
        match &self.form {
            Form::Text { start, pattern } => format!("{}(?:{})", start.expression(), pattern.expression()),
            Form::Logfmt { start, .. } => format!("{}(?: .*)?", start.expression()),
        }
    }

    /// What a message says by this rule, if it is one of its own.
    pub(super) fn find(&mut self, message: &[u8]) -> Option<Finding> {
        if message.len() > self.longest {
            return None;
        }
        match &mut self.form {
            Form::Text { start, pattern } => finding(self.verdict, pattern.captures(start.rest(message)?)?),
            Form::Logfmt { start, fields } => {
                if !matches!(start.rest(message)?, [] | [b' ', ..]) {
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

/// How a message starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Start {
    /// With these bytes.
    Literal(String),
    /// With letters and digits, at least one, and then with these bytes, the first of which is neither.
    Word(String),
}

impl Start {
    /// What follows the start.
    pub(super) fn rest<'a>(&self, message: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Self::Literal(start) => message.strip_prefix(start.as_bytes()),
            Self::Word(after) => {
                let end = message.iter().position(|byte| !byte.is_ascii_alphanumeric()).filter(|end| *end > 0)?;
                message.get(end..)?.strip_prefix(after.as_bytes())
            }
        }
    }

    fn expression(&self) -> String {
        match self {
            Self::Literal(start) => regex::escape(start),
            Self::Word(after) => format!("[0-9A-Za-z]+{}", regex::escape(after)),
        }
    }
}

impl From<String> for Start {
    fn from(text: String) -> Self {
        match text.strip_prefix('*') {
            Some(after) => Self::Word(after.to_owned()),
            None => Self::Literal(text),
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

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRule {
    kind: Kind,
    weight: Option<WrittenWeight>,
    start: Option<String>,
    pattern: Option<String>,
    event: Option<String>,
    fields: Option<BTreeMap<String, String>>,
    longest: Option<usize>,
    pub(super) example: String,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_literal_or_a_word_and_what_follows_it() {
        for (start, message, rest) in [
            ("warning: ", "warning: x", Some("x")),
            ("warning: ", " warning: x", None),
            ("*: client=", "4fQ2Xn3Zz1z9: client=x", Some("x")),
            ("*: client=", ": client=x", None),
            ("*: client=", "4fQ2 Xn3: client=x", None),
            ("*: client=", "4fQ2: uid=0 from=<4fQ2: client=x>", None),
            ("*: client=", "4fQ2", None),
        ] {
            let found = Start::from(start.to_owned()).rest(message.as_bytes());
            assert_eq!(found, rest.map(str::as_bytes), "{start}{message}");
        }
    }
}
