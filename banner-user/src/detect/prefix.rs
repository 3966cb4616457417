//! What the logger writes before the message, in the shapes that mail logs have:
//!
//! ```text
//! Nov  2 03:04:05 mail postfix/smtpd[4711]: MESSAGE                   RFC 3164: rsyslog, syslog-ng, journald's forwarding
//! Nov 02 03:04:05 mail postfix/smtpd[4711]: MESSAGE                   the same with a zero: Postfix's own postlogd
//! Nov  2 03:04:05 mail mail.notice cyrus/imap[4711]: MESSAGE          busybox syslogd
//! 2026-11-02T03:04:05.123456+01:00 mail postfix/smtpd[4711]: MESSAGE  rsyslog's default since 8.2210 (Debian 12)
//! <22>1 2026-11-02T03:04:05.123456Z mail postfix 4711 - - MESSAGE     RFC 5424, with or without its priority
//! ```
//!
//! A priority (`<22>`) may stand before any of them. The tag must carry a process id, as every mail server's does: it is what
//! tells a tag from the first word of some other line.

use super::{ident::Ident, stamp::Stamp};

/// A line, split where the logger's part ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) stamp: Stamp<'a>,
    pub(super) ident: Ident<'a>,
    pub(super) message: &'a [u8],
}

/// Splits a line. None where its start is not exactly one of the shapes.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = without_priority(line);
    match line {
        [b'1', b' ', rest @ ..] => rfc5424(rest),
        [b'0'..=b'9', ..] => {
            let (stamp, rest) = word(line)?;
            tagged(Stamp::Absolute(stamp), rest)
        }
        _ => {
            let (stamp, rest) = line.split_first_chunk()?;
            tagged(Stamp::Local(stamp), rest.strip_prefix(b" ")?)
        }
    }
}

/// `<0>` to `<191>` (RFC 5424, section 6.2.1), cut off.
fn without_priority(line: &[u8]) -> &[u8] {
    match line {
        [b'<', b'0'..=b'9', b'>', rest @ ..]
        | [b'<', b'0'..=b'9', b'0'..=b'9', b'>', rest @ ..]
        | [b'<', b'0'..=b'1', b'0'..=b'9', b'0'..=b'9', b'>', rest @ ..] => rest,
        _ => line,
    }
}

/// `mail postfix/smtpd[4711]: MESSAGE`, or with `mail.notice` before the tag.
fn tagged<'a>(stamp: Stamp<'a>, rest: &'a [u8]) -> Option<Line<'a>> {
    let (_host, rest) = word(rest)?;
    let (first, after_first) = word(rest)?;
    let (tag, message) = if first.ends_with(b":") { (first, after_first) } else { word(after_first)? };
    if tag.len() != first.len() && !is_facility_and_severity(first) {
        return None;
    }
    let tag = tag.strip_suffix(b"]:")?;
    let bracket = memchr::memrchr(b'[', tag)?;
    let (name, pid) = (tag.get(..bracket)?, tag.get(bracket + 1..)?);
    if !is_pid(pid) {
        return None;
    }
    Some(Line { stamp, ident: Ident::whole(name)?, message })
}

/// `2026-11-02T03:04:05.123456Z mail postfix 4711 - - MESSAGE`: what follows the version (RFC 5424, section 6).
fn rfc5424(rest: &[u8]) -> Option<Line<'_>> {
    let (stamp, rest) = word(rest)?;
    let (_host, rest) = word(rest)?;
    let (app_name, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (_message_id, rest) = word(rest)?;
    if !is_pid(pid) {
        return None;
    }
    let message = after_structured_data(rest)?;
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    // rsyslog keeps the space that stood between the tag's colon and the message.
    let message = message.strip_prefix(b" ").unwrap_or(message);
    let stamp = if stamp == b"-" { Stamp::Absent } else { Stamp::Absolute(stamp) };
    Some(Line { stamp, ident: Ident::app_name(app_name)?, message })
}

/// Skips `-` or `[id name="value"]...` and the space after it. A value may hold anything but an unescaped `"`, `\` or `]`.
fn after_structured_data(mut rest: &[u8]) -> Option<&[u8]> {
    if let Some(message) = rest.strip_prefix(b"- ") {
        return Some(message);
    }
    while let Some(mut inside) = rest.strip_prefix(b"[") {
        let mut quoted = false;
        loop {
            let (byte, after) = inside.split_first()?;
            inside = after;
            match byte {
                b'\\' if quoted => inside = inside.get(1..)?,
                b'"' => quoted = !quoted,
                b']' if !quoted => break,
                _ => {}
            }
        }
        rest = inside;
        if let Some(message) = rest.strip_prefix(b" ") {
            return Some(message);
        }
    }
    None
}

/// What stands before the next space, and what after it. Never empty before.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memchr(b' ', text)?;
    (space > 0).then_some((text.get(..space)?, text.get(space + 1..)?))
}

/// `mail.notice`.
fn is_facility_and_severity(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'.');
    let mut name = || {
        let part = parts.next()?;
        ((1..=8).contains(&part.len()) && part.iter().all(u8::is_ascii_alphanumeric)).then_some(())
    };
    name().is_some() && name().is_some() && parts.next().is_none()
}

fn is_pid(text: &[u8]) -> bool {
    (1..=10).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(stamp: &[u8; 15]) -> Stamp<'_> {
        Stamp::Local(stamp)
    }

    #[test]
    fn every_shape_is_split() {
        let smtpd = Ident::whole(b"postfix/smtpd");
        let cut = Ident::app_name(b"postfix");
        let iso = Stamp::Absolute(b"2026-11-02T03:04:05.123456+01:00");
        for (line, stamp, ident) in [
            ("Nov  2 03:04:05 mail postfix/smtpd[4711]: m", local(b"Nov  2 03:04:05"), smtpd),
            ("Nov 02 03:04:05 mail postfix/smtpd[4711]: m", local(b"Nov 02 03:04:05"), smtpd),
            ("<22>Nov  2 03:04:05 mail postfix/smtpd[4711]: m", local(b"Nov  2 03:04:05"), smtpd),
            ("Nov  2 03:04:05 mail mail.warn postfix/smtpd[4711]: m", local(b"Nov  2 03:04:05"), smtpd),
            ("2026-11-02T03:04:05.123456+01:00 mail postfix/smtpd[4711]: m", iso, smtpd),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail postfix 4711 - - m", iso, cut),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail postfix 4711 - -  m", iso, cut),
            ("1 2026-11-02T03:04:05.123456+01:00 mail postfix 4711 - - m", iso, cut),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail postfix/smtpd 4711 ID - m", iso, smtpd),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail postfix 4711 - - \u{feff}m", iso, cut),
            ("<22>1 - mail postfix 4711 - - m", Stamp::Absent, cut),
            (r#"<22>1 - mail postfix 4711 - [a b="c"][d e="\]\"] f"] m"#, Stamp::Absent, cut),
        ] {
            let expected = Line { stamp, ident: ident.unwrap(), message: b"m" };
            assert_eq!(parse(line.as_bytes()), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_has_no_whole_prefix_is_no_line() {
        for line in [
            "",
            "m",
            "Nov  2 03:04:05",
            "Nov  2 03:04:05 mail",
            "Nov  2 03:04:05 mail postfix/smtpd[4711]:",
            "Nov  2 03:04:05 mail postfix/smtpd: m",
            "Nov  2 03:04:05 mail postfix/smtpd[]: m",
            "Nov  2 03:04:05 mail postfix/smtpd[12x]: m",
            "Nov  2 03:04:05 mail postfix/smtpd[12345678901]: m",
            "Nov  2 03:04:05 mail postfix smtpd[4711]: m",
            "Nov  2 03:04:05 mail two.words mail.warn postfix/smtpd[4711]: m",
            "Nov  2 03:04:05  postfix/smtpd[4711]: m",
            "Nov  2 03:04:05mail postfix/smtpd[4711]: m",
            " Nov  2 03:04:05 mail postfix/smtpd[4711]: m",
            "<192x>Nov  2 03:04:05 mail postfix/smtpd[4711]: m",
            "<299>1 - mail postfix 4711 - - m",
            "<22>2 - mail postfix 4711 - - m",
            "<22>1 - mail postfix - - - m",
            "<22>1 - mail postfix 4711 - m",
            r#"<22>1 - mail postfix 4711 - [a b="c m"#,
            r#"<22>1 - mail postfix 4711 - [a b="c]" m"#,
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
