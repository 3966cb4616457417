//! Who wrote a line: the syslog tag.

use serde::Deserialize;

/// The longest tag that is taken for one. Postfix builds it from syslog_name, of any length but in practice a few words.
pub(super) const IDENT_MAX: usize = 128;

/// The tag of a line, without process id: `postfix/submission/smtpd`, `cyrus/imaps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ident<'a> {
    name: &'a [u8],
    /// `name` is what rsyslog left of a longer tag: its part before the first slash.
    cut: bool,
    /// It stood there with a process id.
    pid: bool,
}

impl<'a> Ident<'a> {
    /// The tag of RFC 3164, before a process id. None where it holds what no mail server's tag holds.
    pub(super) fn whole(name: &'a [u8]) -> Option<Self> {
        is_tag(name).then_some(Self { name, cut: false, pid: true })
    }

    /// A tag of either kind that has no process id behind it.
    pub(super) fn without_pid(name: &'a [u8]) -> Option<Self> {
        is_tag(name).then_some(Self { name, cut: false, pid: false })
    }

    pub(super) fn has_pid(self) -> bool {
        self.pid
    }

    /// As it stands in the line.
    pub(super) fn name(self) -> &'a [u8] {
        self.name
    }

    /// The app-name of RFC 5424. rsyslog ends it at the first slash of the tag; other loggers write the tag as it is.
    pub(super) fn app_name(name: &'a [u8]) -> Option<Self> {
        is_tag(name).then(|| Self { name, cut: !name.contains(&b'/'), pid: true })
    }
}

/// An [`Ident`] that outlives its line.
#[derive(Debug)]
pub(super) struct OwnedIdent {
    name: Box<[u8]>,
    cut: bool,
    pid: bool,
}

impl OwnedIdent {
    /// Whether it is the same.
    pub(super) fn is(&self, ident: Ident<'_>) -> bool {
        *self.name == *ident.name && self.cut == ident.cut && self.pid == ident.pid
    }
}

impl From<Ident<'_>> for OwnedIdent {
    fn from(Ident { name, cut, pid }: Ident<'_>) -> Self {
        Self { name: name.into(), cut, pid }
    }
}

fn is_tag(name: &[u8]) -> bool {
    // `-`, `.`, `/` and the digits follow each other in ASCII. Without an early end the compiler compares many at once.
    let graphic = |byte: u8| matches!(byte, b'-'..=b'9' | b'A'..=b'Z' | b'_' | b'a'..=b'z');
    (1..=IDENT_MAX).contains(&name.len()) && name.iter().fold(true, |all, byte| all & graphic(*byte))
}

/// Whose lines a filter reads: a tag, or `*` and how the tag ends (`*/smtpd`, `*`).
///
/// Of a tag that was cut at its first slash only what stands before it is compared, so that `*/smtpd` also reads the lines of
/// `postfix`, where the rest of the tag is lost; then the message alone tells who wrote it. A tag without a process id, which could
/// be the first word of any text, is only read by a pattern that names it whole.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) struct IdentPattern {
    any_start: bool,
    end: String,
}

impl IdentPattern {
    pub(super) fn matches(&self, ident: Ident<'_>) -> bool {
        let end = self.end.as_bytes();
        if self.any_start && !ident.pid {
            return false;
        }
        match (ident.cut, self.any_start) {
            (false, true) => ident.name.ends_with(end),
            (false, false) => ident.name == end,
            (true, true) => end.contains(&b'/') || ident.name.ends_with(end),
            (true, false) => end.split(|byte| *byte == b'/').next() == Some(ident.name),
        }
    }
}

impl From<String> for IdentPattern {
    fn from(text: String) -> Self {
        match text.strip_prefix('*') {
            Some(end) => Self { any_start: true, end: end.to_owned() },
            None => Self { any_start: false, end: text },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reads_the_tags_that_it_names() {
        for (pattern, tag, expected) in [
            ("*/smtpd", "postfix/smtpd", true),
            ("*/smtpd", "postfix/submission/smtpd", true),
            ("*/smtpd", "postfix-out/smtpd", true),
            ("*/smtpd", "postfix/smtp", false),
            ("*/smtpd", "smtpd", false),
            ("*", "imaps", true),
            ("cyrus/imap", "cyrus/imap", true),
            ("cyrus/imap", "cyrus/imaps", false),
        ] {
            let ident = Ident::whole(tag.as_bytes()).unwrap();
            assert_eq!(IdentPattern::from(pattern.to_owned()).matches(ident), expected, "{pattern} {tag}");
        }
    }

    #[test]
    fn a_cut_tag_is_compared_up_to_the_slash() {
        for (pattern, app_name, expected) in [
            ("*/smtpd", "postfix", true),
            ("*/smtpd", "postfix-out", true),
            ("*/smtpd", "postfix/smtp", false),
            ("cyrus/imap", "cyrus", true),
            ("cyrus/imap", "postfix", false),
            ("sshd", "sshd", true),
            ("*sshd", "postfix", false),
        ] {
            let ident = Ident::app_name(app_name.as_bytes()).unwrap();
            assert_eq!(IdentPattern::from(pattern.to_owned()).matches(ident), expected, "{pattern} {app_name}");
        }
    }

    #[test]
    fn a_tag_without_process_id_is_read_where_it_is_named() {
        let ident = Ident::without_pid(b"dovecot").unwrap();
        for (pattern, expected) in [("dovecot", true), ("*", false), ("*dovecot", false)] {
            assert_eq!(IdentPattern::from(pattern.to_owned()).matches(ident), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for name in [&b""[..], b"postfix smtpd", b"a[1]", b"a:b", b"\xff", &[b'a'; IDENT_MAX + 1]] {
            assert_eq!(Ident::whole(name), None);
        }
    }
}
