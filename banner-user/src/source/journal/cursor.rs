//! Where an entry stands in the journal.

use std::{fmt, str::FromStr};

use crate::clock::WallTime;

/// The position of an entry, as `journalctl` names it (`sd_journal_get_cursor(3)`): its text form is a cursor of systemd's, and
/// that is what is to be kept over a restart.
///
/// Entries keep their boot, both times and `content` when journald copies them (`/run/log/journal` to `/var/log/journal` early
/// in a boot), and get another sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalPosition {
    /// Which journald numbered it: another one after its files were all removed.
    sequence: u128,
    number: u64,
    boot: u128,
    /// Microseconds of CLOCK_MONOTONIC when journald took it in.
    monotonic: u64,
    /// Microseconds since the Unix epoch when journald took it in.
    realtime: u64,
    /// A hash over its fields.
    content: u64,
}

/// Not a cursor of systemd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position in the journal")]
pub struct NoPosition;

impl JournalPosition {
    /// Its number in the journal: it grows from entry to entry as long as journald keeps its files.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When journald took the entry in, by the wall clock of that time.
    #[must_use]
    pub fn realtime(&self) -> WallTime {
        WallTime(i64::try_from(self.realtime).unwrap_or(i64::MAX))
    }

    pub(super) fn boot(&self) -> u128 {
        self.boot
    }

    pub(super) fn monotonic(&self) -> u64 {
        self.monotonic
    }

    /// Whether the two are the same entry, wherever it was copied to.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let origin = |position: &Self| (position.boot, position.monotonic, position.realtime, position.content);
        origin(self) == origin(other)
    }

    /// Whether this entry is certain to have been there when `other` was read: it is the same one, or an earlier one.
    pub(super) fn is_up_to(&self, other: &Self) -> bool {
        self.is_same(other)
            || if self.sequence == other.sequence {
                self.number <= other.number
            } else {
                self.boot == other.boot && self.monotonic < other.monotonic
            }
    }
}

impl fmt::Display for JournalPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, number, boot, monotonic, realtime, content } = self;
        write!(f, "s={sequence:032x};i={number:x};b={boot:032x};m={monotonic:x};t={realtime:x};x={content:x}")
    }
}

impl FromStr for JournalPosition {
    type Err = NoPosition;

    /// Strict: it becomes an argument of a command.
    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let mut parts = text.split(';');
        let mut part = |key: &str| parts.next()?.strip_prefix(key)?.strip_prefix('=');
        let mut read = || {
            Some(Self {
                sequence: identity(part("s")?)?,
                number: number(part("i")?)?,
                boot: identity(part("b")?)?,
                monotonic: number(part("m")?)?,
                realtime: number(part("t")?)?,
                content: number(part("x")?)?,
            })
        };
        let position = read().ok_or(NoPosition)?;
        parts.next().is_none().then_some(position).ok_or(NoPosition)
    }
}

/// 32 digits, as systemd writes its 128-bit identities.
pub(super) fn identity(text: &str) -> Option<u128> {
    let is_hexadecimal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hexadecimal.then(|| u128::from_str_radix(text, 16).ok())?
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "s=db267e5d56c442d59378dfaf321718f5;i=3d090;b=0123456789abcdef0123456789abcdef;\
                        m=9c66eb;t=660e127a448ab;x=d81177d873974c7e";

    #[test]
    fn a_cursor_is_read_and_written_as_it_was() {
        let position: JournalPosition = TEXT.parse().unwrap();
        assert_eq!(position.to_string(), TEXT);
        assert_eq!((position.number(), position.realtime()), (250_000, WallTime(1_795_370_009_249_963)));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for (from, to) in [
            ("s=", "z="),
            ("i=", "i=+"),
            (";m", ";m=1;m"),
            ("c7e", "c7e;"),
            ("db26", "db2"),
            ("t=", "t= "),
            ("x=", "x=z"),
        ] {
            assert_eq!(TEXT.replacen(from, to, 1).parse::<JournalPosition>(), Err(NoPosition), "{from}");
        }
        assert_eq!("".parse::<JournalPosition>(), Err(NoPosition));
    }

    #[test]
    fn what_was_read_before_is_known_again() {
        let read: JournalPosition = TEXT.parse().unwrap();
        for (entry, expected) in [
            (read, true),
            (JournalPosition { number: read.number - 1, monotonic: 1, ..read }, true),
            (JournalPosition { number: read.number + 1, content: 0, ..read }, false),
            // Copied by another journald, which numbers anew.
            (JournalPosition { sequence: 1, number: 900_000, ..read }, true),
            (JournalPosition { sequence: 1, number: 900_000, monotonic: read.monotonic - 1, ..read }, true),
            (JournalPosition { sequence: 1, number: 1, monotonic: read.monotonic + 1, ..read }, false),
            // Of another boot: not known.
            (JournalPosition { sequence: 1, number: 1, boot: 1, monotonic: 1, ..read }, false),
        ] {
            assert_eq!(entry.is_up_to(&read), expected, "{entry}");
        }
    }
}
