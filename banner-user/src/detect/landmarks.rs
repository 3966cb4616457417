//! Where the tags of a pattern stand in a text that is known to match it, told by the bytes around them.
//!
//! `<NAME>\[<ADDR>\]: gave up after .*` needs no second pass over a text that matches: a name has no `[`, so the address starts
//! behind the first one; an address has no `]`, so it ends before the next; what follows does not matter. Not every pattern is
//! like that (`<USER> failed`: a user may hold anything, also ` failed`), and of those the regex has to tell.

use memchr::memmem::Finder;
use regex_syntax::hir::{Class, Hir, HirKind, Literal, Repetition};

/// The way through a text from its start to its last tag.
#[derive(Debug)]
pub(super) struct Landmarks {
    steps: Vec<Step>,
    /// Where each group stood in the last text, from and to.
    places: Vec<Option<(usize, usize)>>,
}

#[derive(Debug)]
enum Step {
    /// So many bytes on.
    Skip(usize),
    /// To the first of this byte, and from it so many bytes on.
    Find(u8, usize),
    /// Behind the first of these texts.
    Search(Box<Finder<'static>>),
    /// Over this group, to the first of this byte; without one to the end of the text.
    Group(usize, Option<u8>),
    /// Here the text may end.
    MayEnd,
}

impl Landmarks {
    /// None where a tag is not told by the bytes around it.
    pub(super) fn of(pattern: &Hir) -> Option<Self> {
        let mut survey = Survey { steps: Vec::new(), passed: Bytes::none() };
        survey.part(pattern, None, true)?;
        let is_group = |step: &Step| matches!(step, Step::Group(..));
        survey.steps.truncate(survey.steps.iter().rposition(is_group).map_or(0, |last| last + 1));
        Some(Self { steps: survey.steps, places: vec![None; 1 + pattern.properties().explicit_captures_len()] })
    }

    /// Goes the way through a text that matches the pattern. False where it turns out that it does not.
    pub(super) fn find(&mut self, text: &[u8]) -> bool {
        self.places.fill(None);
        let mut at = 0;
        let mut may_end = false;
        for step in &self.steps {
            let Some(rest) = text.get(at..) else { return may_end };
            let on = match step {
                Step::Skip(length) => Some(*length),
                Step::Find(byte, length) => memchr::memchr(*byte, rest).map(|found| found + length),
                Step::Search(finder) => finder.find(rest).map(|found| found + finder.needle().len()),
                Step::Group(group, until) => {
                    let length = until.map_or(Some(rest.len()), |byte| memchr::memchr(byte, rest));
                    if let (Some(place), Some(length)) = (self.places.get_mut(*group), length) {
                        *place = Some((at, at + length));
                    }
                    length
                }
                Step::MayEnd if rest.is_empty() => return true,
                Step::MayEnd => {
                    may_end = true;
                    Some(0)
                }
            };
            let Some(on) = on else { return may_end };
            at += on;
        }
        true
    }

    /// Where a group of the pattern stood in the last text, from and to.
    pub(super) fn get(&self, group: usize) -> Option<(usize, usize)> {
        *self.places.get(group)?
    }
}

/// The way so far, while a pattern is walked along.
struct Survey {
    steps: Vec<Step>,
    /// What bytes may stand between where the steps lead and the part that comes next; none if it is just there.
    passed: Bytes,
}

impl Survey {
    /// Walks along a part of the pattern, before the part `next`; `last` if the pattern ends with it.
    fn part(&mut self, part: &Hir, next: Option<&Hir>, last: bool) -> Option<()> {
        let has_group = part.properties().explicit_captures_len() > 0;
        match part.kind() {
            HirKind::Concat(parts) => {
                let mut rest = parts.as_slice();
                while let [part, after @ ..] = rest {
                    rest = match self.search(rest, last) {
                        Some(rest) => rest,
                        None => {
                            self.part(part, after.first(), last && after.is_empty())?;
                            after
                        }
                    };
                }
            }
            HirKind::Literal(Literal(bytes)) => self.literal(bytes),
            HirKind::Capture(group) => {
                let until = match next.map(Hir::kind) {
                    Some(HirKind::Literal(Literal(next))) => Some(*next.first()?),
                    Some(_) => return None,
                    None => None,
                };
                let bytes = Bytes::of(&group.sub);
                let holds_another = group.sub.properties().explicit_captures_len() > 0;
                if holds_another || !self.passed.is_empty() || until.map_or(!last, |until| bytes.has(until)) {
                    return None;
                }
                self.steps.push(Step::Group(usize::try_from(group.index).ok()?, until));
            }
            // What is there once or not at all, at the end: it is there if there is more of the text.
            HirKind::Repetition(Repetition { min: 0, max: Some(1), sub, .. })
                if has_group && last && sub.properties().minimum_len() > Some(0) =>
            {
                self.steps.push(Step::MayEnd);
                self.part(sub, None, true)?;
            }
            HirKind::Empty
            | HirKind::Class(_)
            | HirKind::Look(_)
            | HirKind::Repetition(_)
            | HirKind::Alternation(_) => {
                if has_group {
                    return None;
                }
                self.passed.add(&Bytes::of(part));
            }
        }
        Some(())
    }

    /// `.*?, user=(.*)` at the end, of which the shortest `.*?` is meant: it ends where the text behind it stands first. What is
    /// left of the parts then; none where they do not start so.
    fn search<'p>(&mut self, parts: &'p [Hir], last: bool) -> Option<&'p [Hir]> {
        let [any, literal, rest @ ..] = parts else { return None };
        let (HirKind::Repetition(Repetition { greedy: false, .. }), HirKind::Literal(Literal(text))) =
            (any.kind(), literal.kind())
        else {
            return None;
        };
        let [group] = rest else { return None };
        let HirKind::Capture(group) = group.kind() else { return None };
        if !(last && self.passed.is_empty() && is_any_text(any) && is_any_text(&group.sub)) {
            return None;
        }
        self.steps.push(Step::Search(Box::new(Finder::new(text).into_owned())));
        Some(rest)
    }

    /// These bytes come next: told by the first of them that stands nowhere before.
    fn literal(&mut self, literal: &[u8]) {
        if self.passed.is_empty() {
            self.steps.push(Step::Skip(literal.len()));
            return;
        }
        for (index, byte) in literal.iter().enumerate() {
            if !self.passed.has(*byte) {
                self.steps.push(Step::Find(*byte, literal.len() - index));
                self.passed = Bytes::none();
                return;
            }
        }
    }
}

/// `.*` or `.*?`.
fn is_any_text(part: &Hir) -> bool {
    let HirKind::Repetition(Repetition { min: 0, max: None, sub, .. }) = part.kind() else { return false };
    matches!(sub.kind(), HirKind::Class(Class::Bytes(class)) if matches!(class.ranges(), [all] if (all.start(), all.end()) == (0, 255)))
}

/// A set of bytes.
struct Bytes([bool; 256]);

impl Bytes {
    fn none() -> Self {
        Self([false; 256])
    }

    /// Those that a text which matches can hold.
    fn of(part: &Hir) -> Self {
        let mut bytes = Self::none();
        match part.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(Literal(literal)) => literal.iter().for_each(|byte| bytes.insert(*byte..=*byte)),
            HirKind::Class(Class::Bytes(class)) => {
                class.iter().for_each(|range| bytes.insert(range.start()..=range.end()));
            }
            HirKind::Class(Class::Unicode(_)) => bytes.insert(0..=255),
            HirKind::Repetition(repetition) => bytes = Self::of(&repetition.sub),
            HirKind::Capture(group) => bytes = Self::of(&group.sub),
            HirKind::Concat(parts) | HirKind::Alternation(parts) => {
                parts.iter().for_each(|part| bytes.add(&Self::of(part)));
            }
        }
        bytes
    }

    fn insert(&mut self, range: std::ops::RangeInclusive<u8>) {
        let range = usize::from(*range.start())..=usize::from(*range.end());
        self.0.get_mut(range).into_iter().flatten().for_each(|is_in| *is_in = true);
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(is_in, other)| *is_in |= other);
    }

    fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).is_some_and(|is_in| *is_in)
    }

    fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }
}

#[cfg(test)]
mod tests {
    use regex_automata::util::syntax::parse_with;

    use super::{super::pattern::syntax, *};

    fn landmarks(expression: &str) -> Option<Landmarks> {
        Landmarks::of(&parse_with(expression, &syntax()).unwrap())
    }

    #[test]
    fn tags_stand_where_no_other_way_through_the_text_could_put_them() {
        for (expression, text, places) in [
            (r"[a-z.]+\[([0-9.]+)\]: .*", "a.b[192.0.2.1]: [192.0.2.9]", &[Some("192.0.2.1")][..]),
            (r"(?:[a-z]+ )?\[([0-9.]+)\] x", "[192.0.2.1] x", &[Some("192.0.2.1")]),
            (r"(?:[a-z]+ )?\[([0-9.]+)\] x", "a [192.0.2.1] x", &[Some("192.0.2.1")]),
            (r"([0-9.]+), a=[a-z]*, b=(.*)", "192.0.2.1, a=x, b=, b=", &[Some("192.0.2.1"), Some(", b=")]),
            (r"x(?: [a-z]*(?:, y=(.*))?)?", "x z, y=", &[Some("")]),
            (r"x(?: [a-z]*(?:, y=(.*))?)?", "x z", &[None]),
            (r"x(?: [a-z]*(?:, y=(.*))?)?", "x", &[None]),
            (r"x(?:y(.*))?", "x", &[None]),
            (r"a+b[a-c]*", "aabc", &[]),
            (r"[a-z]+: .*?, b=(.*)", "x: , b, b=, b=1", &[Some(", b=1")]),
            (r"([0-9.]+): .*?, b=(.*)", "192.0.2.1: , b=", &[Some("192.0.2.1"), Some("")]),
        ] {
            let mut landmarks = landmarks(expression).unwrap_or_else(|| panic!("{expression}"));
            assert!(landmarks.find(text.as_bytes()), "{expression} {text}");
            for (index, place) in places.iter().enumerate() {
                let found = landmarks.get(index + 1).map(|(from, to)| &text[from..to]);
                assert_eq!(found, *place, "{expression} {text}");
            }
        }
    }

    #[test]
    fn what_the_bytes_around_a_tag_do_not_tell_is_left_to_the_regex() {
        for expression in [
            r".*\[([0-9.]+)\]",
            r"(.*) failed",
            r"([0-9.]+)(?::[0-9]+)?",
            r"[a-z]*([a-z]+)",
            r"(?:a=(.*)|b)",
            r"(?:a=([a-z]*))? x",
            r"x(?:(.*))?",
            r"(?:a=([a-z]*),)+",
            r"a=([a-z]*(b)),",
            r"a=.*, b=(.*)",
            r"a=.*?, b=([^,]*)",
            r"a=[^x]*?, b=(.*)",
            r"a=.*?, b=(.*), c",
            r"a*.*?, b=(.*)",
            r"(?:a=.*?, b=(.*))?, c",
        ] {
            assert!(landmarks(expression).is_none(), "{expression}");
        }
    }
}
