//! What one log line says: the value that `detect` makes and `judge` takes.

use std::{fmt, net::IpAddr, sync::Arc};

use crate::clock::LogTime;

/// The name of a filter, shared by all events that it makes.
pub type FilterName = Arc<str>;

/// What one line says about a client or about the authentication backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client failed to authenticate.
    Failure(Attempt),
    /// A client authenticated.
    Success(Attempt),
    /// The authentication backend did not answer, so that even right passwords fail. Never counts against anybody.
    Outage(Outage),
}

impl Event {
    /// The filter whose pattern matched.
    #[must_use]
    pub fn filter(&self) -> &FilterName {
        match self {
            Self::Failure(attempt) | Self::Success(attempt) => &attempt.filter,
            Self::Outage(outage) => &outage.filter,
        }
    }

    /// What the line claims about its time.
    #[must_use]
    pub fn at(&self) -> LogTime {
        match self {
            Self::Failure(attempt) | Self::Success(attempt) => attempt.at,
            Self::Outage(outage) => outage.at,
        }
    }
}

/// One attempt to authenticate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The filter whose pattern matched.
    pub filter: FilterName,
    /// The client's address as the server wrote it; `::ffff:a.b.c.d` is already its IPv4 address, a zone is cut off.
    pub source: IpAddr,
    /// The name that the client claimed, where the line has it. Attacker text.
    pub user: Option<User>,
    /// How much it counts.
    pub weight: Weight,
    /// What the line claims about its time.
    pub at: LogTime,
}

/// A sign that the authentication backend is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The filter whose pattern matched.
    pub filter: FilterName,
    /// The client that suffered, where the line has it.
    pub source: Option<IpAddr>,
    /// Another server that asked the backend for this client knows no better than to tell of a failure.
    pub retold: bool,
    /// What the line claims about its time.
    pub at: LogTime,
}

/// How much a failure counts, in quarters of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub u16);

impl Weight {
    /// Does not count: what a correct user produces too.
    pub const ZERO: Self = Self(0);
    /// A quarter: an unknown mechanism, an aborted exchange.
    pub const LOW: Self = Self(1);
    /// A wrong password.
    pub const ONE: Self = Self(4);

    /// This, so many times.
    #[must_use]
    pub fn times(self, count: u16) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f32::from(self.0) / 4.0)
    }
}

/// The longest user name that is kept, in bytes; more is cut off.
pub const USER_MAX: usize = 64;

/// A user name out of a log line: attacker text, any bytes but a newline, at most [`USER_MAX`] of them. Only its escaped form
/// can be printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct User(Box<[u8]>);

impl User {
    /// Keeps the first [`USER_MAX`] bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.get(..USER_MAX).unwrap_or(bytes).into())
    }

    /// The bytes as they stood in the line.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Escaped(&self.0), f)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Shows bytes from outside: valid, printable UTF-8 as it is, everything else (control characters, direction overrides,
/// invalid UTF-8) as `\x..` or `\u{..}`, so that it cannot steer a terminal or break a line.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    ' '..='~' if character != '\\' => write!(f, "{character}")?,
                    '\\' => f.write_str("\\\\")?,
                    // char's own Debug escapes what is not printable and the marks that combine or turn direction.
                    _ => write!(f, "{}", character.escape_debug())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Where a line stands: which source, and the offset of its first byte there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The file that it came from, numbered by the source in order of first sight; [`crate::source`] tells its path.
    pub file: FileId,
    /// Bytes from the start of that file.
    pub offset: u64,
}

/// A followed file, for as long as the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

impl FileId {
    /// The systemd journal, which is no file; offsets in it are the numbers of its entries.
    pub const JOURNAL: Self = Self(u32::MAX);
}

/// Who wrote an entry of the systemd journal, as journald learned from the kernel. No client can claim to be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writer<'a> {
    /// The account that the process ran as.
    pub uid: Option<u32>,
    /// The name of that account, where it has one.
    pub account: Option<&'a str>,
    /// The path of the program. A process that has ended before journald looked has none.
    pub executable: Option<&'a [u8]>,
    /// The unit that the process belonged to. It may be missing for the same reason.
    pub unit: Option<&'a [u8]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_are_escaped() {
        let shown = |bytes: &[u8]| Escaped(bytes).to_string();
        assert_eq!(shown(b"alice@example.com"), "alice@example.com");
        assert_eq!(shown("jos\u{e9}".as_bytes()), "jos\u{e9}");
        assert_eq!(shown(b"a\x1b[31mb\r\n"), "a\\u{1b}[31mb\\r\\n");
        assert_eq!(shown(b"a\xffb\\"), "a\\xffb\\\\");
        assert_eq!(shown("a\u{202e}b\u{9b}".as_bytes()), "a\\u{202e}b\\u{9b}");
    }

    #[test]
    fn user_names_are_cut() {
        assert_eq!(User::new(&[b'a'; 1000]).as_bytes().len(), USER_MAX);
    }
}
