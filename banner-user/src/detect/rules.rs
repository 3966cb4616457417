//! banner's own form of a filter: what to look for in a server's log, as data. The built-in ones are in banner-user/filters/.
//!
//! ```toml
//! ident = ["*/smtpd", "dovecot"]         # whose lines: a tag, or `*` and how it ends
//! bare = true                            # also lines that the server itself writes to a file, without host and tag
//! nobody = ["(unavailable)"]             # what stands in a user's place where there is none
//!
//! [journal]                              # whose entries of the systemd journal are believed: see `writers`
//! accounts = ["postfix"]
//!
//! [[rule]]
//! kind = "failure"                       # or another one: see below
//! weight = "low"                         # of a failure: "low" is a quarter, or a number; without it one
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
//! | kind | what a message of it says |
//! | --- | --- |
//! | `failure` | a client failed; so many times as `<COUNT>` says, where the pattern has it |
//! | `success` | a client authenticated |
//! | `outage` | the backend is down: nobody's fault |
//! | `ignore` | nothing, and no later rule is asked |
//! | `session` | the session `<SESSION>` is that of the client `<ADDR>`, whose later lines have no address |
//!
//! A failure or success has `<ADDR>`, or `<SESSION>`, which stands for the address that a `session` rule read before.
//!
//! Rules are asked in their order; the first that matches decides. Every rule carries an example, and a filter is refused
//! where an example is not decided by its own rule: a rule that cannot match, or stands behind one that takes its lines. An
//! operator's filter is also refused where a client could deceive it (see `ambiguity`).

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    ambiguity::Description,
    filter::FilterError,
    ident::{Ident, IdentPattern},
    pattern::{Pattern, check_size},
    rule::{Compile, Finding, Matched, Rule, RuleFault, WrittenRule},
    sessions::Sessions,
    writers::Writers,
};

/// The most rules that are compared with each other, each with each.
const CHECKED_MAX: usize = 200;

/// The compiled rules of a filter.
#[derive(Debug)]
pub(super) struct Rules {
    idents: Vec<IdentPattern>,
    /// Lines without host and tag are read too.
    bare: bool,
    /// What stands in a user's place where there is none.
    nobody: Vec<String>,
    rules: Vec<Rule>,
    sessions: Sessions,
    writers: Writers,
}

impl Rules {
    /// Reads them from TOML, and tries them on their examples. The name is for errors.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self, FilterError> {
        let (mut rules, examples) = Self::read(name, text, Pattern::compile)?;
        check_size(rules.expressions()).map_err(|error| FilterError::TooLarge { name: name.to_owned(), error })?;
        for (index, example) in examples.iter().enumerate() {
            match rules.decide(example.as_bytes()) {
                Some((first, _)) if first == index => {}
                Some((first, _)) => return Err(fault(name, index, RuleFault::ExampleTaken(first + 1))),
                // What is not certain may be the very reason.
                None => {
                    let missed = fault(name, index, RuleFault::ExampleMissed);
                    return Err(rules.check(name).into_iter().next().unwrap_or(missed));
                }
            }
        }
        Ok(rules)
    }

    /// The same, several times as fast, of a text that [`Self::parse`] was seen to accept.
    pub(super) fn parse_tried(name: &str, text: &str) -> Result<Self, FilterError> {
        Ok(Self::read(name, text, Pattern::deferred)?.0)
    }

    /// The rules and their examples.
    fn read(name: &str, text: &str, compile: Compile) -> Result<(Self, Vec<String>), FilterError> {
        let written: WrittenFilter =
            toml::from_str(text).map_err(|error| FilterError::Syntax { name: name.to_owned(), error })?;
        let examples = written.rule.iter().map(|rule| rule.example.clone()).collect();
        let rules = written.rule.into_iter().enumerate();
        let rules = rules
            .map(|(index, rule)| Rule::compile(rule, compile).map_err(|reason| fault(name, index, reason)))
            .collect::<Result<_, _>>()?;
        let WrittenFilter { ident: idents, bare, nobody, journal: writers, .. } = written;
        Ok((Self { idents, bare, nobody, rules, sessions: Sessions::default(), writers }, examples))
    }

    /// Which rules could be deceived by what a client writes; of each its first fault. The name is for errors.
    pub(super) fn check(&self, name: &str) -> Vec<FilterError> {
        if self.rules.len() > CHECKED_MAX {
            return vec![FilterError::TooManyRules { name: name.to_owned(), most: CHECKED_MAX }];
        }
        let mut faults = BTreeMap::new();
        let mut sound: Vec<(usize, Description)> = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            for description in rule.descriptions() {
                match description.and_then(|description| description.check().map(|()| description)) {
                    Ok(description) => sound.push((index, description)),
                    Err(ambiguity) => drop(faults.entry(index).or_insert(ambiguity)),
                }
            }
        }
        for (place, (index, description)) in sound.iter().enumerate() {
            for (earlier_index, earlier) in sound.iter().take(place) {
                if let Err(ambiguity) = description.check_beside(earlier, earlier_index + 1) {
                    faults.entry(*index).or_insert(ambiguity);
                } else if let Err(ambiguity) = earlier.check_beside(description, index + 1) {
                    faults.entry(*earlier_index).or_insert(ambiguity);
                }
            }
        }
        faults.into_iter().map(|(index, ambiguity)| fault(name, index, RuleFault::Ambiguous(ambiguity))).collect()
    }

    /// Whether any of them tells of logins.
    pub(super) fn tell_logins(&self) -> bool {
        self.rules.iter().any(Rule::tells_login)
    }

    /// Whose entries of the journal they believe.
    pub(super) fn writers(&self) -> &Writers {
        &self.writers
    }

    /// Whether they are about lines of this program; none stands for a server that wrote the line itself.
    pub(super) fn reads(&self, ident: Option<Ident<'_>>) -> bool {
        match ident {
            Some(ident) => self.idents.iter().any(|pattern| pattern.matches(ident)),
            None => self.bare,
        }
    }

    /// What messages of the rules start with, of each rule.
    pub(super) fn starts(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(Rule::start)
    }

    /// The regular expressions of the rules, in their order.
    pub(super) fn expressions(&self) -> impl Iterator<Item = String> {
        self.rules.iter().map(Rule::expression)
    }

    /// What a message says. Asks one rule after the other.
    pub(super) fn find(&mut self, ident: Option<Ident<'_>>, message: &[u8]) -> Option<Finding> {
        if !self.reads(ident) {
            return None;
        }
        let (_, matched) = self.decide(message)?;
        self.sessions.join(matched)
    }

    /// What a message of a program that they are about says, which is known to match the expressions of these rules, and of no others.
    pub(super) fn find_among(&mut self, mut rules: impl Iterator<Item = usize>, message: &[u8]) -> Option<Finding> {
        let nobody = &self.nobody;
        let matched = rules.find_map(|index| self.rules.get_mut(index)?.find_in_match(message, nobody))?;
        self.sessions.join(matched)
    }

    /// Takes over the open sessions of the same filter as it was before.
    pub(super) fn continue_from(&mut self, former: Self) {
        self.sessions = former.sessions;
    }

    /// The first rule that matches, by its index, and what it says.
    fn decide(&mut self, message: &[u8]) -> Option<(usize, Matched)> {
        let nobody = &self.nobody;
        let rules = self.rules.iter_mut().enumerate();
        rules.map(|(index, rule)| Some((index, rule.find(message, nobody)?))).find_map(|decided| decided)
    }
}

fn fault(name: &str, index: usize, fault: RuleFault) -> FilterError {
    FilterError::Rule { name: name.to_owned(), rule: index + 1, fault }
}

/// A filter as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFilter {
    ident: Vec<IdentPattern>,
    #[serde(default)]
    bare: bool,
    #[serde(default)]
    nobody: Vec<String>,
    #[serde(default)]
    journal: Writers,
    rule: Vec<WrittenRule>,
}

#[cfg(test)]
mod tests;
