//! An entry of the journal as the line that rsyslog would have written of it:
//!
//! ```text
//! 2026-11-02T03:04:05.123456Z mail postfix/smtpd[4711]: MESSAGE
//! ```
//!
//! so that detection reads one shape, and a line means the same wherever it comes from.

use std::io::Write as _;

use jiff::Timestamp;

use super::{
    super::LINE_MAX,
    export::{Field, Fields},
};

/// Why an entry makes no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoLine {
    /// Nothing that a mail server writes: it has no message, or no name that syslog knows.
    Unnamed,
    /// More than [`LINE_MAX`] bytes.
    Overlong,
}

/// Writes the line of an entry.
pub(super) fn compose(fields: &Fields, line: &mut Vec<u8>) -> Result<(), NoLine> {
    line.clear();
    if fields.is_overlong() {
        return Err(NoLine::Overlong);
    }
    let identifier = fields.of(Field::Identifier).filter(|name| is_word(name)).ok_or(NoLine::Unnamed)?;
    let message = fields.of(Field::Message).ok_or(NoLine::Unnamed)?;
    // When it was sent, as the kernel says, or else when journald took it in.
    let micros = |field| fields.text(field)?.parse().ok();
    let stamp = micros(Field::SourceRealtime).or_else(|| micros(Field::Realtime)).ok_or(NoLine::Unnamed)?;
    let stamp = Timestamp::from_microsecond(stamp).map_err(|_| NoLine::Unnamed)?;
    // A Vec takes everything.
    let _ = write!(line, "{stamp:.6} ");
    line.extend_from_slice(fields.of(Field::Hostname).filter(|name| is_word(name)).unwrap_or(b"localhost"));
    line.push(b' ');
    line.extend_from_slice(identifier);
    if let Some(pid) = fields.of(Field::Pid) {
        line.push(b'[');
        line.extend_from_slice(pid);
        line.push(b']');
    }
    line.extend_from_slice(b": ");
    for byte in message {
        match byte {
            // As rsyslog does by default ($EscapeControlCharactersOnReceive): a message is one line, whatever a client sent.
            0..=0x1f | 0x7f => {
                let _ = write!(line, "#{byte:03o}");
            }
            _ => line.push(*byte),
        }
    }
    if line.len() > LINE_MAX { Err(NoLine::Overlong) } else { Ok(()) }
}

/// What cannot be taken for anything else in a line: no space, no bracket, no colon, nothing unprintable.
fn is_word(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_graphic() && !b"[]:".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::{super::export::Parser, *};

    fn line(entry: &[u8]) -> Result<String, NoLine> {
        let (mut parser, mut line) = (Parser::default(), Vec::new());
        let fields = parser.next(&mut &*[entry, b"\n"].concat()).unwrap().map(|fields| compose(fields, &mut line));
        fields.unwrap().map(|()| String::from_utf8(line).unwrap())
    }

    #[test]
    fn an_entry_becomes_a_line_of_syslog() {
        let when = "__REALTIME_TIMESTAMP=1795370009000028\n";
        for (entry, expected) in [
            (
                "_SOURCE_REALTIME_TIMESTAMP=1795370009000000\n_HOSTNAME=mail\n_PID=7\nSYSLOG_IDENTIFIER=postfix/smtpd\nMESSAGE=m\n",
                Ok("2026-11-22T17:53:29.000000Z mail postfix/smtpd[7]: m"),
            ),
            ("SYSLOG_IDENTIFIER=dovecot\nMESSAGE=m\n", Ok("2026-11-22T17:53:29.000028Z localhost dovecot: m")),
            ("_HOSTNAME=a b\nSYSLOG_IDENTIFIER=x\nMESSAGE=\n", Ok("2026-11-22T17:53:29.000028Z localhost x: ")),
            // What a client sent stays in its line.
            (
                "SYSLOG_IDENTIFIER=x\nMESSAGE\n\x09\0\0\0\0\0\0\0a\nb\r\t\0\x1b\u{7f}c\n",
                Ok("2026-11-22T17:53:29.000028Z localhost x: a#012b#015#011#000#033#177c"),
            ),
            ("MESSAGE=m\n", Err(NoLine::Unnamed)),
            ("SYSLOG_IDENTIFIER=x\n", Err(NoLine::Unnamed)),
            ("SYSLOG_IDENTIFIER=postfix/smtpd[1]: \nMESSAGE=m\n", Err(NoLine::Unnamed)),
            ("SYSLOG_IDENTIFIER=\nMESSAGE=m\n", Err(NoLine::Unnamed)),
        ] {
            assert_eq!(line([when, entry].concat().as_bytes()), expected.map(str::to_owned), "{entry}");
        }
    }

    #[test]
    fn a_line_is_never_longer_than_those_of_files() {
        let entry = |bytes: usize, byte: &str| {
            let head = "__REALTIME_TIMESTAMP=1795370009000028\nSYSLOG_IDENTIFIER=x\nMESSAGE=";
            line([head, &byte.repeat(bytes), "\n"].concat().as_bytes())
        };
        let head = "2026-11-22T17:53:29.000028Z localhost x: ".len();
        assert_eq!(entry(LINE_MAX - head, "m").unwrap().len(), LINE_MAX);
        assert_eq!(entry(LINE_MAX - head + 1, "m"), Err(NoLine::Overlong));
        assert_eq!(entry(LINE_MAX / 4, "\t"), Err(NoLine::Overlong));
        assert_eq!(entry(LINE_MAX + 1, "m"), Err(NoLine::Overlong));
    }
}
