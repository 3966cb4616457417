//! Whether a pattern can be trusted with lines that hold text of an attacker. Built-in filters are held to this by a test,
//! an operator's filters whenever they are loaded.
//!
//! A pattern is a description of what the server writes: literal text, words of few characters, and in between text that a
//! client chose (*free text*, see `free_text`): `.*`, `[^ ]+`, `<USER>`. Its author wrote down what such text should
//! look like, but nobody can know what a client sends. So the server's lines are taken for those of the *loose* form of the
//! pattern, where any bytes stand in the place of free text. A pattern is accepted when, for `<ADDR>`, `<SESSION>` and
//! `<COUNT>` each:
//!
//! 1. there is no message that the pattern matches with the tag in one place, and in which a match of its loose form has it
//!    in another place, or not at all. This is decided, not tried: `walk` looks at all messages at once.
//! 2. the message does not begin with free text, nor with words of any letters and then free text: before it stands a fixed letter or
//!    a tag. It would match as well what another message of the same server ends with.
//! 3. the tag is not inside a repetition, where only the last one would count.
//!
//! The first covers what is ambiguous in itself (`.*\[<ADDR>\].*`), and what is certain only because a client is believed not
//! to write something (`[^\[]*\[<ADDR>\].*`: the first bracket). Between the rules of one filter it holds as well: a message of one
//! rule's loose form is not read differently by another rule, which finds no tag in it that the first has not.
//!
//! So a client's text can make a line be missed, but never be read as another's address, **if** the server's line is what
//! the loose form says. What cannot be checked is just this: that literal text, `<NAME>` and other classes of few characters
//! (`[0-9.]+`), and any class that stands for one character, not several, stand where the server, not a client, writes them; that the address is the client's; and that no other message
//! begins with the same words.
//!
//! What can only refuse more: assertions (`\b`, `^`) are taken to hold everywhere, and a rule is looked at as if no earlier rule
//! took or ignored any of its messages.

mod automaton;
mod free_text;
#[cfg(test)]
mod tests;
mod walk;

use regex_syntax::{ParserBuilder, hir::Hir};

use self::{
    automaton::Automaton,
    walk::{Witness, disagreement},
};
use crate::event::Escaped;

/// What decides whom a message counts for, and how often: the names of the groups, and the tags.
const DECISIVE: [(&str, &str); 3] = [("address", "<ADDR>"), ("session", "<SESSION>"), ("count", "<COUNT>")];

/// Why a pattern cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// The same message can be read in two ways.
    #[error("it can read one message in two ways: as {one}, or as {other}")]
    TwoReadings {
        /// What is not certain.
        tag: &'static str,
        /// A message, escaped, with the tag in one place.
        one: String,
        /// The same message with the tag in the other place.
        other: String,
    },
    /// What is read as decisive may be text of a client.
    #[error("it would be deceived by a client's text: where the server writes {written}, it reads {read}")]
    FreeText {
        /// What is not certain.
        tag: &'static str,
        /// A message, escaped, with the tag where it is read.
        read: String,
        /// The same message with the tag where the server may have written it.
        written: String,
    },
    /// Another rule of the filter reads this one's messages in another way.
    #[error("it would read a message of rule {rule} in another way: where that is {written}, it reads {read}")]
    OtherRule {
        /// What is not certain.
        tag: &'static str,
        /// The other rule, counted from one.
        rule: usize,
        /// A message, escaped, with the tag where it is read.
        read: String,
        /// The same message with the tag where the server may have written it.
        written: String,
    },
    /// The message begins with free text.
    #[error("the message may begin with any text, so another message that ends like this one would count too")]
    AnyStart,
    /// A tag inside a repetition.
    #[error("{0} is inside of something that repeats; which one would count?")]
    Repeated(&'static str),
    /// There is too much to look at.
    #[error("it is too large to tell whether it can be deceived")]
    TooLarge,
    /// The regex compiler took it, and its parser does not.
    #[error("it cannot be checked: {0}")]
    Unreadable(String),
}

impl Ambiguity {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::TwoReadings { tag, .. } => {
                format!("say more narrowly what stands before {tag} and behind it: fixed text, <NAME>, [0-9]+")
            }
            Self::FreeText { tag, .. } => {
                format!("have only fixed text, <NAME> or [0-9]+ before {tag}, or only such from it to the end")
            }
            Self::OtherRule { tag, .. } => {
                format!(
                    "in both rules have only fixed text or <NAME> before {tag}, or in both only such from it to the end"
                )
            }
            Self::AnyStart => {
                "say how the message starts: in `start`, or by fixed words, <ADDR> or <SESSION>".to_owned()
            }
            Self::Repeated(_) => "take it out of the group that repeats".to_owned(),
            Self::TooLarge => "shorten its counted repetitions, or split it into several rules".to_owned(),
            Self::Unreadable(_) => "write it more simply".to_owned(),
        }
    }
}

/// What a rule's pattern says of the server's lines.
#[derive(Debug)]
pub(super) struct Description {
    /// It is about a whole message.
    of_message: bool,
    begins_with_free_text: bool,
    /// One for each of [`DECISIVE`], in that order.
    readings: Vec<Reading>,
}

/// How one tag is read.
#[derive(Debug)]
struct Reading {
    tag: &'static str,
    /// The pattern has it.
    present: bool,
    repeats: bool,
    /// As the pattern has it.
    exact: Automaton,
    /// As the server may write it.
    loose: Automaton,
}

impl Description {
    /// Of an expression that is about a whole message.
    pub(super) fn of_message(expression: &str) -> Result<Self, Ambiguity> {
        Self::parse(expression, true)
    }

    /// Of an expression that is about a value whose place in the message is certain.
    pub(super) fn of_value(expression: &str) -> Result<Self, Ambiguity> {
        Self::parse(expression, false)
    }

    fn parse(expression: &str, of_message: bool) -> Result<Self, Ambiguity> {
        let (exact, loose) = exact_and_loose(expression)?;
        let reading = |(group, tag): (&str, _)| {
            Ok(Reading {
                tag,
                present: free_text::has(&exact, group),
                repeats: free_text::is_repeated(&exact, group),
                exact: Automaton::compile(&exact, group)?,
                loose: Automaton::compile(&loose, group)?,
            })
        };
        let readings = DECISIVE.into_iter().map(reading).collect::<Result<_, _>>()?;
        Ok(Self { of_message, begins_with_free_text: free_text::is_first(&loose), readings })
    }

    /// Sees that what is decisive is certain.
    pub(super) fn check(&self) -> Result<(), Ambiguity> {
        if self.of_message && self.begins_with_free_text {
            return Err(Ambiguity::AnyStart);
        }
        for Reading { tag, repeats, exact, loose, .. } in self.present() {
            if *repeats {
                return Err(Ambiguity::Repeated(tag));
            }
            let Some(deceived) = disagreement(exact, loose)? else { continue };
            // What is ambiguous in itself is told as that, for it takes no attacker.
            return Err(match disagreement(exact, exact)? {
                Some(Witness { text, read, written }) => {
                    Ambiguity::TwoReadings { tag, one: shown(&text, read, tag), other: shown(&text, written, tag) }
                }
                None => {
                    let Witness { text, read, written } = deceived;
                    Ambiguity::FreeText { tag, read: shown(&text, read, tag), written: shown(&text, written, tag) }
                }
            });
        }
        Ok(())
    }

    /// The tags that the pattern has.
    fn present(&self) -> impl Iterator<Item = &Reading> {
        self.readings.iter().filter(|reading| reading.present)
    }

    /// Sees that a message of another rule, with this number, is read as that rule has it: what that rule has no tag for, this one
    /// must not find there. Of values it is not known whether they stand in the same place.
    pub(super) fn check_beside(&self, other: &Self, rule: usize) -> Result<(), Ambiguity> {
        if !(self.of_message && other.of_message) {
            return Ok(());
        }
        let same_tag = self.readings.iter().zip(&other.readings).filter(|(reading, _)| reading.present);
        for (Reading { tag, exact, .. }, Reading { loose, .. }) in same_tag {
            if let Some(Witness { text, read, written }) = disagreement(exact, loose)? {
                let (read, written) = (shown(&text, read, tag), shown(&text, written, tag));
                return Err(Ambiguity::OtherRule { tag, rule, read, written });
            }
        }
        Ok(())
    }
}

fn exact_and_loose(expression: &str) -> Result<(Hir, Hir), Ambiguity> {
    // As `regex` parses it for a pattern.
    let mut parser = ParserBuilder::new().utf8(false).unicode(false).dot_matches_new_line(true).build();
    let exact = parser.parse(expression).map_err(|error| Ambiguity::Unreadable(error.to_string()))?;
    let loose = free_text::loosened(&exact);
    Ok((exact, loose))
}

/// A message in backticks, with the tag in its place.
fn shown(text: &[u8], place: Option<walk::Span>, tag: &str) -> String {
    let Some(walk::Span { start, end }) = place else { return format!("`{}` without {tag}", Escaped(text)) };
    let part = |range: Option<&[u8]>| Escaped(range.unwrap_or_default()).to_string();
    format!("`{}{tag}{}`", part(text.get(..start)), part(text.get(end..)))
}
