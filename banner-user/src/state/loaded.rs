//! What a daemon that starts is given.

use std::{fmt, os::unix::ffi::OsStrExt as _, path::PathBuf};

use crate::{
    clock::WallTime,
    event::Escaped,
    judge::saved::Saved,
    source::{Bookmark, journal::JournalPosition},
};

/// What was kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Bans and tallies.
    pub saved: Saved,
    /// When the last batch was written, if one was.
    pub saved_at: Option<WallTime>,
    /// How far files were read.
    pub positions: Vec<Bookmark>,
    /// How far the journal was read.
    pub journal: Option<JournalPosition>,
    /// The interfaces that were guarded.
    pub interfaces: Vec<String>,
    /// Nothing was kept before: a first start, or what was kept could not be used.
    pub is_new: bool,
    /// What an operator should be told.
    pub notices: Vec<Notice>,
}

/// Something that an operator is told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A database could not be used, and has another name now.
    SetAside {
        /// Where it is now.
        to: PathBuf,
        /// Why it could not be used.
        why: String,
    },
    /// The file of the database was there, with nothing in it.
    Empty {
        /// Where it is.
        path: PathBuf,
    },
    /// The database was deleted or replaced while the daemon ran.
    Replaced {
        /// Where it was.
        path: PathBuf,
    },
    /// Rows that make no sense were passed over.
    Unreadable {
        /// Of what.
        what: &'static str,
        /// How many.
        rows: usize,
    },
    /// Bans are for services that are not configured any more; these bans are for the others now, or gone.
    UnknownServices {
        /// Their names.
        names: Vec<String>,
        /// How many bans.
        bans: usize,
    },
    /// Others than the owner can read the state directory.
    OpenDirectory {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetAside { to, why } => write!(
                f,
                "the state could not be used and is kept as {}: {why}. A new one is begun; bans in force go on",
                Escaped(to.as_os_str().as_bytes())
            ),
            Self::Empty { path } => write!(
                f,
                "the state {} was an empty file: whatever it had is lost, and a new one is begun",
                Escaped(path.as_os_str().as_bytes())
            ),
            Self::Replaced { path } => write!(
                f,
                "the state {} was deleted or replaced while banner ran: it is written anew, its history is lost",
                Escaped(path.as_os_str().as_bytes())
            ),
            Self::Unreadable { what, rows } => {
                write!(f, "{rows} {what} in the state made no sense and were passed over")
            }
            Self::UnknownServices { names, bans } => {
                let names = Escaped(names.join(", ").as_bytes()).to_string();
                write!(f, "{bans} kept bans are for services that are not configured any more: {names}")
            }
            Self::OpenDirectory { path, mode } => write!(
                f,
                "others can read the state directory {} (mode {mode:o}); make it 0700",
                Escaped(path.as_os_str().as_bytes())
            ),
        }
    }
}
