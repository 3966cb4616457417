//! One rule of a filter: what a message must be, and what it then says.

use std::{borrow::Cow, collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::{
    address,
    ambiguity::{Ambiguity, Description},
    logfmt,
    pattern::{Captured, Pattern, PatternError},
    sessions::SessionId,
};
use crate::event::{User, Weight};

/// The most that one failure can be told to weigh.
const WEIGHT_MAX: u16 = 100;

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    Failure {
        source: IpAddr,
        user: Option<User>,
        weight: Weight,
    },
    Success {
        source: IpAddr,
        user: Option<User>,
    },
    Outage {
        source: Option<IpAddr>,
        retold: bool,
    },
    /// A line that the filter knows, and that counts nothing.
    Ignored,
    /// A line that only explains later ones.
    Noted,
}

impl Finding {
    /// The same, said so many times.
    pub(super) fn times(self, times: u16) -> Self {
        match self {
            Self::Failure { source, user, weight } => Self::Failure { source, user, weight: weight.times(times) },
            other @ (Self::Success { .. } | Self::Outage { .. } | Self::Ignored | Self::Noted) => other,
        }
    }
}

/// What a message says by itself: where it tells a session instead of an address, `sessions` knows more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Matched {
    Finding(Finding),
    /// The session is this client's.
    Opened {
        session: SessionId,
        source: IpAddr,
    },
    /// A failure in a session.
    FailureIn {
        session: SessionId,
        user: Option<User>,
        weight: Weight,
    },
    /// A success in a session.
    SuccessIn {
        session: SessionId,
        user: Option<User>,
    },
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
    Outage { retold: bool },
    Ignore,
    Session,
}

#[derive(Debug)]
enum Form {
    Text { start: Start, pattern: Pattern },
    Logfmt { start: Start, fields: Vec<(String, Pattern)> },
}

/// How a pattern is compiled.
pub(super) type Compile = fn(&str) -> Result<Pattern, PatternError>;

/// How the tags of a text rule's pattern are read.
type Captures = for<'a> fn(&mut Pattern, &'a [u8]) -> Option<Captured<'a>>;

impl Rule {
    /// `compile` is [`Pattern::compile`], or [`Pattern::deferred`] for a rule that was tried before.
    pub(super) fn compile(written: WrittenRule, compile: Compile) -> Result<Self, RuleFault> {
        let verdict = match (written.kind, written.weight) {
            (Kind::Failure, None) => Verdict::Failure(Weight::ONE),
            (Kind::Failure, Some(weight)) => Verdict::Failure(weight.weight()?),
            (Kind::Success, None) => Verdict::Success,
            (Kind::Outage, None) => Verdict::Outage { retold: written.retold },
            (Kind::Ignore, None) => Verdict::Ignore,
            (Kind::Session, None) => Verdict::Session,
            (Kind::Success | Kind::Outage | Kind::Ignore | Kind::Session, Some(_)) => return Err(RuleFault::Weight),
        };
        let compile = |pattern: String| compile(&pattern).map_err(|error| RuleFault::Pattern { pattern, error });
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
        let count = |captures: fn(&Pattern) -> bool| form.patterns().filter(|pattern| captures(pattern)).count();
        let (addresses, sessions) = (count(Pattern::has_address), count(Pattern::has_session));
        if [addresses, sessions, count(Pattern::has_user), count(Pattern::has_count)].iter().any(|times| *times > 1) {
            return Err(RuleFault::Twice);
        }
        match verdict {
            Verdict::Session if addresses == 0 || sessions == 0 => return Err(RuleFault::NoSession),
            Verdict::Failure(_) | Verdict::Success if addresses + sessions == 0 => return Err(RuleFault::NoAddress),
            Verdict::Failure(_) | Verdict::Success if addresses + sessions > 1 => return Err(RuleFault::Both),
            Verdict::Outage { retold: true } if addresses == 0 => return Err(RuleFault::Retold),
            Verdict::Outage { .. } => {}
            _ if written.retold => return Err(RuleFault::Retold),
            Verdict::Failure(_) | Verdict::Success | Verdict::Ignore | Verdict::Session => {}
        }
        Ok(Self { verdict, longest: written.longest.unwrap_or(usize::MAX), form })
    }

    /// Whether it tells of a login.
    pub(super) fn tells_login(&self) -> bool {
        matches!(self.verdict, Verdict::Success)
    }

    /// What every message of this rule has at its start, but for a word before it.
    pub(super) fn start(&self) -> &str {
        let (Form::Text { start, .. } | Form::Logfmt { start, .. }) = &self.form;
        let (Start::Literal(text) | Start::Word(text)) = start;
        text
    }

    /// A regular expression that every message of this rule matches; of a text rule, no other.
    pub(super) fn expression(&self) -> String {
        match &self.form {
            Form::Text { start, pattern } => format!("{}(?:{})", start.expression(), pattern.expression()),
            Form::Logfmt { start, .. } => format!("{}(?: .*)?", start.expression()),
        }
    }

    /// What it takes for what: a whole message, or of a logfmt rule single values. Nothing where nobody is counted.
    pub(super) fn descriptions(&self) -> Vec<Result<Description, Ambiguity>> {
        match (self.verdict, &self.form) {
            (Verdict::Outage { .. } | Verdict::Ignore, _) => Vec::new(),
            (_, Form::Text { .. }) => vec![Description::of_message(&self.expression())],
            (_, Form::Logfmt { fields, .. }) => {
                fields.iter().map(|(_, pattern)| Description::of_value(pattern.expression())).collect()
            }
        }
    }

    /// What a message says by this rule, if it is one of its own.
    pub(super) fn find(&mut self, message: &[u8], nobody: &[String]) -> Option<Matched> {
        self.read(message, nobody, Pattern::captures)
    }

    /// The same, cheaper, of a message that is known to match [`Self::expression`].
    pub(super) fn find_in_match(&mut self, message: &[u8], nobody: &[String]) -> Option<Matched> {
        self.read(message, nobody, Pattern::captures_of_match)
    }

    fn read(&mut self, message: &[u8], nobody: &[String], captures: Captures) -> Option<Matched> {
        if message.len() > self.longest {
            return None;
        }
        match &mut self.form {
            Form::Text { start, pattern } => matched(self.verdict, captures(pattern, start.rest(message)?)?, nobody),
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
                    captured = captured.or(pattern.captures(value)?);
                }
                matched(self.verdict, captured, nobody)
            }
        }
    }
}

/// How a message starts.
#[derive(Clone, Debug, PartialEq, Eq)]
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
fn matched(verdict: Verdict, captured: Captured<'_>, nobody: &[String]) -> Option<Matched> {
    let source = match captured.address {
        Some(text) => Some(address::parse(text)?),
        None => None,
    };
    let user = captured.user.filter(|user| !nobody.iter().any(|nobody| nobody.as_bytes() == *user)).map(User::new);
    let session = captured.session.map(SessionId::new);
    Some(match (verdict, session) {
        (Verdict::Failure(weight), None) => {
            Matched::Finding(Finding::Failure { source: source?, user, weight: weight.times(captured.count()) })
        }
        (Verdict::Failure(weight), Some(session)) => {
            Matched::FailureIn { session, user, weight: weight.times(captured.count()) }
        }
        (Verdict::Success, None) => Matched::Finding(Finding::Success { source: source?, user }),
        (Verdict::Success, Some(session)) => Matched::SuccessIn { session, user },
        (Verdict::Outage { retold }, _) => Matched::Finding(Finding::Outage { source, retold }),
        (Verdict::Ignore, _) => Matched::Finding(Finding::Ignored),
        (Verdict::Session, session) => Matched::Opened { session: session?, source: source? },
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
    #[serde(default)]
    retold: bool,
    pub(super) example: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Failure,
    Success,
    Outage,
    Ignore,
    Session,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum WrittenWeight {
    Named(WeightName),
    Number(f64),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WeightName {
    Low,
}

impl WrittenWeight {
    /// Quarters, from one of them to [`WEIGHT_MAX`].
    fn weight(self) -> Result<Weight, RuleFault> {
        match self {
            Self::Named(WeightName::Low) => Ok(Weight::LOW),
            Self::Number(number) => (1..=WEIGHT_MAX * Weight::ONE.0)
                .find(|quarters| f64::from(*quarters) / f64::from(Weight::ONE.0) == number)
                .map(Weight)
                .ok_or(RuleFault::NoWeight),
        }
    }
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// Neither form, or both.
    #[error("it needs either `start` and `pattern`, or `event` and `fields`")]
    Form,
    /// A failure or success without a client.
    #[error("it captures neither <ADDR> nor <SESSION>, so nobody could be counted")]
    NoAddress,
    /// More than one of the same tag over all fields.
    #[error("it captures <ADDR>, <USER>, <COUNT> or <SESSION> more than once; which one would count?")]
    Twice,
    /// An address and a session.
    #[error("it captures <ADDR> and <SESSION>; which one says whose failure it is?")]
    Both,
    /// A session rule without one of its two parts.
    #[error("a session rule says whose session it is: it captures <SESSION> and <ADDR>")]
    NoSession,
    /// A number that cannot be a weight.
    #[error("a weight is \"low\", or a number from 0.25 to {WEIGHT_MAX} in steps of a quarter")]
    NoWeight,
    /// A weight where nothing is weighed.
    #[error("only a failure has a weight")]
    Weight,
    /// Nobody to excuse, or nothing that excuses.
    #[error("only an outage that captures <ADDR> can be retold as that client's failure")]
    Retold,
    /// A pattern that cannot be.
    #[error("pattern `{pattern}`: {error}")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// Why not.
        error: PatternError,
    },
    /// A pattern that a client's text could deceive.
    #[error("{0}")]
    Ambiguous(Ambiguity),
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
