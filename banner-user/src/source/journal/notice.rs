//! What an operator should be told about the journal.

use std::{fmt, path::PathBuf, time::Duration};

use crate::{clock::WallTime, event::Escaped};

/// Something happened to the journal that an operator may have to know. Each is told when it begins, not while it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `journalctl` cannot be started.
    NotStarted {
        /// As it was called.
        program: PathBuf,
        /// What the kernel says.
        error: String,
        /// There is no such file.
        is_missing: bool,
    },
    /// `journalctl` has ended; it is started again from where it was, more and more seldom.
    Ended {
        /// How: its exit status or signal.
        how: String,
        /// What it said about it, escaped.
        said: Option<String>,
    },
    /// After one of the two above, the journal is read again.
    Resumed,
    /// `journalctl` complains and goes on.
    Said(String),
    /// The entry that was read last is gone, and so may be others that were never read.
    Vacuumed {
        /// When it was written.
        from: WallTime,
        /// When the oldest was written that is still there.
        to: WallTime,
    },
    /// journald has thrown away messages of a unit that wrote too many.
    Suppressed {
        /// Whose.
        unit: Box<[u8]>,
        /// How many, since this was told last of it.
        messages: u64,
    },
    /// Entries were too long to be read.
    Overlong {
        /// How many so far.
        entries: u64,
    },
}

/// How often the same is told again while it goes on happening.
pub(super) const AGAIN: Duration = Duration::from_secs(3600);

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { program, is_missing: true, .. } => write!(
                f,
                "{} does not exist, and the journal is not read: no failure is seen there until it does. Install systemd's \
                 journalctl, or name the log files of the mail server in `source`",
                Escaped(program.as_os_str().as_encoded_bytes())
            ),
            Self::NotStarted { program, error, is_missing: false } => write!(
                f,
                "cannot start {}: {error}. The journal is not read until that succeeds; it is tried again",
                Escaped(program.as_os_str().as_encoded_bytes())
            ),
            Self::Ended { how, said } => {
                write!(f, "journalctl, which reads the journal, has ended ({how}")?;
                if let Some(said) = said {
                    write!(f, "; it says: {said}")?;
                }
                f.write_str("): it is started again, from the entry that was read last")
            }
            Self::Resumed => f.write_str("the journal is read again, from the entry that was read last"),
            Self::Said(said) => write!(f, "journalctl, which reads the journal, says: {said}"),
            Self::Vacuumed { from, to } => write!(
                f,
                "what the journal held after {from} was removed before it was read; the oldest that is left is of {to}. \
                 Failures between the two may be lost. Give the journal more room: SystemMaxUse= in journald.conf"
            ),
            Self::Suppressed { unit, messages } => {
                let unit = Escaped(unit);
                write!(
                    f,
                    "journald has thrown away {messages} message(s) of {unit}, which wrote more than its rate limit allows: \
                     failures among them are lost. Switch that off: `systemctl edit {unit}`, and under [Service] \
                     `LogRateLimitIntervalSec=0`; then restart it"
                )
            }
            Self::Overlong { entries } => {
                write!(f, "{entries} entries of the journal were longer than a line can be, and were dropped")
            }
        }
    }
}
