//! What an operator should be told about the followed files.

use std::{fmt, os::unix::ffi::OsStrExt as _, path::Path, path::PathBuf};

use nix::errno::Errno;

use super::{DRAIN, FILES_MAX, file::LINE_MAX, hidden};
use crate::event::Escaped;

/// Something happened to a followed file that an operator may have to know. Each is told when it begins, not while it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A configured path names nothing.
    Missing(PathBuf),
    /// A configured pattern matches nothing.
    NoMatch(String),
    /// What was missing is there.
    Appeared(PathBuf),
    /// A path cannot be looked at, opened or read.
    Unreadable(PathBuf, Errno),
    /// What could not be read can be read again.
    Readable(PathBuf),
    /// A path names a directory, FIFO, socket or device.
    NotRegular(PathBuf),
    /// A path names another file than before.
    Rotated(PathBuf),
    /// Files were rotated while nobody read them.
    RotatedMeanwhile {
        /// The path that they had, or were to have had.
        path: PathBuf,
        /// How many.
        files: usize,
    },
    /// Files came to a path and were rotated away before it was looked at again.
    RotatedUnseen {
        /// The path that they had.
        path: PathBuf,
        /// How many.
        files: usize,
    },
    /// What an earlier run was reading is nowhere to be found.
    NotFound {
        /// The path that it had.
        path: PathBuf,
        /// How far it had been read, in bytes.
        offset: u64,
    },
    /// A rotated file cannot be decompressed.
    Damaged {
        /// Which, or the path that it had.
        path: PathBuf,
        /// Up to which byte of its text it was read.
        offset: u64,
        /// What the decoder says.
        why: String,
    },
    /// More stands in a file since the time that is to be remembered than is read back.
    MemoryCut {
        /// Which.
        path: PathBuf,
        /// How much is read of it, in bytes.
        bytes: u64,
    },
    /// A file was emptied, after it had been read up to here.
    Truncated {
        /// Which.
        path: PathBuf,
        /// How far it had been read, in bytes.
        offset: u64,
    },
    /// Lines were longer than [`LINE_MAX`].
    OverlongLine {
        /// In which file.
        path: PathBuf,
        /// Where the latest began.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// How many since the last notice, itself included.
        lines: u64,
    },
    /// A rotated file was closed, and its last line never got its newline.
    PartialLineDropped {
        /// Where the file was.
        path: PathBuf,
        /// The length of what was dropped.
        bytes: u64,
    },
    /// A rotated file had to be closed early, because too many are still being read.
    DrainCutShort {
        /// Where the file was.
        path: PathBuf,
        /// How much of it was never read.
        unread: u64,
    },
    /// More files match than are followed at once.
    TooManyFiles {
        /// How many match.
        matched: usize,
    },
    /// The kernel does not tell of changes.
    WakeupUnavailable(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "{} does not exist: no failure is seen there until it does; it is followed as soon as it appears. {}",
                Shown(path),
                remedy_of_nothing(path, "If it never will, correct `source` in the configuration")
            ),
            Self::NoMatch(pattern) => write!(
                f,
                "no file matches {}: no failure is seen there until one does. {}",
                Escaped(pattern.as_bytes()),
                remedy_of_nothing(Path::new(pattern), "If none ever will, correct `source` in the configuration")
            ),
            Self::Appeared(path) => write!(f, "{} has appeared and is followed from its beginning", Shown(path)),
            Self::Unreadable(path, errno) => {
                write!(f, "cannot read {}: {}. {}", Shown(path), errno.desc(), remedy(*errno))
            }
            Self::Readable(path) => write!(f, "{} can be read again", Shown(path)),
            Self::NotRegular(path) => write!(
                f,
                "{} is not a regular file (a directory, FIFO, socket or device) and is not read; name the log file itself in \
                 `source`",
                Shown(path)
            ),
            Self::Rotated(path) => write!(
                f,
                "{} is a new file (rotated): it is read from its beginning, and the old one until nothing was written to it \
                 for {} s",
                Shown(path),
                DRAIN.as_secs()
            ),
            Self::RotatedMeanwhile { path, files } => write!(
                f,
                "{files} file(s) of {} were rotated while banner did not run: what is unread of them is read first",
                Shown(path)
            ),
            Self::RotatedUnseen { path, files } => write!(
                f,
                "{files} file(s) of {} came and were rotated between two looks at it: they are read first",
                Shown(path)
            ),
            Self::NotFound { path, offset } => write!(
                f,
                "what was written to {} behind byte {offset} before it was rotated or emptied cannot be found, and its \
                 failures are not counted: it was deleted, edited, or moved to another directory (logrotate's olddir) while \
                 banner did not run",
                Shown(path)
            ),
            Self::Damaged { path, offset, why } => write!(
                f,
                "the rotated file of {} cannot be decompressed behind byte {offset} of its text: {}. Failures there are not \
                 counted",
                Shown(path),
                Escaped(why.as_bytes())
            ),
            Self::MemoryCut { path, bytes } => write!(
                f,
                "{} has more lines of the last findtime than are read back: its last {} MiB are",
                Shown(path),
                bytes >> 20
            ),
            Self::Truncated { path, offset } => write!(
                f,
                "{} was emptied after {offset} bytes had been read: it is read from its beginning. What was written right \
                 before may be lost; rotating by rename (logrotate without copytruncate) loses nothing",
                Shown(path)
            ),
            Self::OverlongLine { path, offset, bytes, lines } => write!(
                f,
                "dropped {lines} line(s) of {} longer than {LINE_MAX} bytes, the latest at offset {offset} with {bytes} bytes",
                Shown(path)
            ),
            Self::PartialLineDropped { path, bytes } => write!(
                f,
                "the old file of {} ended without a newline: its last {bytes} bytes are no line and were dropped",
                Shown(path)
            ),
            Self::DrainCutShort { path, unread } => write!(
                f,
                "too many rotated files are still being read: one of {} was closed with {unread} bytes unread. Rotate less \
                 often",
                Shown(path)
            ),
            Self::TooManyFiles { matched } => write!(
                f,
                "{matched} files match, {FILES_MAX} are followed: the ones in the configuration by name, then the ones written \
                 last. Narrow the patterns in `source`"
            ),
            Self::WakeupUnavailable(why) => write!(
                f,
                "the kernel does not tell when logs change ({}): they are looked at four times a second instead, so that a ban \
                 comes up to 250 ms later. Raise fs.inotify.max_user_instances and fs.inotify.max_user_watches",
                Escaped(why.as_bytes())
            ),
        }
    }
}

/// What is hidden from the daemon exists for everybody else: correcting the path would be no remedy.
fn remedy_of_nothing(path: &Path, otherwise: &str) -> String {
    hidden::hidden_below(path).map_or_else(|| otherwise.to_owned(), hidden::remedy)
}

fn remedy(errno: Errno) -> &'static str {
    if errno == Errno::EACCES || errno == Errno::EPERM {
        "Run the daemon as root or give it CAP_DAC_READ_SEARCH"
    } else if errno == Errno::EMFILE || errno == Errno::ENFILE {
        "Raise LimitNOFILE in the unit, or narrow the patterns in `source`"
    } else if errno == Errno::ELOOP {
        "Its symbolic links lead in a circle; mend them"
    } else {
        "It is tried again continuously"
    }
}

/// A path, fit for a terminal.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Escaped(self.0.as_os_str().as_bytes()), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_what_happened_and_what_to_do_and_cannot_steer_a_terminal() {
        let path = PathBuf::from("/var/log/\x1b[31mmail\n.log");
        for (notice, expected) in [
            (
                Notice::Unreadable(path.clone(), Errno::EACCES),
                "cannot read /var/log/\\u{1b}[31mmail\\n.log: Permission denied. Run the daemon as root or give it \
                 CAP_DAC_READ_SEARCH",
            ),
            (
                Notice::PartialLineDropped { path, bytes: 12 },
                "the old file of /var/log/\\u{1b}[31mmail\\n.log ended without a newline: its last 12 bytes are no line and \
                 were dropped",
            ),
            (
                Notice::NoMatch("/var/log/*.\r".to_owned()),
                "no file matches /var/log/*.\\r: no failure is seen there until one does. If none ever will, correct `source` \
                 in the configuration",
            ),
        ] {
            assert_eq!(notice.to_string(), expected);
        }
    }

    #[test]
    fn a_log_that_the_unit_hides_is_not_called_a_mistake_of_the_configuration() {
        for (notice, is_hidden) in [
            (Notice::Missing(PathBuf::from("/home/mail/mail.log")), true),
            (Notice::NoMatch("/root/log/*.log".to_owned()), true),
            (Notice::Missing(PathBuf::from("/var/log/mail.log")), false),
        ] {
            let said = notice.to_string();
            assert_eq!(said.contains("ProtectHome=read-only"), is_hidden, "{said}");
            assert_eq!(said.contains("correct `source`"), !is_hidden, "{said}");
        }
    }
}
