//! fail2ban's form of a filter: regular expressions that are searched for in a line without its time.
//!
//! ```text
//! line ──date──> what is left ──prefregex──> <F-CONTENT> ──failregex──> not ignoreregex ──<HOST>──> Finding
//! ```
//!
//! The patterns are their authors' and keep their meaning: they search, and anchor themselves as far as they care to. What
//! banner adds is that a line without a time tells nothing, that the address is read as strictly as everywhere and is no part of
//! a longer word, that a name is never resolved (such a line counts nothing), and that every search has an end: a pattern that
//! needs backtracking runs only on a line that the same pattern without its look-around matches, and gives up after a
//! while. Such a line does not count; `banner match --missed` names it.

mod connections;
mod date;
mod dialect;
mod expression;
mod refused;
mod tags;

use std::{mem, net::IpAddr};

pub use self::refused::{ImportRefused, Place};
use self::{
    connections::{Connections, Said},
    date::Dates,
    expression::{Expression, GaveUp, Outlines, Spans},
};
use super::{address, rule::Finding, stamp::Stamp, writers::Writers};
use crate::event::{User, Weight};

/// The most patterns of one option.
const PATTERNS_MAX: usize = 500;

/// What a filter of fail2ban says, all names replaced but the tags of its patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// What a line must match first.
    pub prefregex: Option<String>,
    /// What a failure looks like.
    pub failregex: Vec<String>,
    /// What is none all the same.
    pub ignoreregex: Vec<String>,
    /// Where a line's time is; empty for the usual places.
    pub datepattern: Vec<String>,
    /// Whether `<HOST>` may be a name: a line with one counts nothing, but no other pattern is tried on it.
    pub names: bool,
}

/// A compiled filter of fail2ban's.
#[derive(Debug)]
pub(super) struct Imported {
    /// fail2ban's filters name none (their `journalmatch` names units, but is one option of several).
    writers: Writers,
    dates: Dates,
    prefix: Option<Pattern>,
    failures: Vec<Pattern>,
    /// Which of the failures may match.
    candidates: Outlines,
    ignored: Vec<Expression>,
    /// `ignoreregex` is also asked about what stands before the content.
    ignores_whole_lines: bool,
    connections: Connections,
    searches: Searches,
}

/// The texts that are searched, kept so that no line allocates. Each ends with a newline, as fail2ban's do.
#[derive(Debug, Default)]
struct Searches {
    /// The line without its time.
    line: Vec<u8>,
    /// What of it is the content, if not all.
    content: Vec<u8>,
}

/// What a line says to an imported filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'l> {
    /// At the time that was cut out.
    Found(Finding, Stamp<'l>),
    /// A pattern turned back too often: whether it matches is not known.
    GaveUp,
}

/// An expression and what its groups are for.
#[derive(Debug)]
struct Pattern {
    expression: Expression,
    ip4: Option<usize>,
    ip6: Option<usize>,
    name: Option<usize>,
    content: Option<usize>,
    connection: Option<usize>,
    no_failure: Option<usize>,
    gained: Option<usize>,
    forget: Option<usize>,
    /// `<F-USER>`, then `<F-ALT_USER...>` in the order of their names: the first that is not empty.
    users: Vec<usize>,
}

/// A pattern that matched, and where.
#[derive(Clone, Copy)]
struct Match<'m> {
    pattern: &'m Pattern,
    spans: &'m Spans,
    text: &'m [u8],
}

impl Imported {
    pub(super) fn compile(imports: &Imports) -> Result<Self, ImportRefused> {
        for (what, patterns) in [
            ("failregex", &imports.failregex),
            ("ignoreregex", &imports.ignoreregex),
            ("datepattern", &imports.datepattern),
        ] {
            if patterns.len() > PATTERNS_MAX {
                return Err(ImportRefused::TooMany { what, limit: PATTERNS_MAX });
            }
        }
        let prefix = imports.prefregex.as_ref();
        let prefix = prefix.map(|text| Pattern::compile(text, Place::Prefregex, imports.names)).transpose()?;
        let mut failures = Vec::new();
        for (index, text) in imports.failregex.iter().enumerate() {
            let place = Place::Failregex(index + 1);
            let pattern = Pattern::compile(text, place, imports.names)?;
            if !pattern.identifies() && !prefix.as_ref().is_some_and(Pattern::identifies) {
                return Err(ImportRefused::NoAddress { place });
            }
            failures.push(pattern);
        }
        if failures.is_empty() {
            return Err(ImportRefused::NoFailregex);
        }
        let ignored = imports.ignoreregex.iter().enumerate();
        let ignored: Vec<_> = ignored
            .map(|(index, text)| {
                let place = Place::Ignoreregex(index + 1);
                Expression::compile(&tags::replaced(text, place, imports.names)?, place)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            writers: Writers::default(),
            dates: Dates::compile(&imports.datepattern)?,
            prefix,
            candidates: Outlines::compile(failures.iter().map(|pattern| &pattern.expression))?,
            // Only then fail2ban asks them first, before it has cut out the content (server/filter.py, findFailure).
            ignores_whole_lines: ignored.len() + 2 < failures.len(),
            failures,
            ignored,
            connections: Connections::default(),
            searches: Searches::default(),
        })
    }

    /// Takes over what the same filter, as it was before, knows of connections.
    pub(super) fn continue_from(&mut self, former: Self) {
        self.connections = former.connections;
    }

    /// Whose entries of the journal are believed.
    pub(super) fn writers(&self) -> &Writers {
        &self.writers
    }

    /// What a line says; none where no pattern matches or it has no time.
    pub(super) fn find<'l>(&mut self, line: &'l [u8]) -> Option<Outcome<'l>> {
        let dated = self.dates.find(line)?;
        let mut searches = mem::take(&mut self.searches);
        searches.set_line(line.get(..dated.start)?, line.get(dated.end..)?);
        let decided = self.decide(&mut searches);
        self.searches = searches;
        Some(match decided {
            Ok(finding) => Outcome::Found(finding?, dated.stamp),
            Err(GaveUp) => Outcome::GaveUp,
        })
    }

    fn decide(&mut self, searches: &mut Searches) -> Result<Option<Finding>, GaveUp> {
        let mut before = None;
        if let Some(prefix) = &self.prefix {
            let Some(spans) = prefix.expression.search(&searches.line)? else { return Ok(None) };
            if let Some((start, end)) = spans.get(prefix.content).filter(|(start, end)| start < end) {
                searches.set_content(start, end);
            }
            before = Some((prefix, spans));
        }
        let text = searches.searched();
        let before = before.as_ref().map(|(pattern, spans)| Match { pattern, spans, text: &searches.line });
        let mut sure = Ok(None);
        for index in self.candidates.matches(text) {
            let Some(pattern) = self.failures.get(index) else { continue };
            let spans = match pattern.expression.search(text) {
                Ok(Some(spans)) => spans,
                Ok(None) => continue,
                // Another one may know the line.
                Err(GaveUp) => {
                    sure = Err(GaveUp);
                    continue;
                }
            };
            for ignored in &self.ignored {
                if ignored.is_match(text)? || self.ignores_whole_lines && ignored.is_match(&searches.line)? {
                    return Ok(Some(Finding::Ignored));
                }
            }
            let found = Match { pattern, spans: &spans, text };
            return Ok(Some(finding(found, before, &mut self.connections)));
        }
        sure
    }
}

/// What a failregex that matched says, together with the prefregex.
fn finding(found: Match<'_>, before: Option<Match<'_>>, connections: &mut Connections) -> Finding {
    // A group that both have is the failregex's, even where it took no part.
    let group = |of: fn(&Pattern) -> Option<usize>| match of(found.pattern) {
        Some(number) => found.text_of(Some(number)),
        None => before.and_then(|before| before.text_of(of(before.pattern))),
    };
    let given = |of| group(of).is_some_and(|text| !text.is_empty());
    let named = found.pattern.has_address().then_some(found).or(before);
    let address = named.and_then(|named| named.address());
    let said = Said {
        address,
        user: found.user().or_else(|| before?.user()),
        no_failure: given(|pattern| pattern.no_failure),
        gained: given(|pattern| pattern.gained),
        forget: given(|pattern| pattern.forget),
    };
    // A name, or what is no address: somebody is named whom nobody can be sure of.
    if address.is_none() && named.is_some_and(|named| named.names_somebody()) {
        return Finding::Ignored;
    }
    let failure = |source, user| Finding::Failure { source, user, weight: Weight::ONE };
    if let Some(id) = group(|pattern| pattern.connection) {
        let joined = connections.join(id, said);
        return joined.map_or(Finding::Noted, |joined| failure(joined.address, joined.user));
    }
    match said {
        Said { address: Some(address), user, no_failure: false, gained: false, .. } => failure(address, user),
        _ => Finding::Ignored,
    }
}

impl Pattern {
    fn compile(text: &str, place: Place, names: bool) -> Result<Self, ImportRefused> {
        let expression = Expression::compile(&tags::replaced(text, place, names)?, place)?;
        let group = |name| expression.group(name);
        let mut users: Vec<_> = expression.groups().filter(|(name, _)| name.starts_with("alt_user")).collect();
        users.sort_unstable();
        let users = group("user").into_iter().chain(users.into_iter().map(|(_, number)| number)).collect();
        Ok(Self {
            ip4: group("ip4"),
            ip6: group("ip6"),
            name: group("dns"),
            content: group("content"),
            connection: group("mlfid"),
            no_failure: group("nofail"),
            gained: group("mlfgained"),
            forget: group("mlfforget"),
            users,
            expression,
        })
    }

    fn has_address(&self) -> bool {
        self.ip4.or(self.ip6).or(self.name).is_some()
    }

    /// Whether a match can be anybody's: it has an address, or the id of a connection that another line has one for.
    fn identifies(&self) -> bool {
        self.has_address() || self.connection.is_some()
    }
}

impl<'m> Match<'m> {
    fn text_of(&self, group: Option<usize>) -> Option<&'m [u8]> {
        let (start, end) = self.spans.get(group)?;
        self.text.get(start..end)
    }

    fn names_somebody(&self) -> bool {
        let Pattern { ip4, ip6, name, .. } = self.pattern;
        [ip4, ip6, name].into_iter().any(|group| self.spans.get(*group).is_some())
    }

    fn address(&self) -> Option<IpAddr> {
        let (start, end) = self.spans.get(self.pattern.ip4).or_else(|| self.spans.get(self.pattern.ip6))?;
        let stands_alone = !continues(self.text.get(..start)?.iter().rev()) && !continues(self.text.get(end..)?.iter());
        address::parse(self.text.get(start..end)?).filter(|_| stands_alone)
    }

    fn user(&self) -> Option<User> {
        let texts = self.pattern.users.iter().filter_map(|group| self.text_of(Some(*group)));
        texts.into_iter().find(|text| !text.is_empty()).map(User::new)
    }
}

/// Whether what stands beside an address makes it a part of a longer word, such as the name `192.0.2.1.dyn.example.net`.
fn continues<'t>(mut beside: impl Iterator<Item = &'t u8>) -> bool {
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    match beside.next() {
        Some(b'.' | b'-') => beside.next().is_some_and(word),
        Some(byte) => word(byte),
        None => false,
    }
}

impl Searches {
    fn set_line(&mut self, before: &[u8], after: &[u8]) {
        self.content.clear();
        self.line.clear();
        for part in [before, after, b"\n"] {
            self.line.extend_from_slice(part);
        }
    }

    fn set_content(&mut self, start: usize, end: usize) {
        self.content.extend_from_slice(self.line.get(start..end).unwrap_or_default());
        self.content.push(b'\n');
    }

    fn searched(&self) -> &[u8] {
        if self.content.is_empty() { &self.line } else { &self.content }
    }
}

#[cfg(test)]
mod tests;
