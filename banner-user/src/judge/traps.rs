//! Traps: accounts that never existed. Nobody has a password for them, so that whoever tries one guesses.
//!
//! A trap is a name with `*` for any text, and compared in lower case. With an `@` it stands for a whole name; without one also for
//! the part before the last `@`, in whatever domain. What a name has beyond [`USER_MAX`] bytes is not known, so that a longer one
//! matches only a pattern whose end is `*`.
//!
//! [`USER_MAX`]: crate::event::USER_MAX

use std::{collections::BTreeMap, sync::Arc};

use memchr::memmem;

use super::policy::TRAPS_MAX;
use crate::event::User;

/// The traps of a policy. Plain names are looked up; the patterns, of which there are few, are tried one by one.
#[derive(Debug, Default)]
pub(super) struct Traps {
    names: BTreeMap<Box<[u8]>, Arc<str>>,
    patterns: Vec<Arc<str>>,
}

impl Traps {
    /// At most [`TRAPS_MAX`], in lower case.
    pub(super) fn new(traps: &[Arc<str>]) -> Self {
        let (patterns, names): (Vec<_>, Vec<_>) =
            traps.iter().take(TRAPS_MAX).cloned().partition(|trap| trap.contains('*'));
        Self { names: names.into_iter().map(|name| (name.as_bytes().into(), name)).collect(), patterns }
    }

    /// The trap that a name is, as the operator wrote it.
    pub(super) fn find(&self, user: &User) -> Option<&Arc<str>> {
        if self.names.is_empty() && self.patterns.is_empty() {
            return None;
        }
        let name = user.as_bytes().to_ascii_lowercase();
        let local = memchr::memrchr(b'@', &name).and_then(|at| name.get(..at));
        let is_local = |trap: &&Arc<str>| !trap.contains('@');
        let whole = || self.names.get(name.as_slice());
        let part = || self.names.get(local?).filter(is_local);
        let pattern = || {
            self.patterns.iter().find(|trap| {
                matches(trap, &name) || (is_local(trap) && local.is_some_and(|local| matches(trap, local)))
            })
        };
        whole().or_else(part).or_else(pattern)
    }
}

/// Whether a pattern fits the whole of a text. Takes the first place for each part, so it never goes back.
fn matches(pattern: &str, text: &[u8]) -> bool {
    let mut parts = pattern.as_bytes().split(|byte| *byte == b'*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    let Some(mut rest) = rest.strip_suffix(last) else { return false };
    for part in parts {
        let behind = memmem::find(rest, part).and_then(|at| rest.get(at.saturating_add(part.len())..));
        let Some(behind) = behind else { return false };
        rest = behind;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::USER_MAX;

    #[test]
    fn a_trap_is_a_name_or_a_pattern_with_or_without_a_domain() {
        let traps = ["webmaster2", "old@example.org", "scan-*", "*@trap.example", "a*b*c@example.net"];
        let traps = Traps::new(&traps.map(Into::into));
        let table: [(&[u8], Option<&str>); 24] = [
            (b"webmaster2", Some("webmaster2")),
            (b"WebMaster2", Some("webmaster2")),
            (b"webmaster2@any.example", Some("webmaster2")),
            (b"webmaster2@b@any.example", None),
            (b"webmaster22", None),
            (b"xwebmaster2", None),
            (b"old@example.org", Some("old@example.org")),
            (b"OLD@EXAMPLE.ORG", Some("old@example.org")),
            (b"old", None),
            (b"old@example.com", None),
            (b"old@example.org@example.com", None),
            (b"scan-", Some("scan-*")),
            (b"scan-printer@example.com", Some("scan-*")),
            (b"scan", None),
            (b"anybody@trap.example", Some("*@trap.example")),
            (b"@trap.example", Some("*@trap.example")),
            (b"trap.example", None),
            (b"abc@example.net", Some("a*b*c@example.net")),
            (b"a--b--c@example.net", Some("a*b*c@example.net")),
            (b"acb@example.net", None),
            (b"ac@example.net", None),
            (b"\xff\x00\xfe@trap.example", Some("*@trap.example")),
            (b"", None),
            (b"@", None),
        ];
        for (name, expected) in table {
            let user = User::new(name);
            assert_eq!(traps.find(&user).map(|trap| &**trap), expected, "{user}");
        }
        assert_eq!(Traps::default().find(&User::new(b"x")), None);
    }

    #[test]
    fn of_a_name_that_was_cut_the_beginning_counts() {
        let long = [b"scan-".as_slice(), &[b'x'; USER_MAX], b"@trap.example"].concat();
        let find = |trap: &str| Traps::new(&[trap.into()]).find(&User::new(&long)).is_some();
        assert_eq!((find("scan-*"), find("*@trap.example"), find("*")), (true, false, true));
    }
}
