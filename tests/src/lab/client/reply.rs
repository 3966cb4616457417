//! What servers reply: where a reply ends, and what it means for someone who logs in.

use std::fmt;

/// A line protocol of a mail server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "they are known by their names")]
pub enum Protocol {
    Smtp,
    Imap,
    Pop3,
    Sieve,
}

impl Protocol {
    /// The length of the first reply in these bytes; None while it is not whole.
    ///
    /// - SMTP (RFC 5321, 4.2): all lines up to the one without a hyphen after its code.
    /// - IMAP (RFC 9051, 2.2.2): all lines up to the tagged one or a continuation request; `first` is the greeting, which has no tag.
    /// - POP3 (RFC 1939, 3): one line. The rest of a long reply is further replies.
    /// - ManageSieve (RFC 5804, 1.2): all lines up to OK, NO or BYE. A challenge of SASL is no reply of its own.
    pub(super) fn reply_length(self, bytes: &[u8], first: bool) -> Option<usize> {
        let mut length = 0;
        loop {
            let rest = bytes.get(length..)?;
            let line = rest.get(..self.line_length(rest)?)?;
            length += line.len();
            let is_last = match self {
                Self::Smtp => line.get(3) != Some(&b'-'),
                Self::Imap => first || !line.starts_with(b"* "),
                Self::Pop3 => true,
                Self::Sieve => ["OK", "NO", "BYE"].iter().any(|word| is(first_word(line), word)),
            };
            if is_last {
                return Some(length);
            }
        }
    }

    /// The length of a line with its end and, where the protocol has them, the literals in it: `{3}` CRLF and three more bytes.
    fn line_length(self, bytes: &[u8]) -> Option<usize> {
        let mut length = 0;
        loop {
            let rest = bytes.get(length..)?;
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            length += end + 1;
            match self {
                Self::Smtp | Self::Pop3 => return Some(length),
                Self::Imap | Self::Sieve => match rest.get(..end).and_then(literal_length) {
                    Some(literal) => length = length.saturating_add(literal),
                    None => return Some(length),
                },
            }
        }
    }

    /// What a line means for someone who logs in.
    pub(super) fn answer(self, line: &[u8]) -> Answer {
        match self {
            Self::Smtp => smtp(line),
            Self::Imap => imap(line),
            Self::Pop3 => pop3(line),
            Self::Sieve => sieve(line),
        }
    }
}

/// How long the literal is that a line ends with.
fn literal_length(line: &[u8]) -> Option<usize> {
    let line = line.strip_suffix(b"\r").unwrap_or(line).strip_suffix(b"}")?;
    let line = line.strip_suffix(b"+").unwrap_or(line);
    let digits = line.get(line.iter().rposition(|byte| *byte == b'{')? + 1..)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// What a server says to someone who logs in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Yes.
    Accepted,
    /// Go on.
    Continue,
    /// User or password is wrong.
    Refused,
    /// Not now.
    Unavailable,
    /// Nothing of this.
    Other,
}

/// What libsasl2 calls its code -1, when the daemon behind it does not answer (`sasl_errstring`, lib/common.c). Cyrus passes it on,
/// with `NO` and `-ERR [AUTH]` before it.
const GENERIC_FAILURE: &str = "generic failure";

/// RFC 4954, section 6: 235, 334, 454 and 535. Other codes in the four hundreds are no time either.
fn smtp(line: &[u8]) -> Answer {
    match (line.get(..3), line.first()) {
        (Some(b"535"), _) => Answer::Refused,
        (_, Some(b'2')) => Answer::Accepted,
        (_, Some(b'3')) => Answer::Continue,
        (_, Some(b'4')) => Answer::Unavailable,
        _ => Answer::Other,
    }
}

/// RFC 9051, 7.1, with the response codes there.
fn imap(line: &[u8]) -> Answer {
    let (tag, rest) = split(line);
    if tag == b"+" {
        return Answer::Continue;
    }
    let (status, text) = split(rest);
    if is(status, "OK") || is(status, "PREAUTH") {
        Answer::Accepted
    } else if is(status, "BYE") {
        Answer::Unavailable
    } else if !is(status, "NO") {
        Answer::Other
    } else if ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]", GENERIC_FAILURE].iter().any(|sign| has(text, sign))
    {
        Answer::Unavailable
    } else if ["[PRIVACYREQUIRED]", "[CANNOT]"].iter().any(|sign| has(text, sign)) {
        Answer::Other
    } else {
        Answer::Refused
    }
}

/// RFC 1939, with the response codes of RFC 2449, 8.1 and RFC 3206.
fn pop3(line: &[u8]) -> Answer {
    let (status, text) = split(line);
    if is(status, "+OK") {
        Answer::Accepted
    } else if status == b"+" {
        Answer::Continue
    } else if !is(status, "-ERR") {
        Answer::Other
    } else if ["[SYS/TEMP]", "[IN-USE]", "[LOGIN-DELAY]", GENERIC_FAILURE].iter().any(|sign| has(text, sign)) {
        Answer::Unavailable
    } else if has(text, "[SYS/PERM]") {
        Answer::Other
    } else {
        Answer::Refused
    }
}

/// RFC 5804, section 1.3.
fn sieve(line: &[u8]) -> Answer {
    let (status, text) = split(line);
    if is(status, "OK") {
        Answer::Accepted
    } else if is(status, "BYE") || (is(status, "NO") && has(text, "(TRYLATER)")) {
        Answer::Unavailable
    } else if is(status, "NO") {
        let is_about_something_else = ["(ENCRYPT-NEEDED)", "(AUTH-TOO-WEAK)"].iter().any(|sign| has(text, sign));
        if is_about_something_else { Answer::Other } else { Answer::Refused }
    } else {
        Answer::Other
    }
}

/// The first word of a line, and what follows it.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let word = first_word(line);
    (word, line.get(word.len() + 1..).unwrap_or_default())
}

fn first_word(line: &[u8]) -> &[u8] {
    line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default()
}

fn is(word: &[u8], expected: &str) -> bool {
    word.eq_ignore_ascii_case(expected.as_bytes())
}

fn has(text: &[u8], sign: &str) -> bool {
    text.windows(sign.len()).any(|window| is(window, sign))
}

/// One reply, whole.
#[derive(Clone, Eq, PartialEq)]
pub struct Reply {
    protocol: Protocol,
    bytes: Vec<u8>,
}

impl Reply {
    pub(super) fn new(protocol: Protocol, bytes: Vec<u8>) -> Self {
        Self { protocol, bytes }
    }

    /// All its lines, with their ends.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it means for someone who logs in.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.protocol.answer(last_line(&self.bytes))
    }

    /// Its last line, as [`shown`].
    #[must_use]
    pub fn status(&self) -> String {
        shown(last_line(&self.bytes))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} reply \"{}\"", self.protocol, shown(&self.bytes))
    }
}

/// The last of some lines, without its end.
pub(super) fn last_line(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.trim_ascii_end();
    bytes.rsplit(|byte| *byte == b'\n').next().unwrap_or_default()
}

/// Bytes for a person: what is not printable ASCII is escaped.
#[must_use]
pub fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests;
