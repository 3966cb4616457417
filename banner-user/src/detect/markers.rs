//! What a line must have for any rule to know it: nearly all lines of a busy log have nothing of it, and are done with in one pass,
//! at 32 bytes a step, before anything in them is told apart.
//!
//! Every rule knows a message by how that starts, so the text of one start at least stands somewhere in a line that tells something.
//! Where else it stands does not matter: who writes it into other lines has them read as they would have been.

use regex_automata::{MatchKind, Span, util::prefilter::Prefilter};

/// The starts of all rules, where looking for them is worth it.
#[derive(Debug)]
pub(super) struct Markers(Option<Prefilter>);

impl Markers {
    /// Of these starts. They tell nothing where one is so short that most lines have it, or where they are too many to be looked for
    /// at once.
    pub(super) fn of<'a>(starts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut starts: Vec<_> = starts.into_iter().collect();
        // One that has another one in it is found with that.
        starts.sort_unstable_by_key(|start| (start.len(), *start));
        let mut needles: Vec<&str> = Vec::new();
        for start in starts {
            if !needles.iter().any(|needle| start.contains(needle)) {
                needles.push(start);
            }
        }
        Self(Prefilter::new(MatchKind::LeftmostFirst, &needles).filter(Prefilter::is_fast))
    }

    /// False where no rule knows the line.
    pub(super) fn may_be_known(&self, line: &[u8]) -> bool {
        self.0.as_ref().is_none_or(|starts| starts.find(line, Span::from(0..line.len())).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Filter;

    #[test]
    fn a_line_without_any_start_is_known_by_no_rule() {
        let markers = Markers::of(["warning: ", ": client=", "warning: AUTH ", "event=login.bad"]);
        for (line, expected) in [
            ("Nov  2 03:04:05 mail postfix/smtpd[1]: warning: x", true),
            ("Nov  2 03:04:05 mail postfix/smtpd[1]: 4fQ2: client=x", true),
            ("Nov  2 03:04:05 mail imap[1]: event=login.bad", true),
            ("event=login.bad", true),
            ("Nov  2 03:04:05 mail postfix/smtpd[1]: connect from warning[192.0.2.1]", false),
            ("warning:", false),
            ("", false),
        ] {
            assert_eq!(markers.may_be_known(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn where_a_start_is_in_any_line_every_line_is_read() {
        for starts in [&["warning: ", ""][..], &["warning: ", "-"], &[]] {
            let markers = Markers::of(starts.iter().copied());
            assert!(markers.may_be_known(b"Nov  2 03:04:05 mail postfix/smtpd[1]: connect"), "{starts:?}");
        }
    }

    #[test]
    fn the_starts_of_the_default_filters_are_looked_for_at_once() {
        let filters = ["postfix-sasl", "cyrus"].map(|name| Filter::built_in(name).unwrap());
        let markers = Markers::of(filters.iter().flat_map(Filter::starts));
        assert!(!markers.may_be_known(b"Nov  2 03:04:05 mail postfix/smtpd[1]: connect from unknown[192.0.2.1]"));
    }
}
