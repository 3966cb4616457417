//! What stands before the message, in the shapes that mail logs have:
//!
//! ```text
//! Nov  2 03:04:05 mail postfix/smtpd[4711]: MESSAGE                   RFC 3164: rsyslog, syslog-ng, journald's forwarding
//! Nov 02 03:04:05 mail postfix/smtpd[4711]: MESSAGE                   the same with a zero: Postfix's own postlogd
//! Nov 02 03:04:05.123456 mail postfix/smtpd[4711]: MESSAGE            journalctl -o short-precise
//! Nov  2 03:04:05 mail mail.notice cyrus/imap[4711]: MESSAGE          busybox syslogd
//! 2026-11-02T03:04:05.123456+01:00 mail postfix/smtpd[4711]: MESSAGE  rsyslog's default since 8.2210 (Debian 12)
//! 2026-11-02T03:04:05+0100 mail postfix/smtpd[4711]: MESSAGE          journalctl -o short-iso, and with a fraction
//! 2026-11-02 03:04:05 mail postfix/smtpd[4711]: MESSAGE               a template that people like
//! <22>1 2026-11-02T03:04:05.123456Z mail postfix 4711 - - MESSAGE     RFC 5424, with or without its priority
//!
//! 2026-11-02 03:04:05 [4711] MESSAGE                                  Exim's own file; the offset and [4711] by options
//! 2026-11-02 03:04:05.123 +0100 MESSAGE
//! Nov 02 03:04:05 MESSAGE                                             Dovecot's and SOGo's own
//! [02-Nov-2026 03:04:05 +0100]: MESSAGE                               Roundcube's own
//! @400000006726d2f51d9f0a2c MESSAGE                                   multilog (TAI64N)
//! ```
//!
//! A priority (`<22>`) may stand before any of them. The lower five, that a server itself writes to a file, are bare: they have
//! neither host nor tag.
//!
//! Behind a tag may stand `message repeated 3 times: [ MESSAGE]`, and the server's own stamp.
//!
//! A tag with a process id, as nearly every mail server's has one, is told from the first word of some other line by that. Some
//! have none (`dovecot: `): such a tag is taken for one only by a filter that names it whole.

use super::{ident::Ident, stamp::Stamp};

/// A line, split where the logger's part ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) stamp: Stamp<'a>,
    /// None for a bare line.
    pub(super) ident: Option<Ident<'a>>,
    pub(super) message: &'a [u8],
    /// How often the server has said it, as far as the logger tells: at most [`TIMES_MAX`].
    pub(super) times: u16,
}

/// The most repetitions that one line is believed to stand for.
const TIMES_MAX: u16 = 100;

/// Splits a line. None where it does not start with a stamp.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let line = without_priority(line);
    if let [b'1', b' ', rest @ ..] = line {
        return rfc5424(rest);
    }
    let (stamp, rest) = stamp(line)?;
    let syslog = match stamp {
        Stamp::Local(_) | Stamp::Absolute(_) => tagged(rest),
        // What follows is more often a server's own text, whose second word may end with a colon too.
        Stamp::Civil(_) => tagged(rest).filter(|(ident, _)| ident.has_pid()),
        Stamp::Bracketed(_) | Stamp::Tai64n(_) | Stamp::Parts(_) | Stamp::Absent => None,
    };
    Some(match syslog {
        Some((ident, message)) => syslog_line(stamp, ident, message),
        None => Line { stamp, ident: None, message: without_pid(rest), times: 1 },
    })
}

/// A line of syslog, without what stands between the logger's part and the server's.
fn syslog_line<'a>(stamp: Stamp<'a>, ident: Ident<'a>, message: &'a [u8]) -> Line<'a> {
    let (times, message) = repeated(message).unwrap_or((1, message));
    Line { stamp, ident: Some(ident), message: without_stamp(message), times }
}

/// The stamp and what follows it and one space. It is not read yet: where it is none, [`super::stamp`] says so.
pub(super) fn stamp(line: &[u8]) -> Option<(Stamp<'_>, &[u8])> {
    let (stamp, rest) = match line {
        [b'[', inside @ ..] => {
            let (text, rest) = inside.split_at_checked(memchr::memchr(b']', inside.get(..40).unwrap_or(inside))?)?;
            let rest = rest.strip_prefix(b"]")?;
            (Stamp::Bracketed(text), rest.strip_prefix(b":").unwrap_or(rest))
        }
        [b'@', rest @ ..] => {
            let (label, rest) = rest.split_first_chunk()?;
            (Stamp::Tai64n(label), rest)
        }
        [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _, b' ', ..] => civil(line)?,
        [b'0'..=b'9', ..] => {
            let (text, rest) = line.split_at_checked(memchr::memchr(b' ', line)?)?;
            (Stamp::Absolute(text), rest)
        }
        // `Nov 2 03:04:05`: not padded at all.
        [m1, m2, m3, b' ', day @ b'1'..=b'9', b' ', rest @ ..] => {
            let ([h1, h2, c1, n1, n2, c2, s1, s2], rest) = rest.split_first_chunk()?;
            let stamp = [*m1, *m2, *m3, b' ', b' ', *day, b' ', *h1, *h2, *c1, *n1, *n2, *c2, *s1, *s2];
            (Stamp::Local(stamp), without_fraction(rest))
        }
        _ => {
            let (stamp, rest) = line.split_first_chunk()?;
            (Stamp::Local(*stamp), without_fraction(rest))
        }
    };
    Some((stamp, rest.strip_prefix(b" ")?))
}

/// `.123456` behind the seconds, cut off: a year-less stamp is read to the second.
fn without_fraction(rest: &[u8]) -> &[u8] {
    let Some(digits) = rest.strip_prefix(b".") else { return rest };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits.get(length..).filter(|_| (1..=9).contains(&length)).unwrap_or(rest)
}

/// `2026-11-02 03:04:05`, with a fraction, with an offset as a third word.
fn civil(line: &[u8]) -> Option<(Stamp<'_>, &[u8])> {
    let mut end = 11 + memchr::memchr(b' ', line.get(11..)?)?;
    if let [b' ', b'+' | b'-', h1, h2, m1, m2, b' ', ..] = line.get(end..)?
        && [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit)
    {
        end += 6;
    }
    let (text, rest) = line.split_at_checked(end)?;
    Some((Stamp::Civil(text), rest))
}

/// `2026-11-02 03:04:05 MESSAGE`: Exim stamps its lines for syslog too (`syslog_timestamp`, on by default).
fn without_stamp(message: &[u8]) -> &[u8] {
    let after_stamp = || {
        let [b'0'..=b'9', _, _, _, b'-', _, _, b'-', _, _, b' ', _, _, b':', _, _, b':', _, _, ..] = message else {
            return None;
        };
        let (Stamp::Civil(text), rest) = stamp(message)? else { return None };
        let of_stamp = |byte: &u8| byte.is_ascii_digit() || b" -+:.".contains(byte);
        text.iter().all(of_stamp).then_some(without_pid(rest))
    };
    after_stamp().unwrap_or(message)
}

/// `[4711] MESSAGE`, as Exim writes it on request (`log_selector = +pid`).
fn without_pid(rest: &[u8]) -> &[u8] {
    let after_pid = || {
        let inside = rest.strip_prefix(b"[")?;
        let (pid, after) = inside.split_at_checked(memchr::memchr(b']', inside.get(..11).unwrap_or(inside))?)?;
        is_pid(pid).then_some(after.strip_prefix(b"] ")?)
    };
    after_pid().unwrap_or(rest)
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

/// `mail postfix/smtpd[4711]: MESSAGE`, or with `mail.notice` before the tag, or without process id.
fn tagged(rest: &[u8]) -> Option<(Ident<'_>, &[u8])> {
    let (host, rest) = word(rest)?;
    let (first, after_first) = word(rest)?;
    let (tag, message) = if first.ends_with(b":") { (first, after_first) } else { word(after_first)? };
    if !is_host(host) || tag.len() != first.len() && !is_facility_and_severity(first) {
        return None;
    }
    let tag = tag.strip_suffix(b":")?;
    let Some(tag) = tag.strip_suffix(b"]") else { return Some((Ident::without_pid(tag)?, message)) };
    let bracket = memchr::memrchr(b'[', tag)?;
    let (name, pid) = (tag.get(..bracket)?, tag.get(bracket + 1..)?);
    is_pid(pid).then_some((Ident::whole(name)?, message))
}

/// `message repeated 3 times: [ MESSAGE]`, as rsyslog writes where the same process wrote the same before
/// ($RepeatedMsgReduction, which Ubuntu switches on; runtime/ratelimit.c). It cuts MESSAGE after 800 bytes.
fn repeated(message: &[u8]) -> Option<(u16, &[u8])> {
    let (times, rest) = word(message.strip_prefix(b"message repeated ")?)?;
    let times = str::from_utf8(times).ok().filter(|times| is_pid(times.as_bytes()))?;
    let times = times.parse().unwrap_or(TIMES_MAX).clamp(1, TIMES_MAX);
    Some((times, rest.strip_prefix(b"times: [ ")?.strip_suffix(b"]")?))
}

/// `2026-11-02T03:04:05.123456Z mail postfix 4711 - - MESSAGE`: what follows the version (RFC 5424, section 6).
fn rfc5424(rest: &[u8]) -> Option<Line<'_>> {
    let (stamp, rest) = word(rest)?;
    let (_host, rest) = word(rest)?;
    let (app_name, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (_message_id, rest) = word(rest)?;
    let ident = match pid {
        b"-" => Ident::without_pid(app_name)?,
        pid => is_pid(pid).then(|| Ident::app_name(app_name))??,
    };
    let message = after_structured_data(rest)?;
    let message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    // rsyslog keeps the space that stood between the tag's colon and the message.
    let message = message.strip_prefix(b" ").unwrap_or(message);
    let stamp = if stamp == b"-" { Stamp::Absent } else { Stamp::Absolute(stamp) };
    Some(syslog_line(stamp, ident, message))
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

/// What stands in a host's place: a name, an address, or with syslog-ng's `chain_hostnames` several of them. Not what a server's own
/// line begins with where a client's text is next (`H=(HELO`, `imap(USER`), which could go on like a tag.
fn is_host(text: &[u8]) -> bool {
    let of_host = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:/@%".contains(byte);
    !text.ends_with(b":") && text.iter().all(of_host)
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

    #[test]
    fn every_shape_of_syslog_is_split() {
        let smtpd = Ident::whole(b"postfix/smtpd");
        let cut = Ident::app_name(b"postfix");
        let dovecot = Ident::without_pid(b"dovecot");
        let iso = Stamp::Absolute(b"2026-11-02T03:04:05.123456+01:00");
        let local = Stamp::Local(*b"Nov  2 03:04:05");
        for (line, stamp, ident) in [
            ("Nov  2 03:04:05 mail postfix/smtpd[4711]: m", local, smtpd),
            ("Nov 2 03:04:05 mail postfix/smtpd[4711]: m", local, smtpd),
            ("Nov 02 03:04:05 mail postfix/smtpd[4711]: m", Stamp::Local(*b"Nov 02 03:04:05"), smtpd),
            ("<22>Nov  2 03:04:05 mail postfix/smtpd[4711]: m", local, smtpd),
            ("Nov  2 03:04:05.123456 mail postfix/smtpd[4711]: m", local, smtpd),
            ("Nov 2 03:04:05.123456 mail postfix/smtpd[4711]: m", local, smtpd),
            ("Nov  2 03:04:05 mail mail.warn postfix/smtpd[4711]: m", local, smtpd),
            ("Nov  2 03:04:05 mail dovecot: m", local, dovecot),
            ("Nov  2 03:04:05 mail mail.warn dovecot: m", local, dovecot),
            ("Nov  2 03:04:05 2001:db8::1 postfix/smtpd[4711]: m", local, smtpd),
            ("Nov  2 03:04:05 relay@192.0.2.1/mail postfix/smtpd[4711]: m", local, smtpd),
            ("Nov  2 03:04:05 mail postfix/smtpd[4711]: 2026-11-02 03:04:05 m", local, smtpd),
            ("<22>1 - mail postfix 4711 - - 2026-11-02 03:04:05.123 +0100 [4711] m", Stamp::Absent, cut),
            ("Nov  2 03:04:05 mail postfix/smtpd[4711]: message repeated 3 times: [ m]", local, smtpd),
            ("Nov  2 03:04:05 mail dovecot: message repeated 3 times: [ m]", local, dovecot),
            ("<22>1 - mail postfix 4711 - - message repeated 3 times: [ m]", Stamp::Absent, cut),
            ("2026-11-02T03:04:05.123456+01:00 mail postfix/smtpd[4711]: m", iso, smtpd),
            ("2026-11-02 03:04:05 mail postfix/smtpd[4711]: m", Stamp::Civil(b"2026-11-02 03:04:05"), smtpd),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail postfix 4711 - - m", iso, cut),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail postfix 4711 - -  m", iso, cut),
            ("1 2026-11-02T03:04:05.123456+01:00 mail postfix 4711 - - m", iso, cut),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail postfix/smtpd 4711 ID - m", iso, smtpd),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail dovecot - - - m", iso, dovecot),
            ("<22>1 2026-11-02T03:04:05.123456+01:00 mail postfix 4711 - - \u{feff}m", iso, cut),
            ("<22>1 - mail postfix 4711 - - m", Stamp::Absent, cut),
            (r#"<22>1 - mail postfix 4711 - [a b="c"][d e="\]\"] f"] m"#, Stamp::Absent, cut),
        ] {
            let times = if line.contains("repeated") { 3 } else { 1 };
            let expected = Line { stamp, ident: Some(ident.unwrap()), message: b"m", times };
            assert_eq!(parse(line.as_bytes()), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_has_no_host_and_tag_is_bare() {
        let local = Stamp::Local(*b"Nov 02 03:04:05");
        let civil = Stamp::Civil(b"2026-11-02 03:04:05");
        for (line, stamp, message) in [
            ("2026-11-02 03:04:05 login authenticator failed", civil, "login authenticator failed"),
            ("2026-11-02 03:04:05 [4711] H=x [192.0.2.1]: no", civil, "H=x [192.0.2.1]: no"),
            ("2026-11-02 03:04:05.123 +0100 m", Stamp::Civil(b"2026-11-02 03:04:05.123 +0100"), "m"),
            ("2026-11-02 03:04:05 +01000 m", civil, "+01000 m"),
            ("2026-11-02 03:04:05 IMAP Error: m", civil, "IMAP Error: m"),
            ("Nov 02 03:04:05 imap-login: Info: Disconnected", local, "imap-login: Info: Disconnected"),
            ("Nov 02 03:04:05 sogod [4711]: m", local, "sogod [4711]: m"),
            (
                "[02-Nov-2026 03:04:05 +0100]: IMAP Error: m",
                Stamp::Bracketed(b"02-Nov-2026 03:04:05 +0100"),
                "IMAP Error: m",
            ),
            ("@400000006726d2f51d9f0a2c m", Stamp::Tai64n(b"400000006726d2f51d9f0a2c"), "m"),
            ("Nov 02 03:04:05 mail postfix/smtpd[12x]: m", local, "mail postfix/smtpd[12x]: m"),
            ("Nov 02 03:04:05 mail postfix/smtpd[12345678901]: m", local, "mail postfix/smtpd[12345678901]: m"),
            ("Nov 02 03:04:05 mail postfix/smtpd[]: m", local, "mail postfix/smtpd[]: m"),
            ("Nov 02 03:04:05 mail postfix smtpd[4711]: m", local, "mail postfix smtpd[4711]: m"),
            (
                "Nov 02 03:04:05 mail two.words mail.warn smtpd[4711]: m",
                local,
                "mail two.words mail.warn smtpd[4711]: m",
            ),
            ("Nov 02 03:04:05  postfix/smtpd[4711]: m", local, " postfix/smtpd[4711]: m"),
            // What a client may write is no tag.
            ("2026-11-02 03:04:05 H=(x smtpd[4711]: m", civil, "H=(x smtpd[4711]: m"),
            ("Nov 02 03:04:05 imap(x smtpd[4711]: m", local, "imap(x smtpd[4711]: m"),
            ("Nov 02 03:04:05 [192.0.2.1] smtpd[4711]: m", local, "[192.0.2.1] smtpd[4711]: m"),
        ] {
            let expected = Line { stamp, ident: None, message: message.as_bytes(), times: 1 };
            assert_eq!(parse(line.as_bytes()), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_has_no_stamp_is_no_line() {
        for line in [
            "",
            "m",
            "Nov  2 03:04:05",
            "Nov  2 03:04:05mail postfix/smtpd[4711]: m",
            "Nov  2 03:04:05. mail postfix/smtpd[4711]: m",
            "Nov  2 03:04:05.1234567890 mail postfix/smtpd[4711]: m",
            "Nov  2 03:04:05.123x mail postfix/smtpd[4711]: m",
            "<22>1 - mail postfix x - - m",
            "<22>1 - mail postfix 4711 - m",
            r#"<22>1 - mail postfix 4711 - [a b="c m"#,
            r#"<22>1 - mail postfix 4711 - [a b="c]" m"#,
            "[02-Nov-2026 03:04:05 +0100",
            "@4000 m",
        ] {
            assert_eq!(parse(line.as_bytes()), None, "{line}");
        }
    }
}
