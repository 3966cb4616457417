//! Patterns: regular expressions over bytes, with tags for what an attacker may write.
//!
//! | tag | stands for |
//! | --- | --- |
//! | `<ADDR>` | the client's address, read strictly afterwards; at most once |
//! | `<NAME>` | a host name: letters, digits, `.`, `_`, `-`; never trusted, so never kept |
//! | `<MECH>` | a SASL mechanism as RFC 4422 section 3.1 names it, in either case: no other can exist |
//! | `<USER>` | what the client called itself: any bytes; at most once |
//! | `<COUNT>` | how many failures the line tells of: a number; at most once |
//! | `<SESSION>` | by which id the server's lines about one connection are joined: letters and digits; at most once |
//!
//! A pattern covers all of its text: `\A` and `\z` are put around it. `.` is any byte. Groups are written `(?:...)`; only
//! `(?P<user>...)` and `(?P<address>...)` may be named, to say more narrowly than the tag what stands there. Matching is
//! several times cheaper where the bytes around the tags tell where they stand (`(?P<user>[^ ]+) ` rather than `<USER> `:
//! [`super::landmarks`]).

use regex::bytes::{CaptureLocations, Regex, RegexBuilder};
use regex_automata::{nfa::thompson, util::syntax};
use regex_syntax::hir::{Hir, HirKind};

use super::landmarks::Landmarks;

/// The longest pattern, in bytes.
const PATTERN_MAX: usize = 2048;
/// What one compiled pattern may take of memory, in bytes; as much again for what matching caches.
pub(super) const COMPILED_MAX: usize = 1 << 20;
/// The same for all patterns of a filter together.
pub(super) const SET_MAX: usize = 8 << 20;

/// The most failures that one line is believed to tell of.
const COUNT_MAX: u16 = 100;

const TAGS: [(&str, &str); 6] = [
    // Of any length: what is too long for an address is none when it is read. To count its bytes, an automaton would need a state for
    // each, and go from one to the next several times as slowly as it stays in one.
    ("<ADDR>", "(?P<address>(?:IPv6:)?[0-9A-Fa-f:.]{2,}(?:%[0-9A-Za-z._-]{1,32})?)"),
    ("<NAME>", "[0-9A-Za-z._-]+"),
    ("<MECH>", "[0-9A-Za-z_-]{1,20}"),
    ("<USER>", "(?P<user>.*)"),
    ("<COUNT>", "(?P<count>[0-9]{1,4})"),
    ("<SESSION>", "(?P<session>[0-9A-Za-z]{1,32})"),
];

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Longer than any pattern has to be.
    #[error("it is longer than {PATTERN_MAX} bytes; split it into several rules")]
    TooLong,
    /// `<WORD>` where WORD is no tag.
    #[error("`{0}` is no tag; there are <ADDR>, <NAME>, <MECH>, <USER>, <COUNT> and <SESSION>")]
    UnknownTag(String),
    /// A capturing group.
    #[error("it has a group that captures; write (?:...) for (...)")]
    Captures,
    /// `(?=`, `(?!`, `(?<=` or `(?<!`.
    #[error(
        "look-around is not supported: its cost could grow with what a client sends; say what the text is, and put a rule of \
         kind \"ignore\" before this one for what it is not"
    )]
    LookAround,
    /// `\1` and the like.
    #[error("back-references are not supported: their cost could grow with what a client sends; write the text out")]
    BackReference,
    /// It, or all of a filter together, would take too much memory.
    #[error("compiled it takes more than {} KiB; shorten its counted repetitions, or split it", .0 / 1024)]
    TooLarge(usize),
    /// What the regex compiler says.
    #[error("{0}")]
    Syntax(String),
}

impl From<regex::Error> for PatternError {
    fn from(error: regex::Error) -> Self {
        if let regex::Error::CompiledTooBig(limit) = error {
            return Self::TooLarge(limit);
        }
        Self::refused(&error.to_string())
    }
}

impl From<regex_syntax::Error> for PatternError {
    fn from(error: regex_syntax::Error) -> Self {
        Self::refused(&error.to_string())
    }
}

impl PatternError {
    /// What the regex compiler says: several lines, with the expression, which is not as it was written, and in the last one the
    /// reason.
    fn refused(text: &str) -> Self {
        match text.lines().last().unwrap_or_default().trim_start_matches("error: ") {
            reason if reason.starts_with("look-around") => Self::LookAround,
            reason if reason.starts_with("backreferences") => Self::BackReference,
            reason => Self::Syntax(reason.to_owned()),
        }
    }
}

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    /// With the tags replaced.
    expression: String,
    /// For texts that are known to match.
    landmarks: Option<Landmarks>,
    groups: Groups,
    /// For all others. Compiled when the first of them comes: with the regexes of all built-in filters, of which nearly none is
    /// ever needed, a start took 38 ms instead of 6, and 22 MiB instead of 14.
    search: Option<Search>,
}

/// Tells whether a text matches, and where.
#[derive(Debug)]
struct Search {
    regex: Regex,
    /// Kept, so that matching allocates nothing.
    locations: CaptureLocations,
}

/// The groups of the tags.
#[derive(Clone, Copy, Debug, Default)]
struct Groups {
    address: Option<usize>,
    user: Option<usize>,
    count: Option<usize>,
    session: Option<usize>,
}

/// What the tags of a pattern matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Captured<'a> {
    pub(super) address: Option<&'a [u8]>,
    pub(super) user: Option<&'a [u8]>,
    count: Option<&'a [u8]>,
    pub(super) session: Option<&'a [u8]>,
}

impl Captured<'_> {
    /// This, and from `other` what this has not.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            address: self.address.or(other.address),
            user: self.user.or(other.user),
            count: self.count.or(other.count),
            session: self.session.or(other.session),
        }
    }

    /// How many failures there were: at least one, at most [`COUNT_MAX`].
    pub(super) fn count(&self) -> u16 {
        let digits = self.count.and_then(|digits| str::from_utf8(digits).ok());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or(1).clamp(1, COUNT_MAX)
    }
}

impl Pattern {
    pub(super) fn compile(text: &str) -> Result<Self, PatternError> {
        let pattern = Self::deferred(text)?;
        Ok(Self { search: Some(Search::compile(&pattern.expression)?), ..pattern })
    }

    /// The same, without what can be compiled when it is needed, of a pattern that was tried before.
    pub(super) fn deferred(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_MAX {
            return Err(PatternError::TooLong);
        }
        let mut expanded = text.to_owned();
        for (tag, expression) in TAGS {
            expanded = expanded.replace(tag, expression);
        }
        if let Some(tag) = tag_in(&expanded) {
            return Err(PatternError::UnknownTag(tag.to_owned()));
        }
        let parsed = syntax::parse_with(&expanded, &syntax())?;
        let (groups, landmarks) = (Groups::of(&parsed)?, Landmarks::of(&parsed));
        Ok(Self { expression: expanded, landmarks, groups, search: None })
    }

    /// The regular expression that it stands for, not anchored.
    pub(super) fn expression(&self) -> &str {
        &self.expression
    }

    /// Whether the pattern captures an address.
    pub(super) fn has_address(&self) -> bool {
        self.groups.address.is_some()
    }

    /// Whether the pattern captures a user.
    pub(super) fn has_user(&self) -> bool {
        self.groups.user.is_some()
    }

    /// Whether the pattern captures how often something happened.
    pub(super) fn has_count(&self) -> bool {
        self.groups.count.is_some()
    }

    /// Whether the pattern captures a session.
    pub(super) fn has_session(&self) -> bool {
        self.groups.session.is_some()
    }

    /// Matches the whole of a text.
    pub(super) fn captures<'a>(&mut self, text: &'a [u8]) -> Option<Captured<'a>> {
        let search = match &mut self.search {
            Some(search) => search,
            // This cannot fail where it was tried before.
            none => none.insert(Search::compile(&self.expression).ok()?),
        };
        search.regex.captures_read(&mut search.locations, text)?;
        Some(self.groups.captured(text, |group| search.locations.get(group)))
    }

    /// The same, cheaper, of a text that is known to match.
    pub(super) fn captures_of_match<'a>(&mut self, text: &'a [u8]) -> Option<Captured<'a>> {
        if let Some(landmarks) = &mut self.landmarks
            && landmarks.find(text)
        {
            return Some(self.groups.captured(text, |group| landmarks.get(group)));
        }
        self.captures(text)
    }
}

impl Search {
    fn compile(expression: &str) -> Result<Self, regex::Error> {
        let regex = RegexBuilder::new(&whole(expression))
            .unicode(false)
            .dot_matches_new_line(true)
            .size_limit(COMPILED_MAX)
            .dfa_size_limit(COMPILED_MAX)
            .build()?;
        Ok(Self { locations: regex.capture_locations(), regex })
    }
}

impl Groups {
    fn of(pattern: &Hir) -> Result<Self, PatternError> {
        let mut groups = Self::default();
        groups.add(pattern)?;
        Ok(groups)
    }

    fn add(&mut self, part: &Hir) -> Result<(), PatternError> {
        if let HirKind::Capture(group) = part.kind() {
            let tag = match group.name.as_deref() {
                Some("address") => &mut self.address,
                Some("user") => &mut self.user,
                Some("count") => &mut self.count,
                Some("session") => &mut self.session,
                _ => return Err(PatternError::Captures),
            };
            *tag = usize::try_from(group.index).ok();
        }
        part.kind().subs().iter().try_for_each(|part| self.add(part))
    }

    /// What stands where the groups are told to be.
    fn captured<'a>(&self, text: &'a [u8], place: impl Fn(usize) -> Option<(usize, usize)>) -> Captured<'a> {
        let tag = |group: Option<usize>| {
            let (start, end) = place(group?)?;
            text.get(start..end)
        };
        Captured {
            address: tag(self.address),
            user: tag(self.user),
            count: tag(self.count),
            session: tag(self.session),
        }
    }
}

/// Whether the patterns of a filter are worth the memory that they take together.
pub(super) fn check_size(expressions: impl IntoIterator<Item = String>) -> Result<(), PatternError> {
    let expressions: Vec<_> = expressions.into_iter().map(|expression| whole(&expression)).collect();
    thompson::Compiler::new()
        .syntax(syntax())
        .configure(thompson::Config::new().utf8(false).nfa_size_limit(Some(SET_MAX)))
        .build_many(&expressions)
        .map(drop)
        // Each by itself was compiled before, so that nothing but the size is left to be wrong.
        .map_err(|_| PatternError::TooLarge(SET_MAX))
}

/// How all patterns are read: bytes, not characters; `.` is any of them.
pub(super) fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true)
}

/// The expression, for all of a text.
pub(super) fn whole(expression: &str) -> String {
    format!(r"\A(?:{expression})\z")
}

/// The first `<WORD>` in upper case.
fn tag_in(text: &str) -> Option<&str> {
    text.match_indices('<').find_map(|(start, _)| {
        let tail = text.get(start + 1..)?;
        let length = tail.bytes().take_while(u8::is_ascii_uppercase).count();
        (length > 0 && tail.as_bytes().get(length) == Some(&b'>')).then(|| text.get(start..start + length + 2))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured<'a>(pattern: &str, text: &'a [u8]) -> Option<Captured<'a>> {
        Pattern::compile(pattern).unwrap().captures(text)
    }

    #[test]
    fn tags_capture_and_the_whole_text_must_match() {
        let pattern = r"<NAME>\[<ADDR>\]: SASL <MECH> failed, user=<USER>";
        let text = b"unknown[2001:db8::1%eth0]: SASL CRAM-MD5 failed, user=\xff]: x[192.0.2.9]\n";
        let expected = Captured {
            address: Some(b"2001:db8::1%eth0"),
            user: Some(b"\xff]: x[192.0.2.9]\n"),
            ..Captured::default()
        };
        assert_eq!(captured(pattern, text), Some(expected));
        assert_eq!(captured("a|b", b"ab"), None);
        assert_eq!(captured("a", b"xa"), None);
        assert_eq!(captured("a", b"ax"), None);
    }

    #[test]
    fn a_host_name_holds_nothing_that_could_end_it() {
        let pattern = r"<NAME>\[<ADDR>\]";
        assert!(captured(pattern, b"under_score.-x-.test[192.0.2.1]").is_some());
        for text in ["[192.0.2.1]", "a b[192.0.2.1]", "a[192.0.2.9] b[192.0.2.1]", "a[192.0.2.1]:", "\u{e4}[192.0.2.1]"]
        {
            assert_eq!(captured(pattern, text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_pattern_is_refused_with_the_reason() {
        let refused = |pattern: &str| Pattern::compile(pattern).unwrap_err();
        assert_eq!(refused("<HOST>"), PatternError::UnknownTag("<HOST>".to_owned()));
        assert_eq!(refused("(a)<ADDR>"), PatternError::Captures);
        assert_eq!(refused(&"a".repeat(PATTERN_MAX + 1)), PatternError::TooLong);
        assert!(matches!(refused("<ADDR> <ADDR>"), PatternError::Syntax(_)));
        assert_eq!(refused("(?:.{1000}){1000}"), PatternError::TooLarge(COMPILED_MAX));
        assert_eq!(refused("a["), PatternError::Syntax("unclosed character class".to_owned()));
        for look_around in ["(?=a)", "(?!a)", "(?<=a)", "(?<!a)"] {
            assert_eq!(refused(look_around), PatternError::LookAround);
        }
        assert_eq!(refused(r"(a)\1"), PatternError::BackReference);
    }

    #[test]
    fn angle_brackets_that_are_no_tag_stand_for_themselves() {
        assert!(captured(r"APOP \(<.*>\)", b"APOP (<1@mail>)").is_some());
    }
}
