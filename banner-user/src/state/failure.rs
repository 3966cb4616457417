//! What can go wrong with the database, sorted by what is to be done about it.

use std::{fmt, io};

use rusqlite::ffi;

use super::trouble::Reason;

/// Why a database cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It cannot be used any more: it is set aside.
    Damaged(String),
    /// It is of a later banner, and not for this one to read: it is set aside.
    Newer {
        /// Its `user_version`.
        version: i64,
    },
    /// It may be used later.
    Trouble(Reason),
}

impl Failure {
    /// The trouble that it is where nothing more is done about it.
    pub(super) fn into_reason(self) -> Reason {
        match self {
            Self::Trouble(reason) => reason,
            Self::Damaged(_) | Self::Newer { .. } => Reason::Damaged,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => f.write_str(why),
            Self::Newer { version } => write!(f, "a later banner has written it (version {version})"),
            Self::Trouble(reason) => write!(f, "{reason}"),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        let rusqlite::Error::SqliteFailure(failure, _) = error else {
            // A column is not what the schema says, or no row where there must be one.
            return Self::Damaged(text);
        };
        // What an extended code has above its lowest byte only says where it happened (https://sqlite.org/rescode.html).
        match failure.extended_code & 0xff {
            ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB | ffi::SQLITE_ERROR | ffi::SQLITE_MISMATCH => Self::Damaged(text),
            ffi::SQLITE_FULL => Self::Trouble(Reason::Full),
            ffi::SQLITE_READONLY => Self::Trouble(Reason::ReadOnly),
            ffi::SQLITE_PERM | ffi::SQLITE_AUTH => Self::Trouble(Reason::Permission),
            ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => Self::Trouble(Reason::InUse),
            _ => Self::Trouble(Reason::System(text)),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let is = |kind| error.kind() == kind;
        Self::Trouble(if is(io::ErrorKind::StorageFull) || is(io::ErrorKind::QuotaExceeded) {
            Reason::Full
        } else if is(io::ErrorKind::ReadOnlyFilesystem) {
            Reason::ReadOnly
        } else if is(io::ErrorKind::PermissionDenied) {
            Reason::Permission
        } else {
            Reason::System(error.to_string())
        })
    }
}
