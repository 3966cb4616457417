//! Why nothing is kept at present.

use std::{fmt, os::unix::ffi::OsStrExt as _, path::PathBuf};

use crate::{clock::WallTime, event::Escaped};

/// Why nothing is kept at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The database.
    pub path: PathBuf,
    /// Since when.
    pub since: WallTime,
    /// Why.
    pub reason: Reason,
}

/// Why a database cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No room on the disk, or in the quota.
    Full,
    /// The file system is read-only.
    ReadOnly,
    /// The directory or the file is not this user's to write.
    Permission,
    /// Another process has it open.
    InUse,
    /// It was damaged again right after a new one was begun.
    Damaged,
    /// Anything else that the system or SQLite says.
    System(String),
    /// The daemon could not wait for it any longer.
    Slow,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Escaped(self.path.as_os_str().as_bytes());
        write!(f, "the state {path} has not been written since {}: {}", self.since, self.reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full; make room, banner goes on by itself then"),
            Self::ReadOnly => f.write_str("the file system is read-only; see the kernel's log for why, and remount it"),
            Self::Permission => f.write_str("permission denied; the directory must be banner's own, mode 0700"),
            Self::InUse => f.write_str("another process has it open; see `fuser -v` on it, and end that process"),
            Self::Damaged => f.write_str("new ones are damaged too; check the disk (kernel's log, SMART)"),
            Self::System(what) => write!(f, "{what}; check the disk and the directory"),
            Self::Slow => f.write_str("the disk did not answer in time"),
        }
    }
}
